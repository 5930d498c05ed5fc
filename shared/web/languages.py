"""The language and the time zone of a page for staff.

The language is what the person chose, else what the browser asks for, else the setting.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from datetime import timedelta
from functools import lru_cache
from pathlib import Path

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from shared.languages import current
from shared.web import routes
from shared.web.staff.tickets import StaffCookie
from shared.web.staff.zones import ZoneCookies
from shared.zones import current_zone

LASTING = timedelta(days=400)  # the most that browsers keep a cookie (RFC 6265bis)
_MOST_ASKED = 20  # languages of a header that are looked at …
_LONGEST_ASKED = 500  # … in so many characters
_WITHOUT_LOG_IN = "/shared/"  # pages that staff give to others
_FOR_PROGRAMS = ("/v1/", "/docs", "/openapi.json", "/metrics")


chosen_language: ContextVar[str] = ContextVar("chosen_language", default="")
"""The language that the person who sent the request has chosen; empty for none."""

chosen_zone: ContextVar[str] = ContextVar("chosen_zone", default="")
"""The time zone that the person who sent the request has chosen; empty for none."""


def language_cookie(*, https: bool) -> StaffCookie:
    return StaffCookie("earshot-language", https)


class Languages:
    """Sets the language and the time zone of each request to a page for staff.

    Respondents and programs get what they got without it.
    """

    def __init__(self, app: ASGIApp, *, catalogues: Path, otherwise: str, https: bool) -> None:
        self._app, self._otherwise, self._cookie = app, otherwise, language_cookie(https=https)
        self._languages = {code: current.language(code, catalogues) for code in current.known()}
        self._known = tuple(self._languages)
        self._zones = ZoneCookies.of(https=https)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _is_for_staff(scope["path"]):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        cookies = headers.get("cookie", "")
        chosen = self._cookie.text_in(cookies) or ""
        chosen = chosen if chosen in self._languages else ""
        asked = headers.get("accept-language", "")[:_LONGEST_ASKED]
        code = chosen or _negotiated(asked, self._otherwise, self._known)
        choice, language = chosen_language.set(chosen), current.current.set(self._languages[code])
        own_zone = chosen_zone.set(self._zones.chosen_in(cookies))
        zone = current_zone.set(self._zones.zone_in(cookies))
        try:
            await self._app(scope, receive, send)
        finally:
            chosen_language.reset(choice)
            current.current.reset(language)
            chosen_zone.reset(own_zone)
            current_zone.reset(zone)


def _is_for_staff(path: str) -> bool:
    if path.startswith(_WITHOUT_LOG_IN):
        return True
    prefix = routes.find(path)
    return (prefix is None or prefix.is_for_staff) and not path.startswith(_FOR_PROGRAMS)


@lru_cache(maxsize=1000)
def _negotiated(asked: str, otherwise: str, known: Sequence[str]) -> str:
    """Return the most wanted of the known languages; a header that names none of them counts as none."""
    matches = (current.match(tag, known) for tag in _by_weight(asked))
    return next((match for match in matches if match is not None), otherwise)


def _by_weight(header: str) -> list[str]:
    """Return the tags of an `Accept-Language` header, the most wanted first (RFC 9110, 12.5.4)."""
    weighed = []
    for part in header.split(",")[:_MOST_ASKED]:
        tag, _, parameter = part.partition(";")
        if (weight := _weight(parameter)) > 0:
            weighed.append((weight, tag.strip()))
    return [tag for _, tag in sorted(weighed, key=lambda pair: -pair[0])]


def _weight(parameter: str) -> float:
    name, _, text = parameter.strip().partition("=")
    if name != "q":
        return 1.0
    try:
        return float(text)
    except ValueError:
        return 0.0

"""Forms that were sent when the session had ended: the page of the log-in keeps them, to be sent again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from fastapi import Request

from services.scoring.web import forms
from shared.web import routes
from shared.web.staff.tickets import Ticket

_WITH_SECRETS = routes.Paths(["/account", "/people"])  # their forms have passwords and codes
_MOST_KEPT = 100_000  # characters of a form that is sent again after the log-in


class Kept(NamedTuple):
    """A form that a person sent when the session had ended, to be sent again by the same person after the log-in."""

    person: str
    fields: Sequence[tuple[str, str]]

    @property
    def text(self) -> str:
        return json.dumps(self) if self.fields else ""


NOTHING = Kept("", ())


def checked_target(target: str) -> str:
    """Return the path to go to after the log-in, "" for what is none of ours."""
    is_path = target.startswith("/") and not target.startswith("//") and target.isprintable() and "\\" not in target
    prefix = routes.find(target.partition("?")[0]) if is_path else None
    return target if prefix is not None and prefix.audience is routes.Audience.STAFF else ""


def page_above(target: str) -> str:
    """Return the page that has the form whose address this is; "" for ""."""
    return routes.page_of(target.partition("?")[0])


async def sent(request: Request, target: str, held: Ticket | None) -> Kept:
    """Return the texts of a form that was sent when the session had ended, but no passwords; files are left out."""
    if request.method != "POST" or held is None or not target or target.partition("?")[0] in _WITH_SECRETS:
        return NOTHING
    form = await forms.read(request)
    fields = [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
    return Kept(str(held.person), fields)


def kept_in(text: str) -> Kept:
    """Read what `Kept.text` wrote; nothing of what it did not."""
    if len(text) > _MOST_KEPT:
        return NOTHING
    try:
        person, fields = json.loads(text) if text else ("", ())
        return Kept(str(person), [(str(name), str(value)) for name, value in fields])
    except (ValueError, TypeError):
        return NOTHING

"""Checks that the URLs in messages lead to the services that answer them; separate processes need a proxy for that."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus

import structlog

from shared.contract.vocabulary import Service
from shared.health import NotReady
from shared.web import routes
from shared.web.http_client import Call, HttpClient, MaybeSent, NotSent, Reply
from shared.web.problems import STAFF_ONLY

log = structlog.get_logger()

WITHIN_S = 3.0
_OUR_STYLES = b"/static/earshot.css"
KNOWN_S, RETRY_S = 60.0, 10.0  # how long results are reused: when all are right, and when one is not


class WrongAddress(Exception):
    """A URL in messages leads to a service that does not answer it; the text names the setting."""


class Verdict(StrEnum):
    RIGHT = "right"
    WRONG = "wrong"  # answered by another service, or not by Earshot
    UNKNOWN = "unknown"  # no answer, or one that does not show what answered


@dataclass(frozen=True, slots=True)
class PublicUrl:
    """A prefix of the table of routes, and the URL under which it is reached from outside."""

    setting: str  # EARSHOT_…
    url: str
    path: str

    @property
    def service(self) -> Service:
        return routes.service_of(self.path)

    def __str__(self) -> str:
        return f"{self.url.rstrip('/')}{self.path}"


@dataclass(frozen=True, slots=True)
class Result:
    url: PublicUrl
    verdict: Verdict
    answer: str = ""  # the name of another service, or what came in place of a name

    def __str__(self) -> str:
        if self.verdict is Verdict.RIGHT:
            return f"{self.url} is answered by {self.url.service}"
        if self.verdict is Verdict.UNKNOWN:
            return f"{self.url} cannot be checked from here ({self.answer})"
        return f"{self.url} must be answered by {self.url.service}, but is answered by {self.answer}"

    @property
    def cure(self) -> str:
        return f"route {self.url.path} to {self.url.service}, as deploy/proxy does, or correct {self.url.setting}"


async def ask(urls: Sequence[PublicUrl]) -> list[Result]:
    """Ask each URL for the name of its service; takes at most WITHIN_S seconds."""
    return list(await asyncio.gather(*(_ask(url) for url in urls)))


async def _ask(url: PublicUrl) -> Result:
    client = HttpClient(url.url, max_connections=1)
    try:
        reply = await client.send(Call("GET", f"{url.path}/service"), within_s=WITHIN_S)
    except (NotSent, MaybeSent):
        return Result(url, Verdict.UNKNOWN, "no answer")
    finally:
        await client.close(within_s=0)
    return _result(url, reply)


def _result(url: PublicUrl, reply: Reply) -> Result:
    body = reply.json()
    match reply.status:
        case HTTPStatus.OK if body.get("service") == url.service:
            return Result(url, Verdict.RIGHT)
        case HTTPStatus.OK if body.get("service") in tuple(Service):
            return Result(url, Verdict.WRONG, str(body["service"]))
        case HTTPStatus.NOT_FOUND if _OUR_STYLES in reply.body:  # the page of an unknown link
            return Result(url, Verdict.UNKNOWN, "an earlier version of Earshot answers")
        case HTTPStatus.OK | HTTPStatus.NOT_FOUND | HTTPStatus.METHOD_NOT_ALLOWED:
            return Result(url, Verdict.WRONG, f"something else (status {reply.status})")
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN if body.get("title") == STAFF_ONLY:
            return Result(url, Verdict.WRONG, f"another service (status {reply.status})")
        case _:
            return Result(url, Verdict.UNKNOWN, f"status {reply.status}")


@dataclass(slots=True)
class PublicUrlCheck:
    """Checks URLs at the start and for `/readyz`; results are kept for KNOWN_S or RETRY_S seconds."""

    urls: Sequence[PublicUrl]
    _results: Sequence[Result] = field(default=(), init=False)
    _until: float = field(default=0.0, init=False)

    async def at_start(self) -> None:
        """Raise WrongAddress if a URL leads to another service; log a warning for each that cannot be checked.

        The process must listen already, because a URL may lead to the process itself.
        """
        for result in await self._asked():
            if result.verdict is Verdict.WRONG:
                raise WrongAddress(f"{result}: {result.cure}")
            if result.verdict is Verdict.UNKNOWN:
                log.warning("public_url.unchecked", setting=result.url.setting, path=result.url.path, why=result.answer)

    async def check(self) -> None:
        """Raise NotReady with all URLs that are wrong or cannot be checked: an advisory check for `Health.require`."""
        if found := [str(result) for result in await self._asked() if result.verdict is not Verdict.RIGHT]:
            raise NotReady("; ".join(found))

    async def _asked(self) -> Sequence[Result]:
        if time.monotonic() >= self._until:
            self._results = await ask(self.urls)
            is_right = all(result.verdict is Verdict.RIGHT for result in self._results)
            self._until = time.monotonic() + (KNOWN_S if is_right else RETRY_S)
        return self._results

"""Sends one-time links by mail; each is made when it is sent, so that no secret is stored."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import structlog

from services.scoring.domain.people.person import InvalidPerson, checked_login
from services.scoring.people import accounts as actions
from services.scoring.people.accounts import LINK_LASTS, Invited
from services.scoring.people.log_in import GuessLimits
from services.scoring.repository.people import accounts
from shared.database.audit import chain
from shared.database.audit.rows import NOBODY, NewRow, Stage
from shared.database.session import Sessions
from shared.database.until_stopped import IDLE_S, Pause, until_stopped
from shared.health import Heartbeat
from shared.languages.current import Language, current, gettext, ngettext, speaking
from shared.languages.marking import mark
from shared.staff_mail import Delivery, StaffLetter, StaffMail
from shared.web.rate_limit import RateLimit

RESET_LASTS = timedelta(hours=2)
_MOST_WAITING = 1000
_ENDING_S = 8.0  # for what waits when the process stops

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class MailedLink:
    """A link that was made for somebody, and what became of its mail."""

    invited: Invited
    delivery: Delivery


class LinkMailer:
    """Mails links that administrators send, and those of people who forgot their password.

    The latter wait in this process, so that the answer to a request says nothing about the person.
    """

    def __init__(self, sessions: Sessions, mail: StaffMail, *, origin: str, limits: GuessLimits | None = None) -> None:
        self._sessions, self._mail, self._origin = sessions, mail, origin
        self._limits = limits or GuessLimits(login=RateLimit(per_second=1 / 600, burst=3))
        self._waiting: deque[tuple[str, Language]] = deque()
        self._asked = asyncio.Event()

    async def send(self, ids: Iterable[UUID]) -> list[MailedLink]:
        """Make a new link for each of these people who may get one by mail, and mail it."""
        async with self._sessions.begin() as session:
            people = await accounts.load_some(session, ids)
            invited = [await actions.invite(session, each) for each in people if each.gets_mailed_links]
        return await self._deliver(invited, lasting=LINK_LASTS)

    def ask(self, login: str, *, client: str) -> None:
        """Have a link mailed to whoever has this login; raises TooManyGuesses. `client` is "" where it is not known."""
        try:
            name = checked_login(login)
        except InvalidPerson:
            name = ""
        self._limits.check(name, client=client)
        if len(self._waiting) == _MOST_WAITING:
            log.warning("link_mailer.full")
        elif name:
            self._waiting.append((name, current.get()))
            self._asked.set()

    async def run(self, stop: asyncio.Event, heartbeat: Heartbeat) -> None:
        """Mail what was asked for until `stop` is set, and then what still waits."""
        await until_stopped(self.send_next, stop, heartbeat=heartbeat, pause=Pause(IDLE_S, wake=self._asked))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ENDING_S):
                while self._waiting:
                    await self.send_next()

    async def send_next(self) -> float | None:
        """Mail a link to the next person who asked, unless nobody has the login; 0.0 while more are waiting."""
        if self._waiting:
            login, language = self._waiting[0]
            invited = await self._invited_again(login)
            self._waiting.popleft()
            with speaking(language):
                await self._deliver(invited, lasting=RESET_LASTS)
        return 0.0 if self._waiting else None

    async def _invited_again(self, login: str) -> list[Invited]:
        async with self._sessions.begin() as session:
            found = await accounts.by_login(session, login)
            if found is None or not found[0].gets_mailed_links:
                return []
            invited = await actions.invite(session, found[0], lasting=RESET_LASTS)
            asked = NewRow(Stage.ENDED, NOBODY, "POST /login/forgot", str(found[0].id))
            await chain.append(session, [asked])  # the request itself could not say about whom it was
            return [invited]

    async def _deliver(self, invited: Sequence[Invited], *, lasting: timedelta) -> list[MailedLink]:
        deliveries = await self._mail.send([self._letter(each, lasting) for each in invited])
        return [MailedLink(*each) for each in zip(invited, deliveries, strict=True)]

    def _letter(self, invited: Invited, lasting: timedelta) -> StaffLetter:
        person = invited.person
        return StaffLetter(
            person.email,
            gettext("Your password for Earshot"),
            gettext(_TEXT, name=person.name, login=person.login, url=invited.url(self._origin), lasts=_words(lasting)),
        )


_TEXT = mark("""\
Hello %(name)s,

open this link to choose a password for Earshot:

%(url)s

It works once and for %(lasts)s. Your login is %(login)s.

Whoever has the link can log in as you, so do not pass this mail on. If you did not expect it, tell an administrator.
""")


def _words(lasting: timedelta) -> str:
    if lasting.days:
        return ngettext("%(num)s day", "%(num)s days", lasting.days)
    return ngettext("%(num)s hour", "%(num)s hours", lasting // timedelta(hours=1))

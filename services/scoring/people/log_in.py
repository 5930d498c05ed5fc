"""Says who logs in, and begins sessions."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

import structlog
from uuid_utils.compat import uuid7

from services.scoring.domain.people import codes
from services.scoring.domain.people.identity import Identity
from services.scoring.domain.people.passwords import check_password
from services.scoring.domain.people.person import Person, folded, session_limits
from services.scoring.domain.people.sessions import LogInState, StaffSession
from services.scoring.people import identities
from services.scoring.people.accounts import digest
from services.scoring.people.hashing import PasswordHashing
from services.scoring.repository.people import accounts, revisions, sessions
from services.scoring.repository.programs import brands_and_titles
from shared.clock import utc_now
from shared.contract.staff_scope import WHOLE, StaffScope
from shared.contract.vocabulary import Role, Service
from shared.database.session import Session, Sessions
from shared.metrics import LOG_INS
from shared.web.audit.acts import acted_by, note
from shared.web.rate_limit import RateLimit
from shared.web.staff.tickets import Device, HalfLogIn, Ticket

log = structlog.get_logger()
_BROWSER = 200  # characters of what a browser calls itself


class WrongLogIn(Exception):
    """Login and password do not belong together, or the person is turned off: nobody is told which."""


class TooManyGuesses(Exception):
    """The password was not looked at; `wait_s` is how long to wait."""

    def __init__(self, wait_s: float) -> None:
        super().__init__()
        self.wait_s = math.ceil(wait_s)


class HalfEnded(Exception):
    """The log-in has to begin again, because the account has changed since its first factor was given."""


@dataclass(frozen=True, slots=True)
class SecondStep:
    """The password was right; the session begins with the second factor."""

    person: Person
    half: HalfLogIn


class NotAdmitted(Exception):
    """An identity provider knows the person, who may not come in: `is_off`, or no group gives a role."""

    def __init__(self, *, is_off: bool) -> None:
        super().__init__()
        self.is_off = is_off


class LinkUsed(Exception):
    """A one-time link was used before, has expired or never existed."""


@dataclass(frozen=True, slots=True)
class GuessLimits:
    """Slow guesses down for each client and for each login.

    Whoever guesses cannot lock somebody else out for long: a browser in which the person logged in before is counted
    by itself (OWASP, "device cookies"). Of one-time codes only wrong ones are counted: a guess is right in three of a
    million, as three steps of 30 seconds count, so that ten a day are right once in 90 years.
    """

    client: RateLimit = field(default_factory=lambda: RateLimit(per_second=1, burst=100))
    login: RateLimit = field(default_factory=lambda: RateLimit(per_second=0.1, burst=10))
    device: RateLimit = field(default_factory=lambda: RateLimit(per_second=0.1, burst=10))
    code: RateLimit = field(default_factory=lambda: RateLimit(per_second=10 / 86_400, burst=10))

    def check(self, login: str, *, client: str = "", device: UUID | None = None) -> None:
        """Count a guess; raises TooManyGuesses. `client` is "" where the address says nothing."""
        if device is not None:
            wait = self.device.take(device)
        else:
            wait = (self.client.take(client) if client else 0.0) or self.login.take(login)
        if wait:
            raise TooManyGuesses(wait)

    def check_code(self, account: Hashable, *, client: str = "", device: UUID | None = None) -> Callable[[], None]:
        """Count a one-time code, and return how to take that back; raises TooManyGuesses."""
        key = account if device is None else device
        if wait := (self.client.take(client) if client and device is None else 0.0) or self.code.take(key):
            raise TooManyGuesses(wait)
        return lambda: self.code.give_back(key)


@dataclass(frozen=True, slots=True)
class LogIn:
    sessions: Sessions
    hashing: PasswordHashing = field(default_factory=PasswordHashing)
    limits: GuessLimits = field(default_factory=GuessLimits)
    now: Callable[[], datetime] = utc_now
    need_codes: frozenset[Role] = frozenset()  # roles that may not log in without a second factor

    async def with_password(
        self, login: str, password: str, *, client: str = "", device: Device | None = None, browser: str = ""
    ) -> Ticket | SecondStep:
        """Begin a session, or ask for a second factor; raises WrongLogIn, TooManyGuesses and Unavailable."""
        name = folded(login)
        async with self.sessions.begin() as session:
            found = await accounts.by_login(session, name)
        person, stored = found or (None, None)
        _note(person)
        is_known = device is not None and person is not None and device.person == person.id
        self._slow(name, person, client=client, device=device.id if device is not None and is_known else None)
        if not await self.hashing.matches(password, stored) or person is None or stored is None or person.is_off:
            _log("refused", person)
            raise WrongLogIn
        renewed = await self.hashing.hash(password) if self.hashing.is_outdated(stored) else None
        async with self.sessions.begin() as session:
            if renewed:
                await accounts.set_password(session, person.id, renewed)
            return await self._after_first(session, person, browser=browser)

    async def with_identity(self, identity: Identity, *, provider: str, browser: str = "") -> Ticket | SecondStep:
        """Begin a session of somebody whom a provider knows, or ask for a second factor; raises NotAdmitted.

        Somebody who may not come in any more loses all sessions.
        """
        async with self.sessions.begin() as session:
            person = await identities.account_of(session, identity, provider=provider)
            _note(person)
            if person is not None and person.roles and not person.is_off:
                return await self._after_first(session, person, browser=browser, is_enough=identity.has_second_factor)
            if person is not None:
                await sessions.end_all(session, person.id)
        _log("refused", person)
        raise NotAdmitted(is_off=person is not None and person.is_off)

    async def _after_first(
        self, session: Session, person: Person, *, browser: str, is_enough: bool = False
    ) -> Ticket | SecondStep:
        state = await accounts.log_in_state(session, person.id)
        if state is not None and not is_enough and (state.code_secret or self.need_codes & person.roles):
            sets_up = state.code_secret is None
            return SecondStep(person, HalfLogIn(person.id, state.digest, self.now(), sets_up))
        LOG_INS.labels(Service.SCORING, "ok").inc()
        return await self.begin(session, person, browser=browser)

    async def with_code(
        self, half: HalfLogIn, code: str, *, client: str = "", device: Device | None = None, browser: str = ""
    ) -> Ticket:
        """Begin a session after the password with a one-time or a recovery code, each of which counts once.

        Raises HalfEnded, WrongLogIn and TooManyGuesses.
        """
        async with self.sessions.begin() as session:
            person, state = await _unchanged(session, half)
            known = device.id if device is not None and device.person == person.id else None
            if await self._is_right(session, code, person, state, client=client, device=known):
                LOG_INS.labels(Service.SCORING, "ok").inc()
                return await self.begin(session, person, browser=browser)
        _log("refused", person)
        raise WrongLogIn

    async def _is_right(  # noqa: PLR0913 - what is tried, and from where
        self,
        session: Session,
        code: str,
        person: Person,
        state: LogInState,
        *,
        client: str,
        device: UUID | None,
    ) -> bool:
        if codes.is_recovery(code):
            return await accounts.use_recovery(session, person.id, codes.recovery_digest(code))
        try:
            take_back = self.limits.check_code((person.id, state.password), client=client, device=device)
        except TooManyGuesses:
            _log("slowed", person)
            raise
        step = codes.step_of(code, state.code_secret or "", now=self.now())
        is_right = step is not None and await accounts.use_code(session, person.id, step)
        if is_right:
            take_back()
        return is_right

    async def set_up_codes(self, person_id: UUID, secret: str, code: str) -> list[str] | None:
        """Store a second factor whose app shows the right code, and return recovery codes, which are kept nowhere.

        Returns None for a wrong code, and for a person who has a second factor.
        """
        async with self.sessions.begin() as session:
            return await self._set_up(session, person_id, secret, code)

    async def with_new_codes(
        self, half: HalfLogIn, secret: str, code: str, *, browser: str = ""
    ) -> tuple[Ticket, list[str]]:
        """Store the second factor of somebody who needs one, and begin a session; returns the recovery codes too.

        Raises HalfEnded, also for somebody who has got codes meanwhile, and WrongLogIn for a wrong code.
        """
        async with self.sessions.begin() as session:
            person, _ = await _unchanged(session, half)
            if person.has_codes:
                raise HalfEnded
            recovery = await self._set_up(session, person.id, secret, code)
            if recovery is None:
                raise WrongLogIn
            LOG_INS.labels(Service.SCORING, "ok").inc()
            return await self.begin(session, person, browser=browser), recovery

    async def _set_up(self, session: Session, person_id: UUID, secret: str, code: str) -> list[str] | None:
        step = codes.step_of(code, secret, now=self.now()) if codes.is_secret(secret) else None
        if step is None:
            return None
        recovery = codes.new_recovery_codes()
        digests = codes.recovery_digests(recovery)
        return recovery if await accounts.set_codes(session, person_id, secret, step=step, recovery=digests) else None

    def _slow(self, login: str, person: Person | None, *, client: str = "", device: UUID | None = None) -> None:
        try:
            self.limits.check(login, client=client, device=device)
        except TooManyGuesses:
            _log("slowed", person)
            raise

    async def with_link(self, secret: str, password: str, *, browser: str = "") -> Ticket | SecondStep:
        """Spend a one-time link on a password, end the person's sessions, and begin one or ask for the second factor.

        Raises LinkUsed and WeakPassword, for which the link stays.
        """
        async with self.sessions.begin() as session:
            person = await accounts.by_link(session, digest(secret))
        if person is None:
            raise LinkUsed
        _note(person)
        hashed = await self.new_hash(password, person)
        async with self.sessions.begin() as session:
            await accounts.lock(session)  # two who send the same link at once: the second finds it used
            if await accounts.by_link(session, digest(secret)) is None:
                raise LinkUsed
            await accounts.forget_links(session, person.id)
            await accounts.set_password(session, person.id, hashed)
            await sessions.end_all(session, person.id)
            return await self._after_first(session, person, browser=browser)

    async def change_password(self, ticket: Ticket, old: str, new: str, *, browser: str = "") -> Ticket:
        """Replace a password, end all sessions of the person, and begin another.

        Raises WrongLogIn, TooManyGuesses and WeakPassword.
        """
        person = await self.confirm_password(ticket, old)
        hashed = await self.new_hash(new, person)
        async with self.sessions.begin() as session:
            await accounts.set_password(session, person.id, hashed)
            await accounts.forget_links(session, person.id)
            await sessions.end_all(session, person.id)
            return await self.begin(session, person, browser=browser)

    async def confirm_password(self, ticket: Ticket, password: str) -> Person:
        """Return who is signed in if this is the password; raises WrongLogIn and TooManyGuesses."""
        async with self.sessions.begin() as session:
            person = await accounts.by_id(session, ticket.person)
            found = await accounts.by_login(session, person.login) if person else None
        if found is None:
            raise WrongLogIn
        person, stored = found
        self._slow(person.login, person, device=ticket.session)
        if not await self.hashing.matches(password, stored):
            raise WrongLogIn
        return person

    async def new_hash(self, password: str, person: Person) -> str:
        """Check and hash a new password; raises WeakPassword."""
        async with self.sessions() as session:
            known = [person.login, *person.name.split(), *await brands_and_titles(session)]
        await self.hashing.run(lambda: check_password(password, known=known))
        return await self.hashing.hash(password)

    async def begin(self, session: Session, person: Person, *, browser: str) -> Ticket:
        """Store a session of a person, and return its first ticket."""
        now = self.now()
        ends_at = now + session_limits(person.roles).whole
        person = replace(person, revision=await revisions.revise(session, person.id))
        begun = StaffSession(uuid7(), person, now, ends_at, browser[:_BROWSER])
        await sessions.add(session, begun)
        acted_by(person.id)
        return _ticket(begun, now)

    async def replace_session(self, former: Ticket | None, ticket: Ticket) -> Ticket:
        """End the session that a browser had before it got this ticket; return the ticket as it is then."""
        if former is None or former.session is None or former.session == ticket.session or ticket.session is None:
            return ticket
        async with self.sessions.begin() as session:
            await sessions.end(session, former.session, person=former.person)
            found = await sessions.find(session, ticket.session, person=ticket.person)
        return _ticket(found, ticket.issued_at) if found else ticket

    async def find_scope(self, ticket: Ticket) -> StaffScope | None:
        """Return what the person of a ticket sees, None if there is no such person; what `StaffAccess` asks."""
        if ticket.session is None:
            return WHOLE
        async with self.sessions() as session:
            return await revisions.scope_of(session, ticket.person)

    async def find_session(self, ticket: Ticket) -> Ticket | None:
        """Return a ticket as its session says today, None if that has ended; what `StaffAccess` asks."""
        if ticket.session is None:
            return None
        async with self.sessions.begin() as session:
            found = await sessions.find(session, ticket.session, person=ticket.person)
        if found is None or not found.lasts(used_at=ticket.last_used, now=self.now()):
            return None
        return _ticket(found, ticket.issued_at, used_at=ticket.used_at)


async def forget_ended(session: Session, *, now: datetime) -> int:  # noqa: ARG001 - machine time counts
    """Delete sessions and links that are past their end; returns how many sessions."""
    await accounts.forget_old_links(session)
    return await sessions.forget_ended(session)


async def _unchanged(session: Session, half: HalfLogIn) -> tuple[Person, LogInState]:
    """Return the account of a half log-in, which stays so until the transaction ends; raises HalfEnded."""
    state, person = await accounts.log_in_state(session, half.person), await accounts.by_id(session, half.person)
    _note(person)
    if person is None or state is None or person.is_off or state.digest != half.state:
        _log("ended", person)
        raise HalfEnded
    return person, state


def _ticket(of: StaffSession, issued_at: datetime, *, used_at: datetime | None = None) -> Ticket:
    person = of.person
    return Ticket(
        person.id,
        person.name,
        person.roles,
        issued_at.replace(microsecond=0),
        of.id,
        revision=person.revision,
        is_scoped=not person.scope.is_whole,
        used_at=used_at,
    )


def _note(person: Person | None) -> None:
    """Say whose login an attempt is at."""
    if person is not None:
        note(person.id)


def _log(result: str, person: Person | None) -> None:
    LOG_INS.labels(Service.SCORING, result).inc()
    log.warning("log_in.refused", result=result, person=str(person.id) if person else None)

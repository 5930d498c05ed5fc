"""Maintenance: frees expired leases, ends steps of lost senders, closes expired invitations, finds stalled ones."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import structlog

from services.dispatcher.handlers import close_invitations, record_results
from services.dispatcher.repository import counts, earlier_steps, invitations, stalled, steps
from services.dispatcher.repository.stalled import PagePosition
from shared import metrics
from shared.clock import Clock
from shared.contract.vocabulary import Service
from shared.database.session import Sessions
from shared.ids import first_id

log = structlog.get_logger()

PATIENCE_S = 5.0  # how long the database must have answered before senders are given up
RECONCILE_S = 60.0
_TURN = timedelta(seconds=3 * RECONCILE_S)  # another dispatcher goes on when three rounds were missed
_OVERLAP = timedelta(seconds=RECONCILE_S)  # longer than a transaction and the difference of two clocks
_PAGE = 5000
_BEFORE_ALL = PagePosition(datetime(1900, 1, 1, tzinfo=UTC), UUID(int=0))
_MOST_LOGGED = 20
_ADOPTED_AT_ONCE = 2000
_EARLY_KEPT = timedelta(days=30)


async def reap(sessions: Sessions, clock: Clock, *, give_up: bool = True) -> int:
    """Free expired leases, give up lost senders and close expired invitations; return the sum of the three counts.

    The last two have transactions of their own where there is something to do, so that a failure of one does not undo
    the others.
    """
    now = clock.now()
    async with sessions.begin() as session:
        done = await steps.free_expired_leases(session)
        await invitations.forget_early(session, before=now - _EARLY_KEPT)
        has_lost = give_up and bool(await steps.lost_in_flight(session, limit=close_invitations.BATCH))
        has_expired = bool(await invitations.expired(session, now=now, limit=1))
        oldest = await counts.oldest_due(session, now)
    metrics.OLDEST_DUE.labels(Service.DISPATCHER).set((now - oldest).total_seconds() if oldest else 0)
    if has_lost:
        async with sessions.begin() as session:
            done += len(await record_results.give_up_lost(session, now=now))
    if has_expired:
        async with sessions.begin() as session:
            done += await close_invitations.expire(session, now=now)
    return done


async def adopt_earlier_steps(sessions: Sessions) -> int:
    """Take over all steps that a dispatcher of the version before has planned or lost; return how many."""
    adopted = 0
    while True:
        async with sessions.begin() as session:
            batch = await earlier_steps.adopt(session, limit=_ADOPTED_AT_ONCE)
        if not batch:
            return adopted
        adopted += batch


@dataclass(slots=True)
class LeaseReaper:
    """Runs `reap`, but gives up no sender right after an outage of the database: senders record their results first."""

    sessions: Sessions
    clock: Clock
    patience_s: float = PATIENCE_S
    _answers_since: float | None = None

    async def __call__(self) -> int:
        since, self._answers_since = self._answers_since, None
        is_stable = since is not None and time.monotonic() - since >= self.patience_s
        reaped = await reap(self.sessions, self.clock, give_up=is_stable)
        self._answers_since = time.monotonic() if since is None else since
        return reaped


@dataclass(slots=True)
class Reconciler:
    """Finds stalled invitations, for which nothing is planned, and reports them; each is the result of a fault.

    One dispatcher of several looks at what has changed since its last round, and at a page of all that are open. A
    round looks at a page of the changes, too: what it costs is bounded, and the next one goes on from there.
    """

    sessions: Sessions
    _holder: UUID = field(default_factory=uuid4, init=False)
    _change: UUID | None = field(default=None, init=False)  # the last one that was looked at
    _position: PagePosition = field(default=_BEFORE_ALL, init=False)
    _found: set[UUID] = field(default_factory=set, init=False)
    _is_behind: bool = field(default=False, init=False)

    async def __call__(self) -> list[UUID]:
        """Return what is known to be stalled; nothing while another dispatcher looks."""
        began = datetime.now(UTC)
        async with self.sessions.begin() as session:
            if await stalled.take_turn(session, self._holder, lasting=_TURN):
                page = await stalled.open_page(session, self._position, limit=_PAGE)
                changes = await stalled.changes(session, self._change or first_id(began - _TURN), limit=_PAGE)
                seen = {each.id for each in page} | {each.invitation for each in changes}
                found = await stalled.among(session, self._found | seen)
                self._position = page[-1] if len(page) == _PAGE else _BEFORE_ALL
                settled = first_id(began - _OVERLAP)
                self._is_behind = len(changes) == _PAGE and changes[-1].id < settled
                self._change = changes[-1].id if self._is_behind else settled
            else:
                found, self._is_behind = [], False
        for invitation in sorted(set(found) - self._found)[:_MOST_LOGGED]:
            log.error("invitation.stalled", invitation_id=str(invitation))
        self._found = set(found)
        metrics.STALLED.labels(Service.DISPATCHER).set(len(found))
        return found

    async def round(self) -> float | None:
        """Look once; the next round is due at once where there are older changes than this one saw."""
        await self()
        return 0.0 if self._is_behind else None

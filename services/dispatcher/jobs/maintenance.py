"""Maintenance: frees expired leases, ends steps of lost senders, closes expired invitations, finds stalled ones."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import structlog

from services.dispatcher.handlers import close_invitations, record_results
from services.dispatcher.repository import counts, earlier_steps, invitations, steps
from shared import metrics
from shared.clock import Clock
from shared.contract.vocabulary import Service
from shared.database.db import Sessions

log = structlog.get_logger()

PATIENCE_S = 5.0  # how long the database must have answered before senders are given up
RECONCILE_S = 60.0
_MOST_LOGGED = 20
_ADOPTED_AT_ONCE = 2000
_EARLY_KEPT = timedelta(days=30)


async def reap(sessions: Sessions, clock: Clock, *, give_up: bool = True) -> int:
    """Free expired leases, give up lost senders and close expired invitations; return the sum of the three counts."""
    now = clock.now()
    async with sessions.begin() as session:
        freed = await steps.free_expired_leases(session)
    async with sessions.begin() as session:
        lost = await record_results.give_up_lost(session, now=now) if give_up else []
    async with sessions.begin() as session:
        expired = await close_invitations.expire(session, now=now)
        await invitations.forget_early(session, before=now - _EARLY_KEPT)
        oldest = await counts.oldest_due(session, now)
    metrics.OLDEST_DUE.labels(Service.DISPATCHER).set((now - oldest).total_seconds() if oldest else 0)
    return freed + len(lost) + expired


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


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Finds stalled invitations, for which nothing is planned, and reports them; each is the result of a fault."""

    sessions: Sessions

    async def __call__(self) -> list[UUID]:
        async with self.sessions.begin() as session:
            found = await counts.stalled(session)
        metrics.STALLED.labels(Service.DISPATCHER).set(len(found))
        for invitation in found[:_MOST_LOGGED]:
            log.error("invitation.stalled", invitation_id=str(invitation))
        return found

    async def round(self) -> None:
        await self()

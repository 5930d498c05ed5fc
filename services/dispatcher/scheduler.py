"""Performs due steps, one loop per channel so that a slow provider delays nobody else; and keeps what is left over.

Claim (only leased), decide, mark what can start now, commit, send within the budget, record. Nothing is sent inside a
transaction, and nothing is in flight that is not being sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog
import tenacity
from uuid_utils.compat import uuid7

from services.dispatcher import domain
from services.dispatcher.channels import ChannelAccount, call_center
from services.dispatcher.channels.messages import Composer
from services.dispatcher.channels.mime import BadAddress
from services.dispatcher.domain import Disposition, MoveReason, Outgoing, Result, SendMode, SkipReason, StepState
from services.dispatcher.handlers import ending, recording
from services.dispatcher.handlers.recording import Done
from services.dispatcher.repository import attempts, counts, invitations, steps
from services.dispatcher.repository.steps import End, Facts, Held
from shared import metrics
from shared.clock import Clock
from shared.db import Sessions, is_transient
from shared.events import PlanStep, SurveyRequested
from shared.links import UnknownLinkKey
from shared.outbox import wait_for
from shared.vocabulary import ChannelKind, Service

log = structlog.get_logger()

CLAIM = 500
MARK = 100
BUDGET_S = 10.0
POLL_S = 0.1
MAILBOX = "mailbox"
_EARLY_KEPT = timedelta(days=30)


class Bell:
    """Wakes every loop of this process; a hint only, they look by themselves ten times a second."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        rung, self._event = self._event, asyncio.Event()
        rung.set()

    async def wait(self) -> None:
        await wait_for(self._event, POLL_S)


@dataclass(frozen=True, slots=True)
class SendPolicy:
    """What may leave the machine; the rest is kept in the mailbox."""

    mode: SendMode = SendMode.MAILBOX
    allowed: Sequence[str] = ()
    daily_ceiling: int = 1000


@dataclass(frozen=True, slots=True)
class Ready:
    """A claimed step that may go out now."""

    held: Held
    facts: Facts

    @property
    def request(self) -> SurveyRequested:
        return self.facts.request

    @property
    def planned(self) -> PlanStep:
        return next(step for step in self.request.plan if step.step == self.held.step)


@dataclass(slots=True)
class _Sorted:
    """Claimed steps by what becomes of them."""

    ready: list[Ready]
    moved: list[tuple[Held, datetime, str | None]]
    done: list[Done]


@dataclass(frozen=True)
class Lane:
    """Everything one channel needs; without an account only the mailbox and the desk can be served."""

    channel: ChannelKind
    sessions: Sessions
    clock: Clock
    composer: Composer
    policy: SendPolicy
    account: ChannelAccount | None = None

    async def perform_due(self, stop: asyncio.Event | None = None) -> int:
        """Perform what is due; return how many steps were claimed. Stops between two batches when told to."""
        now = self.clock.now()
        found = await self._claim(now)
        await self._record(found.done, now)
        local, leaving = self._local(found.ready, now)
        await self._record(local, now)
        await self._send(leaving, stop)
        return len(found.ready) + len(found.moved) + len(found.done)

    async def _claim(self, now: datetime) -> _Sorted:
        async with self.sessions.begin() as session:
            held = await steps.claim_due(session, self.channel, now=now, limit=CLAIM)
            if not held:
                return _Sorted([], [], [])
            facts = await steps.facts(session, held, self.channel, now=now)
            found = _sort(held, facts, channel=self.channel, now=now)
            await steps.move(session, found.moved)
        return found

    def _local(self, ready: Sequence[Ready], now: datetime) -> tuple[list[Done], list[tuple[Ready, Outgoing]]]:
        """Finish here what never leaves the machine; return that, and the messages that have to be sent."""
        done: list[Done] = []
        leaving: list[tuple[Ready, Outgoing]] = []
        for each in ready:
            if self.channel is ChannelKind.CALL:
                done.append(_call(each))
                continue
            message = self._compose(each)
            if isinstance(message, Disposition):
                done.append(_ended(each, message, account=None, now=now))
            elif not domain.may_leave(self.policy.mode, message.recipient, allowed=self.policy.allowed):
                done.append(_kept(each, message))
            elif self.account is None:
                done.append(_skipped(each.held, SkipReason.NO_ACCOUNT))
            else:
                leaving.append((each, message))
        return done, leaving

    def _compose(self, ready: Ready) -> Outgoing | Disposition:
        try:
            return self.composer.compose(ready.request, step=ready.held.step, channel=self.channel)
        except BadAddress:
            return Disposition(Result.REFUSED, "bad_address")
        except Exception as error:
            reason = "unknown_link_key" if isinstance(error, UnknownLinkKey) else "not_rendered"
            log.exception("step.not_rendered", invitation_id=str(ready.held.invitation_id), step=ready.held.step)
            return Disposition(Result.NOT_ACCEPTED, reason)

    async def _send(self, leaving: Sequence[tuple[Ready, Outgoing]], stop: asyncio.Event | None) -> None:
        left = await self._under_ceiling(leaving)
        while left and self.account is not None:
            size = min(MARK, self.account.free_slots)
            if not size or (stop is not None and stop.is_set()):
                break
            await self._send_batch(self.account, left[:size])
            left = left[size:]
        await self._give_back([(ready.held, ready.held.due_at, None) for ready, _ in left])

    async def _send_batch(self, account: ChannelAccount, batch: Sequence[tuple[Ready, Outgoing]]) -> None:
        async with self.sessions.begin() as session:
            marked = await steps.mark_in_flight(session, [ready.held for ready, _ in batch], account=account.name)
        started = [(ready, message) for ready, message in batch if ready.held.key in marked]
        if not started:
            return
        dispositions = await account.send_all([message for _, message in started], within_s=BUDGET_S)
        now = self.clock.now()
        ends = [
            _ended(ready, disposition, account=account.name, now=now)
            for (ready, _), disposition in zip(started, dispositions, strict=True)
        ]
        await self._record(ends, now, retry=True)

    async def _under_ceiling(self, leaving: Sequence[tuple[Ready, Outgoing]]) -> list[tuple[Ready, Outgoing]]:
        """Keep what today's ceiling lets out in live mode; the rest is moved to tomorrow."""
        if not leaving or self.account is None or self.policy.mode is not SendMode.LIVE:
            return list(leaving)
        now = self.clock.now()
        tomorrow = domain.next_day(now)
        async with self.sessions.begin() as session:
            left_today = await attempts.left_since(session, self.account.name, since=tomorrow - timedelta(days=1))
        allowed = max(0, self.policy.daily_ceiling - left_today)
        over = [(ready.held, tomorrow, MoveReason.DAILY_CEILING) for ready, _ in leaving[allowed:]]
        if over:
            log.warning("sending.ceiling_reached", account=self.account.name, moved=len(over))
        await self._give_back(over)
        return list(leaving[:allowed])

    async def _give_back(self, moves: Sequence[tuple[Held, datetime, str | None]]) -> None:
        if moves:
            async with self.sessions.begin() as session:
                await steps.move(session, moves)

    async def _record(self, done: Sequence[Done], now: datetime, *, retry: bool = False) -> None:
        """Record; what providers were told is tried again through an outage, until its lease makes it `unknown`."""
        if not done:
            return
        attempts_left = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(is_transient),
            wait=tenacity.wait_fixed(POLL_S),
            stop=tenacity.stop_after_delay(steps.LEASE) if retry else tenacity.stop_after_attempt(1),
            reraise=True,
        )
        recorded: list[Done] = await attempts_left(self._record_once, done, now)
        for each in recorded:
            metrics.STEPS.labels(Service.DISPATCHER, self.channel, each.end.state).inc()

    async def _record_once(self, done: Sequence[Done], now: datetime) -> list[Done]:
        async with self.sessions.begin() as session:
            return await recording.record(session, done, now=now)


def _sort(held: Sequence[Held], facts: dict[UUID, Facts], *, channel: ChannelKind, now: datetime) -> _Sorted:
    found = _Sorted([], [], [])
    for step in held:
        if step.invitation_id not in facts:
            continue  # past its end: it stays leased until the expiry, a moment later, stops it
        ready = Ready(step, facts[step.invitation_id])
        request = ready.request
        reason = domain.skip_reason(channel, request.contact, request.consent, suppressed=ready.facts.suppressed)
        opening = domain.next_opening(now, zone=request.time_zone, window=ready.planned.window)
        if reason is not None:
            found.done.append(_skipped(step, reason))
        elif opening > now:
            found.moved.append((step, opening, MoveReason.CONTACT_HOURS))
        else:
            found.ready.append(ready)
    return found


def _skipped(held: Held, reason: SkipReason) -> Done:
    return Done(End(held, StepState.SKIPPED, tries=held.tries, account=None, reason=reason))


def _kept(ready: Ready, message: Outgoing) -> Done:
    return Done(End(ready.held, StepState.SENT, tries=ready.held.tries + 1, account=MAILBOX), kept=message)


def _call(ready: Ready) -> Done:
    task_id = uuid7()
    call = call_center.call_task(ready.request, ready.planned, task_id=task_id, sent_before=ready.facts.sent_before)
    end = End(ready.held, StepState.SENT, tries=ready.held.tries + 1, account=call_center.ACCOUNT, call_task=task_id)
    return Done(end, call=call)


def _ended(ready: Ready, disposition: Disposition, *, account: str | None, now: datetime) -> Done:
    tries = ready.held.tries + (disposition.result is not Result.NOT_STARTED)
    state = domain.after_result(disposition.result, tries=tries, max_attempts=ready.planned.max_attempts)
    again = None
    if state is StepState.PLANNED and disposition.result is Result.NOT_ACCEPTED:
        again = now + domain.backoff(tries)
    end = End(ready.held, state, tries=tries, account=account, reason=disposition.reason, due_at=again)
    return Done(end, message_id=disposition.message_id)


async def keep(sessions: Sessions, clock: Clock) -> int:
    """Do what no step asks for: free leases, give up lost senders, close what expired; return how much it was."""
    now = clock.now()
    async with sessions.begin() as session:
        freed = await steps.free_expired_leases(session)
        lost = await recording.give_up_lost(session, now=now)
    async with sessions.begin() as session:
        expired = await ending.expire(session, now=now)
        await invitations.forget_early(session, before=now - _EARLY_KEPT)
        oldest = await counts.oldest_due(session, now)
    metrics.OLDEST_DUE.labels(Service.DISPATCHER).set((now - oldest).total_seconds() if oldest else 0)
    return freed + len(lost) + expired


async def run(work: Callable[[], Awaitable[int]], bell: Bell, stop: asyncio.Event) -> None:
    """Work again and again until told to stop, resting when there was nothing; outages are waited out."""
    delay = POLL_S
    while not stop.is_set():
        try:
            if await work():
                bell.ring()
            else:
                await bell.wait()
            delay = POLL_S
        except Exception as error:
            if not is_transient(error):
                raise
            metrics.RETRIES.labels(Service.DISPATCHER).inc()
            log.warning("scheduler.waits", exc_info=error)
            await wait_for(stop, delay)
            delay = min(delay * 2, 5.0)

"""One channel's due steps: claimed, sorted, sent, recorded.

Claim (only leased), decide, mark what can start now, commit, send within the budget, record with the next mark. Nothing
is sent inside a transaction, and nothing is in flight that is not being sent.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from uuid import UUID

import structlog
import tenacity
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from services.dispatcher.channels import ChannelAccount, call_center
from services.dispatcher.domain import caps, retries
from services.dispatcher.domain.limits import DailyLimit
from services.dispatcher.domain.send_mode import SendPolicy, may_leave
from services.dispatcher.domain.steps import (
    Disposition,
    FinishedStep,
    OutgoingMessage,
    SendResult,
    SkipReason,
    StepResult,
    StepState,
)
from services.dispatcher.handlers import record_results
from services.dispatcher.messages.composer import Composer
from services.dispatcher.messages.mime import BadAddress
from services.dispatcher.repository import contacts, steps
from services.dispatcher.sending.account_balancer import CLAIM, AccountBalancer
from services.dispatcher.sending.rate_ceilings import DailyCeilings, Leaving
from services.dispatcher.sending.restore_guard import RestoreGuard
from services.dispatcher.sending.triage import ReadyStep, TriagedSteps, hold_to_caps, skipped, sort_claimed
from services.dispatcher.sending.wakeup import POLL_S
from shared import crash, metrics
from shared.clock import Clock, ClockIsWrong, now_or
from shared.contract.vocabulary import ChannelKind, Service
from shared.database.db import Sessions, is_transient
from shared.database.isolated import bisect_failures
from shared.health import Heartbeat
from shared.web.links import UnknownLinkKey

log = structlog.get_logger()

MARK = 100
BUDGET_S = 10.0
_RENDER = 20  # messages rendered, a few milliseconds, before others have their turn
MAILBOX = "mailbox"
_GRACE_S = 1.0  # for what is known but not recorded when told to stop during an outage


@dataclass(frozen=True)
class ChannelSender:
    """Everything one channel needs; without an account only the mailbox and the desk can be served."""

    channel: ChannelKind
    sessions: Sessions
    clock: Clock
    composer: Composer
    policy: SendPolicy
    account: ChannelAccount | None = None
    rota: AccountBalancer = field(default_factory=AccountBalancer)
    daily: DailyLimit = field(default_factory=DailyLimit)
    budget_s: float = BUDGET_S
    heartbeat: Heartbeat = field(default_factory=partial(Heartbeat, "sender"))
    guard: RestoreGuard | None = None

    async def perform_due(self, stop: asyncio.Event | None = None) -> int:
        """Perform what is due; return how many steps were claimed. Stops between two batches when told to."""
        if self.guard is not None and not self.guard.is_open:
            return 0
        now = self.clock.now()
        if self.account is None:
            return await self._perform(CLAIM, now, stop)
        with self.rota.turn(self.account, day=now.date()) as places:
            return await self._perform(places, now, stop) if places else 0

    async def _perform(self, limit: int, now: datetime, stop: asyncio.Event | None) -> int:
        found = await self._claim(now, limit)
        await self._record(found.done, now)
        local, leaving = await self._local(found.ready, now)
        await self._record(local, now)
        await self._send(leaving, now, stop)
        return len(found.ready) + len(found.moved) + len(found.done)

    async def _claim(self, now: datetime, limit: int = CLAIM) -> TriagedSteps:
        async with self.sessions.begin() as session:
            held = await steps.claim_due(session, self.channel, now=now, limit=limit)
            if not held:
                return TriagedSteps([], [], [])
            if self.guard is not None and not await self.guard.allows(session):
                # what is marked later needs no such look: the lease is in no older copy
                await steps.move(session, [(each, each.due_at, None) for each in held])
                return TriagedSteps([], [], [])
            facts = await steps.facts(session, held, self.channel, now=now)
            found = sort_claimed(held, facts, channel=self.channel, now=now)
            await self._hold_to_caps(session, found, now)
            await steps.move(session, found.moved)
        crash.point("leased")
        return found

    async def _hold_to_caps(self, session: AsyncSession, found: TriagedSteps, now: datetime) -> None:
        everywhere = self.policy.contact_caps
        spans = [caps.span(cap) for each in found.ready for cap in (*everywhere, *each.request.contact_caps)]
        if spans:
            respondents = {each.request.respondent_id for each in found.ready}
            claim = found.ready[0].held.token
            past = await contacts.past(session, respondents, claim=claim, since=now - max(spans))
            hold_to_caps(found, past, everywhere=everywhere, channel=self.channel, now=now)

    async def _local(self, ready: Sequence[ReadyStep], now: datetime) -> tuple[list[FinishedStep], list[Leaving]]:
        """Finish here what never leaves the machine; return that, and the messages that have to be sent."""
        done: list[FinishedStep] = []
        leaving: list[Leaving] = []
        for number, each in enumerate(ready):
            if number % _RENDER == 0:
                await asyncio.sleep(0)  # answers are served by the same process
            message = self._prepared(each)
            if isinstance(message, Disposition):
                done.append(_ended(each, message, account=None, now=now))
            elif isinstance(message, FinishedStep):
                done.append(message)
            elif not may_leave(self.policy.mode, message.recipient, allowed=self.policy.allowed):
                done.append(_kept(each, message))
            elif self.account is None:
                done.append(skipped(each.held, SkipReason.NO_ACCOUNT))
            else:
                leaving.append((each, message))
        return done, leaving

    def _prepared(self, ready: ReadyStep) -> OutgoingMessage | FinishedStep | Disposition:
        try:
            if self.channel is ChannelKind.CALL:
                return _call(ready)
            return self.composer.compose(ready.request, step=ready.held.step, channel=self.channel)
        except BadAddress:
            return Disposition(SendResult.REFUSED, "bad_address")
        except UnknownLinkKey as error:
            log.error("step.waits_for_key", invitation_id=str(ready.held.invitation_id), link_key=str(error))  # noqa: TRY400 - all is said
            return Disposition(SendResult.UNAVAILABLE, "unknown_link_key")
        except Exception:
            log.exception("step.not_rendered", invitation_id=str(ready.held.invitation_id), step=ready.held.step)
            return Disposition(SendResult.NOT_ACCEPTED, "not_rendered")

    async def _send(self, leaving: Sequence[Leaving], now: datetime, stop: asyncio.Event | None) -> None:
        """Send in batches; what is out of its hours by the time of its turn, or has none, is handed back."""
        left, late, sent = list(leaving), list[Leaving](), list[FinishedStep]()
        while left and self.account is not None:
            self.heartbeat.beat()
            size = min(MARK, self.account.free_slots)
            if not size or (stop is not None and stop.is_set()):
                break
            try:
                at = self.clock.now()
            except ClockIsWrong:  # what was sent is recorded all the same
                break
            batch, left = left[:size], left[size:]
            in_hours = list[Leaving]()
            for each in batch:
                (in_hours if each[0].opening(at) == at else late).append(each)
            if in_hours:
                sent = await self._send_batch(self.account, in_hours, now, sent, stop)
        await self._record(sent, now_or(self.clock, now), stop=stop, known=True)
        if late or left:
            async with self.sessions.begin() as session:
                await steps.move(session, [(ready.held, ready.held.due_at, None) for ready, _ in (*late, *left)])

    async def _send_batch(
        self,
        account: ChannelAccount,
        batch: Sequence[Leaving],
        now: datetime,
        sent: Sequence[FinishedStep],
        stop: asyncio.Event | None,
    ) -> list[FinishedStep]:
        """Send a batch and return what became of it, to be recorded next; records `sent`, the batch before it."""
        ceilings = DailyCeilings(self.policy, account, self.rota, self.daily)
        deadline = time.monotonic() + self.budget_s  # from before the mark: who stands still after it sends nothing
        granted, marked = await self._mark(ceilings, batch, now, sent, stop)
        crash.point("marked")
        started = [each for each in granted if each[0].held.key in marked]
        self.rota.took(account, len(started), day=now.date())
        if stop is not None and stop.is_set():
            deadline = 0.0  # no new send begins
        dispositions = await self._dispositions(account, [message for _, message in started], deadline)
        crash.point("sent")
        at = now_or(self.clock, now)
        ended = list(zip(started, dispositions, strict=True))
        ends = [_ended(ready, disposition, account=account.name, now=at) for (ready, _), disposition in ended]
        spent = {ready.held.key for (ready, _), disposition in ended if retries.uses_a_place(disposition.result)}
        unused = [message for ready, message in granted if ready.held.key not in spent]
        if not unused or not ceilings.are_counted:
            return ends
        await self._record(ends, at, stop=stop, known=True)
        async with self.sessions.begin() as session:
            await ceilings.give_back(session, unused, now)
        return []

    async def _mark(
        self,
        ceilings: DailyCeilings,
        batch: Sequence[Leaving],
        now: datetime,
        sent: Sequence[FinishedStep],
        stop: asyncio.Event | None,
    ) -> tuple[Sequence[Leaving], set[tuple[UUID, int]]]:
        """Put in flight what the ceilings grant; return that, and what of it was still ours.

        The batch before it is recorded in the same transaction, which saves a commit. Should that fail, it is
        recorded alone, however long it takes.
        """
        at = now_or(self.clock, now)
        try:
            async with self.sessions.begin() as session:
                recorded = await self._recorded(session, sent, at)
                granted = await ceilings.take(session, batch, now)
                held = [ready.held for ready, _ in granted]
                marked = await steps.mark_in_flight(session, held, account=ceilings.account.name)
        except Exception as error:
            if not sent:
                raise
            log.warning("lane.records_alone", exc_info=error)
            await self._record(sent, at, stop=stop, known=True)
            return await self._mark(ceilings, batch, now, [], stop)
        self._count(recorded)
        return granted, marked

    async def _dispositions(
        self, account: ChannelAccount, messages: Sequence[OutgoingMessage], deadline: float
    ) -> list[Disposition]:
        within_s = deadline - time.monotonic()
        if not messages or within_s <= 0:
            return [Disposition(SendResult.NOT_STARTED)] * len(messages)
        try:
            return await account.send_all(messages, within_s=within_s)
        except Exception:
            log.exception("account.failed", account=account.name, messages=len(messages))
            return [Disposition(SendResult.UNKNOWN, "account_failed")] * len(messages)

    async def _record(
        self, done: Sequence[FinishedStep], now: datetime, *, stop: asyncio.Event | None = None, known: bool = False
    ) -> None:
        """Record; what providers said is `known` only here, so it is tried again until the database is back.

        A step that cannot be stored stays leased until its lease ends; the others are recorded.
        """
        if not done:
            return

        def give_up(state: tenacity.RetryCallState) -> bool:
            return not known or (stop is not None and stop.is_set() and (state.seconds_since_start or 0) > _GRACE_S)

        attempts_left = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(is_transient),
            wait=tenacity.wait_fixed(POLL_S),
            stop=give_up,
            before_sleep=lambda _state: self.heartbeat.waits("what providers said is not recorded"),
            reraise=True,
        )

        async def record(part: Sequence[FinishedStep]) -> Sequence[None]:
            self._count(await attempts_left(self._record_once, part, now))
            return [None] * len(part)

        for step, error in zip(done, await bisect_failures(done, record), strict=True):
            if error is not None:
                held = step.end.held
                log.error("step.not_recorded", invitation_id=str(held.invitation_id), step=held.step, exc_info=error)

    async def _record_once(self, done: Sequence[FinishedStep], now: datetime) -> list[FinishedStep]:
        async with self.sessions.begin() as session:
            return await self._recorded(session, done, now)

    async def _recorded(self, session: AsyncSession, done: Sequence[FinishedStep], now: datetime) -> list[FinishedStep]:
        recorded = await record_results.record(session, done, now=now)
        if done:
            crash.point("recording")
        return recorded

    def _count(self, recorded: Sequence[FinishedStep]) -> None:
        if recorded:
            crash.point("recorded")
        for state, count in Counter(each.end.state for each in recorded).items():
            metrics.STEPS.labels(Service.DISPATCHER, self.channel, state).inc(count)


def _kept(ready: ReadyStep, message: OutgoingMessage) -> FinishedStep:
    return FinishedStep(
        StepResult(ready.held, StepState.SENT, tries=ready.held.tries + 1, account=MAILBOX), kept=message
    )


def _call(ready: ReadyStep) -> FinishedStep:
    task_id = uuid7()
    call = call_center.call_task(ready.request, ready.planned, task_id=task_id, sent_before=ready.sent_before)
    end = StepResult(
        ready.held, StepState.SENT, tries=ready.held.tries + 1, account=call_center.ACCOUNT, call_task=task_id
    )
    return FinishedStep(end, call=call)


def _ended(ready: ReadyStep, disposition: Disposition, *, account: str | None, now: datetime) -> FinishedStep:
    tries = ready.held.tries + retries.is_try(disposition.result)
    state = retries.after_result(disposition.result, tries=tries, max_attempts=ready.planned.max_attempts)
    again = retries.again_at(disposition, tries=tries, now=now) if state is StepState.PLANNED else None
    account = disposition.account or account
    end = StepResult(ready.held, state, tries=tries, account=account, reason=disposition.reason, due_at=again)
    return FinishedStep(end, message_id=disposition.message_id, bill=disposition.bill)

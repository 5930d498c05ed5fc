"""Performs one channel's due steps: claims and triages them, renders and sends their messages, records the results.

Nothing is sent inside a transaction, and only what starts now is marked as in flight.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import NamedTuple

import structlog

from services.dispatcher.channels import ChannelAccount
from services.dispatcher.domain import retries
from services.dispatcher.domain.caps import identities_of
from services.dispatcher.domain.limits import DailyLimit
from services.dispatcher.domain.send_mode import SendPolicy
from services.dispatcher.domain.steps import Disposition, FinishedStep, LeasedStep, OutgoingMessage, SendResult
from services.dispatcher.messages.composer import Composer
from services.dispatcher.repository import contacts, send_facts, steps
from services.dispatcher.sending.account_alerts import AccountAlerts
from services.dispatcher.sending.account_balancer import CLAIM, AccountBalancer
from services.dispatcher.sending.deferred_recording import DeferredRecording
from services.dispatcher.sending.rate_ceilings import DailyCeilings
from services.dispatcher.sending.recorder import ResultRecorder
from services.dispatcher.sending.rendering import RenderedStep, StepRenderer, finished_step
from services.dispatcher.sending.restore_guard import RestoreGuard
from services.dispatcher.sending.triage import TriagedSteps, apply_caps, longest_cap, triage_steps
from shared import crash, metrics
from shared.clock import Clock, ClockIsWrong, now_or
from shared.contract.address_keys import AddressKeys
from shared.contract.vocabulary import ChannelKind, Service
from shared.database.session import Session, Sessions
from shared.health import Heartbeat

log = structlog.get_logger()

MARK = 100
BUDGET_S = 10.0
TICK_S = 0.1  # the shortest pause while steps are due that cannot be performed now


class SentSteps(NamedTuple):
    """The results of the last batch, which are not recorded yet, and the steps that were not sent."""

    unrecorded: Sequence[FinishedStep]
    unsent: Sequence[RenderedStep]


class SendingRound(NamedTuple):
    """How many steps were claimed; if none, in how many seconds the next one is due, None if none is planned."""

    claimed: int
    due_in_s: float | None = None


@dataclass(frozen=True)
class ChannelSender:
    """Performs the steps of a channel over one account; without one, only in the mailbox and at the desk."""

    channel: ChannelKind
    sessions: Sessions
    clock: Clock
    composer: Composer
    policy: SendPolicy
    address_keys: AddressKeys
    account: ChannelAccount | None = None
    balancer: AccountBalancer = field(default_factory=AccountBalancer)
    daily: DailyLimit = field(default_factory=DailyLimit)
    budget_s: float = BUDGET_S
    heartbeat: Heartbeat = field(default_factory=partial(Heartbeat, "sender"))
    restore_guard: RestoreGuard | None = None
    shared_address_ids: int = 10
    alerts: AccountAlerts = field(default_factory=AccountAlerts)

    @property
    def recorder(self) -> ResultRecorder:
        return ResultRecorder(self.channel, self.sessions, self.heartbeat)

    @property
    def renderer(self) -> StepRenderer:
        return StepRenderer(self.channel, self.composer, self.policy, has_account=self.account is not None)

    async def perform_due(self, stop: asyncio.Event | None = None) -> int:
        """Perform due steps; return how many were claimed. No batch starts after `stop` is set."""
        return (await self.round(stop)).claimed

    async def round(self, stop: asyncio.Event | None = None) -> SendingRound:
        """Perform due steps, as `perform_due` does; a claim that finds none reads when the next one is due."""
        if self.restore_guard is None or self.restore_guard.is_open:
            now = self.clock.now()
            if self.account is None:
                return await self._perform(CLAIM, now, stop)
            with self.balancer.turn(self.account, day=now.date()) as limit:
                if limit:
                    return await self._perform(limit, now, stop)
        return SendingRound(0, await self.next_due_s())

    async def next_due_s(self) -> float | None:
        """Return in how many seconds the next step of the channel is due, at least TICK_S; None if none is planned."""
        async with self.sessions.begin() as session:
            return self._seconds_until(await steps.next_due(session, self.channel))

    def _seconds_until(self, due_at: datetime | None) -> float | None:
        return None if due_at is None else max((due_at - self.clock.now()).total_seconds(), TICK_S)

    async def _perform(self, limit: int, now: datetime, stop: asyncio.Event | None) -> SendingRound:
        triaged = await self.claim(limit, now)
        rendered = await self.renderer.render(triaged.ready, now)
        await self.recorder.record([*triaged.finished, *rendered.finished], now)
        if self.account is not None:
            sent = await self.send(self.account, rendered.outgoing, now, stop)
            await self.recorder.record_until_stored(sent.unrecorded, now_or(self.clock, now), stop=stop)
            await self._give_back(sent.unsent)
        claimed = len(triaged)
        return SendingRound(claimed, None if claimed else self._seconds_until(triaged.next_due_at))

    async def claim(self, limit: int, now: datetime) -> TriagedSteps:
        """Lease due steps and sort them; those that have to wait are given back in the same transaction."""
        async with self.sessions.begin() as session:
            leased = await steps.claim_due(session, self.channel, now=now, limit=limit)
            if not leased:
                return TriagedSteps(next_due_at=await steps.next_due(session, self.channel))
            if self.restore_guard is not None and not await self.restore_guard.allows(session):
                # a later mark needs no such check: an older copy of the database does not have these leases
                await steps.give_back(session, leased)
                return TriagedSteps(next_due_at=leased[0].due_at)
            triaged = await self._triage(session, leased, now)
            await steps.move(session, triaged.postponed)
            await steps.drop(session, triaged.dropped)
            await steps.halt(session, triaged.halted)
        crash.point("leased")
        return triaged

    async def _triage(self, session: Session, leased: Sequence[LeasedStep], now: datetime) -> TriagedSteps:
        facts = await send_facts.read(session, leased, self.channel, address_keys=self.address_keys, now=now)
        triaged = triage_steps(leased, facts, channel=self.channel, now=now)
        everywhere = self.policy.contact_caps
        longest = longest_cap(triaged.ready, everywhere=everywhere)
        if longest is None:
            return triaged
        identities = {
            each.leased.invitation_id: identities_of(each.request, self.address_keys) for each in triaged.ready
        }
        past = await contacts.past(
            session,
            identities,
            claim=leased[0].token,
            since=now - longest,
            shared_ids=self.shared_address_ids,
        )
        metrics.SHARED_ADDRESSES.labels(Service.DISPATCHER).inc(len(past.shared))
        return apply_caps(triaged, past, everywhere=everywhere, channel=self.channel, now=now)

    async def send(
        self, account: ChannelAccount, rendered: Sequence[RenderedStep], now: datetime, stop: asyncio.Event | None
    ) -> SentSteps:
        """Send in batches, each recorded when the next is marked; steps whose contact hours have ended are not sent."""
        waiting, closed = list(rendered), list[RenderedStep]()
        results: Sequence[FinishedStep] = ()
        while waiting and (at := self._next_batch_at(account, stop)) is not None:
            size = min(MARK, account.free_slots)
            batch, waiting = waiting[:size], waiting[size:]
            in_hours = list[RenderedStep]()
            for each in batch:
                (in_hours if each.step.next_opening(at) == at else closed).append(each)
            if in_hours:
                results = await self._send_batch(account, in_hours, results, now, stop)
        return SentSteps(results, [*closed, *waiting])

    def _next_batch_at(self, account: ChannelAccount, stop: asyncio.Event | None) -> datetime | None:
        """Return the time for checking the contact hours of the next batch; None if no batch may start now."""
        self.heartbeat.beat()
        if not account.free_slots or (stop is not None and stop.is_set()):
            return None
        try:
            return self.clock.now()
        except ClockIsWrong:  # results of earlier batches are recorded all the same
            return None

    async def _send_batch(
        self,
        account: ChannelAccount,
        batch: Sequence[RenderedStep],
        previous: Sequence[FinishedStep],
        now: datetime,
        stop: asyncio.Event | None,
    ) -> Sequence[FinishedStep]:
        """Send a batch and return its results, to be recorded; records those of the previous batch."""
        deadline = time.monotonic() + self.budget_s  # set before the mark, so that a slow mark leaves less time to send
        ceilings = DailyCeilings(self.policy, account, self.balancer, self.daily)
        at = now_or(self.clock, now)
        marked = await DeferredRecording(self.recorder, ceilings, stop).mark(batch, previous, now=now, at=at)
        crash.point("marked")
        started = marked.started
        self.balancer.add_sent(account, len(started), day=now.date())
        if stop is not None and stop.is_set():
            deadline = 0.0  # nothing is sent any more
        dispositions = await _dispositions(account, [each.message for each in started], deadline)
        crash.point("sent")
        self.alerts.note(account.name, dispositions)
        at = now_or(self.clock, now)
        results = _results(started, dispositions, account=account.name, now=at)
        unused = _unused(marked.granted, started, dispositions) if ceilings.are_counted else []
        if not unused:
            return results
        await self.recorder.record_until_stored(results, at, stop=stop)
        async with self.sessions.begin() as session:
            await ceilings.give_back(session, unused, now)
        return ()

    async def _give_back(self, unsent: Sequence[RenderedStep]) -> None:
        if unsent:
            async with self.sessions.begin() as session:
                await steps.give_back(session, [each.step.leased for each in unsent])


async def _dispositions(
    account: ChannelAccount, messages: Sequence[OutgoingMessage], deadline: float
) -> list[Disposition]:
    within_s = deadline - time.monotonic()
    if not messages or within_s <= 0:
        return [Disposition(SendResult.NOT_STARTED)] * len(messages)
    try:
        return await account.send_all(messages, within_s=within_s)
    except Exception:
        log.exception("account.failed", account=account.name, messages=len(messages))
        return [Disposition(SendResult.UNKNOWN, "account_failed")] * len(messages)


def _results(
    started: Sequence[RenderedStep], dispositions: Sequence[Disposition], *, account: str, now: datetime
) -> list[FinishedStep]:
    return [
        finished_step(each.step, disposition, account=account, now=now)
        for each, disposition in zip(started, dispositions, strict=True)
    ]


def _unused(
    granted: Sequence[RenderedStep], started: Sequence[RenderedStep], dispositions: Sequence[Disposition]
) -> list[OutgoingMessage]:
    """Return the messages that a ceiling granted but that no provider can have accepted.

    `dispositions` are those of `started`, in the same order.
    """
    counted = {
        each.step.leased.key
        for each, disposition in zip(started, dispositions, strict=True)
        if retries.counts_towards_ceiling(disposition.result)
    }
    return [each.message for each in granted if each.step.leased.key not in counted]

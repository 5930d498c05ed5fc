"""Renders ready steps, and finishes those that need no account: calls, kept messages, and what cannot be rendered."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import structlog
from uuid_utils.compat import uuid7

from services.dispatcher.channels import call_center
from services.dispatcher.domain import retries
from services.dispatcher.domain.send_mode import SendPolicy, may_leave
from services.dispatcher.domain.steps import (
    ACCOUNT_REFUSED,
    Disposition,
    FinishedStep,
    OutgoingMessage,
    SendResult,
    SkipReason,
    StepResult,
    StepState,
)
from services.dispatcher.messages.composer import Composer
from services.dispatcher.messages.mime import BadAddress
from services.dispatcher.sending.triage import ReadyStep, skipped
from shared.contract.vocabulary import ChannelKind
from shared.web.links import UnknownLinkKey

log = structlog.get_logger()

MAILBOX = "mailbox"
_YIELD_EVERY = 20  # messages, which take a few milliseconds to render


class RenderedStep(NamedTuple):
    """A ready step with its message, to be sent by an account."""

    step: ReadyStep
    message: OutgoingMessage


class RenderedSteps(NamedTuple):
    finished: list[FinishedStep]
    outgoing: list[RenderedStep]


@dataclass(frozen=True, slots=True)
class StepRenderer:
    """Renders the messages of a channel; without an account none can be sent."""

    channel: ChannelKind
    composer: Composer
    policy: SendPolicy
    has_account: bool

    async def render(self, ready: Sequence[ReadyStep], now: datetime) -> RenderedSteps:
        """Render messages, and finish the steps that send nothing over an account."""
        rendered = RenderedSteps([], [])
        for number, each in enumerate(ready):
            if number % _YIELD_EVERY == 0:
                await asyncio.sleep(0)  # let other work of this process run, such as answer pages
            one = self._render_one(each, now)
            if isinstance(one, FinishedStep):
                rendered.finished.append(one)
            else:
                rendered.outgoing.append(RenderedStep(each, one))
        return rendered

    def _render_one(self, ready: ReadyStep, now: datetime) -> OutgoingMessage | FinishedStep:
        rendered = self._compose(ready)
        if isinstance(rendered, Disposition):
            return finished_step(ready, rendered, account=None, now=now)
        if isinstance(rendered, FinishedStep):
            return rendered
        if not may_leave(self.policy.mode, rendered.recipient, allowed=self.policy.allowed):
            return _kept_in_mailbox(ready, rendered)
        return rendered if self.has_account else skipped(ready.leased, SkipReason.NO_ACCOUNT)

    def _compose(self, ready: ReadyStep) -> OutgoingMessage | FinishedStep | Disposition:
        try:
            if self.channel is ChannelKind.CALL:
                return _finished_call(ready)
            return self.composer.compose(ready.request, step=ready.leased.step, channel=self.channel)
        except BadAddress:
            return Disposition(SendResult.REFUSED, "bad_address")
        except UnknownLinkKey as error:
            log.error("step.waits_for_key", invitation_id=str(ready.leased.invitation_id), link_key=str(error))  # noqa: TRY400 - the traceback adds nothing
            return Disposition(SendResult.UNAVAILABLE, "unknown_link_key")
        except Exception:
            log.exception("step.not_rendered", invitation_id=str(ready.leased.invitation_id), step=ready.leased.step)
            return Disposition(SendResult.NOT_ACCEPTED, "not_rendered")


def _kept_in_mailbox(ready: ReadyStep, message: OutgoingMessage) -> FinishedStep:
    leased = ready.leased
    return FinishedStep(
        StepResult(leased, StepState.SENT, tries=leased.tries + 1, account=MAILBOX), for_mailbox=message
    )


def _finished_call(ready: ReadyStep) -> FinishedStep:
    leased, task_id = ready.leased, uuid7()
    call = call_center.call_task(ready.request, ready.plan_step, task_id=task_id, sent_before=ready.sent_before)
    result = StepResult(leased, StepState.SENT, tries=leased.tries + 1, account=call_center.ACCOUNT, call_task=task_id)
    return FinishedStep(result, call=call)


def finished_step(ready: ReadyStep, disposition: Disposition, *, account: str | None, now: datetime) -> FinishedStep:
    """Return the result of a step for the disposition of its message."""
    tries = ready.leased.tries + retries.is_try(disposition.result)
    state = retries.after_result(disposition.result, tries=tries, max_attempts=ready.plan_step.max_attempts)
    result = StepResult(
        ready.leased,
        state,
        tries=tries,
        account=disposition.account or account,
        reason=f"{ACCOUNT_REFUSED} {disposition.reason}" if disposition.refuses_account else disposition.reason,
        due_at=retries.again_at(disposition, tries=tries, now=now) if state is StepState.PLANNED else None,
    )
    return FinishedStep(result, message_id=disposition.message_id, bill=disposition.bill)

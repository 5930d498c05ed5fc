"""When an attempt that failed is repeated, and which attempts count as tries."""

from __future__ import annotations

from datetime import datetime, timedelta

from services.dispatcher.domain.steps import Disposition, SendResult, StepState

_FIRST_BACKOFF = timedelta(minutes=5)
_AWAY = timedelta(minutes=1)


def after_result(result: SendResult, *, tries: int, max_attempts: int) -> StepState:
    """Turn a channel's word into the step's state; `tries` counts this one."""
    if not is_try(result):
        return StepState.PLANNED
    if result is SendResult.NOT_ACCEPTED:
        return StepState.PLANNED if tries < max_attempts else StepState.FAILED
    return StepState(result.value)


def is_try(result: SendResult) -> bool:
    """Say whether this was a try of the step; a provider that is away spends none."""
    return result not in (SendResult.NOT_STARTED, SendResult.UNAVAILABLE, SendResult.THROTTLED)


def counts_towards_ceiling(result: SendResult) -> bool:
    """Say whether this counts towards a day's ceiling: what a provider took in hand does, even to refuse it."""
    return result in (SendResult.SENT, SendResult.REFUSED, SendResult.UNKNOWN)


def again_at(disposition: Disposition, *, tries: int, now: datetime) -> datetime | None:
    """When a step that goes back is tried again; None leaves it due."""
    if disposition.result is SendResult.UNAVAILABLE:
        return now + _AWAY
    if disposition.result is SendResult.THROTTLED:
        return now + timedelta(seconds=disposition.wait_s)
    return now + backoff(tries) if disposition.result is SendResult.NOT_ACCEPTED else None


def backoff(tries: int) -> timedelta:
    """5, 10, 20 … minutes after the first, second, third try."""
    return _FIRST_BACKOFF * (1 << (tries - 1))

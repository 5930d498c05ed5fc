"""When a failed attempt is repeated, and which attempts count as tries."""

from __future__ import annotations

from datetime import datetime, timedelta

from services.dispatcher.domain.steps import Disposition, SendResult, StepState

_FIRST_BACKOFF = timedelta(minutes=5)
_UNAVAILABLE_WAIT = timedelta(minutes=1)


def after_result(result: SendResult, *, tries: int, max_attempts: int) -> StepState:
    """Return the state of a step after a result; `tries` includes this one."""
    if not is_try(result):
        return StepState.PLANNED
    if result is SendResult.NOT_ACCEPTED:
        return StepState.PLANNED if tries < max_attempts else StepState.FAILED
    return StepState(result.value)


def is_try(result: SendResult) -> bool:
    """Say whether this counts as a try of the step; an unavailable provider costs none."""
    return result not in (SendResult.NOT_STARTED, SendResult.UNAVAILABLE, SendResult.THROTTLED)


def counts_towards_ceiling(result: SendResult) -> bool:
    """Say whether this counts towards a day's ceiling: it does if a provider may have handled the message."""
    return result in (SendResult.SENT, SendResult.REFUSED, SendResult.UNKNOWN)


def again_at(disposition: Disposition, *, tries: int, now: datetime) -> datetime | None:
    """Return when a step that was not sent is due again; None keeps its due time."""
    if disposition.result is SendResult.UNAVAILABLE:
        return now + _UNAVAILABLE_WAIT  # the account may rest longer, and another one take over
    if disposition.result is SendResult.THROTTLED:
        return now + timedelta(seconds=disposition.wait_s)
    return now + backoff(tries) if disposition.result is SendResult.NOT_ACCEPTED else None


def backoff(tries: int) -> timedelta:
    """Return 5, 10, 20 … minutes for the first, second, third try."""
    return _FIRST_BACKOFF * (1 << (tries - 1))

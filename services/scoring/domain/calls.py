"""Call tasks: when a call is due, and what follows an attempt."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum
from uuid import UUID
from zoneinfo import ZoneInfo

from msgspec import Struct

from services.scoring.domain.calling.operators import Operator
from services.scoring.domain.invitations import Invitation
from shared.contract.events import CALL_RETRIES, CallRetry
from shared.contract.vocabulary import CallDisposition, CallOutcome, UnansweredCall

CALLBACK_LIFETIME = timedelta(days=7)
CALLBACK_MAX_ATTEMPTS = 5

_CLOSING_OUTCOMES = {
    CallDisposition.REFUSED: CallOutcome.REFUSED,
    CallDisposition.WRONG_NUMBER: CallOutcome.WRONG_NUMBER,
    CallDisposition.DO_NOT_CALL: CallOutcome.DO_NOT_CALL,
    CallDisposition.ANSWERED: CallOutcome.ANSWERED,
}


class TaskKind(StrEnum):
    SURVEY = "survey"  # asks a respondent who did not answer other channels
    CALLBACK = "callback"  # a dissatisfied respondent asked to be called


@dataclass(frozen=True, slots=True)
class Hours:
    """Hours in which a call is allowed, in the respondent's time zone."""

    start: time
    end: time


class BestTime(StrEnum):
    ANY = "any"
    MORNING = "morning"
    AFTERNOON = "afternoon"
    EVENING = "evening"

    @property
    def hours(self) -> Hours:
        return _BEST_HOURS[self]

    @classmethod
    def of(cls, hours: Hours) -> BestTime:
        """Return the best time with these hours; ANY when there is none, as for a task stored by another release."""
        return next((time for time, known in _BEST_HOURS.items() if known == hours), cls.ANY)


_BEST_HOURS = {
    BestTime.ANY: Hours(time(9), time(21)),
    BestTime.MORNING: Hours(time(9), time(12)),
    BestTime.AFTERNOON: Hours(time(12), time(17)),
    BestTime.EVENING: Hours(time(17), time(21)),
}


@dataclass(frozen=True, slots=True)
class Callback:
    """Whether a respondent wants to be called back, and when; `phone` is empty when none was given.

    `dialable` is False when the text in `phone` is no number that can be called.
    """

    wanted: bool
    phone: str = ""
    best_time: BestTime = BestTime.ANY
    dialable: bool = True


@dataclass(frozen=True, slots=True)
class Slot:
    """When a task may be called: from `due_at` until just before `due_until`, UTC."""

    due_at: datetime
    due_until: datetime


class CallTask(Struct, frozen=True):
    """A call to make; `tries` is the number of attempts so far, and a higher `priority` is called first.

    `held_by` is the operator who took it, `taken_from` the name of the one who had it until a supervisor took it over,
    and `answered_by` the one who saved an answer and may correct it. `due_at` and `expires_at` are UTC, `hours` are in
    the respondent's time zone.
    """

    task_id: UUID
    invitation_id: UUID
    respondent_id: str
    open: bool
    outcome: CallOutcome | None
    step: int
    phone: str
    name: str
    script: str
    summary: str
    time_zone: str
    hours: Hours | None
    tries: int
    max_attempts: int
    priority: int
    appointed: bool
    due_at: datetime
    expires_at: datetime
    held_by: Operator | None
    answered_by: Operator | None = None
    taken_from: str | None = None
    kind: TaskKind = TaskKind.SURVEY


@dataclass(frozen=True, slots=True)
class CallAttempt:
    task: CallTask
    disposition: CallDisposition
    operator: Operator
    at: datetime
    note: str = ""  # in the operator's words

    @property
    def number(self) -> int:
        return self.task.tries + 1


@dataclass(frozen=True, slots=True)
class CallbackRequest:
    """A request to be called back: changes the open callback task; without one adds a task, if it is `newly` requested.

    With an empty `phone` the number of the open task is kept, or that of the invitation used.
    """

    task_id: UUID
    invitation: Invitation
    phone: str
    hours: Hours
    slot: Slot
    expires_at: datetime
    newly: bool


def next_slot(earliest: datetime, *, hours: Hours | None, zone: ZoneInfo, expires_at: datetime) -> Slot:
    """Find the first allowed slot that ends after `earliest`; without hours any time until `expires_at` is allowed."""
    if hours is None:
        return Slot(earliest, expires_at)
    day = earliest.astimezone(zone).date()
    utc = ZoneInfo("UTC")
    while True:
        opens = datetime.combine(day, hours.start, zone).astimezone(utc)
        closes = datetime.combine(day, hours.end, zone).astimezone(utc)
        if earliest < closes:
            return Slot(max(earliest, opens), closes)
        day += timedelta(days=1)


@dataclass(frozen=True, slots=True)
class RetryRule:
    """What the program says about calls with one disposition, and how many `alike` there were, with the last one."""

    retry: CallRetry
    alike: int

    @property
    def is_spent(self) -> bool:
        return self.retry.limit is not None and self.alike >= self.retry.limit


def after_attempt(
    disposition: CallDisposition, *, tries: int, max_attempts: int, later: timedelta, rule: RetryRule | None = None
) -> timedelta | CallOutcome:
    """Return the delay until the next attempt, or the outcome that closes the task.

    `tries` includes this attempt; `later` is the delay after CALL_LATER. Without a `rule` the default holds.
    """
    if disposition is CallDisposition.CALL_LATER:
        return later
    if disposition in _CLOSING_OUTCOMES:
        return _CLOSING_OUTCOMES[disposition]
    if tries >= max_attempts or (rule is not None and rule.is_spent):
        return CallOutcome.UNREACHABLE
    retry = CALL_RETRIES[UnansweredCall(disposition)] if rule is None else rule.retry
    return timedelta(seconds=retry.after_s)


def masked(phone: str) -> str:
    """Show the first and the last two characters of a phone number."""
    return f"{phone[:2]} ··· {phone[-2:]}" if len(phone) > 6 else "···"

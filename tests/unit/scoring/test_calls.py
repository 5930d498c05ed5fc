"""When a call is due, and what follows a try."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from services.scoring.domain.calls import Hours, RetryRule, Slot, after_attempt, masked, next_slot
from shared.contract.events import CallRetry
from shared.contract.vocabulary import CallDisposition, CallOutcome

HOURS = Hours(time(9), time(21))
END = datetime(2027, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("earliest", "due_at", "due_until"),
    [
        ("2026-11-18T05:00", "2026-11-18T06:00", "2026-11-18T18:00"),  # before the hours, Moscow is UTC+3
        ("2026-11-18T12:00", "2026-11-18T12:00", "2026-11-18T18:00"),
        ("2026-11-18T18:00", "2026-11-19T06:00", "2026-11-19T18:00"),
        ("2026-11-18T22:00", "2026-11-19T06:00", "2026-11-19T18:00"),  # past midnight there already
    ],
)
def test_calls_keep_the_respondents_hours(earliest: str, due_at: str, due_until: str) -> None:
    slot = next_slot(_at(earliest), hours=HOURS, zone=ZoneInfo("Europe/Moscow"), expires_at=END)
    assert slot == Slot(_at(due_at), _at(due_until))


def test_hours_follow_the_clocks_of_the_zone() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    before = next_slot(_at("2026-03-28T00:00"), hours=HOURS, zone=berlin, expires_at=END)
    after = next_slot(_at("2026-03-29T00:00"), hours=HOURS, zone=berlin, expires_at=END)
    assert (before.due_at.hour, after.due_at.hour) == (8, 7)


def test_without_hours_any_time_is_allowed() -> None:
    now = _at("2026-11-18T23:00")
    assert next_slot(now, hours=None, zone=ZoneInfo("UTC"), expires_at=END) == Slot(now, END)


@pytest.mark.parametrize(
    ("disposition", "tries", "follows"),
    [
        (CallDisposition.NO_ANSWER, 1, timedelta(minutes=180)),
        (CallDisposition.NO_ANSWER, 3, CallOutcome.UNREACHABLE),
        (CallDisposition.MACHINE, 2, timedelta(minutes=180)),
        (CallDisposition.BUSY, 1, timedelta(minutes=15)),
        (CallDisposition.CALL_LATER, 3, timedelta(hours=2)),
        (CallDisposition.REFUSED, 1, CallOutcome.REFUSED),
        (CallDisposition.WRONG_NUMBER, 1, CallOutcome.WRONG_NUMBER),
        (CallDisposition.DO_NOT_CALL, 1, CallOutcome.DO_NOT_CALL),
        (CallDisposition.ANSWERED, 1, CallOutcome.ANSWERED),
    ],
)
def test_disposition_decides_the_next_attempt_or_the_outcome(
    disposition: CallDisposition, tries: int, follows: timedelta | CallOutcome
) -> None:
    assert after_attempt(disposition, tries=tries, max_attempts=3, later=timedelta(hours=2)) == follows


@pytest.mark.parametrize(
    ("tries", "alike", "limit", "follows"),
    [
        (1, 1, None, timedelta(hours=5)),
        (2, 2, 3, timedelta(hours=5)),
        (3, 3, 3, CallOutcome.UNREACHABLE),
        (4, 4, 3, CallOutcome.UNREACHABLE),
        (6, 1, None, CallOutcome.UNREACHABLE),
    ],
)
def test_rule_of_the_program_replaces_the_default(
    tries: int, alike: int, limit: int | None, follows: timedelta | CallOutcome
) -> None:
    rule = RetryRule(CallRetry(after_s=18_000, limit=limit), alike)
    after = after_attempt(CallDisposition.BUSY, tries=tries, max_attempts=6, later=timedelta(), rule=rule)
    assert after == follows


def test_masked_number_hides_the_number() -> None:
    assert masked("+79161234567") == "+7 ··· 67"
    assert masked("12345") == "···"


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)

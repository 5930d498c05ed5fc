"""Boundary cases of contact caps: which contacts count, and when the next one is allowed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.dispatcher.domain import caps
from services.dispatcher.domain.caps import PastContact
from shared.contract.events import ContactCap
from shared.contract.vocabulary import ChannelKind

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
MAIL = ChannelKind.EMAIL
WEEK = timedelta(days=7)
ONE_A_WEEK = ContactCap(name="one a week", limit=1, days=7)


@pytest.mark.parametrize(
    ("age", "allowed"),
    [
        (WEEK, NOW),  # a contact exactly as old as the cap's days does not count any more
        (WEEK - timedelta(seconds=1), NOW + timedelta(seconds=1)),
    ],
)
def test_contact_counts_until_it_is_as_old_as_the_cap(age: timedelta, allowed: datetime) -> None:
    past = [PastContact(MAIL, NOW - age)]
    assert caps.next_allowed(past, [ONE_A_WEEK], MAIL, now=NOW) == allowed


def test_contact_as_old_as_the_cap_does_not_count_with_one_under_way() -> None:
    two_a_week = ContactCap(name="two a week", limit=2, days=7)
    past = [PastContact(MAIL, NOW - WEEK), PastContact(MAIL, None)]
    assert caps.next_allowed(past, [two_a_week], MAIL, now=NOW) == NOW


def test_of_two_caps_the_one_that_allows_a_contact_last_decides() -> None:
    one_a_month = ContactCap(name="one a month", limit=1, days=30)
    past = [PastContact(MAIL, NOW - timedelta(days=2))]
    for both in ([ONE_A_WEEK, one_a_month], [one_a_month, ONE_A_WEEK]):
        assert caps.next_allowed(past, both, MAIL, now=NOW) == NOW + timedelta(days=28)


def test_next_contact_is_allowed_when_the_oldest_counted_one_is_old_enough() -> None:
    two_a_week = ContactCap(name="two a week", limit=2, days=7)
    past = [PastContact(MAIL, NOW - timedelta(days=age)) for age in (1, 3, 5)]
    assert caps.next_allowed(past, [two_a_week], MAIL, now=NOW) == NOW + timedelta(days=4)

"""Events in words for pages."""

from __future__ import annotations

import pytest

from shared.contract.event_words import event_in_words


@pytest.mark.parametrize(
    ("event_type", "subject", "words"),
    [
        ("crm.purchase.completed", "45595", "purchase 45595"),
        ("crm.customer.erased", None, "erasure of the customer"),
        ("shop.visited", "7", "shop.visited 7"),
    ],
)
def test_event_is_named_in_words(event_type: str, subject: str | None, words: str) -> None:
    assert event_in_words(event_type, subject) == words

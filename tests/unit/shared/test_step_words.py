"""Waits of steps in words."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.contract.step_words import waits_in_words
from shared.contract.vocabulary import ChannelKind
from shared.languages.current import SHARED, language, speaking

DAY = timedelta(days=1)
PLAN = [
    (ChannelKind.EMAIL, timedelta()),
    (ChannelKind.EMAIL, 3 * DAY),
    (ChannelKind.SMS, timedelta(hours=36)),
    (ChannelKind.CALL, timedelta(minutes=1)),
]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("en", ["at once", "3 days after the mail", "36 hours after the repeat", "1 minute after the SMS"]),
        ("ru", ["сразу", "через 3 дня после письма", "через 36 часов после повтора", "через 1 минуту после SMS"]),
    ],
)
def test_each_step_says_after_what_it_comes(code: str, words: list[str]) -> None:
    with speaking(language(code, SHARED)):
        assert list(waits_in_words(PLAN, start="event", delay=timedelta())) == words


def test_the_delay_of_the_plan_counts_from_its_start() -> None:
    steps = [(ChannelKind.SMS, timedelta(seconds=30)), (ChannelKind.CALL, timedelta())]
    waits = list(waits_in_words(steps, start="delivery", delay=timedelta(seconds=15)))
    assert waits == ["45 seconds after the delivery", "at once"]

"""What moved is what really changed, and not what was too small to tell."""

from __future__ import annotations

import pytest

from services.scoring.domain.changes import (
    WHOLE,
    SeriesKey,
    each_cause_once,
    reasons_named_more,
    significant_changes,
)
from services.scoring.domain.score import Tally

GOOD, BAD = Tally.of_one(10), Tally.of_one(2)


def test_store_that_fell_is_named_with_its_interval() -> None:
    before = {("store", "Khimki"): GOOD * 60 + BAD * 20, ("store", "Arbat"): GOOD * 60 + BAD * 20}
    after = {("store", "Khimki"): GOOD * 40 + BAD * 40, ("store", "Arbat"): GOOD * 58 + BAD * 22}
    changes = significant_changes(before, after)
    [fallen] = changes.significant
    assert (fallen.value, fallen.before, fallen.after) == ("Khimki", 50, 0)
    assert fallen.difference.interval.high < 0
    assert (changes.compared, changes.by_chance) == (2, 0.1)


def test_few_answers_move_nothing() -> None:
    changes = significant_changes({("store", "A"): GOOD * 29}, {("store", "A"): BAD * 500})
    assert (changes.compared, changes.significant) == (0, [])


def test_reason_is_compared_as_a_share_of_all_answers() -> None:
    before: dict[SeriesKey, Tally] = {WHOLE: GOOD * 100, ("reason", "wait"): BAD * 4}
    after: dict[SeriesKey, Tally] = {WHOLE: GOOD * 100, ("reason", "wait"): BAD * 20}
    [wait] = significant_changes(before, after).significant
    assert (wait.dimension, wait.value, wait.before, wait.after) == ("reason", "wait", 4, 20)


def test_surest_comes_first() -> None:
    before = {("store", "A"): GOOD * 50 + BAD * 50, ("store", "B"): GOOD * 50 + BAD * 50}
    after = {("store", "A"): GOOD * 70 + BAD * 30, ("store", "B"): GOOD * 95 + BAD * 5}
    assert [change.value for change in significant_changes(before, after).significant] == ["B", "A"]


KHIMKI, REGION, CHANNEL, ARBAT = ("store", "Khimki"), ("region", "Outside"), ("channel", "shop"), ("store", "Arbat")


@pytest.mark.parametrize(
    ("before", "after", "causes"),
    [
        pytest.param(
            {KHIMKI: GOOD * 70 + BAD * 10, REGION: GOOD * 70 + BAD * 10, CHANNEL: GOOD * 210 + BAD * 30},
            {KHIMKI: GOOD * 30 + BAD * 50, REGION: GOOD * 30 + BAD * 50, CHANNEL: GOOD * 170 + BAD * 70},
            [KHIMKI],
            id="a store, its region and its channel are one cause",
        ),
        pytest.param(
            {KHIMKI: GOOD * 70 + BAD * 10, CHANNEL: GOOD * 290 + BAD * 30},
            {KHIMKI: GOOD * 30 + BAD * 50, CHANNEL: GOOD * 170 + BAD * 150},
            [KHIMKI, CHANNEL],
            id="a channel that fell without the store as well",
        ),
        pytest.param(
            {KHIMKI: GOOD * 70 + BAD * 10, CHANNEL: GOOD * 60 + BAD * 4},
            {KHIMKI: GOOD * 30 + BAD * 50, CHANNEL: GOOD * 44 + BAD * 20},
            [KHIMKI, CHANNEL],
            id="a channel that the store cannot be in",
        ),
        pytest.param(
            {KHIMKI: GOOD * 70 + BAD * 10, ARBAT: GOOD * 20 + BAD * 60},
            {KHIMKI: GOOD * 50 + BAD * 30, ARBAT: GOOD * 70 + BAD * 10},
            [ARBAT, KHIMKI],
            id="the largest first, whether it rose or fell",
        ),
    ],
)
def test_each_cause_is_named_once(
    before: dict[SeriesKey, Tally], after: dict[SeriesKey, Tally], causes: list[SeriesKey]
) -> None:
    changes = significant_changes(before, after)
    assert [each.series for each in each_cause_once(changes, before, after)] == causes


def test_reasons_of_a_fall_are_complaints_that_grew() -> None:
    before: dict[SeriesKey, Tally] = {WHOLE: GOOD * 100, ("reason", "wait"): BAD * 9, ("reason", "price"): BAD * 9}
    after: dict[SeriesKey, Tally] = {WHOLE: GOOD * 100, ("reason", "wait"): BAD * 41, ("reason", "taste"): GOOD * 30}
    [wait] = reasons_named_more(before, after, praise=False)
    assert (wait.value, wait.before, wait.after) == ("wait", 9, 41)
    [taste] = reasons_named_more(before, after, praise=True)
    assert taste.value == "taste"
    assert reasons_named_more({}, {}, praise=False) == []

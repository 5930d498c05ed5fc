"""What moved is what really changed, and not what was too small to tell."""

from __future__ import annotations

from services.scoring.domain.changes import WHOLE, SeriesKey, significant_changes
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

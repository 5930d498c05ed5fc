"""The guard around outside input: an item's own error is suppressed, a transient one is raised."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from shared.contract.vocabulary import Service
from shared.database.isolated import bisect_failures, isolated, storable


@pytest.mark.parametrize(
    "error", [ValueError(), RecursionError(), KeyError(), OverflowError(), MemoryError(), OSError()]
)
def test_whatever_one_item_raises_stays_with_it(error: Exception) -> None:
    with isolated("test", service=Service.TRIGGER) as guarded:
        raise error
    assert guarded.error is error


def test_outage_is_not_the_items_fault() -> None:
    with pytest.raises(OSError, match="away"), isolated("test", service=Service.TRIGGER, outages=True):
        raise OSError("away")


def test_end_of_the_process_goes_through() -> None:
    with pytest.raises(KeyboardInterrupt), isolated("test", service=Service.TRIGGER):
        raise KeyboardInterrupt


@pytest.mark.parametrize("bad", [[], [0], [3, 4], [6], list(range(7))])
async def test_culprits_are_found_and_the_others_worked_on_once(bad: list[int]) -> None:
    done: list[int] = []

    async def work(items: Sequence[int]) -> list[int]:
        if not set(bad).isdisjoint(items):
            raise ValueError
        done.extend(items)
        return [item * 10 for item in items]

    found = await bisect_failures(range(7), work)
    assert [None if isinstance(each, Exception) else each for each in found] == [
        None if number in bad else number * 10 for number in range(7)
    ]
    assert sorted(done) == [number for number in range(7) if number not in bad]


async def test_nothing_is_halved_while_the_database_is_away() -> None:
    tries = []

    async def work(items: Sequence[int]) -> list[int]:
        tries.append(items)
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await bisect_failures(range(7), work)
    assert len(tries) == 1


def test_text_is_cleaned_of_what_no_text_column_takes() -> None:
    assert storable("a\0b\ud800c\udfff \U0001f600 ё") == "a\ufffdb\ufffdc\ufffd \U0001f600 ё"

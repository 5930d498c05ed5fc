"""Group commit: which items are done together, and which caller gets which result."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from shared.database import group_commit
from shared.database.group_commit import GroupCommitter


class Work:
    """Fails for 13, and notes the size of each batch."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    async def __call__(self, items: Sequence[int]) -> Sequence[int]:
        self.sizes.append(len(items))
        if 13 in items:
            raise ValueError("13")
        return [2 * item for item in items]


async def submit(group: GroupCommitter[int, int], *items: int) -> list[int | BaseException]:
    """Submit items one after the other, each in a later turn of the event loop."""

    async def one(item: int, turns: int) -> int:
        for _ in range(turns):
            await asyncio.sleep(0)
        return await group.do(item)

    async with asyncio.timeout(30):
        return await asyncio.gather(*(one(item, turns) for turns, item in enumerate(items)), return_exceptions=True)


async def test_group_waits_for_those_who_heard_of_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    work = Work()
    group: GroupCommitter[int, int] = GroupCommitter(work)
    monkeypatch.setattr(group_commit, "GATHER_S", 60)  # the test fails if anything waits for it
    await asyncio.gather(*(group.do(item) for item in range(10)))
    assert await submit(group, *range(10)) == list(range(0, 20, 2))
    assert work.sizes == [10, 10]


async def test_group_does_not_wait_long_for_those_who_stay_away(monkeypatch: pytest.MonkeyPatch) -> None:
    work = Work()
    group: GroupCommitter[int, int] = GroupCommitter(work)
    await asyncio.gather(*(group.do(item) for item in range(10)))
    monkeypatch.setattr(group_commit, "GATHER_S", 0.001)
    assert await submit(group, 1) == [2]
    monkeypatch.setattr(group_commit, "GATHER_S", 60)
    assert await submit(group, 2) == [4]
    assert work.sizes == [10, 1, 1]


async def test_outage_is_tried_once_for_all_who_wait_and_not_once_for_each() -> None:
    tried: list[int] = []

    async def away(items: Sequence[int]) -> Sequence[int]:
        tried.append(len(items))
        raise ConnectionRefusedError

    group: GroupCommitter[int, int] = GroupCommitter(away)
    heard = await asyncio.gather(*(group.do(item) for item in range(20)), return_exceptions=True)
    assert [type(one) for one in heard] == [ConnectionRefusedError] * 20
    assert tried == [20]


async def test_one_that_fails_fails_alone() -> None:
    work = Work()
    group: GroupCommitter[int, int] = GroupCommitter(work)
    heard = await asyncio.gather(*(group.do(item) for item in (1, 13, 2)), return_exceptions=True)
    assert heard[::2] == [2, 4]
    assert isinstance(heard[1], ValueError)
    assert work.sizes == [3, 1, 2, 1, 1]


async def test_who_leaves_takes_nothing_from_the_others() -> None:
    work = Work()
    group: GroupCommitter[int, int] = GroupCommitter(work)
    leaving, staying = (asyncio.create_task(group.do(item)) for item in (1, 2))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying == 4
    assert leaving.cancelled()
    assert work.sizes == [2]


async def test_work_that_returns_too_little_is_an_error_for_everybody() -> None:
    async def short(items: Sequence[int]) -> Sequence[int]:
        return items[1:]

    heard = await submit(GroupCommitter(short), 1, 2)
    assert [type(each) for each in heard] == [ValueError, ValueError]

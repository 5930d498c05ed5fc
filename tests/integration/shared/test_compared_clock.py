"""A process whose clock is wrong sends nothing, expires nothing and claims nothing until the clock is right."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from services.dispatcher.jobs.maintenance import LeaseReaper
from shared import database_url
from shared.clock import ClockIsWrong, ManualClock, StoredClock, SystemClock, now_or
from shared.contract.vocabulary import ChannelKind
from shared.database import compared_clock, db
from shared.database.compared_clock import ComparedClock, guard_clock, open_command_clock
from shared.database.until_stopped import Pause, until_stopped
from shared.database_url import DatabaseOptions, Host
from shared.health import Health, Heartbeat, NotReady
from tests.integration.dispatcher.conftest import NOW, Chain, RememberingAccount, request

FOUR_DAYS = timedelta(days=4).total_seconds()


class Wall:
    """The machine's wall clock, which the test sets."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def chain(dispatcher_db: db.Database) -> Chain:
    return Chain(dispatcher_db, ManualClock(SystemClock().now()))


@pytest.mark.parametrize("ahead_s", [-FOUR_DAYS, -35, 35, FOUR_DAYS])
async def test_clock_that_is_wrong_is_not_believed_until_it_is_mended(
    dispatcher_db: db.Database, wall: Wall, ahead_s: float
) -> None:
    clock = ComparedClock(dispatcher_db, wall=wall)
    wall.ahead_s = ahead_s
    await clock.compare()
    with pytest.raises(ClockIsWrong, match=f"{abs(ahead_s):.0f} s {'ahead of' if ahead_s > 0 else 'behind'} the"):
        clock.now()
    with pytest.raises(NotReady, match="correct the wrong one"):
        await clock.check()
    wall.ahead_s = 0
    await clock.compare()
    assert abs(clock.now().timestamp() - time.time()) < 1
    await clock.check()


@pytest.mark.parametrize("ahead_s", [-25, 0, 25])
async def test_clock_that_is_a_little_off_is_believed(dispatcher_db: db.Database, wall: Wall, ahead_s: float) -> None:
    clock = ComparedClock(dispatcher_db, wall=wall)
    wall.ahead_s = ahead_s
    await clock.compare()
    assert abs(clock.now().timestamp() - wall()) < 1


async def test_command_goes_by_no_wrong_clock(
    dispatcher_db: db.Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await open_command_clock(None, dispatcher_db)).now() > NOW
    monkeypatch.setattr(compared_clock, "MOST_APART_S", -1.0)
    with pytest.raises(ClockIsWrong):
        await open_command_clock(None, dispatcher_db)
    StoredClock.create(tmp_path / "clock.json", start=NOW, speed=1)
    assert (await open_command_clock(tmp_path / "clock.json", dispatcher_db)).now() >= NOW


async def test_clock_that_jumps_is_seen_before_it_is_compared_again(dispatcher_db: db.Database, wall: Wall) -> None:
    clock = ComparedClock(dispatcher_db, wall=wall)
    await clock.compare()
    known = clock.now()
    wall.ahead_s = FOUR_DAYS
    with pytest.raises(ClockIsWrong):
        clock.now()
    assert now_or(clock, known) == known


async def test_wrong_clock_is_logged_once_and_its_end_as_well(dispatcher_db: db.Database, wall: Wall) -> None:
    clock = ComparedClock(dispatcher_db, wall=wall)
    with capture_logs() as lines:
        for wall.ahead_s in (0, FOUR_DAYS, FOUR_DAYS, 0, 0):
            await clock.compare()
    assert [line["event"] for line in lines] == ["clock.wrong", "clock.right"]
    assert lines[0]["seconds_ahead"] == round(FOUR_DAYS)


async def test_a_business_clock_is_not_compared(dispatcher_db: db.Database) -> None:
    clock = ManualClock(NOW)
    assert await guard_clock(clock, dispatcher_db) is clock


async def test_before_the_database_has_answered_nothing_goes_by_the_clock(urls: Mapping[str, str]) -> None:
    away = replace(database_url.parse(urls["scoring"]), hosts=(Host("/nowhere"),)).text
    database = db.Database(away, schema="scoring", options=DatabaseOptions(connect_s=0.1))
    clock = await guard_clock(SystemClock(), database)
    with pytest.raises(ClockIsWrong, match="not been compared") as refused:
        clock.now()
    assert db.is_transient(refused.value)
    await database.close()


async def test_dispatcher_with_a_wrong_clock_sends_nothing_and_expires_nothing(chain: Chain, wall: Wall) -> None:
    asked = request(send_at=chain.clock.now(), expires_at=chain.clock.now() + timedelta(days=3))
    await chain.take(asked)
    clock, account, stop = ComparedClock(chain.database, wall=wall), RememberingAccount(), asyncio.Event()
    wall.ahead_s = FOUR_DAYS
    await clock.compare()
    sender = replace(chain.sender(ChannelKind.EMAIL, account), clock=clock)
    beats = {"sender": Heartbeat("sender"), "reaper": Heartbeat("reaper")}
    reaper = LeaseReaper(chain.database.sessions, clock, patience_s=0)
    with capture_logs() as lines, suppress(TimeoutError):
        async with asyncio.timeout(0.5), asyncio.TaskGroup() as tasks:
            for name, work in (("sender", sender.perform_due), ("reaper", reaper)):
                tasks.create_task(until_stopped(work, stop, heartbeat=beats[name], pause=Pause(0.05)))
    assert {line["event"] for line in lines} == {"loop.waits"}
    assert account.taken == []
    assert await chain.outcome(asked.invitation_id) is None
    wall.ahead_s = 0
    await clock.compare()
    assert await sender.perform_due() == 1
    assert len(account.taken) == 1


async def test_what_was_sent_while_the_clock_jumped_is_recorded(chain: Chain, wall: Wall) -> None:
    await chain.take(*(request(f"r{n}", send_at=chain.clock.now(), expires_at=chain.clock.now() + timedelta(days=9))
                       for n in range(150)))  # fmt: skip
    clock = ComparedClock(chain.database, wall=wall)
    await clock.compare()

    async def jump() -> None:
        wall.ahead_s = FOUR_DAYS

    account = RememberingAccount(on_send=jump)
    await replace(chain.sender(ChannelKind.EMAIL, account, daily_ceiling=1000), clock=clock).perform_due()
    assert len(account.taken) == 100
    assert Counter(step["state"] for step in await chain.steps(number=1)) == {"sent": 100, "planned": 50}


async def test_wrong_clock_is_a_reason_not_to_be_ready(dispatcher_db: db.Database, wall: Wall) -> None:
    clock, health = ComparedClock(dispatcher_db, wall=wall), Health()
    health.require("clock", clock.check)
    await clock.compare()
    assert await health.problems() == {}
    wall.ahead_s = FOUR_DAYS
    assert "345600 s ahead" in (await health.problems())["clock"]

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import time_machine

from shared.clock import ManualClock, StoredClock, SystemClock, open_clock

START = datetime(2026, 1, 1, tzinfo=UTC)
WALL = datetime(2026, 11, 1, tzinfo=UTC)


def test_weeks_pass_in_a_minute(tmp_path: Path) -> None:
    with time_machine.travel(WALL, tick=False) as wall:
        clock = StoredClock.create(tmp_path / "clock", start=START, speed=86400)
        assert clock.now() == START
        wall.shift(timedelta(seconds=21))
        assert clock.now() == START + timedelta(days=21)


def test_every_process_sees_the_same_time(tmp_path: Path) -> None:
    with time_machine.travel(WALL, tick=False) as wall:
        clock = StoredClock.create(tmp_path / "clock", start=START, speed=10)
        other = StoredClock(tmp_path / "clock")
        wall.shift(5)
        assert other.now() == clock.now() == START + timedelta(seconds=50)
        clock.anchor(START + timedelta(days=3), speed=0)
        wall.shift(500)
        assert other.now() == START + timedelta(days=3)


def test_reader_of_the_file_never_meets_half_a_time(tmp_path: Path) -> None:
    """The file is replaced, not written in place: a process that has it open reads a whole time."""
    clock = StoredClock.create(tmp_path / "clock", start=START, speed=0)
    before = (tmp_path / "clock").read_text()
    with (tmp_path / "clock").open() as reading:
        clock.anchor(START + timedelta(days=3), speed=0)
        assert reading.read() == before
    assert [path.name for path in tmp_path.iterdir()] == ["clock"]
    assert StoredClock(tmp_path / "clock").now() == START + timedelta(days=3)


def test_second_start_goes_on_where_the_first_stopped(tmp_path: Path) -> None:
    with time_machine.travel(WALL, tick=False) as wall:
        first = StoredClock.create(tmp_path / "clock", start=START, speed=86400)
        wall.shift(2)
        first.anchor(first.now(), speed=0)
        wall.shift(timedelta(days=30))
        second = StoredClock.create(tmp_path / "clock", start=WALL, speed=86400)
        assert second.now() == START + timedelta(days=2)


def test_without_a_file_business_time_is_the_walls() -> None:
    with time_machine.travel(WALL, tick=False):
        assert open_clock(None).now() == SystemClock().now() == WALL


def test_manual_clock_moves_when_told() -> None:
    clock = ManualClock(START)
    clock.moment += timedelta(days=1)
    assert clock.now() == START + timedelta(days=1)

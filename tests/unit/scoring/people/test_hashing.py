"""The thread that hashes passwords leaves the cores to answers."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from services.scoring.people import hashing
from services.scoring.people.hashing import PasswordHashing


@dataclass
class FakeTime:
    """Clocks that only the tests and a sleep move."""

    now: float = 100.0
    used: float = 0.0
    slept: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        return self.now

    def thread_time(self) -> float:
        return self.used

    def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 3))
        self.now += seconds

    def work(self, seconds: float) -> None:
        self.now += seconds
        self.used += seconds


async def test_thread_rests_after_a_hash_and_nobody_waits_who_comes_later(monkeypatch: pytest.MonkeyPatch) -> None:
    fake, passwords = FakeTime(), PasswordHashing()
    monkeypatch.setattr(hashing, "time", fake)
    for _ in range(3):
        await passwords.run(lambda: fake.work(0.02))
    assert fake.slept == [0, 0.06, 0.06]
    fake.now += 1
    await passwords.run(lambda: fake.work(0.02))
    assert fake.slept[-1] == 0


async def test_thread_rests_after_work_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    fake, passwords = FakeTime(), PasswordHashing()
    monkeypatch.setattr(hashing, "time", fake)

    def fail() -> None:
        fake.work(0.02)
        raise RuntimeError("no memory")

    with pytest.raises(RuntimeError, match="no memory"):
        await passwords.run(fail)
    await passwords.run(lambda: None)
    assert fake.slept == [0, 0.06]

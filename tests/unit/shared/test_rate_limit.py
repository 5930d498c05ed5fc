"""A token bucket gives at most its burst and its rate, and drops the keys used longest ago."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest

from shared.web.problems import TooManyRequests
from shared.web.rate_limit import RateLimit


@dataclass
class Machine:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def test_burst_then_rate() -> None:
    machine = Machine()
    limit = RateLimit(per_second=2, burst=3, monotonic=machine)
    assert [limit.take("a") for _ in range(4)] == [0, 0, 0, 0.5]
    machine.now += 0.5
    assert [limit.take("a"), limit.take("a")] == [0, 0.5]
    machine.now += 1000
    assert [limit.take("a") for _ in range(4)] == [0, 0, 0, 0.5]


def test_refused_amount_takes_nothing() -> None:
    limit = RateLimit(per_second=1, burst=5, monotonic=Machine())
    assert limit.take("a", 4) == 0
    assert limit.take("a", 2) == 1
    assert limit.take("a", 1) == 0
    assert limit.take("a", 6) == math.inf


def test_keys_are_apart_and_bounded() -> None:
    limit = RateLimit(per_second=1, burst=1, keys=2, monotonic=Machine())
    assert [limit.take(key) for key in "abab"] == [0, 0, 1, 1]
    assert limit.take("c") == 0
    assert limit.take("a") == 0  # dropped for c


def test_check_says_when_to_come_back() -> None:
    limit = RateLimit(per_second=0.1, burst=1, monotonic=Machine())
    limit.check("a")
    with pytest.raises(TooManyRequests) as error:
        limit.check("a")
    assert error.value.headers == {"retry-after": "10"}


@pytest.mark.parametrize("now", [0.1, 33_181.7, 1_234_567.891, 2.0**31 + 1 / 3])
def test_whole_burst_fits_at_any_time(now: float) -> None:
    limit = RateLimit(per_second=10, burst=1000, monotonic=Machine(now))
    assert limit.take("a", 1000) == 0
    assert RateLimit(per_second=3, burst=1, monotonic=Machine(now)).take("a") == 0


def test_limit_says_whether_it_is_spent_and_takes_nothing() -> None:
    machine = Machine()
    limit = RateLimit(per_second=2, burst=2, monotonic=machine)
    assert [limit.is_spent("a"), limit.take("a"), limit.is_spent("a"), limit.take("a")] == [False, 0, False, 0]
    assert [limit.is_spent("a"), limit.is_spent("b"), len(limit)] == [True, False, 1]
    machine.now += 0.5
    assert not limit.is_spent("a")

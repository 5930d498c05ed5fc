"""Token buckets, one per key, in this process; machine time."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

from shared.languages.marking import mark
from shared.web.problems import TooManyRequests


class RateLimit:
    """At most `per_second` on average and `burst` at once for each key; the `keys` most recent keys are remembered."""

    def __init__(
        self, *, per_second: float, burst: int, keys: int = 10_000, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_second, self._burst, self._keys, self._monotonic = per_second, burst, keys, monotonic
        self._full_at: OrderedDict[Hashable, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, key: Hashable, amount: int = 1) -> float:
        """Take `amount` and return 0, or take nothing and return the seconds to wait; inf if it exceeds the burst."""
        if amount > self._burst:
            return math.inf
        now = self._monotonic()
        filling = max(self._full_at.get(key, now) - now, 0.0) + amount / self._per_second
        wait = filling - self._burst / self._per_second
        if wait > 0:
            if key in self._full_at:
                self._full_at.move_to_end(key)  # a key that is refused is not the one to forget
            return wait
        self._full_at[key] = now + filling
        self._full_at.move_to_end(key)
        if len(self._full_at) > self._keys:
            self._full_at.popitem(last=False)
        return 0.0

    def give_back(self, key: Hashable, amount: int = 1) -> None:
        """Undo a `take`."""
        if key in self._full_at:
            self._full_at[key] -= amount / self._per_second

    def is_spent(self, key: Hashable) -> bool:
        """Say whether nothing can be taken now; takes nothing."""
        left_s = self._full_at.get(key, 0.0) - self._monotonic()
        return left_s > (self._burst - 1) / self._per_second

    def check(self, key: Hashable, amount: int = 1) -> None:
        """Take `amount`, or raise TooManyRequests with `Retry-After`."""
        wait = self.take(key, amount)
        if wait:
            seconds = math.ceil(min(wait, 3600))
            raise TooManyRequests(
                mark("Too many requests"), mark("Wait and try again."), headers={"retry-after": str(seconds)}
            )

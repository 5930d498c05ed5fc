"""Shares the steps of one channel among its accounts, by weight."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date

from services.dispatcher.channels import ChannelAccount

CLAIM = 500
_AHEAD = 20  # how many messages, per weight, an account may be ahead of another that is idle


class AccountBalancer:
    """Whose turn it is. Who is busy, away or through with its day leaves its share to the others."""

    def __init__(self, accounts: Sequence[ChannelAccount] = (), *, weights: Mapping[str, int] | None = None) -> None:
        self._accounts, self._weights = accounts, weights or {}
        self._share = {account.name: 0.0 for account in accounts}  # messages taken, divided by the weight
        self._busy: set[str] = set()
        self._through: dict[str, date] = {}

    @contextmanager
    def turn(self, account: ChannelAccount, *, day: date) -> Iterator[int]:
        """Yield how many steps this account may claim now, and have the others count it as busy meanwhile."""
        places = self._places(account, day)
        self._busy.add(account.name)
        try:
            yield places
        finally:
            self._busy.discard(account.name)

    def _places(self, account: ChannelAccount, day: date) -> int:
        if not account.free_slots:
            return 0  # claiming only to give back would never rest
        others = self._idle_beside(account, day)
        if not others:
            return CLAIM
        if self._through.get(account.name) == day:
            return 0
        behind = min(self._share[other.name] for other in others)
        return max(0, min(CLAIM, int((behind + _AHEAD - self._share[account.name]) * self._weight(account))))

    def took(self, account: ChannelAccount, messages: int, *, day: date) -> None:
        """Count what an account sends; those that could not have sent it have no claim to it later."""
        if account.name not in self._share:
            return
        self._share[account.name] += messages / self._weight(account)
        idle = {account.name, *(other.name for other in self._idle_beside(account, day))}
        for name in self._share.keys() - idle:
            self._share[name] = max(self._share[name], self._share[account.name])

    def is_through(self, account: ChannelAccount, *, day: date) -> bool:
        """Note that an account has sent all it may on this day; say whether no other could send more."""
        self._through[account.name] = day
        return all(self._through.get(other.name) == day for other in self._accounts)

    def _idle_beside(self, account: ChannelAccount, day: date) -> list[ChannelAccount]:
        return [
            other
            for other in self._accounts
            if other is not account
            and other.free_slots
            and other.name not in self._busy
            and self._through.get(other.name) != day
        ]

    def _weight(self, account: ChannelAccount) -> int:
        return self._weights.get(account.name, 1)

"""Shares the steps of one channel among its accounts, by weight."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date

from services.dispatcher.channels import ChannelAccount

CLAIM = 500
_LEAD = 20  # how many messages, per weight, an account may be ahead of one that is idle


class AccountBalancer:
    """Bounds how much each account claims. Busy, unavailable or exhausted ones leave their share to others."""

    def __init__(self, accounts: Sequence[ChannelAccount] = (), *, weights: Mapping[str, int] | None = None) -> None:
        self._accounts, self._weights = accounts, weights or {}
        self._share = {account.name: 0.0 for account in accounts}  # messages sent, divided by the weight
        self._busy: set[str] = set()
        self._exhausted_on: dict[str, date] = {}

    @contextmanager
    def turn(self, account: ChannelAccount, *, day: date) -> Iterator[int]:
        """Yield how many steps this account may claim now; until the end of the context it counts as busy."""
        limit = self._claim_limit(account, day)
        self._busy.add(account.name)
        try:
            yield limit
        finally:
            self._busy.discard(account.name)

    def _claim_limit(self, account: ChannelAccount, day: date) -> int:
        if not account.free_slots:
            return 0  # it would claim steps and give them back in an endless loop
        others = self._idle_others(account, day)
        if not others:
            return CLAIM
        if self._exhausted_on.get(account.name) == day:
            return 0
        least = min(self._share[other.name] for other in others)
        return max(0, min(CLAIM, int((least + _LEAD - self._share[account.name]) * self._weight(account))))

    def add_sent(self, account: ChannelAccount, messages: int, *, day: date) -> None:
        """Count messages of an account. Accounts that could not have sent them do not catch up on them later."""
        if account.name not in self._share:
            return
        self._share[account.name] += messages / self._weight(account)
        idle = {account.name, *(other.name for other in self._idle_others(account, day))}
        for name in self._share.keys() - idle:
            self._share[name] = max(self._share[name], self._share[account.name])

    def exhaust(self, account: ChannelAccount, *, day: date) -> bool:
        """Note that an account has sent all it may on this day; return whether the other accounts have, too."""
        self._exhausted_on[account.name] = day
        return all(self._exhausted_on.get(other.name) == day for other in self._accounts)

    def _idle_others(self, account: ChannelAccount, day: date) -> list[ChannelAccount]:
        return [
            other
            for other in self._accounts
            if other is not account
            and other.free_slots
            and other.name not in self._busy
            and self._exhausted_on.get(other.name) != day
        ]

    def _weight(self, account: ChannelAccount) -> int:
        return self._weights.get(account.name, 1)

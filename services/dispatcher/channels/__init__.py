"""How messages leave: one account per provider, all behind `ChannelAccount`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from services.dispatcher.domain.steps import Disposition, Outgoing
from shared.contract.vocabulary import ChannelKind


class ChannelAccount(Protocol):
    """A way to send. It never raises for a message: what happened to each is its disposition."""

    @property
    def name(self) -> str:
        """What the ledger calls it."""

    @property
    def channel(self) -> ChannelKind: ...

    @property
    def free_slots(self) -> int:
        """How many messages can be on their way right now."""

    async def send_all(self, messages: Sequence[Outgoing], *, within_s: float) -> list[Disposition]:
        """Send what can start within the budget; dispositions come in the order of the messages."""

    async def close(self) -> None: ...

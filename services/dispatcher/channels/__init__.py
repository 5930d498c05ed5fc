"""Channels: how messages are sent. Each provider account is a `ChannelAccount`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from services.dispatcher.domain.steps import Disposition, OutgoingMessage
from shared.contract.vocabulary import ChannelKind


class ChannelAccount(Protocol):
    """An account at a provider. Sending never raises for a message: its disposition says what happened."""

    @property
    def name(self) -> str:
        """Its name in stored attempts, logs and metrics."""

    @property
    def channel(self) -> ChannelKind: ...

    @property
    def free_slots(self) -> int:
        """How many messages `send_all` may be given now."""

    async def send_all(self, messages: Sequence[OutgoingMessage], *, within_s: float) -> list[Disposition]:
        """Send the messages that can be started within the time; dispositions are in the order of the messages."""

    async def close(self) -> None: ...

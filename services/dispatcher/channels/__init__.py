"""Channels: how messages are sent. Each provider account is a `ChannelAccount`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from services.dispatcher.domain.steps import Disposition, OutgoingMessage
from shared.contract.vocabulary import ChannelKind


class ChannelAccount(Protocol):
    """An account at a provider. Sending raises nothing; each message gets a disposition."""

    @property
    def name(self) -> str:
        """The name of the account in stored attempts, logs and metrics."""

    @property
    def channel(self) -> ChannelKind: ...

    @property
    def free_slots(self) -> int:
        """How many messages may be passed to `send_all` now."""

    async def send_all(self, messages: Sequence[OutgoingMessage], *, within_s: float) -> list[Disposition]:
        """Start the messages for which `within_s` seconds suffice; return a disposition of every message, in order."""

    async def close(self) -> None: ...

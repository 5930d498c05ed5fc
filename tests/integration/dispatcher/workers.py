"""Real senders as workers of a history; a gate stops them before each of their transactions and sends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from services.dispatcher.domain.send_mode import SendMode, SendPolicy
from services.dispatcher.domain.steps import Disposition, OutgoingMessage, SendResult
from services.dispatcher.messages.composer import Composer
from services.dispatcher.sending.sender import ChannelSender
from shared.contract.vocabulary import ChannelKind
from tests.integration.dispatcher.conftest import ADDRESS_KEYS, LINK_KEYS, NOW
from tests.integration.dispatcher.model import Key

if TYPE_CHECKING:
    from shared.database.session import Sessions
    from tests.integration.dispatcher.histories import History

TOGETHER = 100  # invitations in a history; two of each respondent
PHONES = tuple(f"+1555{number:07}" for number in range(TOGETHER // 2))  # one of each respondent
RESULTS = tuple(SendResult)
THROTTLED_S = 90.0


class ModelDifference(AssertionError):
    """The dispatcher and the model differ."""


class Gate:
    """Stops a worker before each of its transactions and sends."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._go = asyncio.Semaphore(0)
        self.arrivals: asyncio.Queue[str] = asyncio.Queue()

    async def hold(self, where: str) -> None:
        self.arrivals.put_nowait(where)
        await self._go.acquire()

    async def open(self) -> str:
        """Let the worker go on; return where it stops next."""
        self._go.release()
        return await self.arrivals.get()

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Any]:
        await self.hold("transaction")
        async with self._sessions.begin() as session:
            yield session


@dataclass
class HeldAccount:
    """A provider that returns the results chosen by the round, when the gate opens."""

    gate: Gate
    channel: ChannelKind
    name: str = "held"
    free_slots: int = TOGETHER
    sending: list[Key] = field(default_factory=list)
    says: dict[Key, SendResult] = field(default_factory=dict)

    async def send_all(self, messages: Sequence[OutgoingMessage], *, within_s: float) -> list[Disposition]:
        assert within_s > 0
        self.sending = [Key(message.invitation_id, message.step) for message in messages]
        await self.gate.hold("send")
        return [Disposition(self.says[key], "said", wait_s=THROTTLED_S) for key in self.sending]

    async def close(self) -> None:
        return


@dataclass
class Worker:
    """A running sender, and what the model knows about it."""

    history: History
    channel: ChannelKind
    stands: str = "transaction"
    skipped: list[tuple[Key, str]] = field(default_factory=list)
    ready: list[Key] = field(default_factory=list)
    late: list[Key] = field(default_factory=list)  # outside their hours when their turn came
    marked: bool = False
    started: set[Key] = field(default_factory=set)
    ended: list[tuple[Key, str]] = field(default_factory=list)
    at: datetime = NOW
    claimed: bool = False

    async def start(self) -> None:
        self.gate = Gate(self.history.database.sessions)
        self.account = HeldAccount(self.gate, self.channel)
        sender = ChannelSender(
            channel=self.channel,
            sessions=cast("Sessions", self.gate),
            clock=self.history.clock,
            address_keys=ADDRESS_KEYS,
            composer=Composer(LINK_KEYS, "http://pub", "http://sh", "http://un", "Earshot <survey@localhost>"),
            policy=SendPolicy(SendMode.ALLOWLIST, allowed=("example.com", *PHONES)),
            account=None if self.channel is ChannelKind.CALL else self.account,
        )
        self._task = asyncio.create_task(sender.perform_due())
        self._task.add_done_callback(lambda _: self.gate.arrivals.put_nowait("end"))
        self.stands = await self.gate.arrivals.get()

    async def go_on(self, choices: bytes) -> None:
        """Let the sender run one more transaction, or its provider reply, and do the same in the model."""
        if self.stands == "send":
            self._says(choices)
        else:
            self._model()
        self.stands = await self.gate.open()
        if self.claimed and not self.skipped and not self.marked:
            self.late = [key for key in self.ready if not self.history.model.in_hours(key)]
        if self.stands == "send" and set(self.account.sending) != self.started:
            raise ModelDifference(f"sent {len(self.account.sending)}, the model {len(self.started)}")
        if self.stands == "end":
            self._task.result()

    def _says(self, choices: bytes) -> None:
        self.at = self.history.model.now
        for key in self.account.sending:
            result = RESULTS[choices[self.history.places[key.invitation]] % len(RESULTS)]
            self.account.says[key] = result
            self.ended.append((key, result.value))

    def _model(self) -> None:
        model = self.history.model
        if not self.claimed:
            self.claimed, self.at = True, model.now
            self.ready, self.skipped = model.claim(self.channel, self)
        elif self.skipped or self.channel is ChannelKind.CALL:
            for key, reason in self.skipped:
                model.record(key, self, "skipped", at=self.at, reason=reason)
            self.skipped = []
            for key in self.ready if self.channel is ChannelKind.CALL else ():
                model.record(key, self, "sent", at=self.at)
        elif not self.marked and (in_hours := [key for key in self.ready if key not in self.late]):
            self.marked, self.started = True, model.mark(in_hours, self)
        elif self.ended:
            for key, result in self.ended:
                model.record(key, self, result, at=self.at, reason="said")
            self.ended = []
        else:
            model.hand_back(self.late, self)

    async def kill(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})

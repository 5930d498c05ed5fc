"""An SMTP account: several connections, each opened when needed and kept until it fails."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from services.dispatcher.channels.breaker import Breaker, ProviderHealth
from services.dispatcher.channels.email.connection import SmtpConnection, nothing
from services.dispatcher.channels.email.refusals import RefusalRuns
from services.dispatcher.channels.pace import DomainPace
from services.dispatcher.domain.limits import DailyLimit
from services.dispatcher.domain.steps import Disposition, OutgoingMessage, SendResult
from shared.contract.vocabulary import ChannelKind
from shared.smtp_server import SmtpServer
from shared.waiting import wait_for
from shared.web.rate_limit import RateLimit

_LAST_START_S = 5.0  # a message is started only when this much time is left
_NOT_STARTED = Disposition(SendResult.NOT_STARTED)
_Numbered = tuple[int, OutgoingMessage]


class _Batch(NamedTuple):
    """The messages that no connection has taken, and the dispositions of all, by their numbers."""

    waiting: deque[_Numbered]
    dispositions: list[Disposition]


def _domain(message: OutgoingMessage) -> str:
    return message.recipient.rpartition("@")[2].lower()


class SmtpAccount:
    """An SMTP account. `weight` is its share of its channel's mails; `daily`, `per_second` and `domains` limit it.

    When `stop` is set, messages that have not started stay NOT_STARTED.
    """

    channel = ChannelKind.EMAIL

    def __init__(  # noqa: PLR0913 - what an account is made of
        self,
        server: SmtpServer,
        *,
        sender: str,
        name: str = "smtp",
        connections: int = 4,
        weight: int = 1,
        per_second: float | None = None,
        domains: DomainPace | None = None,
        daily: DailyLimit | None = None,
        breaker: Breaker | None = None,
        stop: asyncio.Event | None = None,
    ) -> None:
        self.name, self.weight, self.daily = name, weight, daily or DailyLimit()
        self._server, self._sender = server, sender
        self._connections = [SmtpConnection(server, sender) for _ in range(connections)]
        self._per_second = per_second
        self._rate = RateLimit(per_second=per_second, burst=max(1, int(per_second))) if per_second else None
        self._domains = domains or DomainPace({})
        self._breaker = breaker or Breaker()
        self._refusals = RefusalRuns(patience_s=self._breaker.patience_s, monotonic=self._breaker.monotonic)
        self._stop = stop or asyncio.Event()

    @property
    def free_slots(self) -> int:
        """How many messages the connections and the rate limit can send within the time of a batch."""
        most = 25 * len(self._connections)
        if self._per_second is not None:
            most = max(1, min(most, int(self._per_second * _LAST_START_S)))
        return self._breaker.allowed(most)

    async def send_all(self, messages: Sequence[OutgoingMessage], *, within_s: float) -> list[Disposition]:
        deadline = time.monotonic() + within_s
        if self._breaker.health is ProviderHealth.LOST:
            return await self._breaker.probe(partial(self._send, self._connections[0], deadline=deadline), messages)
        batch = _Batch(deque(enumerate(messages)), [_NOT_STARTED] * len(messages))
        connections = self._connections[: len(messages)]
        await asyncio.gather(*(self._work(connection, batch, deadline) for connection in connections))
        return [self._refusals.settle(*each) for each in zip(messages, batch.dispositions, strict=True)]

    async def _work(self, connection: SmtpConnection, batch: _Batch, deadline: float) -> None:
        taken: deque[_Numbered] = deque()  # announced to the server, so this connection has to send it

        def upcoming() -> OutgoingMessage | None:
            if not batch.waiting or not self._may_announce(batch.waiting[0][1], deadline):
                return None
            taken.append(batch.waiting.popleft())
            return taken[0][1]

        while (taken or batch.waiting) and self._may_start(deadline):
            number, message = (taken or batch.waiting).popleft()
            batch.dispositions[number] = await self._send(connection, message, deadline=deadline, upcoming=upcoming)

    def _may_start(self, deadline: float) -> bool:
        too_late = time.monotonic() >= deadline - _LAST_START_S or self._stop.is_set()
        return not too_late and self._breaker.health is not ProviderHealth.RESTING

    def _may_announce(self, message: OutgoingMessage, deadline: float) -> bool:
        domain = _domain(message)
        is_limited = self._rate is not None or self._domains.limits(domain)
        return not is_limited and not self._refusals.wait(domain) and self._may_start(deadline)

    async def send_apart(self, message: OutgoingMessage, *, within_s: float) -> Disposition:
        """Send a test mail over a new connection; limits neither apply to it nor count it."""
        connection = SmtpConnection(self._server, self._sender)
        try:
            return await connection.send(message, deadline=time.monotonic() + within_s)
        finally:
            await connection.close()

    async def _send(
        self,
        connection: SmtpConnection,
        message: OutgoingMessage,
        *,
        deadline: float,
        upcoming: Callable[[], OutgoingMessage | None] = nothing,
    ) -> Disposition:
        domain = _domain(message)
        if wait := self._refusals.wait(domain):
            return Disposition(SendResult.THROTTLED, "domain_refuses", wait_s=wait)
        if wait := self._domains.wait(domain):
            return Disposition(SendResult.THROTTLED, "domain_rate", wait_s=wait)
        if not await self._wait_for_rate(deadline):
            return _NOT_STARTED
        sent = await connection.send(message, deadline=deadline, upcoming=upcoming)
        disposition = self._refusals.judge(message, sent)
        self._breaker.record(disposition.result, wait_s=disposition.wait_s)
        return disposition

    async def _wait_for_rate(self, deadline: float) -> bool:
        """Wait until the rate limit allows a message; return False if the deadline is too close or `stop` is set."""
        while self._rate is not None and (wait := self._rate.take(self.name)):
            if time.monotonic() + wait >= deadline - _LAST_START_S:
                return False
            if await wait_for(self._stop, wait):
                return False
        return True

    async def close(self) -> None:
        await asyncio.gather(*(connection.close() for connection in self._connections))

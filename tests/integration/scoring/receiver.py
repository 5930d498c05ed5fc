"""Helpers of webhook tests: endpoints, rounds of deliveries, and a loopback server that records them."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any

from uuid_utils.compat import uuid7

from services.scoring.domain.webhooks import DEFAULT_TYPES, Endpoint, new_secret
from services.scoring.repository import webhooks
from services.scoring.webhooks.delivery import WebhookSender
from tests.integration.scoring.stand import Scoring

LOOPBACK = (ip_network("127.0.0.0/8"),)
DELIVERIES = "SELECT state, tries, outcome FROM webhook_deliveries ORDER BY event_id, endpoint_id"


@dataclass(frozen=True, slots=True)
class ReceivedWebhook:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """`status` returns the status of each reply; None means no reply."""

    port: int = 0
    scheme: str = "http"
    taken: list[ReceivedWebhook] = field(default_factory=list)
    status: Callable[[ReceivedWebhook], int | None] = lambda _taken: 204
    extra: bytes = b""
    hung: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/hook?team=7"

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
            body = await reader.readexactly(int(headers["content-length"]))
            taken = ReceivedWebhook(head[0].split(" ")[1], headers, body)
            self.taken.append(taken)
            status = self.status(taken)
            if status is None:
                await self.hung.wait()
            writer.write(f"HTTP/1.1 {status} X\r\n".encode() + self.extra + b"connection: close\r\n\r\n")
            await writer.drain()
        except (OSError, EOFError):
            return
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def receiver(context: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    fake = Receiver(scheme="https" if context else "http")
    server = await asyncio.start_server(fake.converse, "127.0.0.1", 0, ssl=context)
    fake.port = server.sockets[0].getsockname()[1]
    try:
        yield fake
    finally:
        fake.hung.set()
        server.close()


async def endpoint(scoring: Scoring, url: str, *, types: Sequence[str] = DEFAULT_TYPES) -> Endpoint:
    made = Endpoint(uuid7(), url, tuple(types), (new_secret(),))
    async with scoring.database.sessions.begin() as session:
        assert await webhooks.add(session, made)
    return made


async def deliver(scoring: Scoring, **changes: Any) -> WebhookSender:
    """Run one round, in which everything due is tried once."""
    sender = WebhookSender(scoring.database.sessions, **{"networks": LOOPBACK, **changes})
    await sender.start_due()
    async with asyncio.timeout(20):
        await sender.finish()
    return sender

"""The providers of a chaos run, in a process that is never killed: a mail server behind a faulty proxy, and Twilio.

A ledger has every message they accepted, by invitation and step, whether or not the sender got the reply.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from uuid import UUID

from starlette.responses import JSONResponse, Response

from shared.web import links
from shared.web.links import Purpose
from tests import fakes
from tests.keys import LINK_KEYS

MESSAGE_ID = re.compile(rb"Message-ID: <([0-9a-f-]{36})\.(\d+)@")
LINK = re.compile(r"/s/([\w-]{22})\.(\d+)")
DEFERRED = 0.02  # of the recipients, at each try
REFUSED = b"refused"  # in an address that never existed
LATE_S = 6.0  # after the final dot, longer than a sender waits for most replies

Contact = tuple[UUID, int]


@dataclass
class Ledger:
    accepted: dict[Contact, list[float]] = field(default_factory=lambda: defaultdict(list))
    faults: Counter[str] = field(default_factory=Counter)

    texts: dict[tuple[str, int], list[float]] = field(default_factory=lambda: defaultdict(list))  # by link and step

    def accept(self, invitation: UUID, step: int) -> None:
        self.accepted[invitation, step].append(time.monotonic())

    def resolve(self, invitations: Iterable[UUID]) -> None:
        """Find the invitations of the links in text messages."""
        known = {links.token(LINK_KEYS, "k1", Purpose.ANSWER, each): each for each in invitations}
        for (link, step), times in self.texts.items():
            self.accepted[known[link], step] += times
        self.texts.clear()

    @property
    def total(self) -> int:
        return sum(map(len, self.accepted.values()))

    @property
    def twice(self) -> list[Contact]:
        return [contact for contact, times in self.accepted.items() if len(times) > 1]


@dataclass
class MailServer:
    ledger: Ledger
    rng: random.Random
    late: float = 0.0  # the share of mails that are accepted with a late reply

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while line := await reader.readline():
                writer.write(self._reply(line))
                if line == b"DATA\r\n":
                    self._take(await reader.readuntil(b"\r\n.\r\n"))
                    if self.rng.random() < self.late:
                        self.ledger.faults["mail reply late"] += 1
                        await asyncio.sleep(LATE_S)
                    writer.write(b"250 taken\r\n")
        writer.close()

    def _reply(self, line: bytes) -> bytes:
        verb = line[:4].upper()
        if verb == b"RCPT" and REFUSED in line:
            return b"550 5.1.1 no such user\r\n"
        if verb == b"RCPT" and self.rng.random() < DEFERRED:
            return b"451 4.3.0 later\r\n"
        return {b"DATA": b"354 go on\r\n", b"QUIT": b"221 bye\r\n"}.get(verb, b"250 fine\r\n")

    def _take(self, content: bytes) -> None:
        found = MESSAGE_ID.search(content)
        assert found is not None
        self.ledger.accept(UUID(found[1].decode()), int(found[2]))


@dataclass
class Proxy:
    """Forwards SMTP, and cuts the share `cutting` of connections before, during or after DATA."""

    port: int
    ledger: Ledger
    rng: random.Random
    cutting: float = 0.0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner = await asyncio.open_connection("127.0.0.1", self.port)
        forwarding = asyncio.create_task(_forward_replies(inner_reader, writer))
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while line := await reader.readline():
                cut = self._choose_cut() if line == b"DATA\r\n" else None
                if cut == "before":
                    break
                inner.write(line)
                if cut == "during":
                    inner.write(await reader.read(200))
                    break
                if line == b"DATA\r\n":
                    content = await reader.readuntil(b"\r\n.\r\n")
                    if cut == "after":
                        await _swallow_reply(content, inner_reader, inner, forwarding)
                        break
                    inner.write(content)
        forwarding.cancel()
        writer.transport.abort()
        inner.transport.abort()

    def _choose_cut(self) -> str | None:
        if self.rng.random() >= self.cutting:
            return None
        cut = self.rng.choice(("before", "during", "after"))
        self.ledger.faults[f"connection cut {cut} DATA"] += 1
        return cut


async def _forward_replies(inner: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while some := await inner.read(65536):
            writer.write(some)
    writer.close()


async def _swallow_reply(
    content: bytes, reader: asyncio.StreamReader, inner: asyncio.StreamWriter, forwarding: asyncio.Task[None]
) -> None:
    forwarding.cancel()
    await asyncio.wait({forwarding})
    inner.write(content)
    await reader.readline()


@dataclass
class Providers:
    ledger: Ledger
    mail: MailServer
    proxy: Proxy
    twilio: fakes.Gateway
    rng: random.Random
    smtp_url: str
    swallowing: float = 0.0

    def set_fault_rate(self, share: float) -> None:
        self.proxy.cutting = self.swallowing = share
        self.mail.late = share / 4

    def take_text(self, form: dict[str, str]) -> Response | None:
        if "Body" not in form:
            return self._listed(form["To"])
        found = LINK.search(form["Body"])
        assert found is not None
        self.ledger.texts[found[1], int(found[2])].append(time.monotonic())
        if self.rng.random() < self.swallowing:
            self.ledger.faults["SMS reply swallowed"] += 1
            return None
        return JSONResponse({"sid": f"SM{self.ledger.total}", "status": "queued", "error_code": None}, 201)

    def _listed(self, phone: str) -> Response:
        """List what was accepted for a phone: dispatcher asks for it when it got no reply."""
        taken = [form["Body"] for form in self.twilio.taken if form["To"] == phone and "Body" in form]
        return JSONResponse({"messages": [{"sid": "SM0", "status": "sent", "body": body} for body in taken[-50:]]})


@asynccontextmanager
async def open_providers(seed: int) -> AsyncIterator[Providers]:
    ledger, rng = Ledger(), random.Random(seed)
    async with AsyncExitStack() as resources:
        twilio = await resources.enter_async_context(fakes.gateway())
        mail = MailServer(ledger, rng)
        inner = await asyncio.start_server(mail.serve, "127.0.0.1", 0, limit=1_000_000)
        resources.callback(inner.close)
        proxy = Proxy(inner.sockets[0].getsockname()[1], ledger, rng)
        outer = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, limit=1_000_000)
        resources.callback(outer.close)
        smtp_url = f"smtp://127.0.0.1:{outer.sockets[0].getsockname()[1]}"
        providers = Providers(ledger, mail, proxy, twilio, rng, smtp_url)
        twilio.answer = providers.take_text
        yield providers

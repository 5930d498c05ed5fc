"""The world outside, in a process that is never killed: a mail server, a proxy that cuts connections to it, Twilio.

What they accepted stands in one ledger, by link or invitation and by step, whether or not the sender ever heard of it.
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

from shared.config import DEVELOPMENT_LINK_KEYS
from shared.web import links
from shared.web.links import Purpose
from tests import fakes

MESSAGE_ID = re.compile(rb"Message-ID: <([0-9a-f-]{36})\.(\d+)@")
LINK = re.compile(r"/s/([\w-]{22})\.(\d+)")
LATER = 0.02  # of the recipients, each time
REFUSED = b"refused"  # in an address: it never existed
LATE_S = 6.0  # after the dot, longer than a sender waits for most replies

Contact = tuple[UUID, int]


@dataclass
class Ledger:
    accepted: dict[Contact, list[float]] = field(default_factory=lambda: defaultdict(list))
    faults: Counter[str] = field(default_factory=Counter)

    texts: dict[tuple[str, int], list[float]] = field(default_factory=lambda: defaultdict(list))  # by link and step

    def accept(self, invitation: UUID, step: int) -> None:
        self.accepted[invitation, step].append(time.monotonic())

    def resolve(self, invitations: Iterable[UUID]) -> None:
        """Say whose the links in text messages were."""
        known = {links.token(DEVELOPMENT_LINK_KEYS, "dev", Purpose.ANSWER, each): each for each in invitations}
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
    chance: random.Random
    late: float = 0.0  # how often a mail is taken and the reply comes late

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while line := await reader.readline():
                writer.write(self._reply(line))
                if line == b"DATA\r\n":
                    self._take(await reader.readuntil(b"\r\n.\r\n"))
                    if self.chance.random() < self.late:
                        self.ledger.faults["mail reply late"] += 1
                        await asyncio.sleep(LATE_S)
                    writer.write(b"250 taken\r\n")
        writer.close()

    def _reply(self, line: bytes) -> bytes:
        verb = line[:4].upper()
        if verb == b"RCPT" and REFUSED in line:
            return b"550 5.1.1 no such user\r\n"
        if verb == b"RCPT" and self.chance.random() < LATER:
            return b"451 4.3.0 later\r\n"
        return {b"DATA": b"354 go on\r\n", b"QUIT": b"221 bye\r\n"}.get(verb, b"250 fine\r\n")

    def _take(self, content: bytes) -> None:
        found = MESSAGE_ID.search(content)
        assert found is not None
        self.ledger.accept(UUID(found[1].decode()), int(found[2]))


@dataclass
class Proxy:
    """Passes SMTP on, and cuts a connection before, during or after DATA; `cutting` is how often."""

    port: int
    ledger: Ledger
    chance: random.Random
    cutting: float = 0.0

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner = await asyncio.open_connection("127.0.0.1", self.port)
        passing_back = asyncio.create_task(_pass_back(inner_reader, writer))
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while line := await reader.readline():
                fate = self._fate() if line == b"DATA\r\n" else None
                if fate == "before":
                    break
                inner.write(line)
                if fate == "during":
                    inner.write(await reader.read(200))
                    break
                if line == b"DATA\r\n":
                    content = await reader.readuntil(b"\r\n.\r\n")
                    if fate == "after":
                        await _swallow_reply(content, inner_reader, inner, passing_back)
                        break
                    inner.write(content)
        passing_back.cancel()
        writer.transport.abort()
        inner.transport.abort()

    def _fate(self) -> str | None:
        if self.chance.random() >= self.cutting:
            return None
        fate = self.chance.choice(("before", "during", "after"))
        self.ledger.faults[f"connection cut {fate} DATA"] += 1
        return fate


async def _pass_back(inner: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while some := await inner.read(65536):
            writer.write(some)
    writer.close()


async def _swallow_reply(
    content: bytes, reader: asyncio.StreamReader, inner: asyncio.StreamWriter, passing_back: asyncio.Task[None]
) -> None:
    passing_back.cancel()
    await asyncio.wait({passing_back})
    inner.write(content)
    await reader.readline()


@dataclass
class Providers:
    ledger: Ledger
    mail: MailServer
    proxy: Proxy
    twilio: fakes.Gateway
    chance: random.Random
    smtp_url: str
    swallowing: float = 0.0

    def misbehave(self, often: float) -> None:
        self.proxy.cutting = self.swallowing = often
        self.mail.late = often / 4

    def take_text(self, form: dict[str, str]) -> Response | None:
        if "Body" not in form:
            return self._listed(form["To"])
        found = LINK.search(form["Body"])
        assert found is not None
        self.ledger.texts[found[1], int(found[2])].append(time.monotonic())
        if self.chance.random() < self.swallowing:
            self.ledger.faults["SMS reply swallowed"] += 1
            return None
        return JSONResponse({"sid": f"SM{self.ledger.total}", "status": "queued", "error_code": None}, 201)

    def _listed(self, phone: str) -> Response:
        """Say what was taken for a phone: dispatcher asks where a reply never came."""
        taken = [form["Body"] for form in self.twilio.taken if form["To"] == phone and "Body" in form]
        return JSONResponse({"messages": [{"sid": "SM0", "status": "sent", "body": body} for body in taken[-50:]]})


@asynccontextmanager
async def open_providers(seed: int) -> AsyncIterator[Providers]:
    ledger, chance = Ledger(), random.Random(seed)
    async with AsyncExitStack() as resources:
        twilio = await resources.enter_async_context(fakes.gateway())
        mail = MailServer(ledger, chance)
        inner = await asyncio.start_server(mail.converse, "127.0.0.1", 0, limit=1_000_000)
        resources.callback(inner.close)
        proxy = Proxy(inner.sockets[0].getsockname()[1], ledger, chance)
        outer = await asyncio.start_server(proxy.converse, "127.0.0.1", 0, limit=1_000_000)
        resources.callback(outer.close)
        smtp_url = f"smtp://127.0.0.1:{outer.sockets[0].getsockname()[1]}"
        providers = Providers(ledger, mail, proxy, twilio, chance, smtp_url)
        twilio.answer = providers.take_text
        yield providers

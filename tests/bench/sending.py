"""Stage sending: due step → rendered → accepted by SMTP → recorded. The limit is a pipelined client of the same sink.

Ours is two dispatchers, each with its own connections; one of them is a peer. The gate is ten times a client that
opens a connection and builds an `EmailMessage` for every mail, without a database.
EARSHOT_TEST_MAILS=1000000 measures the growth of memory while that many are sent.
"""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from uuid import UUID

import aiosmtplib
from uuid_utils.compat import uuid7

from deploy import databases
from services.dispatcher.channels.email import SmtpAccount, SmtpServer
from services.dispatcher.domain.send_mode import SendMode, SendPolicy
from services.dispatcher.messages.composer import Composer
from services.dispatcher.repository import invitations, steps
from services.dispatcher.sending.sender import ChannelSender
from shared.clock import ManualClock
from shared.config import DEVELOPMENT_ADDRESS_KEYS, DEVELOPMENT_LINK_KEYS
from shared.contract.address_keys import AddressKeys
from shared.contract.events import Brand, Consent, Contact, EventRef, PlanStep, ProgramRef, SurveyRequested
from shared.contract.vocabulary import ChannelKind
from shared.database import db, embedded
from tests.bench import cost
from tests.bench.frame import Measure, WrongResult

ITEMS = 2_000
NAIVE = 100
MAILS = int(os.environ.get("EARSHOT_TEST_MAILS", "0"))
DISPATCHERS = 2
CONNECTIONS = 4  # of each
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FROM = "survey@example.com"
TO = "anna@example.com"
LEAST = 10

KEYS = AddressKeys(DEVELOPMENT_ADDRESS_KEYS)


class SendingBench:
    name = "sending"
    gate = 0.0
    goal = 0.35
    least: Mapping[str, float] = {"a connection and an EmailMessage each": LEAST}

    def __init__(self, database: db.Database, port: int, server: embedded.Embedded) -> None:
        self._database, self._port = database, port
        self._composer = Composer(DEVELOPMENT_LINK_KEYS, "http://pub", "http://sh", "http://un", f"Earshot <{FROM}>")
        sink = SmtpServer.from_url(f"smtp://127.0.0.1:{port}")
        self._accounts = [SmtpAccount(sink, sender=FROM, connections=CONNECTIONS) for _ in range(DISPATCHERS)]
        self._senders = [self._sender(account) for account in self._accounts]
        self.counters: dict[str, float] = {}
        self._meter = cost.Meter(self.counters, server)
        self.peers: Mapping[str, Measure] = {
            "a connection and an EmailMessage each": self.naive,
            "one dispatcher": self.one_dispatcher,
        }

    def _sender(self, account: SmtpAccount) -> ChannelSender:
        return ChannelSender(
            channel=ChannelKind.EMAIL,
            sessions=self._database.sessions,
            clock=ManualClock(NOW),
            composer=self._composer,
            policy=SendPolicy(SendMode.LIVE, daily_ceiling=10**9),
            address_keys=KEYS,
            account=account,
        )

    async def limit(self) -> float:
        message = self._composer.compose(_request(0), step=1, channel=ChannelKind.EMAIL)
        dialogue = f"MAIL FROM:<{FROM}>\r\nRCPT TO:<{TO}>\r\nDATA\r\n".encode() + message.body + b".\r\n"
        began = time.perf_counter()
        await asyncio.gather(*(self._pipeline(dialogue, ITEMS // CONNECTIONS) for _ in range(CONNECTIONS)))
        return ITEMS / (time.perf_counter() - began)

    async def _pipeline(self, dialogue: bytes, count: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        await reader.readline()

        async def write() -> None:
            for _ in range(count):
                writer.write(dialogue)
                await writer.drain()

        writing = asyncio.create_task(write())
        for _ in range(4 * count):
            await reader.readline()
        await writing
        writer.close()

    async def ours(self) -> float:
        return await self._send(self._senders, self._meter.measure(ITEMS))

    async def one_dispatcher(self) -> float:
        return await self._send(self._senders[:1], nullcontext())

    async def _send(self, senders: Sequence[ChannelSender], measured: AbstractContextManager[None]) -> float:
        await self._fill(ITEMS)
        began = time.perf_counter()
        with measured:
            await asyncio.gather(*map(_send_all_due, senders))
        rate = ITEMS / (time.perf_counter() - began)
        await self._check(ITEMS)
        return rate

    async def naive(self) -> float:
        body = self._composer.compose(_request(0), step=1, channel=ChannelKind.EMAIL).body.decode()
        began = time.perf_counter()
        for _ in range(NAIVE):
            mail = EmailMessage()
            mail["From"], mail["To"], mail["Subject"] = FROM, TO, "One question"
            mail.set_content(body)
            mail.add_alternative(body, subtype="html")
            await aiosmtplib.send(mail, hostname="127.0.0.1", port=self._port)
        return NAIVE / (time.perf_counter() - began)

    async def _fill(self, count: int) -> None:
        """Replace all invitations by so many new ones, whose only mail is due."""
        requests = [_request(number) for number in range(count)]
        async with self._database.sessions.begin() as session:
            await db.fetch(session, "TRUNCATE invitations, outbox CASCADE")
            for start in range(0, count, 500):
                chunk = requests[start : start + 500]
                await invitations.insert(
                    session,
                    [(each, each.invitation_id.bytes) for each in chunk],
                    address_keys=KEYS,
                )
                await steps.insert(session, chunk)

    async def _check(self, count: int) -> None:
        sql = "SELECT count(*) FILTER (WHERE state = 'sent'), (SELECT count(*) FROM attempts) FROM steps"
        async with self._database.sessions.begin() as session:
            (row,) = await db.fetch(session, sql)
        if tuple(row) != (count, count):
            raise WrongResult(f"of {count} mails {row[0]} were sent and {row[1]} are in the ledger")

    async def grow(self) -> None:
        """Send MAILS mails in batches, and measure how much memory grows."""
        before = 0
        for sent in range(0, MAILS, ITEMS):
            await self.ours()
            if sent == ITEMS:
                before = _peak_kb()
        if MAILS:
            self.counters["mails"] = MAILS
            self.counters["memory_growth_mb"] = (_peak_kb() - before) / 1024

    async def close(self) -> None:
        for account in self._accounts:
            await account.close()


async def _send_all_due(sender: ChannelSender) -> None:
    while await sender.perform_due():
        pass


def _peak_kb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _request(number: int) -> SurveyRequested:
    return SurveyRequested(
        respondent_id=f"customer-{number}",
        invitation_id=UUID(bytes=uuid7().bytes),
        customer_id=f"customer-{number}",
        event=EventRef(source="shop", id="e1", type="crm.purchase.completed", time=NOW, subject="48213"),
        program=ProgramRef(id="after-purchase", version=1),
        brand=Brand(name="Kofe Point"),
        locale="en",
        time_zone="UTC",
        question="How likely are you to recommend us to a friend or colleague?",
        send_at=NOW,
        expires_at=NOW + timedelta(days=21),
        plan=[PlanStep(step=1, channel=ChannelKind.EMAIL, delay_s=0)],
        contact=Contact(email=TO),
        consent=Consent(email=True),
        link_key="dev",
    )


@asynccontextmanager
async def open_bench() -> AsyncIterator[SendingBench]:
    folder = Path(tempfile.mkdtemp(prefix="eb-"))
    server = embedded.start(folder / "pg")
    command = (sys.executable, "-m", "tests.bench.smtp_sink")
    sink = await asyncio.create_subprocess_exec(*command, cwd=databases.ROOT, stdout=asyncio.subprocess.PIPE)
    assert sink.stdout is not None
    try:
        urls = await embedded.prepare(server)
        await databases.migrate({"dispatcher": urls["dispatcher"]})
        database = db.Database(urls["dispatcher"], schema="dispatcher")
        bench = SendingBench(database, int(await sink.stdout.readline()), server)
        await bench.grow()
        yield bench
        await bench.close()
        await database.close()
    finally:
        sink.kill()
        await sink.wait()
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)

"""Stage sending: due step → rendered → accepted by SMTP → recorded. The limit is a pipelined client of the same sink.

Ours is two processes, each with its own connections, as on a cluster; one of them is a peer. The gate is ten times a
client that opens a connection and builds an `EmailMessage` for every mail, without a database.
EARSHOT_TEST_MAILS=1000000 measures the growth of memory while that many are sent.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from uuid import UUID

import aiosmtplib
from uuid_utils.compat import uuid7

from deploy import databases
from services.dispatcher.repository import invitations, steps
from shared.contract.events import Brand, Consent, Contact, EventRef, PlanStep, ProgramRef, SurveyRequested
from shared.contract.vocabulary import ChannelKind
from shared.database import db, embedded
from tests.bench import cost, sending_processes
from tests.bench.frame import Measure, WrongResult
from tests.bench.processes import WorkProcesses, open_processes
from tests.bench.purchases import mail_server
from tests.bench.sending_processes import (
    COMPOSER,
    CONNECTIONS,
    FROM,
    KEYS,
    NOW,
)

ITEMS = 8_000
NAIVE = 100
MAILS = int(os.environ.get("EARSHOT_TEST_MAILS", "0"))
PROCESSES = 2
TO = "anna@example.com"
LEAST = 10


class SendingBench:
    name = "sending"
    gate = 0.0
    goal = 0.2
    least: Mapping[str, float] = {"a connection and an EmailMessage each": LEAST}

    def __init__(self, database: db.Database, port: int, server: embedded.Embedded, processes: WorkProcesses) -> None:
        self._database, self._port, self._processes = database, port, processes
        self.counters: dict[str, float] = {}
        self._meter = cost.Meter(self.counters, server, processes.ids)
        self.peers: Mapping[str, Measure] = {
            "a connection and an EmailMessage each": self.naive,
            "one process": self.one_process,
        }

    async def limit(self) -> float:
        message = COMPOSER.compose(_request(0), step=1, channel=ChannelKind.EMAIL)
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
        return await self._send(PROCESSES, self._meter.measure(ITEMS))

    async def one_process(self) -> float:
        return await self._send(1, nullcontext())

    async def _send(self, processes: int, measured: AbstractContextManager[None]) -> float:
        await self._fill(ITEMS)
        with measured:
            seconds, _ = await self._processes.work(processes=processes)
        await self._check(ITEMS)
        return ITEMS / seconds

    async def naive(self) -> float:
        body = COMPOSER.compose(_request(0), step=1, channel=ChannelKind.EMAIL).body.decode()
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
            await db.fetch(session, "TRUNCATE invitations, due, held, outbox CASCADE")
            for start in range(0, count, 500):
                chunk = requests[start : start + 500]
                await invitations.insert(
                    session,
                    [(each, each.invitation_id.bytes) for each in chunk],
                    address_keys=KEYS,
                )
                await steps.plan_first(session, chunk)

    async def _check(self, count: int) -> None:
        sql = "SELECT count(*) FILTER (WHERE state = 'sent'), count(*) FROM attempts"
        async with self._database.sessions.begin() as session:
            (row,) = await db.fetch(session, sql)
        if tuple(row) != (count, count):
            raise WrongResult(f"of {count} mails {row[0]} were sent and {row[1]} are in the ledger")

    async def grow(self) -> None:
        """Send MAILS mails in batches, and measure how much memory grows."""
        before = 0.0
        for sent in range(0, MAILS, ITEMS):
            await self.ours()
            before = before or self._processes.peak_mb()
            self.counters |= {"mails": sent + ITEMS, "memory_growth_mb": self._processes.peak_mb() - before}


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
    async with AsyncExitStack() as resources:
        resources.callback(shutil.rmtree, folder, ignore_errors=True)
        resources.callback(server.stop)
        port = await resources.enter_async_context(mail_server())
        urls = await embedded.prepare(server)
        await databases.migrate({"dispatcher": urls["dispatcher"]})
        database = db.Database(urls["dispatcher"], schema="dispatcher")
        resources.push_async_callback(database.close)
        processes = await resources.enter_async_context(
            open_processes(sending_processes.__name__, urls["dispatcher"], str(port), processes=PROCESSES)
        )
        bench = SendingBench(database, port, server, processes)
        await bench.grow()
        yield bench

"""`python -m tests.bench.sending_processes DATABASE PORT`: a dispatcher that sends all due mails when it is told to.

It prints `ready`, and `done` when no mail is due; it reads lines `go` and stops at the end of its input.
"""

from __future__ import annotations

import asyncio
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import uvloop

from services.dispatcher.channels.email import SmtpAccount, SmtpServer
from services.dispatcher.domain.send_mode import SendMode, SendPolicy
from services.dispatcher.messages.composer import Composer
from services.dispatcher.sending.sender import ChannelSender
from shared import logging
from shared.clock import ManualClock
from shared.config import DEVELOPMENT_ADDRESS_KEYS, DEVELOPMENT_LINK_KEYS
from shared.contract.address_keys import AddressKeys
from shared.contract.vocabulary import ChannelKind
from shared.database import db
from shared.garbage import tune_gc
from tests.bench.trigger_processes import peak_mb

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FROM = "survey@example.com"
CONNECTIONS = 4
KEYS = AddressKeys(DEVELOPMENT_ADDRESS_KEYS)
COMPOSER = Composer(DEVELOPMENT_LINK_KEYS, "http://pub", "http://sh", "http://un", f"Earshot <{FROM}>")
TIMEOUT_S = 120


async def _work(database_url: str, port: str) -> None:
    database = db.Database(database_url, schema="dispatcher")
    server = SmtpServer.from_url(f"smtp://127.0.0.1:{port}")
    account = SmtpAccount(server, sender=FROM, connections=CONNECTIONS)
    sender = ChannelSender(
        channel=ChannelKind.EMAIL,
        sessions=database.sessions,
        clock=ManualClock(NOW),
        composer=COMPOSER,
        policy=SendPolicy(SendMode.LIVE, daily_ceiling=10**9),
        address_keys=KEYS,
        account=account,
    )
    _report("ready")
    while await asyncio.to_thread(sys.stdin.readline):
        while await sender.perform_due():
            pass
        _report("done")
    await account.close()
    await database.close()


def _report(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - the process that started it reads this


@dataclass(frozen=True, slots=True)
class SendingProcesses:
    """Dispatchers that wait for `send`."""

    processes: Sequence[Process]

    async def send(self, *, processes: int) -> float:
        """Have so many of them send all due mails; return the seconds until each found none left."""
        began = time.perf_counter()
        sending = self.processes[:processes]
        for process in sending:
            assert process.stdin is not None
            process.stdin.write(b"go\n")
        await asyncio.gather(*(_until(process, b"done\n") for process in sending))
        return time.perf_counter() - began

    @property
    def ids(self) -> list[int]:
        return [process.pid for process in self.processes]

    def peak_mb(self) -> float:
        """Return the highest peak memory of one of them, in MB."""
        return max(map(peak_mb, self.processes))


async def _until(process: Process, line: bytes) -> None:
    assert process.stdout is not None
    async with asyncio.timeout(TIMEOUT_S):
        if (printed := await process.stdout.readline()) != line:
            raise RuntimeError(f"a dispatcher printed {printed!r} instead of {line!r}")


@asynccontextmanager
async def open_sending_processes(database_url: str, port: int, *, processes: int) -> AsyncIterator[SendingProcesses]:
    """Start them, and wait until each can send."""
    command = (sys.executable, "-m", __name__, database_url, str(port))
    started = [await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE) for _ in range(processes)]
    try:
        await asyncio.gather(*(_until(process, b"ready\n") for process in started))
        yield SendingProcesses(started)
    finally:
        for process in started:
            assert process.stdin is not None
            process.stdin.close()
        await asyncio.gather(*(process.wait() for process in started))


if __name__ == "__main__":
    logging.configure("warning", service="bench")
    tune_gc()
    uvloop.run(_work(sys.argv[1], sys.argv[2]))

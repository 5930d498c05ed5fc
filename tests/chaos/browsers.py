"""Page traffic of a chaos run: browsers that disconnect while a page is sent, and staff who send test mails."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from dataclasses import dataclass, field

import httpx2

from shared.contract.vocabulary import Service
from tests.chaos.participants import SCORE, Participants
from tests.staff import PROCESS_STAFF

BROWSERS = 2
LONGEST_VISIT_S = 1.5
PAUSE_S = (0.05, 0.4)
TEST_MAIL_EVERY_S = 2.0
_FORM = "content-type: application/x-www-form-urlencoded\r\n"


@dataclass
class Browsers:
    participants: Participants
    rng: random.Random
    faults: Counter[str] = field(default_factory=Counter)

    async def disconnect(self) -> None:
        """Open pages without end, and cut each connection at a random moment."""
        while True:
            if up := self.participants.processes.up(Service.SCORING):
                with contextlib.suppress(OSError):
                    await self._open_and_disconnect(self.rng.choice(up).port)
            await asyncio.sleep(self.rng.uniform(*PAUSE_S))

    async def _open_and_disconnect(self, port: int) -> None:
        request = self._request()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(request)
            async with asyncio.timeout(self.rng.uniform(0, LONGEST_VISIT_S) ** 2):
                await reader.readexactly(self.rng.randint(1, 100_000))
        except (TimeoutError, asyncio.IncompleteReadError):
            pass
        finally:
            self.faults["browsers disconnected"] += 1
            writer.transport.abort()

    def _request(self) -> bytes:
        """Return a request for the live figures, the dashboard or an answer page, or an answer."""
        answering = [
            each for each in self.participants.invited.values() if self.participants.responses.get(each) == "answered"
        ]
        kinds = ["GET /live?program=after-purchase", "GET /"] + ["GET answer", "POST answer"] * bool(answering)
        kind = self.rng.choice(kinds)
        body = ""
        if kind.endswith("answer"):
            link = self.participants.link(self.rng.choice(answering))
            kind = f"GET {link}?score={SCORE}" if kind.startswith("GET") else f"POST {link}"
            body = f"score={SCORE}" if kind.startswith("POST") else ""
        length = f"{_FORM}content-length: {len(body)}\r\n" if body else ""
        return f"{kind} HTTP/1.1\r\nhost: 127.0.0.1\r\ncookie: {PROCESS_STAFF.header()}\r\n{length}\r\n{body}".encode()

    async def send_test_mails(self, web: httpx2.AsyncClient) -> None:
        """Send test mails without end, over the accounts that customers' mails use."""
        while True:
            form = {"address": "staff@example.com", "brand": "Kofe Point", "sure": "true"}
            answer = await self.participants.ask(web, Service.DISPATCHER, "/mail", data=form)
            if answer is not None and answer.is_success:
                self.faults["test mails"] += 1
            await asyncio.sleep(TEST_MAIL_EVERY_S)

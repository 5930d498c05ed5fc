"""Who looks meanwhile: browsers that leave while a page is on its way, and staff who send test mails."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from dataclasses import dataclass, field

import httpx

from shared.contract.vocabulary import Service
from tests.chaos.respondents import SCORE, Crowd

LEAVERS = 2
STAYS_S = 1.5
PAUSE_S = (0.05, 0.4)
TEST_MAIL_EVERY_S = 2.0
_FORM = "content-type: application/x-www-form-urlencoded\r\n"


@dataclass
class Browsers:
    crowd: Crowd
    chance: random.Random
    faults: Counter[str] = field(default_factory=Counter)

    async def leave(self) -> None:
        """Open one page after another for ever, and cut the connection at a random moment."""
        while True:
            if up := self.crowd.processes.up(Service.SCORING):
                with contextlib.suppress(OSError):
                    await self._open_and_leave(self.chance.choice(up).port)
            await asyncio.sleep(self.chance.uniform(*PAUSE_S))

    async def _open_and_leave(self, port: int) -> None:
        request = self._request()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(request)
            async with asyncio.timeout(self.chance.uniform(0, STAYS_S) ** 2):
                await reader.readexactly(self.chance.randint(1, 100_000))
        except (TimeoutError, asyncio.IncompleteReadError):
            pass
        finally:
            self.faults["browsers left"] += 1
            writer.transport.abort()

    def _request(self) -> bytes:
        """Ask for the live figures, the dashboard, or an answer page; or send an answer nobody waits for."""
        asked = [each for each in self.crowd.invited.values() if self.crowd.tried.get(each) == "answered"]
        kinds = ["GET /live?program=after-purchase", "GET /"] + ["GET answer", "POST answer"] * bool(asked)
        kind = self.chance.choice(kinds)
        body = ""
        if kind.endswith("answer"):
            link = self.crowd.link(self.chance.choice(asked))
            kind = f"GET {link}?score={SCORE}" if kind.startswith("GET") else f"POST {link}"
            body = f"score={SCORE}" if kind.startswith("POST") else ""
        length = f"{_FORM}content-length: {len(body)}\r\n" if body else ""
        return f"{kind} HTTP/1.1\r\nhost: 127.0.0.1\r\n{length}\r\n{body}".encode()

    async def send_test_mails(self, web: httpx.AsyncClient) -> None:
        """Let staff try how a mail looks, for ever: each goes out over the accounts that customers' mails use."""
        while True:
            form = {"address": "staff@example.com", "brand": "Kofe Point"}
            answer = await self.crowd.ask(web, Service.DISPATCHER, "/mail", data=form)
            if answer is not None and answer.is_success:
                self.faults["test mails"] += 1
            await asyncio.sleep(TEST_MAIL_EVERY_S)

"""Runs all services in this process on purchases of new customers, who are asked and may answer."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

import yaml

from deploy import databases
from services.trigger import programs
from shared.clock import Clock
from shared.config import DEVELOPMENT_LINK_KEYS
from shared.web import links
from shared.web.links import Purpose
from tests.bench.frame import WrongResult
from tests.journey.stage import MONDAY, Stage, open_stage, purchase

AT_ONCE = 1000
CLIENTS = 20
BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36"
_PROGRAM = Path(programs.__path__[0]) / "after-purchase.yaml"
_UNLIMITED: Mapping[str, Any] = dict.fromkeys(
    ("answer_client_rate", "answer_client_burst", "send_daily_ceiling"), 1_000_000_000
)


class Asked(StrEnum):
    """Which purchases are asked about."""

    ALL = "all"
    HALF = "half"


@dataclass(slots=True)
class Shop:
    """Sends purchases, each of a new customer, and answers invitations."""

    stage: Stage
    clock: Clock
    asked: Asked
    _sold: int = 0

    async def open(self) -> None:
        """Apply the program that is built in; where half is asked, with a condition."""
        if self.asked is Asked.ALL:
            return
        program = yaml.safe_load(_PROGRAM.read_text())
        program["conditions"] = {"field": "order.amount", "operator": "ge", "value": 1000}
        answer = await self.stage.web.put(f"{self.stage.trigger}/v1/programs", content=json.dumps(program))
        answer.raise_for_status()
        await self.stage.settle()

    async def sell(self, count: int) -> list[UUID]:
        """Send so many purchases and wait until every first mail is sent; return the invitations."""
        invitations: list[UUID] = []
        purchases = (self._purchase() for _ in range(count))
        while chunk := list(islice(purchases, AT_ONCE)):
            answer = await self.stage.web.post(f"{self.stage.trigger}/v1/events", json=chunk)
            results = answer.raise_for_status().json()["results"]
            invitations += [UUID(each["invitation_id"]) for each in results if each["invitation_id"]]
        await self.stage.watch.until_quiescent(poll_every_s=0.5)
        expected = count if self.asked is Asked.ALL else count // 2
        if len(invitations) != expected:
            raise WrongResult(f"{len(invitations)} of {expected} were asked")
        return invitations

    def _purchase(self) -> dict[str, Any]:
        number, self._sold = self._sold, self._sold + 1
        amount = "2490.00" if self.asked is Asked.ALL or number % 2 else "90.00"
        at = self.clock.now() - timedelta(seconds=number % 3600)
        sold = purchase(number, at=at, store=f"Store {number % 50}")
        sold["data"]["order"]["amount"] = amount
        return sold

    async def answer(self, invitations: list[UUID]) -> None:
        """Open the page of each invitation and send a score."""
        waiting = iter(invitations)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(CLIENTS):
                tasks.create_task(self._answer(waiting))
        await self.stage.watch.until_quiescent(poll_every_s=0.5)

    async def _answer(self, waiting: Iterator[UUID]) -> None:
        headers = {"user-agent": BROWSER}
        for invitation in waiting:
            token = links.token(DEVELOPMENT_LINK_KEYS, "dev", Purpose.ANSWER, invitation)
            page = f"{self.stage.scoring}/s/{token}.1"
            shown = int((self.clock.now() - timedelta(seconds=30)).timestamp() * 1000)
            (await self.stage.web.get(page, headers=headers)).raise_for_status()
            score = str(invitation.int % 11)
            sent = await self.stage.web.post(page, data={"score": score, "shown": str(shown)}, headers=headers)
            if sent.status_code != 303:
                raise WrongResult(f"an answer got {sent.status_code}")


@asynccontextmanager
async def open_shop(urls: Mapping[str, str], folder: Path, *, asked: Asked, mailbox: bool) -> AsyncIterator[Shop]:
    """Run the services; mails are kept in the mailbox, or else sent to a server that accepts every one."""
    if mailbox:
        async with _open_shop(urls, folder, asked, _UNLIMITED) as shop:
            yield shop
        return
    async with mail_server() as port:
        sending = {**_UNLIMITED, "send": "live", "smtp_url": f"smtp://127.0.0.1:{port}"}
        async with _open_shop(urls, folder, asked, sending) as shop:
            yield shop


@asynccontextmanager
async def _open_shop(
    urls: Mapping[str, str], folder: Path, asked: Asked, settings: Mapping[str, Any]
) -> AsyncIterator[Shop]:
    async with open_stage(urls, folder, **settings) as stage:
        stage.clock.anchor(MONDAY, speed=1)  # equal times of many rows would make their indexes smaller than usual
        shop = Shop(stage, stage.clock, asked)
        await shop.open()
        yield shop


@asynccontextmanager
async def mail_server() -> AsyncIterator[int]:
    """Run a mail server that accepts every mail unread; yield its port."""
    command = (sys.executable, "-m", "tests.bench.smtp_sink")
    sink = await asyncio.create_subprocess_exec(*command, cwd=databases.ROOT, stdout=asyncio.subprocess.PIPE)
    assert sink.stdout is not None
    try:
        yield int(await sink.stdout.readline())
    finally:
        sink.kill()
        await sink.wait()

"""Runs Earshot as a process, sends inputs to all of its doors, and looks at what became of them."""

from __future__ import annotations

import asyncio
import os
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2

from deploy import databases
from services.dispatcher.domain.receipts import Reference
from shared import database_url
from shared.config import Settings
from shared.contract.topics import CRM_EVENTS
from shared.database import embedded
from shared.messaging.transport import Message
from shared.runtime import event_log_for_command
from tests.fakes import Imap, imap
from tests.fuzz.doors import SECRET, Doors
from tests.fuzz.requests import HttpInput, HttpResult, exchange, varied
from tests.integration.deploy.processes import Earshot, earshot
from tests.integration.dispatcher.channels import bounces
from tests.integration.dispatcher.webhooks.test_webhooks import SETTINGS
from tests.integration.trigger.samples import purchase
from tests.staff import PROCESS_STAFF

STALL_S = 5.0
AT_ONCE = 24
SETTLE_S = 240.0  # for what was accepted to be decided or stored
MAILS, LOGGED, LINES = 0.03, 0.15, 0.05  # shares of the inputs; the rest comes by HTTP
KEPT = 200
FOUND = ("errors", "stalls", "ends", "lost", "broken")


@dataclass(slots=True)
class DoorReport:
    inputs: int = 0
    statuses: Counter[int] = field(default_factory=Counter)  # 0 without an answer
    slowest_s: float = 0.0

    def count(self, result: HttpResult) -> None:
        self.inputs += 1
        self.statuses[result.status] += 1
        self.slowest_s = max(self.slowest_s, result.seconds)


@dataclass(slots=True)
class FuzzReport:
    seed: int
    doors: dict[str, DoorReport] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)  # inputs answered with 5xx
    stalls: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)  # accepted, and neither decided nor stored
    ends: list[str] = field(default_factory=list)  # of processes, and loops that are stuck
    broken: list[str] = field(default_factory=list)  # what no longer works afterwards
    seconds: float = 0.0
    sender_late_s: float = 0.0  # the longest time in which the sender itself did not read answers

    @property
    def inputs(self) -> int:
        return sum(door.inputs for door in self.doors.values())

    @property
    def passed(self) -> bool:
        return not (self.errors or self.stalls or self.lost or self.ends or self.broken)

    def add(self, other: FuzzReport) -> None:
        for name, door in other.doors.items():
            own = self.door(name)
            own.inputs, own.statuses = own.inputs + door.inputs, own.statuses + door.statuses
            own.slowest_s = max(own.slowest_s, door.slowest_s)
        for found in FOUND:
            getattr(self, found).extend(getattr(other, found))
        self.seconds = max(self.seconds, other.seconds)
        self.sender_late_s = max(self.sender_late_s, other.sender_late_s)

    def door(self, name: str) -> DoorReport:
        return self.doors.setdefault(name, DoorReport())


async def run(inputs: int, *, seed: int, mails: bool = True) -> FuzzReport:
    """Send that many inputs; without `mails` none come by mail, as the mailbox is read once a minute."""
    report, began = FuzzReport(seed), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fuzz", dir="/tmp", ignore_cleanup_errors=True) as folder:
        async with imap() as mailbox, _running(Path(folder), mailbox) as running:
            await running.until_ready()
            fuzz = Fuzz(running, Path(folder), mailbox, report, random.Random(seed))
            await fuzz.prepare()
            watching = asyncio.create_task(_watch_sender(report))
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(fuzz.send_requests(int(inputs * (1 - MAILS - LOGGED - LINES))))
                    tasks.create_task(fuzz.append(int(inputs * LOGGED)))
                    tasks.create_task(fuzz.put_mails(int(inputs * MAILS) if mails else 0))
                    tasks.create_task(fuzz.ingest(int(inputs * LINES)))
                await fuzz.look()
            except* (OSError, httpx2.HTTPError, TimeoutError) as error:
                report.ends.append(f"{error.exceptions[0]!r}, process {running.process.returncode}")
            watching.cancel()
            report.ends += _crashes(running.log.read_text(errors="replace"))
    report.seconds = time.monotonic() - began
    return report


async def _watch_sender(report: FuzzReport) -> None:
    """Measure how late the sender's own loop is: a slow sender looks like a slow server."""
    while True:
        due = time.monotonic() + 0.1
        await asyncio.sleep(0.1)
        report.sender_late_s = max(report.sender_late_s, time.monotonic() - due)


@asynccontextmanager
async def _running(folder: Path, mailbox: Imap) -> AsyncIterator[Earshot]:
    (folder / "sources").mkdir()
    kinds = ("shopify", "woocommerce", "bitrix24")
    for kind in kinds:
        (folder / f"sources/{kind}.yaml").write_text(f"{{id: my-{kind}, kind: {kind}}}")
    urls = dict.fromkeys(("trigger", "dispatcher", "scoring", "transport"), "")  # the embedded server
    settings = {
        **SETTINGS,
        "sources": str(folder / "sources"),
        "source_secrets": ",".join(f"my-{kind}:{SECRET}" for kind in kinds),
        "source_urls": "my-bitrix24:http://127.0.0.1:1/",
        "imap_url": f"imap://bounces:{mailbox.password}@127.0.0.1:{mailbox.port}",
        "answer_link_burst": "1000000",
        "log_level": "warning",
        "send": "allowlist",  # the mailbox of bounces is read, and nothing is sent
        "http_connections": "200",
    }
    async with earshot(urls, folder, **settings) as running:
        yield running


@dataclass(slots=True)
class Fuzz:
    running: Earshot
    folder: Path
    mailbox: Imap
    report: FuzzReport
    chance: random.Random
    doors: Doors = field(init=False)
    reports: list[Reference] = field(default_factory=list)  # of whole delivery reports

    @property
    def address(self) -> str:
        return self.running.addresses["scoring"]

    @property
    def port(self) -> int:
        return httpx2.URL(self.address).port or 80

    @property
    def settings(self) -> Settings:
        return Settings(_env_file=None, data_dir=self.folder)

    async def prepare(self) -> None:
        """Ask some customers, so that links and ids are known. Commits do not wait for the disk: no crash is tried."""
        await self._execute("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
        for number in range(8):
            await self._ask(f"known-{number}")
        links = await self._links()
        document = (await self.running.web.get(f"{self.address}/openapi.json")).json()
        operations = [
            (method.upper(), path, operation)
            for path, described in document["paths"].items()
            for method, operation in described.items()
        ]
        listed = (await self.running.web.get(f"{self.address}/v1/invitations")).json()
        ids = re.findall(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", str(listed))
        self.doors = Doors(self.chance, links, ids, operations, document["components"]["schemas"])

    async def _ask(self, name: str) -> None:
        event = purchase(name, at=datetime.now(UTC), customer={"id": name, "email": f"{name}@shop.example"})
        event["data"]["customer"]["consent"] = {"email": True}
        (await self.running.web.post(f"{self.address}/v1/events", json=event)).raise_for_status()

    async def _links(self) -> list[str]:
        """Return the paths of links that were mailed, or that the API gives; contact hours may hold mails back."""
        found: set[str] = set()
        async with asyncio.timeout(60):
            while not found:
                for number in range(8):
                    asked = {"customer": f"known-{number}"}
                    given = await self.running.web.post(f"{self.address}/v1/links", json=asked)
                    if given.is_success:
                        path = httpx2.URL(given.json()["url"]).path
                        found |= {path, f"{path}/stop"}
        mailed = (await self.running.web.get(f"{self.address}/v1/mailbox")).text
        return sorted(found | set(re.findall(r"/u/[A-Za-z0-9_-]{22}", mailed)))

    async def send_requests(self, number: int) -> None:
        left = iter(range(number))

        async def worker() -> None:
            for _ in left:
                made = self.doors.http()
                if not made.raw:
                    made = replace(made, headers=(*made.headers, ("cookie", PROCESS_STAFF.header())))
                is_good = _is_good(made, self.doors)
                await self._send(made if is_good else varied(made, self.chance), is_good=is_good)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(AT_ONCE):
                tasks.create_task(worker())

    async def _send(self, made: HttpInput, *, is_good: bool) -> None:
        result = await exchange(made, self.port)
        self.report.door(made.door).count(result)
        shown = f"{result.status} {made.door} {made.written('here')[:KEPT]!r} {result.body[:KEPT]!r}"
        says_not_ready = result.status == 503 and made.target.startswith("/readyz")  # looked at again in the end
        if (result.status >= 500 and not says_not_ready) or (result.status == 0 and made.whole):
            self.report.errors.append(shown)
        if is_good and not 200 <= result.status < 300:
            self.report.lost.append(f"refused: {shown}")
        if made.whole and result.seconds > STALL_S and (again := await exchange(made, self.port)).seconds > STALL_S:
            self.report.stalls.append(f"{result.seconds:.1f} s, {again.seconds:.1f} s: {shown}")

    async def append(self, number: int) -> None:
        """Append messages to the log, as a CRM does."""
        async with event_log_for_command(self.settings) as event_log:
            for begin in range(0, number, 50):
                made = [self.doors.logged() for _ in range(min(50, number - begin))]
                await event_log.append([Message(CRM_EVENTS.name, "", body, headers) for body, headers in made])
                self.report.door("log").inputs += len(made)
                await asyncio.sleep(0)

    async def put_mails(self, number: int) -> None:
        for uid in range(1, number + 1):
            reference = Reference(UUID(int=(1 << 100) + uid), 1)
            if uid % 10 == 0:
                self.reports.append(reference)
                content = bounces.mail(self.chance.choice(bounces.REPORTS), str(reference), own=uid)
            else:
                content = bounces.broken(str(reference), self.chance)
            self.mailbox.mails[uid] = content
        self.report.door("mails").inputs += number

    async def ingest(self, number: int) -> None:
        """Read files by the command, of JSON lines and of CSV."""
        files = ("jsonl", "csv")
        for ending in files:
            lines = (
                [self.doors.line() for _ in range(number // len(files))] if ending == "jsonl" else self._rows(number)
            )
            path = self.folder / f"events.{ending}"
            path.write_bytes(b"\n".join(lines) + b"\n")
            command = (sys.executable, "-m", "deploy.cli", "ingest", str(path), "--source", "shop")
            environment = {**os.environ, "EARSHOT_DATA_DIR": str(self.folder)}
            process = await asyncio.create_subprocess_exec(
                *command,
                cwd=databases.ROOT,
                env=environment,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            said, _ = await process.communicate()
            self.report.door("files").inputs += len(lines)
            if b"Traceback" in said or process.returncode not in (0, 1, 2):
                self.report.ends.append(f"ingest of {ending}: {process.returncode} {said[-KEPT * 3 :]!r}")

    def _rows(self, number: int) -> Sequence[bytes]:
        texts = (
            b"1",
            b'"',
            b'";"',
            b"\xff\xfe",
            b"\0",
            b"2026-03-01",
            b"1,5",
            b"=1+1",
            b"x" * 3000,
            b"",
            b"\xd0\xb0",
            b"a@b.example",
        )
        head = b"id,type,time,customer.id,customer.email,order.id,order.amount"
        return [head, *(b",".join(self.chance.choice(texts) for _ in range(7)) for _ in range(number // 2))]

    async def look(self) -> None:
        """Wait until what was accepted is stored; then see that everything still works."""
        until = time.monotonic() + SETTLE_S
        while (missing := await self._missing()) and time.monotonic() < until:  # noqa: ASYNC110 - another process works
            await asyncio.sleep(0.5)
        self.report.lost += missing[:KEPT]
        for path in ("/livez", "/readyz"):
            told = await self.running.web.get(self.address + path)
            if told.status_code != 200:
                self.report.ends.append(f"{path}: {told.text}")
        if self.running.process.returncode is not None:
            self.report.ends.append(f"the process ended with {self.running.process.returncode}")
        self.report.broken += await self._differences()

    async def _missing(self) -> list[str]:
        receipts = {str(each) for each in (*self.doors.good_receipts, *self.reports)}
        decided = await self._rows_of("trigger", "SELECT event_id AS found FROM decisions WHERE event_id LIKE 'good-%'")
        stored = await self._rows_of("dispatcher", "SELECT invitation_id || '.' || step AS found FROM receipts")
        unread = [f"unread mails: {len(self.mailbox.mails) - len(self.mailbox.seen)}"]
        return [
            *(f"event {name}" for name in self.doors.good_events if name not in decided),
            *(f"receipt {each}" for each in receipts - stored),
            *(unread if self.mailbox.mails.keys() - self.mailbox.seen else []),
        ]

    async def _rows_of(self, schema: str, sql: str) -> set[str]:
        url = await embedded.url_of(schema, self.settings)
        connection = await database_url.connect(url, server_settings={"search_path": schema})
        try:
            return {row["found"] for row in await connection.fetch(sql)}
        finally:
            await connection.close()

    async def _execute(self, *statements: str) -> None:
        server = await asyncio.to_thread(embedded.start, self.folder / "postgres")
        connection = await database_url.connect(server.admin_url)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    async def _differences(self) -> list[str]:
        """Return what does not work as before: a normal event, its answer, and unsubscribing."""
        web, wrong = self.running.web, []
        name = f"after-{self.report.seed}"
        event = purchase(name, at=datetime.now(UTC), customer={"id": name, "email": f"{name}@shop.example"})
        decided: dict[str, Any] = (await web.post(f"{self.address}/v1/events", json=event)).json()
        if decided.get("reason") != "asked":
            return [f"a normal event: {decided}"]
        link = await self._link_of(name)
        statuses: Mapping[str, int] = {
            "the page of a link": (await web.get(self.address + link)).status_code,
            "an answer": (await web.post(self.address + link, data={"score": "9"})).status_code,
            "the answer's page": (await web.get(self.address + link)).status_code,
            "stopping": (await web.post(f"{self.address}{link}/stop", data={"sure": "1"})).status_code,
        }
        expected = {"an answer": 303}
        wrong += [f"{what}: {status}" for what, status in statuses.items() if status != expected.get(what, 200)]
        for unsubscribe in [path for path in self.doors.links if path.startswith("/u/")][:1]:
            status = (await web.post(self.address + unsubscribe, data={"what": "all"})).status_code
            wrong += [f"unsubscribing: {status}"] if status not in (200, 404) else []
        return wrong

    async def _link_of(self, customer: str) -> str:
        """Return the path of a customer's link when the survey has arrived where links are opened, too."""
        web = self.running.web
        async with asyncio.timeout(SETTLE_S):
            while True:
                given = await web.post(f"{self.address}/v1/links", json={"customer": customer})
                path = httpx2.URL(given.json()["url"]).path if given.is_success else ""
                if path and (await web.get(self.address + path)).status_code != HTTPStatus.NOT_FOUND:
                    return path
                await asyncio.sleep(0.2)


def _is_good(made: HttpInput, doors: Doors) -> bool:
    """Whether an effect of this input is expected; such inputs are not varied."""
    is_event = made.door == "events" and doors.good_events and doors.good_events[-1].encode() in made.body
    is_receipt = (
        made.door == "hooks"
        and doors.good_receipts
        and str(doors.good_receipts[-1]).encode() in (made.body + made.target.encode())
    )
    return bool(is_event or is_receipt)


def _crashes(log: str) -> list[str]:
    """Return the lines of the log about failed requests and loops that ended."""
    return [
        line[: KEPT * 3]
        for line in log.splitlines()
        if re.search(r"request\.failed|loop\.failed|Traceback|\.stuck", line)
    ][:20]

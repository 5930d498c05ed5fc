"""Stage bytes: what purchases of new customers leave in the tables of all services, and the WAL they write.

All services run in this process on the postgres transport; mails go to a server that accepts every one, or with
`--mailbox` are kept. Tables are found by the catalogue, and what was there before the first event is subtracted. An
answer is what the tables have more after the answers. WAL is that of the last events (at most WAL_EVENTS).
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import asyncpg
from rich.console import Console
from rich.table import Table

from deploy import databases
from shared import database_url
from shared.database import embedded
from tests.bench import frame, sizes
from tests.bench.purchases import Asked, Shop, open_shop
from tests.bench.sizes import Growth, Sizes, TableName, TableSize
from tests.bench.wal import WalBytes, WalMeter

EVENTS = 20_000
WAL_EVENTS = 20_000
_SERVER = (
    "shared_buffers = '512MB'",
    "wal_keep_size = '4GB'",
    "max_wal_size = '8GB'",
    "checkpoint_timeout = '1h'",
)
EVENT, CUSTOMER = "event", "customer"
ANSWER, UPDATED = "answer", "rows that an answer updates"
SENT, COUNTED = "invitation in dispatcher", "invitation in scoring"
MAILBOX, TRANSIENT = "mailbox", "transient"
_UNITS = {
    "trigger": EVENT,
    "dispatcher": SENT,
    "scoring": COUNTED,
    "transport": TRANSIENT,
}  # of a table not named below
_CUSTOMERS = ("respondents", "addresses")
_TRANSIENT = ("outbox", "inbox", "parked")


@dataclass(frozen=True, slots=True)
class BytesRun:
    events: int
    asked: int
    answers: int
    purchases: Sizes
    answered: Sizes
    wal_events: int
    wal: WalBytes
    wal_answers: WalBytes
    transactions: int
    growth: Growth

    def unit(self, name: TableName) -> str:
        """Return what a table has a row for, as the lines of the report name it."""
        if name.name.startswith(_TRANSIENT):
            return TRANSIENT
        if name.name.startswith("mailbox"):
            return MAILBOX
        if name.schema == "trigger" and name.name in _CUSTOMERS:
            return CUSTOMER
        return _UNITS[name.schema]

    def count(self, unit: str) -> int:
        """Return how many there are of this unit."""
        return self.asked if unit in (SENT, COUNTED, MAILBOX) else self.events

    def lines(self) -> dict[str, float]:
        """Return the bytes of each unit; `all of it` is a purchase, without the answers and what is kept for a time."""
        totals: Counter[str] = Counter()
        for name, size in self.purchases.items():
            totals[self.unit(name)] += size.total
        kept = sum(totals[unit] for unit in (EVENT, CUSTOMER, SENT, COUNTED))
        lines = {unit: total / self.count(unit) for unit, total in totals.items()}
        lines["all of it"] = kept / self.events
        return {**lines, **self._lines_of_answers()} if self.answers else lines

    def _lines_of_answers(self) -> dict[str, float]:
        """Return the bytes that an answer adds to scoring, and those of rows that are updated elsewhere."""
        totals: Counter[str] = Counter()
        for name, size in self.answered.items():
            if self.unit(name) != TRANSIENT:
                totals[ANSWER if name.schema == "scoring" else UPDATED] += size.total
        return {unit: total / self.answers for unit, total in totals.items()}

    def as_result(self) -> dict[str, Any]:
        """Return everything for `build/bench.json`."""
        return {
            "stage": "bytes",
            "events": self.events,
            "asked": self.asked,
            "answers": self.answers,
            "lines": self.lines(),
            "tables": {
                ".".join(name): {"unit": self.unit(name), **asdict(size)} for name, size in _found(self.purchases)
            },
            "answered": {".".join(name): asdict(size) for name, size in _found(self.answered)},
            "wal_per_event": _per(self.wal.by_schema, self.wal_events),
            "wal_full_pages_per_event": _per(self.wal.full_pages, self.wal_events),
            "wal_per_answer": _per(self.wal_answers.by_schema, self.answers),
            "transactions_per_event": self.transactions / self.events,
            "scattered": self.growth.scattered,
            "sequences": self.growth.sequences,
        }


def _found(tables: Sizes) -> list[tuple[TableName, TableSize]]:
    return [(name, size) for name, size in sorted(tables.items()) if size.total]


def _per(counted: Counter[str], count: int) -> dict[str, float]:
    return {schema: total / count for schema, total in sorted(counted.items())} if count else {}


async def measure(*, events: int, asked: Asked, answered: float, mailbox: bool) -> BytesRun:
    """Run so many purchases, let this share of the invitations be answered, and measure."""
    async with _open_database() as (urls, admin, folder), open_shop(urls, folder, asked=asked, mailbox=mailbox) as shop:
        before = await sizes.measure(admin, urls)
        return await _run(shop, admin, before, events=events, answered=answered)


async def _run(shop: Shop, admin: asyncpg.Connection, before: Sizes, *, events: int, answered: float) -> BytesRun:
    meter, schemas = WalMeter(admin), {name.schema for name in before}
    transactions = (await sizes.growth(admin, schemas)).transactions
    last, asked, left = min(events, WAL_EVENTS), 0, events
    while left > last:
        asked += len(await shop.sell(min(WAL_EVENTS, left - last)))
        left -= min(WAL_EVENTS, left - last)
    start = await meter.position()
    invitations = await shop.sell(last)
    wal = await meter.since(start)
    purchases = await sizes.measure(admin, schemas)
    growth = await sizes.growth(admin, schemas)
    answering = invitations[: round(len(invitations) * answered)]
    start = await meter.position()
    await shop.answer(answering)
    wal_answers = await meter.since(start)
    answers = sizes.grown(purchases, await sizes.measure(admin, schemas))
    return BytesRun(
        events=events,
        asked=asked + len(invitations),
        answers=len(answering),
        purchases=sizes.grown(before, purchases),
        answered=answers,
        wal_events=last,
        wal=wal,
        wal_answers=wal_answers,
        transactions=growth.transactions - transactions,
        growth=growth,
    )


@asynccontextmanager
async def _open_database() -> AsyncIterator[tuple[Mapping[str, str], asyncpg.Connection, Path]]:
    folder = Path(tempfile.mkdtemp(prefix="eb-", dir="/tmp"))
    server = embedded.start(folder / "pg")
    try:
        admin = await database_url.connect(server.admin_url)
        for setting in _SERVER:
            await admin.execute(f"ALTER SYSTEM SET {setting}")
        await admin.close()
        server.restart()
        urls = await embedded.prepare(server)
        await databases.migrate(urls)
        admin = await database_url.connect(database_url.parse(server.admin_url).of(database=embedded.DATABASE))
        yield urls, admin, folder
        await admin.close()
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def report(run: BytesRun) -> None:
    """Print the tables, the lines and the WAL, and write the JSON."""
    console = Console(width=140)
    console.print(f"{run.events:,} purchases of new customers, {run.asked:,} asked, {run.answers:,} answered; bytes")
    console.print(_tables(run, run.purchases))
    console.print(_lines(run))
    if run.answers:
        console.print("what answers add, for each answer")
        console.print(_tables(run, run.answered, answers=run.answers))
    console.print(_wal(run))
    frame.write([run.as_result()])


def _tables(run: BytesRun, tables: Sizes, *, answers: int = 0) -> Table:
    table = Table("table", "for each", "rows", "all", "heap", "TOAST", "indexes")
    for name, size in _found(tables):
        per = ANSWER if answers else run.unit(name)
        count = answers or run.count(per)
        large = [(index, bytes_ / count) for index, bytes_ in sorted(size.indexes.items()) if bytes_ >= count]
        indexes = ", ".join(f"{index} {bytes_:,.0f}" for index, bytes_ in large)
        bytes_of = (size.total, size.heap, size.toast)
        table.add_row(
            ".".join(name), per, f"{size.rows / count:.2f}", *(f"{each / count:,.0f}" for each in bytes_of), indexes
        )
    return table


def _lines(run: BytesRun) -> Table:
    table = Table("for each", "bytes that stay")
    for line, bytes_ in run.lines().items():
        table.add_row(line, f"{bytes_:,.0f}")
    return table


def _wal(run: BytesRun) -> Table:
    table = Table("WAL of", "an event", "of it page images", "an answer")
    result = run.as_result()
    events, images, answers = (result[name] for name in ("wal_per_event", "wal_full_pages_per_event", "wal_per_answer"))
    for schema in sorted({*events, *answers}):
        columns = (events.get(schema, 0), images.get(schema, 0), answers.get(schema, 0))
        table.add_row(schema, *(f"{each:,.0f}" for each in columns))
    table.add_row("all", *(f"{sum(each.values()):,.0f}" for each in (events, images, answers)))
    return table

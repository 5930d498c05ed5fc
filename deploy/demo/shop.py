"""`earshot demo`: a sample shop sells, weeks of surveys pass in about a minute, and the score changes.

Once business time has caught up with the present, it passes at normal speed, and the person who tries the demo makes
the calls at the desk.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2

from deploy import all_in_one
from deploy.addresses import address, print_addresses
from deploy.all_settings import ALL, AllSettings
from deploy.demo.progress import DemoProgress
from deploy.demo.simulated_people import Person, Sale, SimulatedPeople, StoreQuality, purchase
from deploy.demo.terminal import in_terminal_language, say
from deploy.program_ticket import ProgramTicket
from services.scoring.people.samples import SAMPLE_EMPLOYEE
from shared.clock import StoredClock
from shared.contract.vocabulary import Service
from shared.languages.marking import mark
from shared.runtime import stop_on_signals
from shared.waiting import wait_for

FOLDER = Path(".data/demo")
SPEED = timedelta(days=1) / timedelta(seconds=1.5)
STARTS_BEFORE = timedelta(days=60)
CUSTOMERS = 100_000
PURCHASES_A_SECOND, PURCHASES_A_SECOND_TODAY = 20, 0.1
READING_TIME_S = 4.0
CANCELLED_SHARE, RETURNING_SHARE, REGULARS = 0.03, 0.25, 300
STORE_QUALITY = {"Tverskaya": 0.2, "Arbat": 0.13, "Online": 0.08, "Sokol": 0.02, "Khimki": 0.1}
REGIONS = {"Khimki": "Moscow region", "Online": "everywhere"}
ZONES = ("Europe/Moscow", "America/New_York", "Asia/Vladivostok")  # at any hour somebody in one of them may be asked
STAFF = (SAMPLE_EMPLOYEE, "e-2", "e-3")  # so few that each has enough answers for a score
DECLINING_STORE, DECLINE, DECLINES_AFTER = "Khimki", 0.4, timedelta(days=25)
ANNOTATION = f"{DECLINING_STORE}: new opening hours"
PROGRAM = {
    "id": "after-purchase",
    "title": "After a purchase",
    "brand": {"name": "Kofe Point"},
    "starts_on": ["crm.purchase.completed"],
    "quarantine": "30d",
    "target": 40,
    "segments": [
        *("store", "region", "channel", "employee"),
        {"name": "age", "field": "customer.attributes.age", "ranges": [18, 25, 35, 50, 65]},
    ],
}


@dataclass(slots=True)
class Shop:
    """Sends purchases to trigger's public API, and cancels some of them."""

    web: httpx2.AsyncClient
    trigger_url: str
    clock: StoredClock
    chance: random.Random = field(default_factory=random.Random)
    regulars: deque[Person] = field(default_factory=lambda: deque(maxlen=REGULARS))
    sold: int = 0

    async def apply_program(self) -> None:
        """Apply the newest version of the sample program, unless somebody switched it off."""
        known = (await self.web.get(f"{self.trigger_url}/v1/programs")).raise_for_status().json()["programs"]
        if not any(each["id"] == PROGRAM["id"] and not each["document"]["active"] for each in known):
            (await self.web.put(f"{self.trigger_url}/v1/programs", json=PROGRAM)).raise_for_status()

    async def sell(self) -> None:
        """Send the purchases of one second."""
        number = int(self.chance.random() < PURCHASES_A_SECOND_TODAY) if is_today(self.clock) else PURCHASES_A_SECOND
        if not number:
            return
        events = [self._purchase() for _ in range(number)]
        if self.chance.random() < CANCELLED_SHARE * number:
            events.append(_cancellation(events[0]))
        answer = await self.web.post(f"{self.trigger_url}/v1/events", json=events)
        answer.raise_for_status()
        self.sold += number

    def _purchase(self) -> dict[str, Any]:
        store = self.chance.choice(list(STORE_QUALITY))
        sale = Sale(
            event_id=str(uuid4()),
            order=str(self.chance.randrange(10_000, 100_000)),
            store=store,
            at=self.clock.now(),
            amount=f"{self.chance.randrange(300, 9000)}.00",
            currency="RUB",
            touchpoint={
                "region": REGIONS.get(store, "Moscow"),
                "employee": self.chance.choice(STAFF),
            },
        )
        customer = self._customer()
        return purchase(customer, sale, time_zone=ZONES[customer.number % len(ZONES)])

    def _customer(self) -> Person:
        if self.regulars and self.chance.random() < RETURNING_SHARE:
            return self.chance.choice(self.regulars)
        self.regulars.append(Person(self.chance.randrange(CUSTOMERS)))
        return self.regulars[-1]


def _cancellation(bought: dict[str, Any]) -> dict[str, Any]:
    about = bought["data"]
    return bought | {
        "id": str(uuid4()),
        "type": "crm.purchase.cancelled",
        "data": {"customer": {"id": about["customer"]["id"]}, "order": {"id": about["order"]["id"]}},
    }


async def demo(*, kafka: bool, seconds: int, folder: Path = FOLDER) -> None:
    """Run all services and the shop in this process until Ctrl-C; a second start continues with the same data."""
    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - nothing else runs yet
    with ExitStack() as resources:
        overrides: dict[str, object] = {"data_dir": folder, "clock": folder / "clock.json", "employee_figures": True}
        if kafka:
            overrides["events_url"] = await start_broker(resources, folder / "kafka")
        clock = StoredClock.create(folder / "clock.json", start=datetime.now(UTC) - STARTS_BEFORE, speed=0)
        stop = asyncio.Event()
        stop_on_signals(stop)
        if seconds:
            asyncio.get_running_loop().call_later(seconds, stop.set)
        say(mark("Earshot demo: starting PostgreSQL and three services …"))
        try:
            await _run_demo(AllSettings.for_demo(**overrides), clock, stop)
        finally:
            clock.anchor(clock.now(), speed=0)
    say(mark("Stopped. `make demo` continues from here; delete .data/demo to start again."))


async def start_broker(resources: ExitStack | AsyncExitStack, folder: Path) -> str:
    from deploy.kafka import broker  # noqa: PLC0415 - only a demo on Kafka needs it
    from shared.contract.topics import TOPICS  # noqa: PLC0415 - see above
    from shared.messaging.transport.kafka import create_topics  # noqa: PLC0415 - see above

    if problem := broker.missing_tool():
        raise SystemExit(f"earshot: {problem}")
    say(mark("Starting Apache Kafka …"))
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it logs errors while it reconnects by itself
    url = (await asyncio.to_thread(resources.enter_context, broker.Broker(folder))).url
    await create_topics(url, TOPICS)
    return url


async def _run_demo(settings: AllSettings, clock: StoredClock, stop: asyncio.Event) -> None:
    ready = asyncio.Event()

    def started(_urls: dict[str, str]) -> None:
        with in_terminal_language():
            print_addresses(settings, ALL)
        ready.set()

    auth = ProgramTicket(settings.scoring, name="The demo")
    async with httpx2.AsyncClient(timeout=10, auth=auth) as web, asyncio.TaskGroup() as tasks:
        tasks.create_task(all_in_one.run(settings, stop, ready=started, samples=True))
        await ready.wait()
        await _until_ready(web, settings, stop)
        if stop.is_set():
            return
        shop = Shop(web, address(settings, Service.TRIGGER), clock)
        await shop.apply_program()
        people = SimulatedPeople(
            web,
            dispatcher=address(settings, Service.DISPATCHER),
            scoring=address(settings, Service.SCORING),
            quality=store_quality(await _day_of_decline(web, address(settings, Service.SCORING), clock)),
            reading_time_s=lambda: READING_TIME_S if is_today(clock) else 0.0,
        )
        await people.skip_old_mail()
        tasks.create_task(_repeat(shop.sell, stop, every_s=1.0))
        tasks.create_task(_repeat(people.read_mail, stop, every_s=0.3))
        tasks.create_task(_repeat(lambda: _make_call(people, clock), stop, every_s=0.5))
        tasks.create_task(
            _repeat(
                DemoProgress(web, address(settings, Service.SCORING), clock, shop, people).print_if_changed,
                stop,
                every_s=2.0,
            )
        )
        tasks.create_task(_run_clock(clock, stop))


async def _day_of_decline(web: httpx2.AsyncClient, scoring: str, clock: StoredClock) -> date:
    """Return the day on which DECLINING_STORE gets worse; the first start stores it as an annotation."""
    known = (await web.get(f"{scoring}/v1/annotations", params={"from": "2000-01-01", "to": "2199-01-01"})).json()
    for note in known:
        if note["text"] == ANNOTATION:
            return date.fromisoformat(note["day"])
    day = (clock.now() + DECLINES_AFTER).date()
    annotation = {"program": PROGRAM["id"], "day": day.isoformat(), "text": ANNOTATION}
    (await web.post(f"{scoring}/v1/annotations", json=annotation)).raise_for_status()
    return day


def store_quality(decline: date) -> StoreQuality:
    """Return a function that maps a text and a time to the quality of the store named in the text.

    From the day `decline`, DECLINING_STORE is worse by DECLINE.
    """

    def of(text: str, at: datetime) -> float:
        store = next((store for store in STORE_QUALITY if store in text), "")
        return STORE_QUALITY.get(store, 0.0) - DECLINE * (store == DECLINING_STORE and at.date() >= decline)

    return of


async def _until_ready(web: httpx2.AsyncClient, settings: AllSettings, stop: asyncio.Event) -> None:
    for service in ALL:
        while not stop.is_set():
            try:
                if (await web.get(f"{address(settings, service)}/readyz")).is_success:
                    break
            except httpx2.TransportError:
                pass
            await wait_for(stop, 0.1)


async def _repeat(action: Callable[[], Awaitable[object]], stop: asyncio.Event, *, every_s: float) -> None:
    while not await wait_for(stop, every_s):
        try:
            await action()
        except* httpx2.HTTPError:
            if not stop.is_set():
                say(mark("  … no answer, trying again"))


async def _make_call(people: SimulatedPeople, clock: StoredClock) -> None:
    """Let an operator make a call while business time is behind real time; then the demo's user makes the calls."""
    if not is_today(clock):
        await people.make_one_call(clock.now())


async def _run_clock(clock: StoredClock, stop: asyncio.Event) -> None:
    """Run the clock fast up to the present, then at normal speed; store it every second, for a demo that is killed."""
    await catch_up(clock, stop)
    if not stop.is_set():
        say(mark("Today: time now passes at its normal speed. Answer a mail, take a call at the desk."))
    while not stop.is_set():
        clock.anchor(clock.now(), speed=1)
        await wait_for(stop, 1.0)


async def catch_up(clock: StoredClock, stop: asyncio.Event) -> None:
    """Run the clock fast up to the present, slower towards the end: business time must not overtake real time."""
    while (left := (datetime.now(UTC) - clock.now()).total_seconds()) > 1 and not stop.is_set():
        clock.anchor(clock.now(), speed=min(SPEED, 1 + left * 0.9))
        await wait_for(stop, 1.0)


def is_today(clock: StoredClock) -> bool:
    return clock.now() > datetime.now(UTC) - timedelta(hours=1)

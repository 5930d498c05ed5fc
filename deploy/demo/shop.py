"""`earshot demo`: a shop sells, weeks of escalation pass in about a minute, and the score moves.

Once today is reached time goes at its usual pace, and the desk is left to whoever tries the product out.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from rich.console import Console

from deploy import all_in_one
from deploy.all_in_one import AllSettings
from deploy.demo.simulated_people import Person, Sale, SimulatedPeople, Warmth, purchase
from shared.clock import StoredClock
from shared.contract.vocabulary import Service, counted
from shared.runtime import stop_on_signals
from shared.waiting import wait_for

FOLDER = Path(".data/demo")
SPEED = timedelta(days=1) / timedelta(seconds=1.5)
BEGINS_BEFORE = timedelta(days=60)
CUSTOMERS = 100_000
PURCHASES_A_SECOND, PURCHASES_A_SECOND_TODAY = 10, 0.1
READS_S = 4.0
CANCELLED_SHARE, RETURNING_SHARE, REGULARS = 0.03, 0.25, 300
WARMTH = {"Tverskaya": 0.2, "Arbat": 0.13, "Online": 0.08, "Sokol": 0.02, "Khimki": 0.1}
REGIONS = {"Khimki": "Moscow region", "Online": "everywhere"}
ZONES = ("Europe/Moscow", "America/New_York", "Asia/Vladivostok")  # where somebody may be called at any hour
STAFF = ("Anna", "Boris", "Vera", "Gleb")
FALLS, FALLS_BY, FALLS_AFTER = "Khimki", 0.4, timedelta(days=25)
NOTE = f"{FALLS}: new opening hours"
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

console = Console(highlight=False)


@dataclass(slots=True)
class Shop:
    """Sends purchases through the public door, some of them cancelled again."""

    web: httpx.AsyncClient
    door: str
    clock: StoredClock
    chance: random.Random = field(default_factory=random.Random)
    regulars: deque[Person] = field(default_factory=lambda: deque(maxlen=REGULARS))
    sold: int = 0

    async def apply_program(self) -> None:
        """Bring the sample program up to date, unless somebody switched it off."""
        known = (await self.web.get(f"{self.door}/v1/programs")).raise_for_status().json()["programs"]
        if not any(each["id"] == PROGRAM["id"] and not each["document"]["active"] for each in known):
            (await self.web.put(f"{self.door}/v1/programs", json=PROGRAM)).raise_for_status()

    async def sell(self) -> None:
        """Sell what is sold in a second."""
        number = int(self.chance.random() < PURCHASES_A_SECOND_TODAY) if is_today(self.clock) else PURCHASES_A_SECOND
        if not number:
            return
        events = [self._purchase() for _ in range(number)]
        if self.chance.random() < CANCELLED_SHARE * number:
            events.append(_cancellation(events[0]))
        answer = await self.web.post(f"{self.door}/v1/events", json=events)
        answer.raise_for_status()
        self.sold += number

    def _purchase(self) -> dict[str, Any]:
        store = self.chance.choice(list(WARMTH))
        sale = Sale(
            event_id=str(uuid4()),
            order=str(self.chance.randrange(10_000, 100_000)),
            store=store,
            at=self.clock.now(),
            amount=f"{self.chance.randrange(300, 9000)}.00",
            currency="RUB",
            touchpoint={
                "region": REGIONS.get(store, "Moscow"),
                "employee": f"{self.chance.choice(STAFF)}, {store}",
            },
        )
        customer = self._customer()
        return purchase(customer, sale, time_zone=ZONES[customer.number % len(ZONES)])

    def _customer(self) -> Person:
        if self.regulars and self.chance.random() < RETURNING_SHARE:
            return self.chance.choice(self.regulars)
        self.regulars.append(Person(self.chance.randrange(CUSTOMERS)))
        return self.regulars[-1]


def _cancellation(sold: dict[str, Any]) -> dict[str, Any]:
    about = sold["data"]
    return sold | {
        "id": str(uuid4()),
        "type": "crm.purchase.cancelled",
        "data": {"customer": {"id": about["customer"]["id"]}, "order": {"id": about["order"]["id"]}},
    }


async def demo(*, kafka: bool, seconds: int, folder: Path = FOLDER) -> None:
    """Run everything in this process until Ctrl-C; a second start goes on from the same data."""
    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - nothing runs yet
    with ExitStack() as resources:
        overrides: dict[str, object] = {"data_dir": folder, "clock": folder / "clock.json"}
        if kafka:
            overrides["events_url"] = await start_broker(resources, folder / "kafka")
        clock = StoredClock.create(folder / "clock.json", start=datetime.now(UTC) - BEGINS_BEFORE, speed=0)
        stop = asyncio.Event()
        stop_on_signals(stop)
        if seconds:
            asyncio.get_running_loop().call_later(seconds, stop.set)
        console.print("Earshot demo: starting PostgreSQL and three services …")
        try:
            await _play(AllSettings.for_play(**overrides), clock, stop)
        finally:
            clock.anchor(clock.now(), speed=0)
    console.print("Stopped. `make demo` goes on from here; remove .data/demo to begin anew.")


async def start_broker(resources: ExitStack | AsyncExitStack, folder: Path) -> str:
    from deploy.kafka import broker  # noqa: PLC0415 - only a demo on Kafka needs it
    from shared.contract.topics import TOPICS  # noqa: PLC0415 - see above
    from shared.messaging.transport.kafka import create_topics  # noqa: PLC0415 - see above

    if problem := broker.missing_tool():
        raise SystemExit(f"earshot: {problem}")
    console.print("Starting Apache Kafka …")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it waits and goes on by itself, and says so loudly
    url = (await asyncio.to_thread(resources.enter_context, broker.Broker(folder))).url
    await create_topics(url, TOPICS)
    return url


async def _play(settings: AllSettings, clock: StoredClock, stop: asyncio.Event) -> None:
    ready = asyncio.Event()

    def started(_urls: dict[str, str]) -> None:
        print_addresses(settings, all_in_one.ALL)
        ready.set()

    async with httpx.AsyncClient(timeout=10) as web, asyncio.TaskGroup() as tasks:
        tasks.create_task(all_in_one.run(settings, stop, ready=started))
        await ready.wait()
        await _until_ready(web, settings, stop)
        if stop.is_set():
            return
        shop = Shop(web, address(settings, Service.TRIGGER), clock)
        await shop.apply_program()
        crowd = SimulatedPeople(
            web,
            dispatcher=address(settings, Service.DISPATCHER),
            scoring=address(settings, Service.SCORING),
            warmth=warmth(await _fall(web, address(settings, Service.SCORING), clock)),
            reads_s=lambda: READS_S if is_today(clock) else 0.0,
        )
        await crowd.forget_old_mail()
        tasks.create_task(_repeat(shop.sell, stop, every_s=1.0))
        tasks.create_task(_repeat(crowd.read_mail, stop, every_s=0.3))
        tasks.create_task(_repeat(lambda: _call(crowd, clock), stop, every_s=0.5))
        tasks.create_task(_repeat(_Report(web, settings, clock, shop, crowd).say, stop, every_s=2.0))
        tasks.create_task(_keep_time(clock, stop))


async def _fall(web: httpx.AsyncClient, scoring: str, clock: StoredClock) -> date:
    """Say when one store begins to do worse, as the dashboard is told at the first start."""
    known = (await web.get(f"{scoring}/v1/annotations", params={"from": "2000-01-01", "to": "2199-01-01"})).json()
    for note in known:
        if note["text"] == NOTE:
            return date.fromisoformat(note["day"])
    day = (clock.now() + FALLS_AFTER).date()
    noted = {"program": PROGRAM["id"], "day": day.isoformat(), "text": NOTE}
    (await web.post(f"{scoring}/v1/annotations", json=noted)).raise_for_status()
    return day


def warmth(fall: date) -> Warmth:
    """Say how well the store named in a text treats its customers; from one day on, one of them does worse."""

    def of(text: str, at: datetime) -> float:
        store = next((store for store in WARMTH if store in text), "")
        return WARMTH.get(store, 0.0) - FALLS_BY * (store == FALLS and at.date() >= fall)

    return of


async def _until_ready(web: httpx.AsyncClient, settings: AllSettings, stop: asyncio.Event) -> None:
    for service in all_in_one.ALL:
        while not stop.is_set():
            try:
                if (await web.get(f"{address(settings, service)}/readyz")).is_success:
                    break
            except httpx.TransportError:
                pass
            await wait_for(stop, 0.1)


async def _repeat(action: Callable[[], Awaitable[object]], stop: asyncio.Event, *, every_s: float) -> None:
    while not await wait_for(stop, every_s):
        try:
            await action()
        except* httpx.HTTPError:
            if not stop.is_set():
                console.print("  … no answer, trying again")


async def _call(crowd: SimulatedPeople, clock: StoredClock) -> None:
    """Work at the desk; from today on it is left to whoever looks."""
    if not is_today(clock):
        await crowd.make_one_call(clock.now())


async def _keep_time(clock: StoredClock, stop: asyncio.Event) -> None:
    """Hurry on to now; write the time down every second, so that a killed demo goes on where it was."""
    await hurry_to_now(clock, stop)
    if not stop.is_set():
        console.print("Today: time goes at its usual pace from here. Answer a mail, take a call at the desk.")
    while not stop.is_set():
        clock.anchor(clock.now(), speed=1)
        await wait_for(stop, 1.0)


async def hurry_to_now(clock: StoredClock, stop: asyncio.Event) -> None:
    """Let time run, slower and slower as now comes near: what is over cannot be taken back."""
    while (left := (datetime.now(UTC) - clock.now()).total_seconds()) > 1 and not stop.is_set():
        clock.anchor(clock.now(), speed=min(SPEED, 1 + left * 0.9))
        await wait_for(stop, 1.0)


def is_today(clock: StoredClock) -> bool:
    return clock.now() > datetime.now(UTC) - timedelta(hours=1)


@dataclass(slots=True)
class _Report:
    web: httpx.AsyncClient
    settings: AllSettings
    clock: StoredClock
    shop: Shop
    crowd: SimulatedPeople
    _said: str = ""

    async def say(self) -> None:
        """Print how far things are, where that is news."""
        reached = ", ".join(counted(self.crowd.received.get(name, 0), word) for name, word in _CONTACTS.items())
        line = f"{self.clock.now():%d %b}: {self.shop.sold} sold, {reached}; {await self._score()}"
        if line != self._said:
            console.print(line, soft_wrap=True)
        self._said = line

    async def _score(self) -> str:
        answer = await self.web.get(f"{address(self.settings, Service.SCORING)}/v1/nps")
        whole = next(iter(answer.raise_for_status().json()["series"]), None)
        if not whole or not whole["n"]:
            return "no score yet"
        low, high = whole["interval"]["low"], whole["interval"]["high"]
        return f"{counted(whole['n'], 'answer')} in all, NPS [bold]{whole['nps']:+.0f}[/] ({low:+.0f} … {high:+.0f})"


_CONTACTS = {"email 1": "mail", "email 2": "repeat", "sms 3": "text message", "call": "call"}


def address(settings: AllSettings, service: Service) -> str:
    return f"http://127.0.0.1:{settings.port(service)}"


def print_addresses(settings: AllSettings, services: Sequence[Service]) -> None:
    """Say where to look."""
    pages = (
        ("Dashboard", Service.SCORING, "/"),
        ("Mailbox", Service.DISPATCHER, "/mailbox"),
        ("Desk", Service.SCORING, "/desk"),
        ("Send an event, API docs", Service.TRIGGER, "/docs"),
        ("API docs, dispatcher", Service.DISPATCHER, "/docs"),
        ("API docs, scoring", Service.SCORING, "/docs"),
    )
    console.print()
    for name, service, path in pages:
        if service in services:
            console.print(f"  {name:<24}{address(settings, service)}{path}")
    console.print()

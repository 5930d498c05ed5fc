"""One chaos run: two dispatchers of which one is always dying, and everything around them going away and coming back.

The business clock goes through two weeks while all of that goes on; then it becomes quiet, time runs out for every
invitation, and the oracle looks.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from deploy import databases
from deploy.kafka.broker import Broker
from services.dispatcher import main as dispatcher
from services.dispatcher import repository
from shared import db, embedded
from shared.clock import StoredClock
from shared.topics import TOPICS
from shared.transport import EventLog, open_log
from shared.transport.kafka import create_topics
from shared.vocabulary import Service
from tests.chaos.oracle import Oracle, Verdict
from tests.chaos.outages import Outages
from tests.chaos.processes import Processes
from tests.chaos.providers import Providers, open_providers
from tests.chaos.respondents import Crowd

BEGINS = datetime(2026, 3, 2, 10, tzinfo=UTC)
BEAT_S = 0.5
STORM = timedelta(days=14)
AT_ONCE = 0.4  # of the invitations
MISBEHAVING = 0.01  # of the mails and text messages
QUIET_S = 300.0
KILL_S = 90.0  # a kill takes less, also where a point has to be reached first


@dataclass(frozen=True, slots=True)
class Plan:
    invitations: int
    kills: int
    seed: int
    transport: str = "kafka"


@dataclass
class Report:
    plan: Plan
    verdict: Verdict
    faults: Counter[str]
    kills: int
    seconds: float

    @property
    def passed(self) -> bool:
        verdict = self.verdict
        return not (verdict.lost or verdict.duplicates or verdict.wrong) and self.kills >= self.plan.kills


@dataclass
class Stand:
    plan: Plan
    crowd: Crowd
    providers: Providers
    processes: Processes
    outages: Outages
    oracle: Oracle
    event_log: EventLog
    clock: StoredClock
    stop: asyncio.Event = field(default_factory=asyncio.Event)


async def run(plan: Plan) -> Report:
    began = time.monotonic()
    async with _open(plan) as stand:
        verdict = await _play(stand)
        faults = stand.providers.ledger.faults + stand.processes.faults + stand.outages.faults
        return Report(plan, verdict, faults, stand.processes.done, time.monotonic() - began)


async def _play(stand: Stand) -> Verdict:
    quiet = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for name in ("first", "second"):
            tasks.create_task(stand.processes.run(name, stand.stop))
        still = tasks.create_task(stand.processes.stand_still("still"))
        outages = tasks.create_task(stand.outages.run(quiet))
        desk = tasks.create_task(stand.crowd.work_desk())
        watching = tasks.create_task(_watch(stand))
        await _storm(stand)
        quiet.set()
        await asyncio.gather(outages, still)
        await _calm(stand)
        watching.cancel()
        desk.cancel()
        stand.stop.set()
    return await stand.oracle.judge(
        stand.event_log, deaths=stand.processes.done + stand.processes.faults["stopped past its lease"]
    )


async def _storm(stand: Stand) -> None:
    """Ask in waves and let people speak until all were asked and enough was killed.

    Time leaps with every kill: with the clock on the wall, surveys would end before a slow machine had begun them.
    """
    stand.providers.misbehave(MISBEHAVING)
    async with asyncio.timeout(KILL_S * stand.plan.kills):
        while not stand.processes.enough.is_set() or len(stand.crowd.asked) < stand.plan.invitations:
            await _ask(stand)
            await stand.crowd.speak(0.01)
            stand.clock.anchor(BEGINS + STORM * (stand.processes.done / stand.plan.kills), speed=0)
            await asyncio.sleep(BEAT_S)
    stand.providers.misbehave(0)


async def _ask(stand: Stand) -> None:
    """Ask many at once, the others as the kills are done, and still more when a point to die at is waited for.

    Without new work nobody would come to that point any more.
    """
    plan = stand.plan
    share = AT_ONCE + (1 - AT_ONCE) * stand.processes.done / plan.kills
    missing = round(plan.invitations * share) - len(stand.crowd.asked)
    if missing > 0:
        asked = await stand.crowd.ask(missing)
        stand.providers.know(each.invitation_id for each in asked)
        await stand.crowd.publish(asked)


async def _calm(stand: Stand) -> None:
    """Let every chain come to its end: the steps that are left, then the expiry."""
    for leap in (*[timedelta(days=2)] * 5, timedelta(days=30)):
        stand.clock.anchor(stand.clock.now() + leap, speed=0)
        await _settle(stand)


async def _settle(stand: Stand) -> None:
    async with asyncio.timeout(QUIET_S):
        while not await _is_quiet(stand):  # noqa: ASYNC110 - tables set no event
            await asyncio.sleep(0.2)


async def _is_quiet(stand: Stand) -> bool:
    if await stand.event_log.lag(Service.DISPATCHER.group, dispatcher.TOPICS):
        return False
    async with stand.oracle.database.sessions.begin() as session:
        waiting = (await db.fetch(session, "SELECT count(*) FROM outbox"))[0][0]
        return not waiting and not await repository.work_left(session, stand.clock.now())


async def _watch(stand: Stand) -> None:
    """Note when each invitation is first seen closed; during an outage nothing is seen."""
    while True:
        try:
            await stand.oracle.look()
        except Exception as error:
            if not db.is_transient(error):
                raise
        await asyncio.sleep(1)


@asynccontextmanager
async def _open(plan: Plan) -> AsyncIterator[Stand]:
    chance = random.Random(plan.seed)
    async with AsyncExitStack() as resources:
        folder = Path(tempfile.mkdtemp(prefix="ec-"))
        resources.callback(shutil.rmtree, folder, ignore_errors=True)
        postgres = await asyncio.to_thread(embedded.start, folder / "pg")
        resources.callback(postgres.stop)
        urls = await embedded.prepare(postgres)
        await databases.migrate(urls)
        broker = resources.enter_context(Broker()) if plan.transport == "kafka" else None
        events_url = broker.url if broker else urls["transport"]
        if broker:
            await create_topics(events_url, TOPICS)
        clock = StoredClock.create(folder / "clock.json", start=BEGINS, speed=0)
        event_log = open_log(events_url)
        resources.push_async_callback(event_log.close)
        database = db.Database(urls["dispatcher"], schema="dispatcher", pool_size=2)
        resources.push_async_callback(database.close)
        providers = await resources.enter_async_context(open_providers(plan.seed))
        crowd = Crowd(event_log, clock, chance)
        environment = _environment(folder, urls["dispatcher"], events_url, providers)
        processes = Processes(environment, folder, chance, plan.kills)
        resources.callback(processes.end)
        yield Stand(
            plan,
            crowd,
            providers,
            processes,
            Outages(postgres, broker, chance),
            Oracle(crowd, providers.ledger, database),
            event_log,
            clock,
        )


def _environment(folder: Path, database_url: str, events_url: str, providers: Providers) -> dict[str, str]:
    own = {
        "dispatcher_database_url": database_url,
        "events_url": events_url,
        "clock": folder / "clock.json",
        "send": "live",
        "send_daily_ceiling": 10**9,
        "smtp_url": providers.smtp_url,
        "twilio_url": providers.twilio.url,
        "twilio_account_sid": "AC1",
        "twilio_auth_token": "secret",
        "twilio_from": "+15550009",
        "log_level": "warning",
    }
    return {**os.environ, **{f"EARSHOT_{name.upper()}": str(value) for name, value in own.items()}}

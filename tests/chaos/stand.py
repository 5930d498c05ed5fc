"""What a chaos run stands on: PostgreSQL, brokers, providers, a clock, and everybody who acts or looks."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx

from deploy import databases
from deploy.kafka.cluster import Cluster
from shared.clock import StoredClock
from shared.contract.topics import TOPICS
from shared.contract.vocabulary import Service
from shared.database import embedded
from shared.messaging.transport import EventLog, open_log
from shared.messaging.transport.kafka import create_topics
from tests.chaos.browsers import Browsers
from tests.chaos.oracle import Oracle
from tests.chaos.outages import Outages
from tests.chaos.processes import DISPATCHERS, ROLES, Processes, Role
from tests.chaos.providers import Providers, open_providers
from tests.chaos.respondents import Crowd
from tests.chaos.servers import Postgres, open_one, open_pair
from tests.chaos.witness import Witness, open_databases

LONG = 20  # kills
BEGINS = datetime(2026, 3, 2, 10, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Plan:
    invitations: int
    kills: int
    seed: int
    logs: Path  # what the processes say goes there
    transport: str = "kafka"

    fails_over: bool = False  # wants the distribution's PostgreSQL

    @property
    def is_long(self) -> bool:
        """Whether everything has to happen at least once, or what comes in a short time is enough."""
        return self.kills >= LONG

    @property
    def every_point_of(self) -> Sequence[Role]:
        """Whose points are all waited for; the brokers of a short run leave little time for that."""
        short = DISPATCHERS if self.transport == "postgres" else ()
        return ROLES if self.is_long else short


@dataclass
class Stand:
    plan: Plan
    crowd: Crowd
    providers: Providers
    processes: Processes
    outages: Outages
    browsers: Browsers
    witness: Witness
    oracle: Oracle
    event_log: EventLog
    clock: StoredClock
    web: httpx.AsyncClient
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    wrong: list[str] = field(default_factory=list)

    def faults(self) -> Counter[str]:
        own = (self.processes, self.outages, self.browsers, self.witness, self.providers.ledger)
        return sum((each.faults for each in own), Counter())


@asynccontextmanager
async def open_stand(plan: Plan) -> AsyncIterator[Stand]:
    chance = random.Random(plan.seed)
    async with AsyncExitStack() as resources:
        folder = Path(tempfile.mkdtemp(prefix="ec-"))
        resources.callback(shutil.rmtree, folder, ignore_errors=True)
        shutil.rmtree(plan.logs, ignore_errors=True)
        plan.logs.mkdir(parents=True)
        opened: AbstractContextManager[Postgres] = open_pair() if plan.fails_over else open_one(folder / "pg")
        postgres = resources.enter_context(opened)
        urls = await embedded.prepare(embedded.Embedded(postgres.admin_url, folder))
        await databases.migrate(urls)
        cluster = resources.enter_context(Cluster()) if plan.transport == "kafka" else None
        events_url = cluster.url if cluster else urls["transport"]
        if cluster:
            await create_topics(events_url, TOPICS)
        clock = StoredClock.create(folder / "clock.json", start=BEGINS, speed=0)
        event_log = open_log(events_url)
        resources.push_async_callback(event_log.close)
        own_databases = await resources.enter_async_context(open_databases(urls))
        providers = await resources.enter_async_context(open_providers(plan.seed))
        web = await resources.enter_async_context(httpx.AsyncClient())
        environment = _environment(folder, urls, events_url, providers)
        processes = Processes(environment, plan.logs, chance, plan.kills, plan.every_point_of)
        resources.callback(processes.end)
        crowd = Crowd(event_log, clock, chance, processes, own_databases[Service.TRIGGER])
        yield Stand(
            plan,
            crowd,
            providers,
            processes,
            Outages(postgres, cluster, chance),
            Browsers(crowd, chance),
            Witness(processes, own_databases, event_log, clock, web, cluster.url if cluster else ""),
            Oracle(crowd, providers.ledger, own_databases),
            event_log,
            clock,
            web,
        )


def _environment(folder: Path, urls: Mapping[str, str], events_url: str, providers: Providers) -> dict[str, str]:
    own = {
        **{f"{service}_database_url": urls[service] for service in Service},
        "migrate_on_start": "false",
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

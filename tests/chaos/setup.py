"""Everything a chaos run needs: PostgreSQL, brokers, providers, clock, processes, participants and checks."""

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

import httpx2

from deploy import databases
from deploy.kafka.cluster import Cluster
from shared.clock import StoredClock
from shared.contract.topics import TOPICS
from shared.contract.vocabulary import Service
from shared.database import embedded
from shared.messaging.transport import EventLog, open_log
from shared.messaging.transport.kafka import create_topics
from tests import keys
from tests.chaos.browsers import Browsers
from tests.chaos.health_monitor import HealthMonitor, open_databases
from tests.chaos.oracle import Oracle
from tests.chaos.outages import Outages
from tests.chaos.participants import Participants
from tests.chaos.processes import ROLES, Processes, Role
from tests.chaos.providers import Providers, open_providers
from tests.chaos.servers import Postgres, open_primary_and_standby, open_single_server
from tests.staff import PROCESS_STAFF

LONG = 20  # kills
START = datetime(2026, 3, 2, 10, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Plan:
    invitations: int
    kills: int
    seed: int
    logs: Path  # the folder for the processes' logs
    transport: str = "kafka"
    fails_over: bool = False  # needs the distribution's PostgreSQL

    @property
    def is_long(self) -> bool:
        """Whether every fault must happen at least once; a short run ends before that."""
        return self.kills >= LONG

    @property
    def roles_to_cover(self) -> Sequence[Role]:
        """The roles whose crash points must all be reached; a short run has no time for that."""
        return ROLES if self.is_long else ()


@dataclass
class ChaosSetup:
    plan: Plan
    participants: Participants
    providers: Providers
    processes: Processes
    outages: Outages
    browsers: Browsers
    monitor: HealthMonitor
    oracle: Oracle
    event_log: EventLog
    clock: StoredClock
    web: httpx2.AsyncClient
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    wrong: list[str] = field(default_factory=list)

    def faults(self) -> Counter[str]:
        own = (self.processes, self.outages, self.browsers, self.monitor, self.providers.ledger)
        return sum((each.faults for each in own), Counter())


@asynccontextmanager
async def open_setup(plan: Plan) -> AsyncIterator[ChaosSetup]:
    rng = random.Random(plan.seed)
    async with AsyncExitStack() as resources:
        folder = Path(tempfile.mkdtemp(prefix="ec-"))
        resources.callback(shutil.rmtree, folder, ignore_errors=True)
        shutil.rmtree(plan.logs, ignore_errors=True)
        plan.logs.mkdir(parents=True)
        opened: AbstractContextManager[Postgres] = (
            open_primary_and_standby() if plan.fails_over else open_single_server(folder / "pg")
        )
        postgres = resources.enter_context(opened)
        urls = await embedded.prepare(embedded.Embedded(postgres.admin_url, folder))
        await databases.migrate(urls)
        cluster = resources.enter_context(Cluster()) if plan.transport == "kafka" else None
        events_url = cluster.url if cluster else urls["transport"]
        if cluster:
            await create_topics(events_url, TOPICS)
        clock = StoredClock.create(folder / "clock.json", start=START, speed=0)
        event_log = open_log(events_url)
        resources.push_async_callback(event_log.close)
        own_databases = await resources.enter_async_context(open_databases(urls))
        providers = await resources.enter_async_context(open_providers(plan.seed))
        web = await resources.enter_async_context(httpx2.AsyncClient(auth=PROCESS_STAFF))
        environment = _environment(folder, urls, events_url, providers)
        processes = Processes(environment, plan.logs, rng, plan.kills, plan.roles_to_cover)
        resources.callback(processes.kill_all)
        participants = Participants(event_log, clock, rng, processes, own_databases[Service.TRIGGER])
        yield ChaosSetup(
            plan,
            participants,
            providers,
            processes,
            Outages(postgres, cluster, rng),
            Browsers(participants, rng),
            HealthMonitor(processes, own_databases, event_log, clock, web, cluster.url if cluster else ""),
            Oracle(participants, providers.ledger, own_databases),
            event_log,
            clock,
            web,
        )


def _environment(folder: Path, urls: Mapping[str, str], events_url: str, providers: Providers) -> dict[str, str]:
    own = {
        **{f"{service}_database_url": urls[service] for service in Service},
        **keys.SETTINGS,
        "migrate_on_start": "false",
        "events_url": events_url,
        "clock": folder / "clock.json",
        "public_url": "http://127.0.0.1:1",  # the processes have no fixed ports; links are asked for by path
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

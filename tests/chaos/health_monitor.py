"""Finds stalls in a chaos run: services that report to be ready and do not work.

A service's backlogs are the messages its group has not read, its outbox, and what is due. While one of its processes
is ready, each backlog must fall from time to time; time without a ready process does not count. On Kafka the group
must also have as many members as the ready processes have consumers.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx2
from aiokafka.errors import KafkaError

from deploy.demo import quiescence
from services.dispatcher import repository as dispatcher_repository
from services.dispatcher.repository.steps import LEASE
from services.scoring import repository as scoring_repository
from shared.clock import StoredClock
from shared.contract.vocabulary import Service
from shared.database import db
from shared.messaging.transport import EventLog, TransportUnavailable
from shared.messaging.transport.kafka import admin_client
from shared.messaging.transport.kafka.connection import Connection
from tests.chaos.processes import CONNECTION_ERRORS, Processes, ServiceProcess

POLL_S = 2.0
ANSWER_S = 10.0
STALL_S = LEASE.total_seconds() + 60  # steps of a killed sender wait until its lease expires
SILENT_S = 60.0
READY_S = 120.0
CONSUMERS = {Service.TRIGGER: 2, Service.DISPATCHER: 1, Service.SCORING: 1}
JOIN_S = 30.0  # the coordinator may wait that long for members that were killed
_OUTBOX = "SELECT count(*), coalesce(min(id), 0) FROM outbox"
_DUE = {Service.DISPATCHER: dispatcher_repository.work_left, Service.SCORING: scoring_repository.work_left}


@dataclass(slots=True)
class Backlog:
    """How much is left to do, and for how many seconds of readiness it has not fallen."""

    left: int = 0
    mark: int = 0
    stalled_s: float = 0.0

    def update(self, left: int, mark: int, *, ready_s: float) -> None:
        falls = left < self.left or mark != self.mark or left == 0
        self.left, self.mark = left, mark
        self.stalled_s = 0.0 if falls else self.stalled_s + ready_s


@dataclass
class HealthMonitor:
    processes: Processes
    databases: Mapping[Service, db.Database]
    event_log: EventLog
    clock: StoredClock
    web: httpx2.AsyncClient
    kafka_url: str  # empty with the postgres transport, which has no group members
    undetected: int = 0
    wrong: list[str] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    longest_stall_s: dict[str, float] = field(default_factory=dict)  # of each backlog
    _backlogs: dict[str, Backlog] = field(default_factory=dict)
    _ready: set[ServiceProcess] = field(default_factory=set)
    _answered: dict[ServiceProcess, float] = field(default_factory=dict)

    async def watch(self) -> None:
        """Check without end."""
        looked = time.monotonic()
        while True:
            await asyncio.sleep(POLL_S)
            before, (since, looked) = self._ready, (looked, time.monotonic())
            self._ready = await self.ask_all()
            well = {each.role.service for each in self._ready & before}
            for service in Service:
                await self._check(service, ready_s=(looked - since) * (service in well))

    async def ask_all(self) -> set[ServiceProcess]:
        """Return the processes that report to be ready; another status than 200 of /livez is an error."""
        up = self.processes.up()
        ready = await asyncio.gather(*map(self._ask, up))
        return {each for each, is_ready in zip(up, ready, strict=True) if is_ready and each.is_up}

    async def _ask(self, running: ServiceProcess) -> bool:
        livez, readyz = await self._status(running, "livez"), await self._status(running, "readyz")
        if not running.is_up:
            return False
        if livez is not None or readyz is not None:
            self._answered[running] = time.monotonic()
        if time.monotonic() - self._answered.setdefault(running, running.up_since) > SILENT_S:
            self._answered[running] = time.monotonic()
            self.wrong.append(f"{running.role.name} answered neither /livez nor /readyz for {SILENT_S:g} s")
        if livez not in (None, httpx2.codes.OK):
            self.wrong.append(f"{running.role.name} answers {livez} at /livez")
        if readyz not in (None, httpx2.codes.OK):
            self.faults[f"not ready, {running.role.service}"] += 1
        return readyz == httpx2.codes.OK

    async def _status(self, running: ServiceProcess, path: str) -> int | None:
        try:
            return (await self.web.get(f"{running.url}/{path}", timeout=ANSWER_S)).status_code
        except CONNECTION_ERRORS:
            return None

    async def _check(self, service: Service, *, ready_s: float) -> None:
        try:
            async with asyncio.timeout(ANSWER_S):
                left = await self.left(service)
        except (TransportUnavailable, TimeoutError):
            return
        except Exception as error:
            if not db.is_transient(error):
                raise
            return
        for name, (count, mark) in left.items():
            backlog = self._backlogs.setdefault(name, Backlog())
            backlog.update(count, mark, ready_s=ready_s)
            self.longest_stall_s[name] = max(self.longest_stall_s.get(name, 0.0), backlog.stalled_s)
            if backlog.stalled_s > STALL_S:
                self.undetected += 1
                self.wrong.append(f"{service} reports ready, and its {name} stays at {count} for {STALL_S:g} s")
                backlog.stalled_s = 0.0

    async def left(self, service: Service) -> dict[str, tuple[int, int]]:
        """Return each backlog: how much is left, and a mark that changes when some of it was done."""
        async with self.databases[service].sessions.begin() as session:
            count, oldest = (await db.fetch(session, _OUTBOX))[0]
            due = await _DUE[service](session, self.clock.now()) if service in _DUE else 0
        lag = await self.event_log.lag(service.group, quiescence.READ_TOPICS[service])
        found = {f"outbox of {service}": (count, oldest), f"due of {service}": (due, 0), f"lag of {service}": (lag, 0)}
        if self.kafka_url and (members := await self._members(service)) is not None:
            found[f"absent readers of {service}"] = (max(0, self._readers(service) - members), 0)
        return found

    def _readers(self, service: Service) -> int:
        """Count the consumers of processes that are ready and have been up for JOIN_S."""
        started_by = time.monotonic() - JOIN_S
        joined = [each for each in self._ready if each.role.service is service and each.up_since < started_by]
        return CONSUMERS[service] * len([each for each in joined if each.is_up])

    async def _members(self, service: Service) -> int | None:
        """Count the members of the service's group; None while it is rebalancing."""
        try:
            async with admin_client(Connection(self.kafka_url)) as admin:
                (answer,) = await admin.describe_consumer_groups([service.group])
        except KafkaError as error:
            raise TransportUnavailable(type(error).__name__) from error
        (group,) = answer.to_object()["groups"]
        return len(group["members"]) if group["state"] == "Stable" else None

    async def until_ready(self) -> None:
        """Wait until every process is ready; after the last fault, one that is not within READY_S is an error."""
        try:
            async with asyncio.timeout(READY_S):
                while not self._ready >= set(self.processes.up()):  # noqa: ASYNC110 - `watch` sets no event
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            late = {each.role.name for each in self.processes.up()} - {each.role.name for each in self._ready}
            self.wrong.append(f"not ready {READY_S:g} s after the last fault: {sorted(late)}")

    async def is_quiet(self) -> bool:
        """Return whether no backlog is left at this business time."""
        for service in Service:
            if any(count for count, _ in (await self.left(service)).values()):
                return False
        return True


@asynccontextmanager
async def open_databases(urls: Mapping[str, str]) -> AsyncIterator[dict[Service, db.Database]]:
    databases = {service: db.Database(urls[service], schema=service, pool_size=2) for service in Service}
    try:
        yield databases
    finally:
        for database in databases.values():
            await database.close()

"""Runs the long-lived tasks of one service under names; a task that ends by itself ends the process."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from fastapi import FastAPI

from shared.clock import Clock, SystemClock
from shared.contract.vocabulary import Service
from shared.database import schema
from shared.database.commit_check import check_commit
from shared.database.compared_clock import EVERY_S, ComparedClock
from shared.database.db import Database, is_transient
from shared.database.until_stopped import IDLE_S, Pause, Round, supervised, until_stopped
from shared.health import Health, Heartbeat
from shared.messaging import audit_anchors, housekeeping, readmission
from shared.messaging.audit_anchors import AuditAnchors
from shared.messaging.consumer import Consumer
from shared.messaging.readmission import Readmission
from shared.messaging.relay import Relay
from shared.messaging.relay_leadership import Republish, republish_nothing
from shared.runtime import ServiceContext
from shared.serving import serve
from shared.wakeup import NotifyingRequests, Wakeup
from shared.web.api_keys.uses import STORED_S
from shared.web.api_keys.verifier import ApiKeyVerifier
from shared.web.audit.trail import COUNTED_S, AuditTrail

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Supervisor:
    """Starts a service's tasks in a task group; one that ends before `stop` is set ends the process with an error.

    `wakeup` wakes its loops after each batch of events, and after each request that may have written something.
    """

    tasks: asyncio.TaskGroup
    context: ServiceContext
    service: Service
    wakeup: Wakeup = field(default_factory=Wakeup)

    @property
    def stop(self) -> asyncio.Event:
        return self.context.stop

    @property
    def health(self) -> Health:
        return self.context.health

    def task(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` as a task of this service; it must not end before `stop` is set."""
        self._start(f"{self.service}.{name}", work)

    def _start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.create_task(supervised(work, self.stop, name=name), name=name)

    def loop(self, heartbeat: Heartbeat, work: Round, *, longest_s: float) -> None:
        """Run `work` repeatedly, with pauses of at most `longest_s` seconds."""
        self._loop(heartbeat, work, Pause(longest_s))

    def _loop(self, heartbeat: Heartbeat, work: Round, pause: Pause) -> None:
        self._start(heartbeat.name, until_stopped(work, self.stop, heartbeat=heartbeat, pause=pause))

    def woken_loop(self, heartbeat: Heartbeat, work: Round, *, tick_s: float, shortest_s: float = 0.0) -> None:
        """Run `work` when the wakeup tells, when it said that it is due, and now and then."""
        self._loop(heartbeat, work, self.until_woken(tick_s, shortest_s=shortest_s))

    def until_woken(self, tick_s: float, *, shortest_s: float = 0.0) -> Pause:
        """Return a pause that the wakeup ends; it is at most `tick_s` long where business time is not machine time."""
        is_machine_time = isinstance(self.context.clock, SystemClock)
        return Pause(max(IDLE_S, tick_s) if is_machine_time else tick_s, shortest_s, self.wakeup.listen())

    def consume(self, name: str, consumer: Consumer) -> None:
        """Start two background tasks: the consumer, and a loop that handles its parked messages again."""
        consumer.heartbeat = self.health.heartbeat(name)
        consumer.handled = self.wakeup.notify
        self.task(name, consumer.run(self.stop))
        heartbeat = self.health.heartbeat(f"{name}.readmission")
        self.loop(heartbeat, Readmission(consumer).round, longest_s=readmission.EVERY_S)

    def watch(self, clock: Clock) -> None:
        """Compare the machine's clock with the database's regularly; a stored clock is not compared."""
        if isinstance(clock, ComparedClock):
            self.health.require("clock", clock.check)
            self.loop(self.health.heartbeat("clock"), clock.compare, longest_s=EVERY_S)

    def start(
        self,
        app: FastAPI,
        database: Database,
        *,
        migrations: Path,
        anchors: AuditAnchors,
        republish: Republish = republish_nothing,
    ) -> None:
        """Start what every service has: its server, its relay, housekeeping, audit log, and the checks of `/readyz`.

        One check compares the schema with `migrations`. The relay calls `republish` with messages that another
        relay may have published after its lease had ended. `anchors` is the job of the audit log.
        """
        event_log, front = self.context.event_log, self.context.front
        if front is not None:
            front.add(self.service, app)
        app.add_middleware(NotifyingRequests, wakeup=self.wakeup)
        self.health.require("database", partial(check_commit, database))
        self.health.require("event log", event_log.ping)
        self.health.require("schema", partial(schema.check, database, migrations))
        self.task("server", serve(app, self.context, service=self.service))
        heartbeat = self.health.heartbeat("relay")
        relay = Relay(database, event_log, service=self.service, heartbeat=heartbeat, republish=republish)
        self.task("relay", relay.run(self.stop))
        delete_old = partial(housekeeping.delete_old, database.sessions, self.service.group)
        self.loop(self.health.heartbeat("housekeeping"), delete_old, longest_s=housekeeping.EVERY_S)
        self.loop(self.health.heartbeat("audit anchors"), anchors, longest_s=audit_anchors.EVERY_S)
        trail: AuditTrail = app.state.trail
        self._write("audit counts", trail.write_counts, every_s=COUNTED_S)
        keys: ApiKeyVerifier = app.state.keys
        self._write("key uses", keys.uses.store, every_s=STORED_S)

    def _write(self, name: str, write: Round, *, every_s: float) -> None:
        heartbeat = self.health.heartbeat(name)
        self._start(heartbeat.name, self._until_written(write, heartbeat, every_s=every_s))

    async def _until_written(self, write: Round, heartbeat: Heartbeat, *, every_s: float) -> None:
        """Write what was counted regularly, and once more at the end."""
        await until_stopped(write, self.stop, heartbeat=heartbeat, pause=Pause(every_s))
        try:
            await write()
        except Exception as error:
            if not is_transient(error):
                raise
            log.warning("counts.lost", loop=heartbeat.name, exc_info=error)

"""Handles parked messages again, by the consumers of their service.

They handle the messages in this process and delete them in the same transaction. The messages are not published again,
because they may have come from a webhook, or from a Kafka cluster of another owner.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from uuid import UUID

from services.dispatcher import main as dispatcher
from services.dispatcher.config import DispatcherSettings
from services.scoring import main as scoring
from services.scoring.config import ScoringSettings
from services.trigger import main as trigger
from services.trigger.config import TriggerSettings, load_sources
from services.trigger.sources.schema_registry import SchemaRegistry
from shared.clock import Clock
from shared.config import Settings
from shared.contract.vocabulary import Service
from shared.database.compared_clock import open_command_clock
from shared.database.db import Database
from shared.database.opening import open_for_command
from shared.messaging import parking
from shared.messaging.consumer import Consumer
from shared.messaging.parking import Parked
from shared.messaging.readmission import Readmission
from shared.messaging.transport import EventLog
from shared.runtime import event_log_for_command

PAGE = 500


async def replay(service: Service, only: Sequence[UUID] | None) -> tuple[int, list[tuple[Parked, str]]]:
    """Handle parked messages in order, each in a transaction; return how many were handled, and why others were not."""
    handled, still_parked = 0, list[tuple[Parked, str]]()
    settings = Settings()
    async with (
        open_for_command(settings, service) as database,
        event_log_for_command(settings) as event_log,
        AsyncExitStack() as resources,
    ):
        clock = await open_command_clock(settings.clock, database)
        registry = trigger.open_registry(TriggerSettings(), resources) if service is Service.TRIGGER else None
        consumers = _consumers(service, database, event_log, clock, registry)
        complete = partial(trigger.with_earlier_customer, database.sessions) if service is Service.TRIGGER else None
        readers = {topic: Readmission(consumer, complete) for consumer in consumers for topic in consumer.topics}
        after: UUID | None = None
        while rows := await _page(database, after, only):
            if registry is not None:
                await registry.load_for([row.message for row in rows])
            for row in rows:
                reader = readers.get(row.message.topic)
                reason = await reader.replay(row) if reader else "this service does not read its topic"
                handled += not reason
                still_parked += [(row, reason)] if reason else []
            after = rows[-1].id
    return handled, still_parked


async def _page(database: Database, after: UUID | None, only: Sequence[UUID] | None) -> list[Parked]:
    async with database.sessions.begin() as session:
        return await parking.list_parked(session, limit=PAGE, after=after, ids=only)


def _consumers(
    service: Service, database: Database, event_log: EventLog, clock: Clock, registry: SchemaRegistry | None
) -> list[Consumer]:
    if service is Service.TRIGGER:
        settings, logs = TriggerSettings(), trigger.EventLogs(event_log, event_log, event_log, registry)
        sources = load_sources(settings)
        return list(trigger.consumers(settings, database, logs, sources=sources, clock=clock).values())
    if service is Service.DISPATCHER:
        return [dispatcher.build_consumer(DispatcherSettings(), database, event_log, clock)]
    return [scoring.build_consumer(ScoringSettings(), database, event_log, clock)]

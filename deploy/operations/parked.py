"""`earshot parked`: lists messages that could not be handled, and handles them again.

The service's own consumers handle the messages in this process and delete them in the same transaction. The messages
are not published again, because they may have come from a webhook, or from a Kafka cluster of another owner.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Annotated
from uuid import UUID

import typer

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

app = typer.Typer(no_args_is_help=True, help="List messages that could not be handled, and handle them again.")


@app.command("list")
def list_parked(service: Service, limit: int = 100) -> None:
    """List parked messages, oldest first, each with its reason."""
    for row in asyncio.run(_parked(service, limit)):
        print(f"{row.id}  {row.parked_at:%Y-%m-%d %H:%M:%S}  {row.message.position}  {row.reason}")


@app.command("replay")
def replay(
    service: Service,
    only: Annotated[list[UUID] | None, typer.Option("--id", help="Only this message; may be repeated.")] = None,
) -> None:
    """Handle parked messages as if they had just been read; exit with 1 when some stay parked."""
    handled, still_parked = asyncio.run(_replay(service, only))
    print(f"{handled} handled")
    for row, reason in still_parked:
        print(f"{row.id} stays parked: {reason}")
    missing = len(set(only)) - handled - len(still_parked) if only else 0
    if missing:
        print(f"{missing} of these ids are not parked")
    raise typer.Exit(bool(still_parked or missing))


async def _parked(service: Service, limit: int) -> list[Parked]:
    settings = Settings()
    async with open_for_command(settings, service) as database, database.sessions.begin() as session:
        return await parking.list_parked(session, limit=limit)


async def _replay(service: Service, only: Sequence[UUID] | None) -> tuple[int, list[tuple[Parked, str]]]:
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

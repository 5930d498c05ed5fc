"""`earshot erasures`: what the event log keeps of erasures, and how they are repeated after a restore."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Annotated

import structlog
import typer

from services.trigger.config import TriggerSettings
from services.trigger.handlers import erasing
from services.trigger.handlers.intake import EventIntake
from shared.contract.events import ErasureConfirmed
from shared.contract.topics import SURVEY_ERASURES
from shared.contract.vocabulary import Service, counted, split_respondent_id
from shared.database.compared_clock import open_command_clock
from shared.database.opening import open_for_command
from shared.messaging import codec
from shared.messaging.codec import InvalidEvent
from shared.messaging.transport import EventLog
from shared.runtime import event_log_for_command

log = structlog.get_logger()
app = typer.Typer(no_args_is_help=True, help="Erasures of customers, which a restored backup does not know.")
_BATCH = 100
_Since = Annotated[
    datetime,
    typer.Option(
        help="The time of the backup, in UTC: erasures since then are meant.",
        formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"],
    ),
]


@app.command("list")
def list_(since: _Since) -> None:
    """Print the ids of customers that were erased since then."""
    print("\n".join(asyncio.run(_list(since))) or "nobody")


@app.command("repeat")
def repeat(since: _Since) -> None:
    """Erase the customers again that were erased since then, in all services; what they did later goes with it."""
    print(f"{counted(asyncio.run(_repeat(since)), 'customer')} erased again")


async def _list(since: datetime) -> Sequence[str]:
    async with event_log_for_command(TriggerSettings()) as event_log:
        return await find_erased(event_log, since.replace(tzinfo=UTC))


async def _repeat(since: datetime) -> int:
    settings = TriggerSettings()
    async with (
        open_for_command(settings, Service.TRIGGER, pool_size=2) as database,
        event_log_for_command(settings) as event_log,
    ):
        clock = await open_command_clock(settings.clock, database)
        intake = EventIntake(database.sessions, clock, settings.installation)
        ids = await find_erased(event_log, since.replace(tzinfo=UTC))
        for start in range(0, len(ids), _BATCH):
            await erasing.erase(intake, [split_respondent_id(id_) for id_ in ids[start : start + _BATCH]])
    return len(ids)


async def find_erased(event_log: EventLog, since: datetime) -> Sequence[str]:
    """Return the ids of respondents whose erasure a service has confirmed since then, by the event log."""
    found: set[str] = set()
    async with aclosing(event_log.history(SURVEY_ERASURES.name)) as batches:
        async for messages in batches:
            for message in messages:
                try:
                    event = codec.parse(message)
                except InvalidEvent as error:
                    log.warning("erasures.unreadable", position=message.position, exc_info=error)
                    continue
                if isinstance(event.payload, ErasureConfirmed) and event.time >= since:
                    found.add(event.payload.respondent_id)
    return sorted(found)

"""`earshot ledger`: finds what a restored database lacks, and restores it from the log."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import typer

from services.dispatcher import handlers
from services.dispatcher.config import DispatcherSettings
from services.dispatcher.handlers import adopt_past
from services.dispatcher.sending import restore_guard
from services.dispatcher.sending.restore_guard import LedgerDifference
from shared.contract.address_keys import AddressKeys
from shared.contract.cloudevents import Event
from shared.contract.events import Payload
from shared.contract.topics import (
    RETENTION,
    SEGMENT,
    SURVEY_ANSWERS,
    SURVEY_DELIVERIES,
    SURVEY_MESSAGES,
    SURVEY_REQUESTS,
)
from shared.contract.vocabulary import Service
from shared.database.compared_clock import open_command_clock
from shared.database.opening import open_for_command
from shared.database.session import Sessions
from shared.messaging import codec
from shared.messaging.consumer import Consumer, Handler
from shared.messaging.transport import EventLog, Message
from shared.runtime import event_log_for_command

app = typer.Typer(help="Compare the ledger of what was sent with the event log, and repair it.", no_args_is_help=True)


@app.command()
def compare() -> None:
    """Print what the end of the log has and the database lacks. Exits with 1 when something is lacking."""
    _report(asyncio.run(_with(lambda adoption: restore_guard.compare(adoption.sessions, adoption.event_log))))


@app.command()
def adopt() -> None:
    """Restore from the log what the database lacks: requests, answers, attempts, outcomes and suppressions."""
    _report(asyncio.run(_with(Adoption.run)))


def _report(found: LedgerDifference) -> None:
    print(found or "the database lacks nothing that is at the end of the log")
    raise typer.Exit(bool(found))


@dataclass(frozen=True, slots=True)
class Adoption:
    """Handles the whole log again. Known events change nothing, and nothing is sent before the ledger is complete."""

    sessions: Sessions
    event_log: EventLog
    link_keys: Mapping[str, str]
    address_keys: AddressKeys
    now: datetime

    async def run(self) -> LedgerDifference:
        """Restore what the log has, and return what the database still lacks."""
        handle = partial(handlers.handle, link_keys=self.link_keys, address_keys=self.address_keys, now=self.now)
        for topic in (SURVEY_REQUESTS, SURVEY_ANSWERS, SURVEY_MESSAGES):  # first, since attempts need their invitations
            await self._read(topic.name, handle)
        await self._read(SURVEY_DELIVERIES.name, partial(adopt_past.adopt, now=self.now))
        return await restore_guard.compare(self.sessions, self.event_log)

    async def _read(self, topic: str, handler: Handler) -> None:
        consumer = Consumer(Service.DISPATCHER, [topic], self.event_log, self.sessions, handler, decode=self._decode)
        async with aclosing(self.event_log.history(topic)) as batches:
            async for messages in batches:
                await consumer.handle(messages, asyncio.Event())

    def _decode(self, message: Message) -> Event[Payload] | None:
        """Leave out the oldest events: the log may have deleted what followed them, up to a segment earlier."""
        event = codec.parse(message)
        return event if event.time > self.now - (RETENTION - SEGMENT) else None


async def _with(work: Callable[[Adoption], Awaitable[LedgerDifference]]) -> LedgerDifference:
    settings = DispatcherSettings()
    options = settings.database_options
    async with (
        open_for_command(settings, Service.DISPATCHER, options=options) as database,
        event_log_for_command(settings) as event_log,
    ):
        now = (await open_command_clock(settings.clock, database)).now()
        return await work(
            Adoption(database.sessions, event_log, settings.link_secrets, settings.address_fingerprints, now)
        )

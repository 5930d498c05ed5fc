"""`earshot doctor`: compares dispatcher's ledger of sent messages with the event log."""

from __future__ import annotations

from collections.abc import AsyncIterator

from deploy import databases
from deploy.operations.findings import Finding
from services.dispatcher.config import DispatcherSettings
from services.dispatcher.sending import restore_guard
from shared.contract.vocabulary import Service
from shared.database.opening import open_for_command
from shared.runtime import open_event_log


async def examine(settings: DispatcherSettings) -> AsyncIterator[Finding]:
    """Check that the ledger has every message that was sent according to the log: a restored backup may lack some."""
    difference = await _compare(settings)
    yield (
        Finding.fail(f"nothing is sent: {difference}", restore_guard.CURE)
        if difference
        else Finding.ok("every message that the log says was sent is in the ledger")
    )


async def _compare(settings: DispatcherSettings) -> restore_guard.LedgerDifference:
    events_url = settings.events_url or (await databases.urls_for(settings, [databases.TRANSPORT]))[databases.TRANSPORT]
    options = settings.database_options
    async with open_for_command(settings, Service.DISPATCHER, options=options) as database:
        event_log = open_event_log(settings, events_url)
        try:
            return await restore_guard.compare(database.sessions, event_log)
        finally:
            await event_log.close()

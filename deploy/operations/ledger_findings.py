"""What `earshot doctor` finds when it holds dispatcher's ledger against the log."""

from __future__ import annotations

from collections.abc import AsyncIterator

from deploy import databases
from deploy.operations import error_messages
from deploy.operations.findings import Finding, fail, note, ok
from services.dispatcher.config import DispatcherSettings
from services.dispatcher.sending import restore_guard
from shared.contract.vocabulary import Service
from shared.database.opening import open_for_command
from shared.runtime import open_event_log


async def examine(settings: DispatcherSettings) -> AsyncIterator[Finding]:
    """Say whether dispatcher's database has what the log says was sent: one that was set back would send again."""
    try:
        found = await _compared(settings)
    except Exception as error:  # noqa: BLE001 - said already, where databases and the log were looked at
        if not error_messages.is_missing_table(error):
            yield note(f"the ledger cannot be compared with the log ({type(error).__name__})")
        return
    yield (
        fail(f"nothing is sent: {found}", restore_guard.CURE)
        if found
        else ok("the log tells of nothing the ledger lacks")
    )


async def _compared(settings: DispatcherSettings) -> restore_guard.Difference:
    events_url = settings.events_url or (await databases.urls_for(settings, [databases.TRANSPORT]))[databases.TRANSPORT]
    options = settings.database_options
    async with open_for_command(settings, Service.DISPATCHER, options=options) as database:
        event_log = open_event_log(settings, events_url)
        try:
            return await restore_guard.compare(database.sessions, event_log)
        finally:
            await event_log.close()

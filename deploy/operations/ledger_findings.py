"""`earshot doctor`: compares dispatcher's ledger of sent messages with the event log."""

from __future__ import annotations

from collections.abc import AsyncIterator

from deploy.operations.findings import Finding
from services.dispatcher.config import DispatcherSettings
from services.dispatcher.sending import restore_guard
from shared.contract.vocabulary import Service
from shared.database.opening import open_for_command
from shared.runtime import event_log_for_command


async def examine(settings: DispatcherSettings) -> AsyncIterator[Finding]:
    """Check that the ledger has every message that was sent according to the log: a restored backup may lack some."""
    difference = await _compare(settings)
    yield (
        Finding.fail(f"nothing is sent: {difference}", restore_guard.CURE)
        if difference
        else Finding.ok("every message that the log says was sent is in the ledger")
    )


async def _compare(settings: DispatcherSettings) -> restore_guard.LedgerDifference:
    options = settings.database_options
    async with (
        open_for_command(settings, Service.DISPATCHER, options=options) as database,
        event_log_for_command(settings) as event_log,
    ):
        return await restore_guard.compare(database.sessions, event_log)

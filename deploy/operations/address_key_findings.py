"""`earshot doctor`: every key that stored fingerprints of addresses need is in EARSHOT_ADDRESS_KEYS."""

from __future__ import annotations

from collections.abc import AsyncIterator

from deploy.operations.findings import Finding
from services.dispatcher.config import DispatcherSettings
from services.dispatcher.repository import addresses
from shared.contract.vocabulary import Service
from shared.database.opening import open_for_command


async def examine(settings: DispatcherSettings) -> AsyncIterator[Finding]:
    """Report keys whose fingerprints can no longer be recognized: people who opted out might be contacted again."""
    async with (
        open_for_command(settings, Service.DISPATCHER, options=settings.database_options) as database,
        database.sessions.begin() as session,
    ):
        used = await addresses.keys_in_use(session)
    missing = {key: count for key, count in used.items() if key not in settings.address_keys}
    for key, count in sorted(missing.items()):
        yield Finding.fail(
            f"{count:,} fingerprints of suppressed addresses need the key {key}, which EARSHOT_ADDRESS_KEYS lacks",
            "put the key back at the end of EARSHOT_ADDRESS_KEYS",
        )
    if not missing:
        yield Finding.ok("every suppressed address can be recognized")

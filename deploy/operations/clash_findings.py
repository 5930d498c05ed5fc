"""`earshot doctor`: customer ids to which two sources gave different addresses."""

from __future__ import annotations

from collections.abc import AsyncIterator

from deploy.operations.findings import Finding
from services.trigger.config import TriggerSettings
from services.trigger.repository import arrivals
from shared.contract.vocabulary import Service, counted
from shared.database.opening import open_for_command


async def examine(settings: TriggerSettings) -> AsyncIterator[Finding]:
    """Note that two sources may mean two people by one id; the pages of decisions name both sources."""
    async with (
        open_for_command(settings, Service.TRIGGER, options=settings.database_options) as database,
        database.sessions() as session,
    ):
        clashed = await arrivals.clashed(session)
    if clashed:
        people = f"{counted(clashed, 'customer')} {'has' if clashed == 1 else 'have'}"
        yield Finding.note(
            f"{people} addresses that replaced those of another source: the sources may mean different people",
            "give each source a namespace, unless its ids are the same as those of the others",
        )

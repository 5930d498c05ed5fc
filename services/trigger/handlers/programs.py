"""Programs: every version is kept, and each new one is published."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from services.trigger.domain.programs import Program, ProgramDocument, ready
from services.trigger.repository import programs
from shared import cloudevents, outbox
from shared.events import ProgramPublished
from shared.vocabulary import Service


async def apply_program(session: AsyncSession, document: ProgramDocument, *, now: datetime) -> tuple[Program, bool]:
    """Make a document the current version of its program; also say whether it is a new one.

    The document that is already current makes no version.
    """
    await programs.lock(session)
    known = (await programs.current(session)).get(document.id)
    if known is not None and known.document == document:
        return known, False
    program = ready(known.version + 1 if known else 1, document)
    await programs.add(session, program, now=now)
    payload = ProgramPublished(
        program_id=program.id, program_version=program.version, document=document.model_dump(mode="json")
    )
    event = cloudevents.new(payload, service=Service.TRIGGER, at=now, subject=program.id)
    await outbox.add(session, [event])
    return program, True


async def install(session: AsyncSession, documents: Sequence[ProgramDocument], *, now: datetime) -> None:
    """Apply these where no program was ever applied."""
    await programs.lock(session)
    if not await programs.current(session):
        for document in documents:
            await apply_program(session, document, now=now)

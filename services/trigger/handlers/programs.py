"""Applies programs: every version is stored, and each new one is published."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from services.trigger.domain.programs.document import ProgramDocument
from services.trigger.domain.programs.program import CompiledProgram, compile_program
from services.trigger.repository import programs
from shared.clock import Clock
from shared.contract import cloudevents
from shared.contract.cloudevents import Event
from shared.contract.events import Payload, ProgramPublished
from shared.contract.vocabulary import Service
from shared.messaging import outbox
from shared.messaging.transport import Message


async def apply_program(
    session: AsyncSession, document: ProgramDocument, *, now: datetime
) -> tuple[CompiledProgram, bool]:
    """Make a document the current version of its program; also return whether that is a new version.

    An unchanged document makes no new version.
    """
    await programs.lock(session)
    current = (await programs.current(session)).get(document.id)
    if current is not None and current.document == document:
        return current, False
    program = compile_program(current.version + 1 if current else 1, document)
    await programs.add(session, program, now=now)
    await outbox.add(session, [_published(program, now=now)])
    return program, True


def _published(program: CompiledProgram, *, now: datetime) -> Event[Payload]:
    payload = ProgramPublished(
        program_id=program.id, program_version=program.version, document=program.document.model_dump(mode="json")
    )
    return cloudevents.new(payload, service=Service.TRIGGER, at=now, subject=program.id)


async def publish_again(session: AsyncSession, messages: Sequence[Message], *, clock: Clock) -> None:
    """Publish the current version of each program in these messages again."""
    ids = {message.key for message in messages if message.topic == ProgramPublished.topic}
    if ids:
        current = (await programs.current(session)).items()
        await outbox.add(session, [_published(one, now=clock.now()) for id_, one in current if id_ in ids])


async def install(session: AsyncSession, documents: Sequence[ProgramDocument], *, now: datetime) -> None:
    """Apply these programs if none was ever applied."""
    await programs.lock(session)
    if not await programs.current(session):
        for document in documents:
            await apply_program(session, document, now=now)

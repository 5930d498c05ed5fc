"""Applies programs and switches them: each new version, and each new state of a program, is published."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from services.trigger.domain.programs.document import ProgramDocument
from services.trigger.domain.programs.program import CompiledProgram, compile_program
from services.trigger.domain.programs.states import ALL_PROGRAMS
from services.trigger.repository import program_states, programs
from shared.clock import Clock
from shared.contract import cloudevents
from shared.contract.cloudevents import Event
from shared.contract.events import Payload, ProgramPublished
from shared.contract.vocabulary import ProgramState, Service
from shared.database.audit.rows import Actor
from shared.database.session import Session
from shared.messaging import outbox
from shared.messaging.transport import Message
from shared.web.audit.acts import note_unchanged


async def apply_program(session: Session, document: ProgramDocument, *, now: datetime) -> tuple[CompiledProgram, bool]:
    """Make a document the current version of its program; also return whether that is a new version.

    An unchanged document makes no new version.
    """
    await programs.lock(session)
    current = (await programs.current(session)).get(document.id)
    if current is not None and current.document == document:
        return current, False
    await programs.add(session, compile_program(current.version + 1 if current else 1, document), now=now)
    program = (await programs.current(session))[document.id]
    await outbox.add(session, [_published(program, now=now)])
    return program, True


class UnknownProgram(LookupError):
    """No program has this id; the caller says so."""


async def state_of(session: Session, program_id: str) -> ProgramState:
    """Lock the programs, and return the state of one or of ALL_PROGRAMS, whatever its document says."""
    await programs.lock(session)
    known = (await program_states.find(session)).get(program_id)
    return ProgramState.ON if known is None else known.state


async def switch(
    session: Session, program_id: str, state: ProgramState, *, now: datetime, actor: Actor
) -> list[CompiledProgram]:
    """Set the state of a program, or of ALL_PROGRAMS, and publish it; return the programs whose state changed.

    The state of all holds beside that of each program; the stricter one counts. Switching on a program whose document
    says `active: false` applies a version that is active. A state that holds already keeps its time and who set it.
    Raises UnknownProgram.
    """
    await programs.lock(session)
    before = await programs.current(session)
    if program_id != ALL_PROGRAMS and program_id not in before:
        raise UnknownProgram(program_id)
    is_new = state is not await state_of(session, program_id)
    if is_new:
        await program_states.put(session, program_id, state, now=now, changed_by=f"{actor.kind}:{actor.id}")
    if state is ProgramState.ON and program_id in before and not before[program_id].document.active:
        document = before[program_id].document.model_copy(update={"active": True})
        return [(await apply_program(session, document, now=now))[0]]
    if not is_new:
        note_unchanged()
        return []
    after = await programs.current(session)
    switched = [program for id_, program in after.items() if program.state is not before[id_].state]
    await outbox.add(session, [_published(program, now=now) for program in switched])
    return switched


def _published(program: CompiledProgram, *, now: datetime) -> Event[Payload]:
    payload = ProgramPublished(
        program_id=program.id,
        program_version=program.version,
        document=program.document.model_dump(mode="json"),
        state=program.state,
    )
    return cloudevents.new(payload, service=Service.TRIGGER, at=now, subject=program.id)


async def publish_again(session: Session, messages: Sequence[Message], *, clock: Clock) -> None:
    """Publish the current version of each program in these messages again."""
    ids = {message.key for message in messages if message.topic == ProgramPublished.topic}
    if ids:
        current = (await programs.current(session)).items()
        await outbox.add(session, [_published(one, now=clock.now()) for id_, one in current if id_ in ids])


async def install(session: Session, documents: Sequence[ProgramDocument], *, now: datetime) -> None:
    """Apply these programs if none was ever applied."""
    await programs.lock(session)
    if not await programs.current(session):
        for document in documents:
            await apply_program(session, document, now=now)

"""Programs: every version of each is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import lru_cache

from services.trigger.domain.programs.document import ProgramDocument
from services.trigger.domain.programs.program import CompiledProgram, compile_program
from services.trigger.domain.programs.states import ALL_PROGRAMS, strictest
from shared.database import db
from shared.database.session import Session


async def lock(session: Session) -> None:
    """Lock the programs to the end of the transaction, so that versions are numbered one by one."""
    await db.fetch(session, "SELECT pg_advisory_xact_lock($1)", db.lock_number("trigger", "programs"))


_CURRENT = """SELECT DISTINCT ON (p.id) p.id, p.version, p.document::text, s.state,
    (SELECT e.state FROM program_states e WHERE e.program = $1) AS of_all
FROM programs p LEFT JOIN program_states s ON s.program = p.id ORDER BY p.id, p.version DESC"""


async def current(session: Session) -> Mapping[str, CompiledProgram]:
    """Load the newest version of each program, with the stricter of its state and that of all programs."""
    rows = await db.fetch(session, _CURRENT, ALL_PROGRAMS)
    return {row["id"]: _in_state(row) for row in rows}


async def titles(session: Session) -> dict[str, str]:
    """Return how programs are called, by their ids; those without a title are left out."""
    return {id_: program.document.title for id_, program in (await current(session)).items() if program.document.title}


def _in_state(row: db.Row) -> CompiledProgram:
    program = _program(row["version"], row["document"])
    if row["state"] is None and row["of_all"] is None:
        return program
    return replace(program, state=strictest(row["state"], row["of_all"]))


async def versions(session: Session, program_id: str) -> list[tuple[CompiledProgram, datetime]]:
    """Load every version of one program with the time it was applied, newest first."""
    rows = await db.fetch(
        session,
        "SELECT version, document::text, applied_at FROM programs WHERE id = $1 ORDER BY version DESC",
        program_id,
    )
    return [(_program(row["version"], row["document"]), row["applied_at"]) for row in rows]


async def add(session: Session, program: CompiledProgram, *, now: datetime) -> None:
    await db.fetch(
        session,
        "INSERT INTO programs (id, version, document, applied_at) VALUES ($1, $2, $3, $4)",
        program.id,
        program.version,
        program.document.model_dump_json(),
        now,
    )


@lru_cache(maxsize=256)
def _program(version: int, document: str) -> CompiledProgram:
    return compile_program(version, ProgramDocument.model_validate_json(document))

"""Every version of every program."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache

from sqlalchemy.ext.asyncio import AsyncSession

from services.trigger.domain.programs.program import Program, ProgramDocument, ready
from shared.database import db


async def lock(session: AsyncSession) -> None:
    """Let one transaction at a time apply programs."""
    await db.fetch(session, "SELECT pg_advisory_xact_lock($1)", db.lock_number("trigger", "programs"))


async def current(session: AsyncSession) -> Mapping[str, Program]:
    """Load the newest version of each program."""
    rows = await db.fetch(
        session, "SELECT DISTINCT ON (id) id, version, document::text FROM programs ORDER BY id, version DESC"
    )
    return {row["id"]: _program(row["version"], row["document"]) for row in rows}


async def versions(session: AsyncSession, program_id: str) -> list[tuple[Program, datetime]]:
    """Load every version of one program with the time it was applied, newest first."""
    rows = await db.fetch(
        session,
        "SELECT version, document::text, applied_at FROM programs WHERE id = $1 ORDER BY version DESC",
        program_id,
    )
    return [(_program(row["version"], row["document"]), row["applied_at"]) for row in rows]


async def add(session: AsyncSession, program: Program, *, now: datetime) -> None:
    await db.fetch(
        session,
        "INSERT INTO programs (id, version, document, applied_at) VALUES ($1, $2, $3, $4)",
        program.id,
        program.version,
        program.document.model_dump_json(),
        now,
    )


@lru_cache(maxsize=256)
def _program(version: int, document: str) -> Program:
    return ready(version, ProgramDocument.model_validate_json(document))

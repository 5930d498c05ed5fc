"""The current version of each program and its state; a program that was never published is on."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from shared.contract.events import ProgramPublished
from shared.contract.vocabulary import ProgramState
from shared.database import db
from shared.database.session import Session

# computed once in a statement; what is compared with it needs no row here
STOPPED = "ARRAY(SELECT p.id FROM programs p WHERE p.state IN ('stopped', 'withdrawn'))"
_STORE = """INSERT INTO programs AS p (id, version, state, published_at, document)
SELECT id, version, coalesce(state, 'on'), published_at, document
FROM unnest($1::text[], $2::int[], $3::text[], $4::timestamptz[], $5::jsonb[])
    AS n (id, version, state, published_at, document)
ON CONFLICT (id) DO UPDATE SET version = excluded.version, published_at = excluded.published_at,
    document = excluded.document, state = CASE WHEN excluded.id = ANY($6::text[]) THEN p.state ELSE excluded.state END
WHERE p.published_at <= excluded.published_at"""


async def store(session: Session, published: Sequence[tuple[ProgramPublished, datetime]]) -> None:
    """Store programs, each with the time of its event, unless a later one is stored; null leaves the state as it is."""
    last = {program.program_id: (program, at) for program, at in published}
    programs = sorted(last.items())  # in one order, so that two consumers cannot deadlock
    await db.fetch(
        session,
        _STORE,
        [id_ for id_, _ in programs],
        [program.program_version for _, (program, _) in programs],
        [program.state for _, (program, _) in programs],
        [at for _, (_, at) in programs],
        [json.dumps(program.document) for _, (program, _) in programs],
        [id_ for id_, (program, _) in programs if program.state is None],
    )


class StoredProgram(NamedTuple):
    """The document as trigger published it: the fields of docs/programs.md, with their defaults."""

    version: int
    document: dict[str, Any]


async def find(session: Session, program_id: str) -> StoredProgram | None:
    rows = await db.fetch(session, "SELECT version, document::text FROM programs WHERE id = $1", program_id)
    return StoredProgram(rows[0]["version"], json.loads(rows[0]["document"])) if rows else None


async def titles(session: Session) -> dict[str, str]:
    """Return how programs are called, by their ids; those without a title are left out."""
    rows = await db.fetch(session, "SELECT id, document->>'title' AS title FROM programs")
    return {row["id"]: row["title"] for row in rows if row["title"]}


class StoppedPrograms(NamedTuple):
    """The ids of programs that are stopped, those of them whose surveys are withdrawn, and whether steps wait."""

    stopped: Collection[str]
    withdrawn: Collection[str]
    has_halted: bool


_SUMMARY = "SELECT id, state FROM programs WHERE state IN ('stopped', 'withdrawn') ORDER BY id"
_HAS_HALTED = "SELECT EXISTS (SELECT FROM halted) AS has_halted"


async def summary(session: Session) -> StoppedPrograms:
    rows = await db.fetch(session, _SUMMARY)
    [[has_halted]] = await db.fetch(session, _HAS_HALTED)
    withdrawn = [row["id"] for row in rows if row["state"] == ProgramState.WITHDRAWN]
    return StoppedPrograms([row["id"] for row in rows], withdrawn, has_halted)

"""What a score is held against: a program's target, marked days, other companies' scores."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from shared import db


@dataclass(frozen=True, slots=True)
class Annotation:
    """Something that happened on a day; to one program, or without one to all."""

    id: UUID
    program: str | None
    day: date
    text: str


@dataclass(frozen=True, slots=True)
class Benchmark:
    name: str
    nps: int
    source: str


async def annotate(session: AsyncSession, annotation: Annotation) -> None:
    sql = "INSERT INTO annotations (id, program, day, text) VALUES ($1, $2, $3, $4)"
    await db.fetch(session, sql, annotation.id, annotation.program, annotation.day, annotation.text)


async def erase_annotation(session: AsyncSession, annotation_id: UUID) -> bool:
    return bool(await db.fetch(session, "DELETE FROM annotations WHERE id = $1 RETURNING id", annotation_id))


_ANNOTATIONS = """SELECT id, program, day, text FROM annotations
WHERE ($1::text IS NULL OR program IS NULL OR program = $1) AND ($2::date IS NULL OR day >= $2)
AND ($3::date IS NULL OR day <= $3) ORDER BY day, id"""


async def noted(
    session: AsyncSession, program: str | None, first: date | None = None, last: date | None = None
) -> list[Annotation]:
    """Read what happened to a program between two days, what happened to all included."""
    return [Annotation(**row) for row in await db.fetch(session, _ANNOTATIONS, program, first, last)]


_TARGETS = """SELECT (SELECT nps FROM targets WHERE program = $1) AS set,
(SELECT document->'target' FROM programs WHERE id = $1) AS written"""
_PUT_TARGET = (
    "INSERT INTO targets (program, nps) VALUES ($1, $2) ON CONFLICT (program) DO UPDATE SET nps = excluded.nps"
)


async def target(session: AsyncSession, program: str) -> float | None:
    """Read the score a program aims at: set by hand, else as its document says."""
    [found] = await db.fetch(session, _TARGETS, program)
    wanted = found["written"] if found["set"] is None else found["set"]
    return float(wanted) if isinstance(wanted, int | float) and -100 <= wanted <= 100 else None


async def put_target(session: AsyncSession, program: str, nps: int | None) -> None:
    """Set a target by hand; None goes back to what the document says."""
    if nps is None:
        await db.fetch(session, "DELETE FROM targets WHERE program = $1", program)
    else:
        await db.fetch(session, _PUT_TARGET, program, nps)


_PUT = """INSERT INTO benchmarks (name, nps, source) VALUES ($1, $2, $3)
ON CONFLICT (name) DO UPDATE SET nps = excluded.nps, source = excluded.source"""


async def put_benchmark(session: AsyncSession, benchmark: Benchmark) -> None:
    await db.fetch(session, _PUT, benchmark.name, benchmark.nps, benchmark.source)


async def erase_benchmark(session: AsyncSession, name: str) -> bool:
    return bool(await db.fetch(session, "DELETE FROM benchmarks WHERE name = $1 RETURNING name", name))


async def benchmarks(session: AsyncSession) -> list[Benchmark]:
    rows = await db.fetch(session, "SELECT name, nps, source FROM benchmarks ORDER BY nps DESC, name")
    return [Benchmark(**row) for row in rows]

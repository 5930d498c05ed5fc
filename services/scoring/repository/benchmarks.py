"""Benchmarks: published scores of other companies or industries."""

from __future__ import annotations

from dataclasses import dataclass

from shared.database import db
from shared.database.session import Session


@dataclass(frozen=True, slots=True)
class Benchmark:
    name: str
    nps: int
    source: str


_PUT = """INSERT INTO benchmarks (name, nps, source) VALUES ($1, $2, $3)
ON CONFLICT (name) DO UPDATE SET nps = excluded.nps, source = excluded.source"""


async def put(session: Session, benchmark: Benchmark) -> None:
    await db.fetch(session, _PUT, benchmark.name, benchmark.nps, benchmark.source)


async def find(session: Session, name: str) -> Benchmark | None:
    """Lock and return a benchmark; None where there is none."""
    sql = "SELECT name, nps, source FROM benchmarks WHERE name = $1 FOR UPDATE"
    return next((Benchmark(**row) for row in await db.fetch(session, sql, name)), None)


async def remove(session: Session, name: str) -> bool:
    return bool(await db.fetch(session, "DELETE FROM benchmarks WHERE name = $1 RETURNING name", name))


async def read(session: Session) -> list[Benchmark]:
    rows = await db.fetch(session, "SELECT name, nps, source FROM benchmarks ORDER BY nps DESC, name")
    return [Benchmark(**row) for row in rows]

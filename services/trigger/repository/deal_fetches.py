"""The queue of deals to fetch from a CRM whose webhooks contain only ids; due times are machine time."""

from __future__ import annotations

from dataclasses import dataclass

from shared.database import db
from shared.database.session import Session


@dataclass(frozen=True, slots=True)
class DealFetch:
    """A queued deal with the id `ref`. Each webhook about it raises `version`, so that a running fetch is repeated."""

    source: str
    ref: str
    version: int
    attempts: int


_ADD = """INSERT INTO rereads (source, ref) VALUES ($1, $2)
ON CONFLICT (source, ref) DO UPDATE SET version = rereads.version + 1, attempts = 0, due_at = clock_timestamp()"""

_CLAIM = """UPDATE rereads SET attempts = attempts + 1, due_at = clock_timestamp() + $1::float8 * interval '1 second'
WHERE (source, ref) IN (SELECT source, ref FROM rereads WHERE due_at <= clock_timestamp()
ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING source, ref, version, attempts"""

_LATER = """UPDATE rereads SET due_at = clock_timestamp() + $4::float8 * interval '1 second'
WHERE source = $1 AND ref = $2 AND version = $3"""

_DONE = "DELETE FROM rereads WHERE source = $1 AND ref = $2 AND version = $3"


async def add(session: Session, source: str, ref: str) -> None:
    await db.fetch(session, _ADD, source, ref)


async def claim(session: Session, *, lease_s: float) -> DealFetch | None:
    """Claim the deal that has been due longest; None if none is due.

    It is due again `lease_s` seconds later, unless `done` is called.
    """
    rows = await db.fetch(session, _CLAIM, lease_s)
    return DealFetch(**rows[0]) if rows else None


async def put_off(session: Session, fetch: DealFetch, *, seconds: float) -> None:
    await db.fetch(session, _LATER, fetch.source, fetch.ref, fetch.version, seconds)


async def done(session: Session, fetch: DealFetch) -> None:
    """Remove a deal from the queue, unless another webhook about it came during its fetch."""
    await db.fetch(session, _DONE, fetch.source, fetch.ref, fetch.version)

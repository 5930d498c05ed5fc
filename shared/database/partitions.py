"""Tables with a partition for each month of their ids, which are UUIDs of version 7: of the time a row was made.

That is machine time. A migration of the service creates the table and the functions that are called here:
`make_partition(parent, month)` and `drop_partition(parent, name)`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from shared.database import db
from shared.database.session import Session
from shared.ids import made_at

_AHEAD = 2  # months
_MAKE = "SELECT make_partition($1, month) FROM unnest($2::date[]) AS month"
_DROP = "SELECT drop_partition($1, $2)"
_LIST = r"""SELECT c.relname AS name, pg_total_relation_size(c.oid) AS bytes,
substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO \(''([0-9a-f-]{36})''\)')::uuid AS until
FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhparent = to_regclass($1) ORDER BY until"""


@dataclass(frozen=True, slots=True)
class Partition:
    """`ends_at` is the first moment after its month; `bytes` includes its indexes."""

    name: str
    ends_at: datetime
    bytes: int


async def machine_time(session: Session) -> datetime:
    """Return the time of the database's machine."""
    now: datetime = (await db.fetch(session, "SELECT clock_timestamp()"))[0][0]
    return now


async def list_partitions(session: Session, table: str) -> list[Partition]:
    """Return the partitions of a table, the oldest first."""
    rows = await db.fetch(session, _LIST, table)
    return [Partition(row["name"], made_at(row["until"]), row["bytes"]) for row in rows]


async def make_ahead(session: Session, table: str, *, now: datetime) -> None:
    """Make the partitions of this month and the next ones that are missing."""
    await db.fetch(session, _MAKE, table, [_month(now.date(), later=each) for each in range(_AHEAD + 1)])


async def make_for(session: Session, table: str, ids: Collection[UUID]) -> None:
    """Roll back the transaction that failed for want of them, and make the partitions of these ids in another one."""
    months = sorted({_month(made_at(id_).date()) for id_ in ids})
    await session.rollback()
    await db.fetch(session, _MAKE, table, months)
    await session.commit()


async def drop(session: Session, table: str, name: str) -> None:
    """Drop a partition with its rows; raises LockNotAvailableError when the table was in use for two seconds."""
    await db.fetch(session, _DROP, table, name)


def _month(day: date, *, later: int = 0) -> date:
    years, month = divmod(day.month - 1 + later, 12)
    return date(day.year + years, month + 1, 1)

"""Compares how many connections a PostgreSQL server accepts with how many a process may open."""

from __future__ import annotations

from dataclasses import dataclass

from shared import database_url
from shared.database_url import DatabaseOptions

_CONNECTIONS = """SELECT least(
    current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
        - coalesce(current_setting('reserved_connections', true), '0')::int,
    nullif((SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user), -1),
    nullif((SELECT datconnlimit FROM pg_database WHERE datname = current_database()), -1)
) AS allowed, (SELECT sum(numbackends)::int - 1 FROM pg_stat_database) AS taken"""


class TooFewConnections(Exception):
    """The server accepts fewer connections than this process may open; the text says what to change."""


@dataclass(frozen=True, slots=True)
class ConnectionCapacity:
    """Connections of one server: the most it accepts for our role, those open now, and those this process may open."""

    where: str
    allowed: int
    taken: int
    wanted: int

    @property
    def is_too_small(self) -> bool:
        return self.wanted > self.allowed

    @property
    def is_short(self) -> bool:
        """Whether the free connections do not suffice now, because other processes hold the rest."""
        return self.wanted > self.allowed - self.taken

    def __str__(self) -> str:
        return (
            f"PostgreSQL at {self.where} accepts {self.allowed} connections, {self.taken} are taken, "
            f"and this process may open {self.wanted}: raise max_connections, or lower EARSHOT_DATABASE_POOL_SIZE"
        )


async def read_capacity(url: str, *, wanted: int, options: DatabaseOptions) -> ConnectionCapacity:
    """Read the limit and the open connections of the server; `wanted` is how many this process may open."""
    connection = await database_url.connect(url, options=options)
    try:
        allowed, taken = await connection.fetchrow(_CONNECTIONS)  # type: ignore[misc]
    finally:
        await connection.close()
    return ConnectionCapacity(database_url.parse(url).where, allowed, taken, wanted)

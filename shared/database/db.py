"""PostgreSQL: one `Database` per service and schema. Transactions are opened by the caller, never in a repository."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, cast

import asyncpg
import structlog
import tenacity
from sqlalchemy import event
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import create_async_engine

from shared import database_url
from shared.clock import ClockIsWrong
from shared.database import transactions
from shared.database.session import Session, Sessions
from shared.database_url import DEFAULT, DatabaseOptions, DatabaseUrl

log = structlog.get_logger()

Row = asyncpg.Record
# a named statement exists on one server connection only, and the pooler may use another one next time
_UNNAMED = {"prepared_statement_cache_size": 0, "prepared_statement_name_func": str}


class Database:
    """A pool of connections to one schema of a PostgreSQL database (15 or later), as one login role."""

    def __init__(
        self, url: str, *, schema: str, options: DatabaseOptions = DEFAULT, pool_size: int | None = None
    ) -> None:
        self.url = database_url.parse(url)
        self.options = options
        self.schema = str(schema)  # asyncpg refuses subclasses of str
        self.engine = create_async_engine(
            "postgresql+asyncpg://",
            pool_size=pool_size or options.pool_size,
            pool_timeout=options.command_s or 30,
            max_overflow=0,
            pool_use_lifo=True,  # a few connections do all work while there is little, with their prepared statements
            hide_parameters=True,  # an error must not quote personal data
            isolation_level="AUTOCOMMIT",  # BEGIN and COMMIT are sent by `transactions`
            pool_reset_on_return=None,
            connect_args={"async_creator_fn": self._begun, **_UNNAMED}
            if options.pooled
            else {"async_creator_fn": self.connect},
        )
        if options.pooled:
            event.listen(self.engine.sync_engine, "connect", transactions.roll_back_setup)
        transactions.send_by_driver(self.engine.sync_engine)
        self.sessions = Sessions(self.engine)

    @property
    def _server_settings(self) -> dict[str, str]:
        kept_by_poolers = {"timezone": "UTC", "application_name": f"earshot-{self.schema}"}
        return kept_by_poolers if self.options.pooled else {**kept_by_poolers, "search_path": self.schema, "jit": "off"}

    async def connect(self) -> asyncpg.Connection:
        """Open a connection, for the pool or for LISTEN; the caller closes it."""
        return await database_url.connect(self.url, options=self.options, server_settings=self._server_settings)

    async def _begun(self) -> asyncpg.Connection:
        """Open a connection and begin a transaction: a pooler then runs SQLAlchemy's first statements on one server."""
        connection = await self.connect()
        await transactions.send(connection, command="BEGIN")
        return connection

    async def open_unpooled(self) -> asyncpg.Connection:
        """Open a connection outside the pool, for the caller to close.

        When the server accepts no more connections, one is taken out of the pool.
        """
        try:
            return await self.connect()
        except asyncpg.TooManyConnectionsError:
            pooled = await self.engine.raw_connection()
            own = cast("asyncpg.Connection", pooled.driver_connection)
            pooled.detach()
            return own

    async def ping(self) -> None:
        async with self.sessions() as session:
            await fetch(session, "SELECT 1")

    async def close(self) -> None:
        await self.engine.dispose()


async def fetch(session: Session, sql: str, *args: Any) -> list[Row]:
    """Run a statement with `$1` parameters on asyncpg, which is faster, inside the session's transaction."""
    return await (await session.driver()).fetch(sql, *args)


@dataclass(frozen=True, slots=True)
class Write:
    """One or more CTEs, `name AS (…)`, with parameters numbered from `$1`.

    `then` is an expression for the SELECT that ends the whole statement, such as a call of `pg_notify`.
    """

    sql: str
    args: Sequence[Any]
    then: str | None = None


async def write(session: Session, *parts: Write | None) -> None:
    """Run all parts that are not None as one statement, in one round trip.

    A part can read the rows that another part writes only from that part's CTE, and not from the table.
    """
    if wanted := [part for part in parts if part]:
        sql = _together(tuple((part.sql, len(part.args), part.then) for part in wanted))
        await fetch(session, sql, *(argument for part in wanted for argument in part.args))


@lru_cache
def _together(parts: Sequence[tuple[str, int, str | None]]) -> str:
    numbered, before = [], 0
    for sql, arguments, _ in parts:
        numbered.append(_renumbered(sql, before))
        before += arguments
    return f"WITH {', '.join(numbered)} SELECT {', '.join(then for *_, then in parts if then) or '1'}"


def _renumbered(sql: str, before: int) -> str:
    return re.sub(r"\$(\d+)", lambda found: f"${before + int(found[1])}", sql)


async def copy(session: Session, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Store new rows with COPY inside the session's transaction; a duplicate key raises UniqueViolationError."""
    if rows:
        await (await session.driver()).copy_records_to_table(table, columns=columns, records=rows)


async def commit_without_waiting(session: Session) -> None:
    """Let this transaction's commit return before it is on disk.

    A crash of the server may undo it, together with all that was committed after it: a later commit that waits makes
    this one durable, too. Only for what may be undone, such as a lease.
    """
    await fetch(session, "SET LOCAL synchronous_commit = off")


def lock_number(*names: str) -> int:
    """Hash names to the 64-bit number of a PostgreSQL advisory lock."""
    return int.from_bytes(hashlib.sha256("|".join(names).encode()).digest()[:8], signed=True)


@asynccontextmanager
async def session_lock(connection: asyncpg.Connection, *names: str) -> AsyncIterator[None]:
    """Hold an advisory lock of this connection's session; waits while another session holds it."""
    number = lock_number(*names)
    await connection.execute("SELECT pg_advisory_lock($1)", number)
    try:
        yield
    finally:
        if not connection.is_closed():
            await connection.execute("SELECT pg_advisory_unlock($1)", number)


_TRANSIENT = (
    asyncpg.PostgresConnectionError,
    asyncpg.InternalClientError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,  # 57xxx: shut down, starting up, cancelled
    asyncpg.TransactionRollbackError,  # 40xxx: serialization, deadlock
    asyncpg.InsufficientResourcesError,  # 53xxx: disk or memory full, too many connections
    asyncpg.ReadOnlySQLTransactionError,  # a failover is under way
    asyncpg.LockNotAvailableError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InvalidCatalogNameError,  # the database is being restored
    asyncpg.ObjectNotInPrerequisiteStateError,  # the database accepts no connections now
    ClockIsWrong,
    OSError,
    TimeoutError,
    PoolTimeout,  # every connection of the pool was busy
)


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, its cause, the cause of that, and so on; SQLAlchemy keeps asyncpg's error in `orig`."""
    while error is not None:
        yield error
        error = getattr(error, "orig", None) or error.__cause__


def is_transient(error: BaseException | None) -> bool:
    """Say whether the same transaction may succeed when it is repeated later. A failed COMMIT may have committed."""
    return transient_cause(error) is not None


def transient_cause(error: BaseException | None) -> BaseException | None:
    """Return the transient error among an error and its causes; None when the same transaction would fail again."""
    for each in causes(error):
        if isinstance(each, asyncpg.DataError):
            return None  # some are InterfaceErrors too, but the same value fails again
        if isinstance(each, _TRANSIENT):
            return each
    return None


def retry_outages(*urls: DatabaseUrl | str, at_most_s: float = 5.0) -> tenacity.AsyncRetrying:
    """Retry transient errors without end, with a pause that grows to `at_most_s` seconds.

    With `urls`, each error is logged with the servers they name.
    """
    return tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception(is_transient),
        wait=tenacity.wait_random_exponential(multiplier=0.1, max=at_most_s),
        before_sleep=partial(_log_unreachable, urls) if urls else None,
        reraise=True,
    )


def _log_unreachable(urls: Sequence[DatabaseUrl | str], state: tenacity.RetryCallState) -> None:
    parsed = [database_url.parse(url) if isinstance(url, str) else url for url in urls]
    servers = ",".join(dict.fromkeys(url.where for url in parsed))
    cause = transient_cause(state.outcome.exception() if state.outcome else None)
    log.warning(
        "database.unreachable",
        servers=servers,
        error=type(cause).__name__,
        attempt=state.attempt_number,
        cure="earshot doctor",
    )

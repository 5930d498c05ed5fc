"""Sends BEGIN, COMMIT and ROLLBACK for pooled connections; a cancellation at any await leaves no open transaction.

SQLAlchemy begins a transaction with the first statement that goes through its cursor, which statements run directly on
asyncpg do not. So the engine has `isolation_level="AUTOCOMMIT"`, with which it sends none of the three, and the event
listeners of this module send them.
"""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import asyncpg
import structlog
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DisconnectionError

from shared import metrics

log = structlog.get_logger()


class NotCommitted(Exception):
    """PostgreSQL rolled back instead of committing, because a statement had failed earlier: nothing is stored."""


def send_by_driver(engine: Engine) -> None:
    """Make an engine send BEGIN, COMMIT and ROLLBACK as statements, in place of SQLAlchemy's asyncpg transactions.

    Those can be lost when a task is cancelled. Pooled connections that are left in a transaction are closed.
    """
    event.listen(engine, "begin", partial(_send, command="BEGIN"))
    event.listen(engine, "commit", partial(_send, command="COMMIT"))
    event.listen(engine, "rollback", _roll_back)
    event.listen(engine, "checkin", _drop_unowned)
    event.listen(engine, "checkout", _replace_closed)


def _send(connection: Connection, *, command: str) -> None:
    pooled: Any = connection.connection.dbapi_connection
    pooled.run_async(partial(send, command=command))


def _roll_back(connection: Connection) -> None:
    if not connection.invalidated and not cast("Any", connection.connection).driver_connection.is_closed():
        _send(connection, command="ROLLBACK")  # the server rolls back for a closed connection


def roll_back_setup(pooled: Any, _record: object) -> None:
    """End the transaction in which a new connection was set up."""
    pooled.run_async(partial(send, command="ROLLBACK"))


async def send(driver: asyncpg.Connection, *, command: str) -> None:
    """Send BEGIN, COMMIT or ROLLBACK; an error or a cancellation closes the connection. Raises NotCommitted."""
    try:
        done = await driver.execute(command)
    except BaseException:
        driver.terminate()  # whether the server has run the command is unknown
        raise
    if done != command:
        raise NotCommitted(f"{command} was answered with {done}")


def _drop_unowned(pooled: Any, _record: object) -> None:
    """Close a connection that is in a transaction: the next user's statements would become part of that transaction."""
    driver = pooled and pooled.driver_connection
    if driver and not driver.is_closed() and driver.is_in_transaction():
        metrics.UNOWNED_TRANSACTIONS.inc()
        log.error("connection.in_transaction", process=driver.get_server_pid())
        driver.terminate()


def _replace_closed(pooled: Any, record: object, _proxy: object) -> None:
    """Make the pool replace a connection that is closed or in a transaction; unlike a ping, without a round trip."""
    _drop_unowned(pooled, record)
    if pooled.driver_connection.is_closed():
        raise DisconnectionError

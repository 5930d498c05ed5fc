"""BEGIN, COMMIT and ROLLBACK of every pooled connection, sent from one place that survives a cancellation at any await.

SQLAlchemy begins with the first statement that goes through its cursor, and our hot statements do not. So it is told
that its connections commit by themselves (`isolation_level="AUTOCOMMIT"`): it sends none of the three, and calls here
where it would.
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
    """A statement had failed and the error was swallowed, so PostgreSQL rolled back instead: nothing is stored."""


def send_by_driver(engine: Engine) -> None:
    """Begin and end this engine's transactions here, and keep connections that are in one out of its pool."""
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
        _send(connection, command="ROLLBACK")  # of a closed connection the server has done so by itself


def roll_back_setup(pooled: Any, _record: object) -> None:
    """End the transaction in which a new connection was set up."""
    pooled.run_async(partial(send, command="ROLLBACK"))


async def send(driver: asyncpg.Connection, *, command: str) -> None:
    """Send BEGIN, COMMIT or ROLLBACK; what interrupts it closes the connection. Raises NotCommitted."""
    try:
        done = await driver.execute(command)
    except BaseException:
        driver.terminate()  # nobody knows whether the server has obeyed or still will
        raise
    if done != command:
        raise NotCommitted(f"{command} was answered with {done}")


def _drop_unowned(pooled: Any, _record: object) -> None:
    """Close a connection that comes back in a transaction: whoever got it next would believe to have begun."""
    driver = pooled and pooled.driver_connection
    if driver and not driver.is_closed() and driver.is_in_transaction():
        metrics.UNOWNED_TRANSACTIONS.inc()
        log.error("connection.in_transaction", process=driver.get_server_pid())
        driver.terminate()


def _replace_closed(pooled: Any, record: object, _proxy: object) -> None:
    """Let the pool reconnect what is closed or in a transaction; unlike a ping, this costs no round trip."""
    _drop_unowned(pooled, record)
    if pooled.driver_connection.is_closed():
        raise DisconnectionError

"""Which database errors are transient: work is tried again after them, and no event is parked."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from structlog.testing import capture_logs

from services.trigger.repository.new_rows import Raced
from shared.database.db import is_transient, retry_outages


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (asyncpg.DeadlockDetectedError("x"), True),
        (asyncpg.SerializationError("x"), True),
        (Raced("x"), True),
        (asyncpg.LockNotAvailableError("x"), True),
        (asyncpg.QueryCanceledError("x"), True),
        (asyncpg.AdminShutdownError("x"), True),
        (asyncpg.CannotConnectNowError("x"), True),
        (asyncpg.ConnectionDoesNotExistError("x"), True),
        (asyncpg.TooManyConnectionsError("x"), True),
        (asyncpg.DiskFullError("x"), True),
        (asyncpg.ReadOnlySQLTransactionError("x"), True),
        (asyncpg.InterfaceError("x"), True),
        (ConnectionRefusedError(), True),
        (TimeoutError(), True),
        (PoolTimeout(), True),
        (asyncpg.DataError("x"), False),
        (asyncpg.UniqueViolationError("x"), False),
        (asyncpg.ForeignKeyViolationError("x"), False),
        (asyncpg.CharacterNotInRepertoireError("x"), False),
        (asyncpg.UndefinedTableError("x"), False),
        (asyncpg.InvalidPasswordError("x"), False),
        (asyncpg.PostgresSyntaxError("x"), False),
        (ValueError("x"), False),
        (KeyError("x"), False),
        (asyncio.CancelledError(), False),
        (None, False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_error_passes_by_itself_or_not_however_it_is_wrapped(error: BaseException | None, passes: bool) -> None:  # noqa: FBT001 - a case
    caused = RuntimeError("around it")
    caused.__cause__ = error
    for given in (error, caused, DBAPIError("SELECT", None, error) if error else None):
        assert is_transient(given) is passes


async def test_outage_names_server_and_kind_of_error_and_no_password() -> None:
    errors: list[Exception] = [DBAPIError("SELECT", None, ConnectionRefusedError("refused")), TimeoutError()]

    async def work() -> str:
        if errors:
            raise errors.pop(0)
        return "done"

    urls = ["postgresql://shop:secret@db-1.example:6432/earshot", "postgresql://db-2.example/earshot"]
    with capture_logs() as lines:
        assert await retry_outages(*urls)(work) == "done"
    assert [line["event"] for line in lines] == ["database.unreachable"] * 2
    assert [line["error"] for line in lines] == ["ConnectionRefusedError", "TimeoutError"]
    assert {line["servers"] for line in lines} == {"db-1.example:6432,db-2.example:5432"}
    assert "secret" not in str(lines)

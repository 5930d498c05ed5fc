"""One-line messages for errors that the operator can repair: what is wrong, and what to do."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator

import asyncpg
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import SettingsError

from services.trigger.domain.sources.source import InvalidSource
from shared import database_url
from shared.clock import ClockIsWrong
from shared.config import Settings
from shared.contract.vocabulary import Service
from shared.database.capacity import TooFewConnections
from shared.database.embedded import CannotStart, NoDatabase, nothing_has_run
from shared.database.schema import CatalogueMissing
from shared.database_url import NeedsSessions
from shared.health import NotReady
from shared.made_keys import KeysUnreadable
from shared.migrations import ModelsDiffer
from shared.runtime import PortBusy, StoppedLate
from shared.web.public_urls import WrongAddress

_MESSAGE_IS_ENOUGH = (
    PortBusy,
    StoppedLate,
    CannotStart,
    NoDatabase,
    NeedsSessions,
    TooFewConnections,
    ModelsDiffer,
    CatalogueMissing,
    NotReady,
    InvalidSource,
    ClockIsWrong,
    WrongAddress,
    KeysUnreadable,
)
_NO_DATABASE = (ConnectionError, socket.gaierror, TimeoutError, asyncpg.PostgresConnectionError)
_REFUSED = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
)
_OTHER_SESSION = (asyncpg.DuplicatePreparedStatementError, asyncpg.InvalidSQLStatementNameError)
_FIELD = re.compile(r'field "(\w+)"')


def explain(error: Exception) -> str | None:
    """Return in one line what is wrong and what to do; None for a bug, whose traceback must be shown."""
    return next((text for cause in _causes(error) if (text := _message_for(cause))), None)


def is_missing_table(error: Exception) -> bool:
    return any(isinstance(cause, asyncpg.UndefinedTableError) for cause in _causes(error))


def explain_away(service: Service, error: Exception, *, table: str) -> str:
    """Say why a service cannot be asked for a table; raises an error again that an operator cannot repair."""
    if is_missing_table(error):
        return f"it has no table of {table}; run `earshot migrate {service}`"
    if (reason := explain(error)) is None:
        raise error
    return reason


def _message_for(error: BaseException) -> str | None:
    match error:
        case ValidationError() if error.title.endswith("Settings"):
            return _wrong_settings(error)
        case SettingsError():
            return _unreadable(error)
        case asyncpg.UndefinedTableError():
            return nothing_has_run(_databases() or str(Settings().data_dir))
    if isinstance(error, _OTHER_SESSION):
        return "the database URL leads to a pooler in transaction mode: set EARSHOT_DATABASE_POOLED=transaction"
    if isinstance(error, _MESSAGE_IS_ENOUGH):
        return str(error)
    return _no_database(error)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and all errors that a task group, SQLAlchemy or `raise … from` wrapped in it."""
    yield error
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else (getattr(error, "orig", None),)
    for each in (*inner, error.__cause__):
        if each is not None:
            yield from _causes(each)


def _wrong_settings(error: ValidationError) -> str:
    wrong = error.errors(include_input=False, include_url=False)
    messages = [each for each in wrong if each["type"] != "default_factory_not_called"]  # caused by the others
    return "; ".join(map(_wrong_setting, messages))


def _wrong_setting(error: ErrorDetails) -> str:
    what = error["msg"].removeprefix("Value error, ")  # which pydantic puts before our own words
    setting, *inner = error["loc"] or ("",)
    place = f" ({'.'.join(map(str, inner))})" if inner else ""  # within JSON
    return f"{_setting(str(setting))}{place}: {what}" if setting else what


def _unreadable(error: SettingsError) -> str:
    field = _FIELD.search(str(error))
    name = _setting(field[1]) if field else "a setting"
    if isinstance(error.__cause__, OSError):
        return f"{name}_FILE: cannot be read: {error.__cause__}"
    return f"{name}: not JSON: {error.__cause__}"


def _setting(field: str) -> str:
    return f"EARSHOT_{field.upper()}"


def _no_database(error: BaseException) -> str | None:
    where = _databases()
    if where and isinstance(error, _REFUSED):
        return f"PostgreSQL at {where} refuses: {error}; check {_setting('…database_url')}"
    if where and (isinstance(error, _NO_DATABASE) or str(error).startswith("Multiple exceptions")):
        return f"PostgreSQL at {where} does not answer; check {_setting('…database_url')}"
    return None


def _databases() -> str:
    """Name the configured servers; empty when only the embedded one is used."""
    settings = Settings()
    names = ("database_url", "migrate_url", *(f"{service}_database_url" for service in Service))
    urls = [database_url.parse(url) for name in names if (url := getattr(settings, name))]
    return " or ".join(dict.fromkeys(url.where for url in urls))

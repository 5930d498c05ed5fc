"""The URL of a PostgreSQL database, parsed in one way for every connection: pool, relay, migrations, doctor.

It follows libpq (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING), and accepts asyncpg's
`ssl` and SQLAlchemy's repeated `host=name:port` too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn
from urllib.parse import quote, urlencode
from urllib.parse import unquote as decoded

import asyncpg

SCHEMES = ("postgresql", "postgres", "postgresql+asyncpg")
PORT = 5432

_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_SSL_WORDS = {"true": "require", "false": "disable"} | {mode: mode for mode in _SSL_MODES}
_TARGETS = ("any", "read-write", "primary")
_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl", "passfile")
_FOR_THE_DRIVER = (
    "sslmode", *_FILES, "sslpassword", "sslnegotiation", "ssl_min_protocol_version", "ssl_max_protocol_version",
)  # fmt: skip
_FOR_THE_SERVER = ("application_name", "options")
_OUR_OWN = ("host", "port", "user", "password", "dbname", "ssl", "target_session_attrs", "connect_timeout")
_KNOWN = frozenset((*_FOR_THE_DRIVER, *_FOR_THE_SERVER, *_OUR_OWN, "channel_binding"))
_ENCODE = "a password with one of : / ? # @ % in it must be percent-encoded"


class InvalidDatabaseUrl(ValueError):
    """This URL cannot be used; the text says why and quotes no password."""


class NeedsSessions(Exception):
    """An operation needs a database session, and a pooler in transaction mode is in front; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Host:
    """A host name, an IP address, or the folder of a Unix socket."""

    address: str
    port: int = PORT

    @property
    def bracketed(self) -> str:
        return f"[{self.address}]" if ":" in self.address else self.address

    def __str__(self) -> str:
        return f"{self.bracketed}:{self.port}"


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """The parts of a database URL. Without a host, asyncpg connects to libpq's default host."""

    hosts: tuple[Host, ...] = ()
    database: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    driver: Mapping[str, str] = field(default_factory=dict, repr=False)  # TLS options, for asyncpg's DSN
    server: Mapping[str, str] = field(default_factory=dict)  # startup parameters
    target: str = "any"
    connect_timeout_s: float | None = None

    @property
    def where(self) -> str:
        """Hosts and ports, for messages and logs."""
        return ",".join(map(str, self.hosts)) or "this machine"

    def of(self, *, user: str | None = None, database: str | None = None) -> DatabaseUrl:
        """Return the URL of another database or role of the same server."""
        return replace(self, user=user or self.user, database=database or self.database)

    @property
    def text(self) -> str:
        """The whole URL, with the password."""
        several = {
            "host": ",".join(host.bracketed for host in self.hosts),
            "port": ",".join(str(host.port) for host in self.hosts),
            "target_session_attrs": self.target,
            "connect_timeout": "" if self.connect_timeout_s is None else f"{self.connect_timeout_s:g}",
        }
        return self._written({**several, **self.driver, **self.server})

    def dsn(self, host: Host | None) -> str:
        """Return the DSN for asyncpg to connect to one of the hosts; None: libpq's default host."""
        where = {} if host is None else {"host": host.bracketed, "port": str(host.port)}
        return self._written({**where, **self.driver, "target_session_attrs": self.target})

    def _written(self, query: Mapping[str, str]) -> str:
        role = quote(self.user, safe="") + (f":{quote(self.password, safe='')}" if self.password else "")
        given = urlencode({name: value for name, value in query.items() if value}, quote_via=quote, safe="/,:[]")
        return f"postgresql://{role}{'@' if role else ''}/{quote(self.database, safe='')}{'?' if given else ''}{given}"


def parse(url: str) -> DatabaseUrl:
    """Parse a URL; raises InvalidDatabaseUrl."""
    scheme, separator, rest = url.partition("://")
    if scheme not in SCHEMES or not separator:
        _refuse("it must be postgresql://user:password@host:port/database")
    place, _, query = rest.partition("?")
    authority, _, path = place.partition("/")
    role, _, listed = authority.rpartition("@")
    if any(("/" in path, *("@" in part for part in (role, path, query)))):
        _refuse(f"it cannot be parsed: {_ENCODE}")
    user, _, password = role.partition(":")
    given, hosts = _parameters(query)
    return DatabaseUrl(
        hosts=(found := _hosts(hosts or ([listed] if listed else []), given.get("port", ""))),
        database=given.get("dbname", "") or decoded(path),
        user=given.get("user", "") or decoded(user),
        password=given.get("password", "") or decoded(password),
        driver=MappingProxyType(_driver(given)),
        server=MappingProxyType({name: given[name] for name in _FOR_THE_SERVER if name in given}),
        target=_target(given, several=len(found) > 1),
        connect_timeout_s=_seconds(given.get("connect_timeout", "0")),
    )


def _refuse(why: str) -> NoReturn:
    raise InvalidDatabaseUrl(why)


def _parameters(query: str) -> tuple[dict[str, str], list[str]]:
    """Split the query into its parameters and its hosts; `host` may be repeated."""
    given: dict[str, str] = {}
    hosts: list[str] = []
    for part in filter(None, query.split("&")):
        name, _, value = part.partition("=")
        if name not in _KNOWN:
            _refuse(f"its parameter {name} is none of {', '.join(sorted(_KNOWN))}")
        if name == "host":
            hosts.append(decoded(value))
        elif name in given:
            _refuse(f"{name} is given twice")
        else:
            given[name] = decoded(value)
    return given, hosts


def _hosts(listed: list[str], ports: str) -> tuple[Host, ...]:
    found = [_host(each) for entry in listed for each in entry.split(",")]
    given = [_port(port) for port in ports.split(",")] if ports else []
    if len(given) not in (0, 1, max(1, len(found))):
        _refuse(f"port names {len(given)} ports for {len(found)} hosts")
    if given and not found:
        _refuse("port is given without a host")
    common = given[0] if len(given) == 1 else None
    return tuple(
        Host(address, own or common or other or PORT)
        for (address, own), other in zip_longest(found, given[: len(found)])
    )


def _host(entry: str) -> tuple[str, int | None]:
    """Parse one host, percent-encoded or not: `name`, `name:port`, `[::1]:port`, or the folder of a Unix socket."""
    plain = decoded(entry)
    if plain.startswith("/"):
        return plain, None
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([\w.-]+))(?::(\w*))?", plain)
    if found is None:
        _refuse(f"a host cannot be read: {_ENCODE}, and an IPv6 address stands in brackets")
    return found[1] or found[2], _port(found[3]) if found[3] else None


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        _refuse(f"a port is no number between 1 and 65535: {_ENCODE}")
    return int(text)


def _driver(given: Mapping[str, str]) -> dict[str, str]:
    found = {name: given[name] for name in _FOR_THE_DRIVER if given.get(name)}
    if mode := _ssl_mode(given):
        found["sslmode"] = mode
    if given.get("channel_binding", "prefer") == "require":
        _refuse("channel_binding=require is not possible with this driver: leave it out, and set sslmode=verify-full")
    for name in _FILES:
        if name in found and not Path(found[name]).is_file():
            _refuse(f"{name} names no file that can be read ({found[name]})")
    return found


def _ssl_mode(given: Mapping[str, str]) -> str:
    """Return libpq's name of the TLS mode; empty if none is given, which asyncpg treats as `prefer`."""
    named = [given[name] for name in ("sslmode", "ssl") if given.get(name)]
    modes = {_SSL_WORDS.get(word, "") for word in named}
    if "" in modes or (given.get("sslmode") and given["sslmode"] not in _SSL_MODES):
        _refuse(f"sslmode is none of {', '.join(_SSL_MODES)}")
    if len(modes) > 1:
        _refuse("ssl and sslmode contradict each other")
    return next(iter(modes), "")


def _target(given: Mapping[str, str], *, several: bool) -> str:
    target = given.get("target_session_attrs") or ("read-write" if several else "any")
    if target not in _TARGETS:
        _refuse(
            f"target_session_attrs is none of {', '.join(_TARGETS)}: Earshot writes, which a standby does not allow"
        )
    return target


def _seconds(text: str) -> float | None:
    """Parse `connect_timeout`; None for 0, which means the default timeout."""
    if not re.fullmatch(r"\d{1,4}", text, re.ASCII):
        _refuse("connect_timeout is no number of seconds")
    return float(text) or None


@dataclass(frozen=True, slots=True)
class DatabaseOptions:
    """Size and timeouts of a connection pool; timeouts are in seconds, None means no timeout."""

    pool_size: int = 8
    connect_s: float = 5.0  # to connect to each host
    command_s: float | None = 25.0  # until asyncpg gives up a statement
    statement_s: float | None = 20.0  # until the server cancels a statement; shorter than command_s
    idle_s: float | None = 60.0  # until the server ends a session that is idle in a transaction
    pooled: bool = False  # through a pooler in transaction mode: no session settings, session locks, named statements

    @property
    def server_settings(self) -> Mapping[str, str]:
        if self.pooled:
            return {}
        seconds = {"statement_timeout": self.statement_s, "idle_in_transaction_session_timeout": self.idle_s}
        return {name: f"{limit * 1000:.0f}" for name, limit in seconds.items() if limit is not None}

    @property
    def unlimited(self) -> DatabaseOptions:
        """These options with one connection and no timeout after connecting: for migrations and long commands."""
        return replace(self, pool_size=1, command_s=None, statement_s=None, idle_s=None)


DEFAULT = DatabaseOptions()
UNLIMITED = DEFAULT.unlimited


async def connect(
    url: DatabaseUrl | str,
    *,
    options: DatabaseOptions = UNLIMITED,
    server_settings: Mapping[str, str] = MappingProxyType({}),
) -> asyncpg.Connection:
    """Connect to the first host that answers and matches `target_session_attrs`; the timeout applies to each host.

    Raises asyncpg's error for the last host, or NeedsSessions when a pooler rejects a startup parameter.
    """
    url = parse(url) if isinstance(url, str) else url
    hosts: tuple[Host | None, ...] = url.hosts or (None,)
    for left, host in reversed(list(enumerate(reversed(hosts)))):
        try:
            return await asyncpg.connect(
                url.dsn(host),
                timeout=url.connect_timeout_s or options.connect_s,
                command_timeout=options.command_s,
                server_settings={**server_settings, **options.server_settings, **url.server},
                statement_cache_size=0 if options.pooled else 100,
            )
        except asyncpg.ProtocolViolationError as error:
            if "startup parameter" in str(error):
                raise NeedsSessions(_POOLER) from None  # as a cause, asyncpg's error would make it transient
            raise
        except _NEXT_HOST:
            if not left:
                raise
    raise AssertionError("unreachable")


_POOLER = (
    "a pooler is in front of PostgreSQL: where it pools by transaction, set EARSHOT_DATABASE_POOLED=transaction; "
    "where it pools sessions, let it ignore the startup parameters that docs/operate.md names"
)
_NEXT_HOST = (
    OSError,
    TimeoutError,
    asyncpg.TargetServerAttributeNotMatched,
    asyncpg.CannotConnectNowError,
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.TooManyConnectionsError,
)

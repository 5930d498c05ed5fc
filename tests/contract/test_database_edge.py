"""PostgreSQL as it is run: TLS with a private CA, a failover to a synchronous standby, PgBouncer in both its modes."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from deploy import databases
from deploy.kafka.certificates import Authority
from deploy.operations import error_messages
from shared import database_url
from shared.clock import SystemClock
from shared.contract.vocabulary import Service
from shared.database import db, embedded
from shared.database.capacity import read_capacity
from shared.database.commit_check import check_commit
from shared.database.compared_clock import guard_clock
from shared.database.embedded import Embedded
from shared.database_url import DatabaseOptions, Host, NeedsSessions
from shared.messaging import outbox
from shared.messaging.relay import Relay
from shared.messaging.transport import Message
from tests import postgres_server
from tests.postgres_server import Server, free_port, own_folder, require, running

QUICK = DatabaseOptions(pool_size=3, connect_s=3, command_s=6, statement_s=5)
POOLED = replace(QUICK, pooled=True)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    require("postgresql")
    with own_folder() as folder:
        made = Server(folder, free_port())
        made.make()
        with running(made):
            yield made


@pytest.fixture
async def urls(server: Server) -> AsyncIterator[Mapping[str, str]]:
    """Migrate a database on that server; one URL per schema."""
    server.make_database("edge")
    found = await embedded.prepare(Embedded(server.url, server.folder), "edge")
    await databases.migrate({"scoring": found["scoring"]})
    yield found
    admin = await database_url.connect(server.url)
    await admin.execute("DROP DATABASE edge WITH (FORCE)")
    await admin.close()


class Collecting:
    """An event log that stores what is appended, and stops the relay when it has enough."""

    def __init__(self, *, enough: int = 1) -> None:
        self.keys: list[str] = []
        self.stop = asyncio.Event()
        self._enough = enough

    async def append(self, messages: Sequence[Message]) -> None:
        self.keys += [message.key for message in messages]
        if len(set(self.keys)) >= self._enough:
            self.stop.set()


async def _add(database: db.Database, *keys: str) -> None:
    async with database.sessions.begin() as session:
        await db.write(session, outbox.add_statement([Message("survey.answers", key, b"{}") for key in keys]))


async def _relayed(database: db.Database, *, enough: int = 1) -> list[str]:
    log = Collecting(enough=enough)
    async with asyncio.timeout(30):
        await Relay(database, log, service=Service.SCORING).run(log.stop)  # type: ignore[arg-type]
    return log.keys


@pytest.fixture(scope="module")
def secured(server: Server) -> Iterator[Path]:
    """Make the server accept only TLS from role scoring; return the CA's file."""
    authority = Authority.make()
    certificate, key = authority.signed("127.0.0.1")
    server.put("server.crt", certificate)
    server.put("server.key", key)
    server.configure(ssl="on", ssl_cert_file=f"{server.folder}/server.crt", ssl_key_file=f"{server.folder}/server.key")
    server.reload()
    with own_folder() as folder:
        (folder / "ca.pem").write_bytes(authority.pem)
        (folder / "other.pem").write_bytes(Authority.make().pem)
        yield folder
    server.configure(ssl="off")
    server.reload()


def _with(url: str, **parameters: str) -> str:
    return f"{url}{''.join(f'&{name}={value}' for name, value in parameters.items())}"


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
async def test_every_connection_of_a_process_is_encrypted(urls: Mapping[str, str], secured: Path, mode: str) -> None:
    url = _with(urls["scoring"], sslmode=mode, sslrootcert=str(secured / "ca.pem"))
    database = db.Database(url, schema="scoring", options=QUICK)
    async with database.sessions.begin() as session:
        (pooled,) = await db.fetch(session, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    own = await database.connect()
    assert pooled["ssl"]
    assert await own.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    await own.close()
    await databases.migrate({"scoring": url})
    await _add(database, "k")
    assert await _relayed(database) == ["k"]
    await database.close()


@pytest.mark.parametrize(
    ("mode", "authority", "host"),
    [("verify-ca", "other.pem", "127.0.0.1"), ("verify-full", "other.pem", "127.0.0.1"),
     ("verify-full", "ca.pem", "localhost")],
)  # fmt: skip
async def test_server_that_cannot_prove_who_it_is_gets_nothing(
    urls: Mapping[str, str], secured: Path, mode: str, authority: str, host: str
) -> None:
    own = database_url.parse(_with(urls["scoring"], sslmode=mode, sslrootcert=str(secured / authority)))
    with pytest.raises(ssl.SSLCertVerificationError):
        await database_url.connect(replace(own, hosts=(Host(host, own.hosts[0].port),)), options=QUICK)


async def test_failover_to_a_synchronous_standby_loses_nothing_that_was_said_to_be_saved() -> None:
    require("postgresql")
    with own_folder() as first, own_folder() as second:
        primary, standby = Server(first, free_port()), Server(second, free_port())
        primary.make()
        with running(primary):
            primary.make_database("edge")
            own = (await embedded.prepare(Embedded(primary.url, primary.folder), "edge"))["scoring"]
            standby.copy_of(primary, name="standby")
            with running(standby):
                primary.configure(synchronous_standby_names="standby")
                primary.reload()
                await _fail_over(primary, standby, own)


async def _fail_over(primary: Server, standby: Server, own: str) -> None:
    hosts = (
        Host("127.0.0.1", standby.port),
        Host("127.0.0.1", primary.port),
    )  # the first is read-only until the failover
    url = replace(database_url.parse(own), hosts=hosts, target="read-write").text
    await databases.migrate({"scoring": url})
    database = db.Database(url, schema="scoring", options=QUICK)
    log = Collecting(enough=20)
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        relay = Relay(database, log, service=Service.SCORING)  # type: ignore[arg-type]
        tasks.create_task(relay.run(log.stop))
        for number in range(20):
            if number == 10:
                await asyncio.to_thread(primary.stop)
                await asyncio.to_thread(standby.promote)
            await db.retry_outages(at_most_s=0.5)(_add, database, f"k{number}")
    assert set(log.keys) == {f"k{number}" for number in range(20)}
    await database.close()


@pytest.fixture
def pooler(server: Server, request: pytest.FixtureRequest) -> Iterator[int]:
    """PgBouncer in the mode that the test names."""
    require("pgbouncer")
    ignored = {"ignore_startup_parameters": _IGNORED} if request.param == "session" else {}
    with own_folder() as folder, postgres_server.pgbouncer(server, folder, pool_mode=request.param, **ignored) as port:
        yield port


_IGNORED = "search_path,timezone,jit,statement_timeout,idle_in_transaction_session_timeout"


def _through(url: str, port: int) -> str:
    return replace(database_url.parse(url), hosts=(Host("127.0.0.1", port),)).text


@pytest.mark.parametrize("pooler", ["session"], indirect=True)
async def test_pool_of_sessions_serves_as_a_server_does(urls: Mapping[str, str], pooler: int) -> None:
    url = _through(urls["scoring"], pooler)
    database = db.Database(url, schema="scoring", options=QUICK)
    await databases.migrate({"scoring": url})
    await _add(database, "k")
    assert await _relayed(database) == ["k"]
    await check_commit(database)
    assert (await read_capacity(url, wanted=4, options=QUICK)).allowed == 57
    await database.close()


@pytest.mark.parametrize("pooler", ["transaction"], indirect=True)
async def test_pool_of_transactions_serves_many_with_few_servers(urls: Mapping[str, str], pooler: int) -> None:
    processes = [db.Database(_through(urls["scoring"], pooler), schema="scoring", options=POOLED) for _ in range(6)]
    await databases.check_search_paths({"scoring": _through(urls["scoring"], pooler)}, POOLED)

    async def work(database: db.Database, name: int) -> None:
        for number in range(30):
            await _add(database, f"{name}-{number}")
            await database.ping()

    log = Collecting(enough=180)
    relays = [Relay(each, log, service=Service.SCORING) for each in processes[:2]]  # type: ignore[arg-type]
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        for relay in relays:
            tasks.create_task(relay.run(log.stop))
        for name, database in enumerate(processes):
            tasks.create_task(work(database, name))
    assert sorted(log.keys) == sorted(f"{name}-{number}" for name in range(6) for number in range(30))
    await check_commit(processes[0])
    assert (await guard_clock(SystemClock(), processes[0])).now().tzinfo is not None
    for database in processes:
        await database.close()


@pytest.mark.parametrize("pooler", ["transaction"], indirect=True)
async def test_pool_of_transactions_is_refused_in_words_where_the_setting_does_not_say_so(
    urls: Mapping[str, str], pooler: int
) -> None:
    with pytest.raises(NeedsSessions, match="set EARSHOT_DATABASE_POOLED=transaction") as refused:
        await databases.check_capacities({"scoring": _through(urls["scoring"], pooler)}, QUICK)
    assert error_messages.explain(refused.value) == str(refused.value)

"""Timeouts for a database that hangs; nothing it has not committed is reported as saved."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

import asyncpg
import httpx2
import pytest
from sqlalchemy.exc import SQLAlchemyError

from services.scoring.config import ScoringSettings
from services.scoring.main import build_app as scoring_app
from services.trigger.config import TriggerSettings
from services.trigger.main import build_app, install_programs
from shared import database_url
from shared.clock import ManualClock
from shared.database import db
from shared.database.embedded import Embedded
from shared.database_url import DatabaseOptions, Host
from shared.messaging.transport import open_log
from tests.integration.scoring.stand import Scoring, link_of
from tests.integration.trigger.samples import NOW, purchase
from tests.staff import STAFF

OPTIONS = DatabaseOptions(pool_size=2, connect_s=2, command_s=1.5, statement_s=1, idle_s=1)
LONGEST_S = 30.0  # of a request: far less than without timeouts, far more than the sum of the options


@pytest.fixture
async def admin(postgres: Embedded) -> AsyncIterator[asyncpg.Connection]:
    connection = await database_url.connect(postgres.admin_url)
    yield connection
    await connection.close()


@asynccontextmanager
async def hanging(admin: asyncpg.Connection) -> AsyncIterator[None]:
    """Make every COMMIT wait for a standby that does not exist."""
    await admin.execute("ALTER SYSTEM SET synchronous_standby_names = 'ghost'")
    await admin.execute("SELECT pg_reload_conf()")
    try:
        yield
    finally:
        await admin.execute("ALTER SYSTEM RESET synchronous_standby_names")
        await admin.execute("SELECT pg_reload_conf()")


def _database(urls: Mapping[str, str]) -> db.Database:
    url = f"{urls['trigger']}&options=-c%20synchronous_commit%3Don"
    return db.Database(url, schema="trigger", options=OPTIONS)


async def test_request_to_a_hanging_database_is_refused_in_time_and_counted_once(
    urls: Mapping[str, str], admin: asyncpg.Connection
) -> None:
    database, log, clock = _database(urls), open_log(urls["transport"]), ManualClock(NOW)
    await install_programs(database, clock)
    transport = httpx2.ASGITransport(build_app(TriggerSettings(_env_file=None), database, clock))
    async with httpx2.AsyncClient(auth=STAFF, transport=transport, base_url="http://127.0.0.1:8001") as http:
        async with hanging(admin):
            async with asyncio.timeout(LONGEST_S):
                answers = await asyncio.gather(*(http.post("/v1/events", json=purchase(f"e{n}")) for n in range(6)))
            assert [answer.status_code for answer in answers] == [503] * 6
            assert (await http.post("/v1/events", json=purchase("e0"))).status_code == 503
        assert (await http.post("/v1/events", json=purchase("e0"))).is_success
    await database.close()
    await log.close()


async def test_answer_that_a_hanging_database_has_not_confirmed_is_not_called_saved(
    urls: Mapping[str, str], admin: asyncpg.Connection
) -> None:
    url = f"{urls['scoring']}&options=-c%20synchronous_commit%3Don"
    scoring = Scoring(db.Database(url, schema="scoring", options=OPTIONS))
    link = link_of((await scoring.asked()).invitation_id)
    app = scoring_app(ScoringSettings(_env_file=None), database=scoring.database, clock=scoring.clock)
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(auth=STAFF, transport=transport, base_url="http://127.0.0.1:8000") as http:
        async with hanging(admin), asyncio.timeout(LONGEST_S):
            refused = [await http.post(link, data={"score": "9"}) for _ in range(2)]
        assert [answer.status_code for answer in refused] == [503, 503]
        assert (await http.post(link, data={"score": "9"})).status_code == 303
    assert [row["score"] for row in await scoring.rows("SELECT score FROM answers")] == [9]
    await scoring.database.close()


class Line:
    """A proxy to the server that can stop forwarding without closing connections, as after a network failure."""

    def __init__(self, socket_path: str) -> None:
        self._path = socket_path
        self._goes_on = asyncio.Event()
        self._goes_on.set()
        self._tasks: list[asyncio.Task[None]] = []

    def fall_silent(self) -> None:
        self._goes_on.clear()

    def mend(self) -> None:
        self._goes_on.set()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Host]:
        server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        yield Host("127.0.0.1", server.sockets[0].getsockname()[1])
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        their_reader, their_writer = await asyncio.open_unix_connection(self._path)
        for source, target in ((reader, their_writer), (their_reader, writer)):
            self._tasks.append(asyncio.create_task(self._copy(source, target)))

    async def _copy(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while piece := await source.read(65536):
                await self._goes_on.wait()
                target.write(piece)
        except ConnectionError:
            pass
        finally:
            target.close()


async def test_server_that_falls_silent_is_given_up_and_found_again(urls: Mapping[str, str]) -> None:
    own = database_url.parse(urls["scoring"])
    line = Line(f"{own.hosts[0].address}/.s.PGSQL.{own.hosts[0].port}")
    async with line.listening() as host:
        database = db.Database(replace(own, hosts=(host,)).text, schema="scoring", options=OPTIONS)
        async with database.sessions.begin() as session:
            await db.fetch(session, "SELECT 1")
        line.fall_silent()
        async with asyncio.timeout(LONGEST_S):
            for _ in range(3):
                with pytest.raises((TimeoutError, SQLAlchemyError)) as failed:
                    await database.ping()
                assert db.is_transient(failed.value)
        line.mend()
        await database.ping()
        await database.close()


async def _begin_and_rest(database: db.Database) -> None:
    ended = asyncio.Event()
    async with database.sessions() as session:
        await db.fetch(session, "SELECT 1")
        (await session.driver()).add_termination_listener(lambda _connection: ended.set())
        async with asyncio.timeout(LONGEST_S):
            await ended.wait()
        await db.fetch(session, "SELECT 1")


async def test_transaction_that_does_nothing_is_ended_by_the_server(urls: Mapping[str, str]) -> None:
    database = db.Database(urls["scoring"], schema="scoring", options=OPTIONS)
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, SQLAlchemyError)) as failed:
        await _begin_and_rest(database)
    assert db.is_transient(failed.value)
    await database.ping()
    await database.close()


async def test_commands_and_migrations_may_take_their_time(urls: Mapping[str, str]) -> None:
    database = db.Database(urls["scoring"], schema="scoring", options=OPTIONS.unlimited)
    async with database.sessions.begin() as session:
        rows = await db.fetch(session, "SELECT current_setting('statement_timeout'), pg_sleep(1.6)")
    assert rows[0][0] == "0"
    await database.close()

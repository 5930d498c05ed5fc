"""A process that may open more connections than the server accepts does not start; a relay works beside a full pool."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from deploy import databases
from deploy.operations import error_messages
from shared import database_url
from shared.contract.vocabulary import Service
from shared.database import capacity, db
from shared.database.capacity import TooFewConnections
from shared.database.commit_check import check_commit
from shared.database.embedded import Embedded
from shared.database_url import DatabaseOptions
from shared.messaging import outbox
from shared.messaging.relay import Relay
from shared.messaging.transport import Message


@asynccontextmanager
async def limited(postgres: Embedded, role: str, connections: int) -> AsyncIterator[None]:
    admin = await database_url.connect(postgres.admin_url)
    await admin.execute(f"ALTER ROLE {role} CONNECTION LIMIT {connections}")
    try:
        yield
    finally:
        await admin.execute(f"ALTER ROLE {role} CONNECTION LIMIT -1")
        await admin.close()


async def test_server_that_can_never_let_in_the_pool_is_refused_in_words(
    urls: Mapping[str, str], postgres: Embedded
) -> None:
    one = {"scoring": urls["scoring"]}
    async with limited(postgres, "scoring", 9):
        await databases.check_capacities(one, DatabaseOptions(pool_size=7))
        with pytest.raises(TooFewConnections, match=r"accepts 9 connections, .* may open 10: raise") as refused:
            await databases.check_capacities(one, DatabaseOptions(pool_size=8))
    assert error_messages.explain(refused.value) == str(refused.value)


async def test_what_others_have_taken_is_a_warning(urls: Mapping[str, str]) -> None:
    options = DatabaseOptions()
    (room,) = await databases.connection_capacities({"scoring": urls["scoring"]}, options)
    with capture_logs() as lines:
        await databases.check_capacities(
            {"scoring": urls["scoring"]}, DatabaseOptions(pool_size=room.allowed - databases.OWN_CONNECTIONS)
        )
    assert [line["event"] for line in lines] == ["database.few_connections"]


async def test_services_on_one_server_are_added_up(urls: Mapping[str, str]) -> None:
    (room,) = await databases.connection_capacities(urls, DatabaseOptions(pool_size=5))
    assert room.wanted == 3 * (5 + databases.OWN_CONNECTIONS) + 3 * databases.LOG_CONNECTIONS
    alone = await capacity.read_capacity(urls["scoring"], wanted=6, options=DatabaseOptions())
    assert not alone.is_short


class Collecting:
    """An event log that stores what is appended, and stops the relay."""

    def __init__(self, stop: asyncio.Event) -> None:
        self.taken: list[Message] = []
        self._stop = stop

    async def append(self, messages: Sequence[Message]) -> None:
        self.taken += messages
        self._stop.set()


async def test_relay_publishes_when_the_pool_has_the_last_connection(
    urls: Mapping[str, str], postgres: Embedded
) -> None:
    database = db.Database(urls["scoring"], schema="scoring", options=DatabaseOptions(pool_size=2))
    async with limited(postgres, "scoring", 1):
        async with database.sessions.begin() as session:
            await db.write(session, outbox.add_statement([Message("survey.answers", "k", b"{}")]))
        log = Collecting(stop := asyncio.Event())
        async with asyncio.timeout(10):
            await Relay(database, log, service=Service.SCORING).run(stop)  # type: ignore[arg-type]
    assert [message.key for message in log.taken] == ["k"]
    await database.close()


async def test_process_with_all_its_connections_is_ready(urls: Mapping[str, str], postgres: Embedded) -> None:
    database = db.Database(urls["scoring"], schema="scoring", options=DatabaseOptions(pool_size=1))
    async with limited(postgres, "scoring", 1):
        async with database.sessions.begin() as session:
            await db.fetch(session, "SELECT 1")
        await check_commit(database)
    await database.close()

"""All connections of a process use the same hosts: the pool's, the relay's and a migration's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest

from shared import database_url
from shared.database import db
from shared.database_url import DatabaseOptions, DatabaseUrl, Host

QUICK = DatabaseOptions(connect_s=1)


@pytest.fixture
async def silent() -> AsyncIterator[Host]:
    """Start a server that accepts connections and sends nothing."""
    server = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
    yield Host("127.0.0.1", server.sockets[0].getsockname()[1])
    server.close()


def _among(urls: Mapping[str, str], *others: Host) -> DatabaseUrl:
    own = database_url.parse(urls["scoring"])
    return replace(own, hosts=(*others, *own.hosts), target="read-write")


async def test_a_host_that_is_away_or_silent_hides_no_other(
    urls: Mapping[str, str], silent: Host, tmp_path: Path
) -> None:
    url = _among(urls, Host(str(tmp_path)), silent)
    connection = await database_url.connect(url, options=QUICK)
    assert await connection.fetchval("SELECT current_user") == "scoring"
    await connection.close()


async def test_pool_and_own_connections_find_the_same_host(urls: Mapping[str, str], tmp_path: Path) -> None:
    database = db.Database(_among(urls, Host(str(tmp_path))).text, schema="scoring")
    own = await database.connect()
    assert await own.fetchval("SELECT current_schema()") == "scoring"
    await own.close()
    async with database.sessions.begin() as session:
        assert (await db.fetch(session, "SELECT current_schema()"))[0][0] == "scoring"
    await database.close()


async def test_a_server_that_only_reads_is_none_of_several_hosts(urls: Mapping[str, str]) -> None:
    own = database_url.parse(urls["scoring"])
    several = replace(own, hosts=own.hosts * 2, target="read-write")
    reading = replace(several, server={"options": "-c default_transaction_read_only=on"})
    with pytest.raises(asyncpg.TargetServerAttributeNotMatched) as refused:
        await database_url.connect(reading)
    assert db.is_transient(refused.value)


async def test_tls_that_is_required_is_never_left_out(silent: Host) -> None:
    url = DatabaseUrl(hosts=(silent,), database="nps", driver={"sslmode": "require"})
    with pytest.raises(TimeoutError):
        await database_url.connect(url, options=QUICK)


async def test_what_the_url_says_goes_to_the_server(urls: Mapping[str, str]) -> None:
    url = f"{urls['scoring']}&application_name=nps-one&options=-c%20work_mem%3D8MB"
    database = db.Database(url, schema="scoring", pool_size=1)
    async with database.sessions.begin() as session:
        (row,) = await db.fetch(session, "SELECT current_setting('application_name'), current_setting('work_mem')")
    assert tuple(row) == ("nps-one", "8MB")
    await database.close()

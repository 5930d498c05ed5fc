"""`earshot doctor` behind PgBouncer: a pooler in transaction mode is reported until the settings say so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from deploy import databases
from deploy.all_settings import ALL
from deploy.operations import doctor
from deploy.operations.findings import Finding, Severity
from deploy.operations.replay import isolated_settings
from shared import database_url
from shared.contract.vocabulary import Service
from shared.database import embedded
from shared.database.embedded import Embedded
from shared.database_url import Host
from tests import postgres_server
from tests.postgres_server import Server, free_port, own_folder, require, running

IGNORED = "search_path, timezone, jit, statement_timeout, idle_in_transaction_session_timeout"  # docs/operate.md
CURE = "set EARSHOT_DATABASE_POOLED=transaction"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    require("postgresql", "pgbouncer")
    with own_folder() as folder:
        made = Server(folder, free_port())
        made.make()
        with running(made):
            made.make_database("doctor")
            yield made


@pytest.fixture
async def direct(server: Server) -> Mapping[str, str]:
    """A migrated database of this server: one URL per schema."""
    urls = await embedded.prepare(Embedded(server.url, server.folder), "doctor")
    await databases.migrate(urls)
    return urls


async def _faults(direct: Mapping[str, str], port: int, folder: Path, **more: object) -> list[Finding]:
    """Examine an installation whose services reach PostgreSQL through the pooler at this port."""
    pooler = (Host("127.0.0.1", port),)
    pooled = {
        f"{service}_database_url": replace(database_url.parse(direct[service]), hosts=pooler).text
        for service in Service
    }
    settings = isolated_settings(folder, **{**pooled, "database_url": direct["transport"], **more})
    return [each async for each in doctor.examine(settings) if each.severity is Severity.FAIL]


@pytest.mark.parametrize("ignored", ["", IGNORED], ids=["refuses settings of a session", "ignores them"])
async def test_pooler_in_transaction_mode_is_a_fault_until_the_setting_says_so(
    server: Server, direct: Mapping[str, str], tmp_path: Path, ignored: str
) -> None:
    ignore = {"ignore_startup_parameters": ignored} if ignored else {}
    with own_folder() as folder, postgres_server.pgbouncer(server, folder, pool_mode="transaction", **ignore) as port:
        found = await _faults(direct, port, tmp_path)
        assert [(each.text, each.cure) for each in found if "pooler" in each.text] == [
            (f"{service}: a pooler in transaction mode is in front of PostgreSQL", CURE) for service in ALL
        ]
        found = await _faults(direct, port, tmp_path, database_pooled="transaction", migrate_on_start=False)
        assert [each for each in found if "pooler" in each.text] == []


async def test_pooler_of_sessions_is_no_fault(server: Server, direct: Mapping[str, str], tmp_path: Path) -> None:
    ignore = {"ignore_startup_parameters": IGNORED, "default_pool_size": "20"}
    with own_folder() as folder, postgres_server.pgbouncer(server, folder, pool_mode="session", **ignore) as port:
        assert [each for each in await _faults(direct, port, tmp_path) if "pooler" in each.text] == []


async def test_pooler_that_refuses_settings_of_a_session_is_a_fault_with_its_cure(
    server: Server, direct: Mapping[str, str], tmp_path: Path
) -> None:
    with own_folder() as folder, postgres_server.pgbouncer(server, folder, pool_mode="session") as port:
        found = [each for each in await _faults(direct, port, tmp_path) if "pooler" in each.text]
    assert [each.text for each in found] == [f"{service}: a pooler is in front of PostgreSQL" for service in ALL]
    assert all("ignore the startup parameters" in each.cure for each in found)

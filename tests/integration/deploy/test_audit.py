"""Commands in the audit log, and `earshot audit verify` over the databases of all services."""

from __future__ import annotations

import asyncio
import os
import pwd
import re
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from typer.testing import CliRunner, Result

from deploy.cli import COMMANDS, app, load_command
from deploy.commands.recorded import RECORDED, UNRECORDED
from deploy.operations import recorded_commands
from shared.contract.vocabulary import Service
from shared.database import api_keys
from shared.database.db import Database
from shared.messaging.audit_anchors import AuditAnchors
from tests.audit import audit_rows, ended, everything_written
from tests.integration.shared.audit.test_chain import add, age, row, tamper

NOWHERE = "postgresql://nobody@127.0.0.1:1/nowhere"
Earshot = Callable[..., Any]


@pytest.fixture
def earshot(urls: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Earshot:
    for service in Service:
        monkeypatch.setenv(f"EARSHOT_{service.upper()}_DATABASE_URL", urls[service])
    monkeypatch.setenv("LOGNAME", "somebody-else")

    async def run(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, list(arguments))

    return run


def every_command() -> Iterator[str]:
    def below(command: Any, name: str) -> Iterator[str]:
        inner = getattr(command, "commands", None)
        if inner is None:
            yield name
        for part, each in (inner or {}).items():
            yield from below(each, f"{name} {part}")

    for name in COMMANDS:
        yield from below(load_command(name), name)


def test_every_command_is_recorded_or_says_why_it_is_not() -> None:
    known = list(every_command())
    assert sorted(known) == sorted([*RECORDED, *UNRECORDED])
    assert len(known) > 40


async def test_command_that_changes_something_has_two_rows_with_the_user_of_the_shell(
    earshot: Earshot, scoring_db: Database
) -> None:
    assert (await earshot("people", "add", "anna@shop.example", "--role", "operator", "--name", "Anna")).exit_code == 0
    assert (await earshot("people", "off", "nobody@shop.example")).exit_code == 1
    assert (await earshot("people", "list")).exit_code == 0
    first, second, third, fourth = await audit_rows(scoring_db)
    assert (first.stage, first.actor_kind, first.actor, first.action) == (
        "asked",
        "command",
        pwd.getpwuid(os.getuid()).pw_name,
        "earshot people add",
    )
    assert (second.stage, second.status, second.of) == ("ended", 0, first.number)
    assert second.subject is not None
    assert second.details == '{"employees":[],"role":["operator"],"roles":["operator"],"sees":"everything"}'
    assert (third.stage, third.action) == ("asked", "earshot people off")
    assert (fourth.status, fourth.of) == (1, third.number)
    written = await everything_written(scoring_db)
    assert not [word for word in ("anna", "Anna", "nobody", "shop.example") if word in written]


async def test_command_of_several_services_is_recorded_in_each_that_answers(
    earshot: Earshot, scoring_db: Database, trigger_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARSHOT_DISPATCHER_DATABASE_URL", NOWHERE)
    assert (await earshot("keys", "create", "till", "--scope", "events:write", "--days", "30")).exit_code == 0
    async with trigger_db.sessions.begin() as session:
        [key] = await api_keys.load_all(session)
    for database in (scoring_db, trigger_db):
        details = '{"days":30,"name":"till","scope":["events:write"]}'
        assert await ended(database) == [("earshot keys create", str(key.id), details, 0)]


@pytest.mark.usefixtures("dispatcher_db")
async def test_key_that_is_revoked_in_one_service_is_recorded_as_revoked_in_the_other(
    earshot: Earshot, scoring_db: Database, trigger_db: Database
) -> None:
    """Whoever revokes it everywhere has not revoked it where it was revoked before."""
    made = await earshot("keys", "create", "bi", "--scope", "scores:read", "--scope", "decisions:read")
    key = UUID(made.stderr.split("\t")[0])
    async with trigger_db.sessions.begin() as session:
        assert await api_keys.revoke(session, key)
        [before] = await api_keys.load_all(session)
    assert (await earshot("keys", "revoke", str(key))).exit_code == 0
    assert (await ended(trigger_db))[-1] == ("earshot keys revoke", str(key), '{"stored":false}', 0)
    assert (await ended(scoring_db))[-1] == ("earshot keys revoke", str(key), "{}", 0)
    assert (await earshot("keys", "revoke", str(key))).exit_code == 0
    assert (await ended(scoring_db))[-1] == ("earshot keys revoke", str(key), '{"stored":false}', 0)
    async with trigger_db.sessions.begin() as session:
        assert await api_keys.load_all(session) == [before]


@pytest.mark.usefixtures("scoring_db", "trigger_db", "dispatcher_db")
async def test_lists_of_keys_and_webhooks_say_who_made_and_changed_each(earshot: Earshot) -> None:
    who = f"from the command line by {pwd.getpwuid(os.getuid()).pw_name}"
    key = (await earshot("keys", "create", "bi", "--scope", "scores:read")).stderr.split("\t")[0]
    listed = (await earshot("keys", "list")).stdout
    assert re.search(rf"\tmade \d{{4}}-\d\d-\d\d {who}\n", listed)
    await earshot("keys", "revoke", key)
    assert re.search(rf"\tmade .* {who}\trevoked \d{{4}}-\d\d-\d\d {who}\n", (await earshot("keys", "list")).stdout)
    endpoint = (await earshot("webhooks", "add", "https://93.184.216.34/hook")).stdout.split()[0]
    assert f"  added {datetime.now(UTC):%Y-%m-%d} {who}\n" in (await earshot("webhooks", "list")).stdout
    await earshot("webhooks", "disable", endpoint)
    assert re.search(rf"  added [\d-]+ {who}  turned off [\d-]+ {who}\n", (await earshot("webhooks", "list")).stdout)


async def test_command_whose_log_cannot_be_written_does_nothing(earshot: Earshot, scoring_db: Database) -> None:
    connection = await scoring_db.connect()
    await connection.execute("ALTER TABLE audit_log RENAME TO away")
    result = await earshot("people", "add", "anna", "--role", "operator")
    assert (result.exit_code, result.stderr) == (
        1,
        "earshot: scoring: it has no table of the audit log; run `earshot migrate scoring`\n",
    )
    assert await connection.fetchval("SELECT count(*) FROM people") == 0
    await connection.close()


@pytest.mark.usefixtures("earshot")
async def test_interrupted_command_ends_and_a_killed_one_only_began(scoring_db: Database) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    async def run(work: Callable[[], None]) -> None:
        with pytest.raises(KeyboardInterrupt):
            await asyncio.to_thread(
                recorded_commands.run_recorded, work, "stores import", [Service.SCORING], subject=None, details={}
            )

    await run(interrupted)
    assert await ended(scoring_db) == [("earshot stores import", None, "{}", 130)]
    program = (
        "import os; from deploy.operations.recorded_commands import run_recorded as run; "
        "from shared.contract.vocabulary import Service; "
        f"run(lambda: os.kill(os.getpid(), {signal.SIGKILL.value}), 'export nps', [Service.SCORING], "
        "subject=None, details={})"
    )
    killed = await asyncio.create_subprocess_exec(sys.executable, "-c", program, cwd=Path(__file__).parents[3])
    await killed.wait()
    last = (await audit_rows(scoring_db))[-1]
    assert (last.stage, last.action) == ("asked", "earshot export nps")


async def test_verification_counts_rows_and_anchors_of_each_service_and_names_the_newest(
    earshot: Earshot, scoring_db: Database
) -> None:
    await add(scoring_db, row(), row())
    await age(scoring_db, 2, first=1, last=2)
    await add(scoring_db, row())
    await AuditAnchors(scoring_db.sessions, Service.SCORING, None)()
    day = datetime.now(UTC).date() - timedelta(days=2)
    _, second, _ = await audit_rows(scoring_db)
    result = await earshot("audit", "verify", "--anchor", f"scoring:{day}:{second.hash.hex()}")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "trigger: 0 rows as written, 0 anchors compared",
        "dispatcher: 0 rows as written, 0 anchors compared",
        f"scoring: 3 rows as written, 1 anchor compared; keep elsewhere scoring:{day}:{second.hash.hex()}",
    ]
    forged = await earshot("audit", "verify", "--anchor", f"scoring:{day}:{'00' * 32}")
    assert (forged.exit_code, f"the anchor of {day} in the database differs" in forged.stdout) == (1, True)
    assert (await earshot("audit", "verify", "--anchor", "scoring:yesterday:00")).exit_code == 2


async def test_altered_row_is_named_and_the_other_services_are_verified(
    earshot: Earshot, scoring_db: Database, trigger_db: Database
) -> None:
    await add(trigger_db, row(), row())
    await add(scoring_db, row())
    await tamper(trigger_db, "UPDATE audit_log SET actor = 'x' WHERE number = 2")
    result = await earshot("audit", "verify")
    assert result.exit_code == 1
    assert "trigger: row 2 was altered" in result.stdout
    assert "scoring: 1 row as written" in result.stdout


async def test_service_that_is_away_is_a_difference(earshot: Earshot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARSHOT_DISPATCHER_DATABASE_URL", NOWHERE)
    result = await earshot("audit", "verify")
    assert result.exit_code == 1
    assert "trigger: 0 rows as written" in result.stdout

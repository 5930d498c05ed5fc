"""The command line as a person uses it: one clear line when something is wrong."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deploy import databases
from shared import made_keys
from shared.contract.vocabulary import Service
from shared.database import db, embedded
from shared.ids import first_id
from shared.messaging import parking
from shared.messaging.transport import Message
from tests import keys
from tests.integration.scoring.stand import Scoring


async def earshot(*arguments: str, **settings: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "deploy.cli",
        *arguments,
        cwd=databases.ROOT,
        env={"PATH": os.environ["PATH"], "NO_COLOR": "1", **settings},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_misspelt_setting_is_refused() -> None:
    code, said = await earshot("topics", EARSHOT_SENT="live")
    assert (code, said) == (
        1,
        "earshot: no such setting: EARSHOT_SENT (did you mean EARSHOT_SEND?); .env.example lists them all\n",
    )


async def test_wrong_value_names_the_setting_and_not_the_value() -> None:
    code, said = await earshot("run", EARSHOT_SMTP_URL="ftp://user:secret@mail")
    assert (code, said.count("\n")) == (1, 1)
    assert said.startswith("earshot: EARSHOT_SMTP_URL:")
    assert "secret" not in said


async def test_wrong_value_starts_no_database(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    code, said = await earshot("run", EARSHOT_SEND="lives", EARSHOT_DATA_DIR=str(tmp_path))
    assert (code, said.startswith("earshot: EARSHOT_SEND: ")) == (1, True)
    assert os.listdir(tmp_path / "postgres") == []  # noqa: PTH208 - a path's method would block


async def test_wrong_value_is_explained_in_our_words_alone() -> None:
    code, said = await earshot("run", EARSHOT_CONTACT_CAPS="often")
    assert (code, said) == (1, "earshot: EARSHOT_CONTACT_CAPS: expected caps such as `4 in 30 days, sms 1 in 7 days`\n")


async def test_json_that_is_none_names_the_setting() -> None:
    code, said = await earshot("run", EARSHOT_SMTP_ACCOUNTS="[{name: main}]")
    assert (code, said.count("\n")) == (1, 1)
    assert said.startswith("earshot: EARSHOT_SMTP_ACCOUNTS: not JSON: Expecting property name")


async def test_wrong_value_is_said_once() -> None:
    code, said = await earshot("run", EARSHOT_SEND="lives")
    assert (code, said.count("\n"), said.count("EARSHOT_")) == (1, 1, 1)
    assert said.startswith("earshot: EARSHOT_SEND: ")


async def test_usage_names_the_command_people_type() -> None:
    _, said = await earshot("programs", "--help")
    assert "Usage: earshot programs" in said


async def test_database_that_does_not_answer_is_named() -> None:
    code, said = await earshot("counts", EARSHOT_DATABASE_URL="postgresql://nobody:secret@127.0.0.1:1/nowhere")
    assert (code, said) == (1, "earshot: PostgreSQL at 127.0.0.1:1 does not answer; check EARSHOT_…DATABASE_URL\n")


async def test_command_before_anything_ran_says_where_it_looked(postgres: embedded.Embedded) -> None:
    await embedded.prepare(postgres, "untouched")
    url = postgres.urls("untouched")["dispatcher"]
    code, said = await earshot("counts", EARSHOT_DATABASE_URL=url)
    assert (code, said.count("\n")) == (1, 1)
    assert said.startswith("earshot: nothing has run here yet (")
    assert "EARSHOT_DATA_DIR" in said


async def test_command_makes_no_database_where_nothing_has_run(tmp_path: Path) -> None:
    code, said = await earshot("counts", EARSHOT_DATA_DIR=str(tmp_path / "misspelt"))
    assert (code, said.count("\n")) == (1, 1)
    assert said.startswith("earshot: nothing has run here yet (")
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - a path's method would block


@pytest.mark.parametrize(
    "command",
    ["run trigger", "migrate", "parked replay trigger", "keys list", "verify", "suppressions list"],
)
async def test_production_never_writes_to_an_embedded_database(command: str, tmp_path: Path) -> None:
    code, said = await earshot(
        *command.split(),
        EARSHOT_ENVIRONMENT="production",
        **keys.ENVIRONMENT,
        EARSHOT_DATA_DIR=str(tmp_path / "data"),
        EARSHOT_SCORING_PORT="0",
        EARSHOT_TRIGGER_PORT="0",
        EARSHOT_DISPATCHER_PORT="0",
    )
    assert (code, said.count("\n")) == (1, 1)
    assert "has no database, and in production none is embedded: set EARSHOT_" in said
    assert not (tmp_path / "data").exists()


async def test_production_is_refused_with_default_secrets() -> None:
    code, said = await earshot("run", EARSHOT_ENVIRONMENT="production")
    assert code == 1
    assert said.startswith("earshot: EARSHOT_LINK_KEYS is not set, and all processes need the same keys: set id:secret")


async def test_a_service_of_its_own_needs_keys_that_the_others_have_too(tmp_path: Path) -> None:
    made_keys.make(tmp_path, earlier={"link_keys": {}, "address_keys": {}, "ticket_keys": {}})
    code, said = await earshot("run", "trigger", EARSHOT_DATA_DIR=str(tmp_path))
    assert code == 1
    assert said.startswith("earshot: EARSHOT_LINK_KEYS is not set, and all processes need the same keys: set id:secret")
    for setting in ("EARSHOT_ADDRESS_KEYS", "EARSHOT_TICKET_KEYS"):
        assert f"; {setting} is not set, and all processes need the same keys" in said


async def test_messages_are_never_sent_with_links_that_everybody_can_make(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()  # a folder that was used before keys were made
    given = {"EARSHOT_DATA_DIR": str(tmp_path), "EARSHOT_SEND": "live", "EARSHOT_SMTP_URL": "smtp://127.0.0.1:1"}
    code, said = await earshot("run", **given)
    assert (code, said.count("\n")) == (1, 1)
    assert said.startswith("earshot: EARSHOT_LINK_KEYS has the development key dev, which everybody knows")


async def test_damaged_file_of_keys_is_named(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text('{"link_keys": []}')
    code, said = await earshot("counts", EARSHOT_DATA_DIR=str(tmp_path))
    assert (code, said.count("\n")) == (1, 1)
    assert said.startswith(f"earshot: {tmp_path / 'keys.json'} has the keys of this data folder; expected")


async def test_topics_are_printed_as_commands() -> None:
    code, said = await earshot("topics", "--print", EARSHOT_TOPIC_PREFIX="eu.")
    assert code == 0
    assert "--topic eu.nps.updates --partitions 6 --config cleanup.policy=compact" in said


async def test_parked_messages_are_listed_and_handled_again(urls: Mapping[str, str], trigger_db: db.Database) -> None:
    garbage = Message("crm.events", "k", b"garbage", position="crm.events/0/7")
    async with trigger_db.sessions.begin() as session:
        await parking.park(session, [(garbage, "body: not JSON")])
    own = {f"EARSHOT_{service.upper()}_DATABASE_URL": urls[service] for service in Service}
    own["EARSHOT_EVENTS_URL"] = urls["transport"]

    code, listed = await earshot("parked", "list", "trigger", **own)
    assert (code, "crm.events/0/7  body: not JSON" in listed) == (0, True)
    code, sent = await earshot("parked", "replay", "trigger", **own)
    assert (code, "0 handled" in sent, "stays parked: body: " in sent) == (1, True, True)


async def test_retention_says_what_it_would_delete_and_deletes_it(urls: Mapping[str, str]) -> None:
    settings = {f"EARSHOT_{service.upper()}_DATABASE_URL": urls[service] for service in Service}
    old = first_id(datetime.now(UTC) - timedelta(days=401))
    database = db.Database(urls["dispatcher"], schema="dispatcher", pool_size=1)
    async with database.sessions.begin() as session:
        await db.fetch(session, _ENDED, old)
    scoring = Scoring(db.Database(urls["scoring"], schema="scoring", pool_size=1))
    await scoring.asked(invitation_id=old, expires_at=datetime.now(UTC))
    await scoring.tick()
    await scoring.database.close()
    assert await earshot("retention", "--dry-run", **settings) == (0, "invitations\t1 rows\nsurveys\t1 rows\n")
    code, said = await earshot("retention", **settings)
    assert (code, "retention.deleted" in said) == (0, True)
    assert await earshot("retention", **settings) == (0, "nothing is past retention\n")
    await database.close()


_ENDED = """INSERT INTO invitations (id, respondent_id, program, state, outcome, request, unsubscribe, expires_at)
VALUES ($1, 'c1', 'p', 'closed', 'answered', '{}', '', now())"""

"""A service uses a schema only when it is what the migrations make, or when a newer version that made it allows it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa

from deploy import databases
from deploy.databases import MIGRATIONS
from shared import migrations
from shared.database import embedded, schema
from shared.database.db import Database
from shared.database.schema import Migrations, SchemaOlder, SchemaUnfit
from shared.database_url import DEFAULT
from tests.integration.deploy.test_cli import earshot
from tests.journey.stage import open_stage
from tests.upgrade import versions

TRIGGER = MIGRATIONS["trigger"]
EACH = [(name, revision) for name, folder in MIGRATIONS.items() for revision in Migrations(folder).revisions]


@pytest.fixture
async def empty(postgres: embedded.Embedded) -> Mapping[str, str]:
    """A database whose schemas have no tables."""
    return await embedded.prepare(postgres, f"e{uuid4().hex[:12]}")


async def _execute(database: Database, *statements: str) -> None:
    async with database.engine.begin() as connection:
        for statement in statements:
            await connection.execute(sa.text(statement))


async def _check(url: str, folder: Path = TRIGGER, *, name: str = "trigger") -> str:
    database = Database(url, schema=name, pool_size=1)
    try:
        return await schema.fingerprint(database, folder)
    finally:
        await database.close()


def newer(folder: Path, *, oldest_reader: str = "") -> Path:
    """Copy trigger's migrations and add a later revision; `oldest_reader` says whether today's code may use it."""
    copied = folder / "migrations"
    shutil.copytree(TRIGGER, copied)
    versions.add_revision(copied, oldest_reader=oldest_reader)
    return copied


@pytest.mark.parametrize(("name", "revision"), EACH)
async def test_migrations_make_what_is_written_down_for_each_revision(
    empty: Mapping[str, str], name: str, revision: str
) -> None:
    database = Database(empty[name], schema=name, pool_size=1)
    await migrations.upgrade(database, MIGRATIONS[name], to=revision)
    async with database.engine.connect() as connection:
        standing = await schema.read_state(connection, name)
    await database.close()
    assert standing.revision == revision
    assert standing.catalogue.text == Migrations(MIGRATIONS[name]).path(revision).read_text()
    assert len(standing.catalogue.lines) > 10


async def test_an_older_schema_is_named_with_its_cure(empty: Mapping[str, str], tmp_path: Path) -> None:
    with pytest.raises(
        SchemaOlder, match=r"^schema trigger is empty and this version needs 0\d+; run `earshot migrate`"
    ):
        await _check(empty["trigger"])
    await databases.migrate({"trigger": empty["trigger"]})
    with pytest.raises(SchemaOlder, match=r"^schema trigger is at revision 0\d+ and this version needs 0\d+; run"):
        await _check(empty["trigger"], newer(tmp_path))


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("ALTER TABLE decisions DROP COLUMN trail", "lacks decisions column trail jsonb"),
        ("ALTER TABLE decisions ALTER subject SET NOT NULL", "has decisions column subject text not null"),
        ("ALTER TABLE quotas ALTER used TYPE bigint", "lacks quotas column used integer not null"),
        ("ALTER TABLE parked ALTER parked_at DROP DEFAULT", "has parked column parked_at timestamp with time zone"),
        ("DROP INDEX decisions_respondent", "lacks decisions index CREATE INDEX decisions_respondent"),
        ("CREATE UNIQUE INDEX once ON respondents (email)", "has respondents index CREATE UNIQUE INDEX once"),
        ("ALTER TABLE decisions ADD CHECK (reason <> '')", "has decisions constraint decisions_reason_check"),
        ("DROP TABLE cadences", "lacks cadences column"),
    ],
)
async def test_an_edited_schema_is_refused_by_name_and_not_migrated(
    trigger_db: Database, tmp_path: Path, statement: str, message: str
) -> None:
    await _execute(trigger_db, statement)
    for attempt in (
        schema.check(trigger_db, TRIGGER),
        migrations.upgrade(trigger_db, TRIGGER),
        migrations.upgrade(trigger_db, newer(tmp_path)),
    ):
        with pytest.raises(SchemaUnfit) as refused:
            await attempt
        assert message in str(refused.value)
        assert str(refused.value).startswith("schema trigger is not what its migrations make at revision 0")


async def test_an_edited_schema_is_one_line_for_the_person_who_starts_it(
    urls: Mapping[str, str], trigger_db: Database
) -> None:
    await _execute(trigger_db, "ALTER TABLE decisions DROP COLUMN trail")
    code, message = await earshot("migrate", "trigger", EARSHOT_MIGRATE_URL=urls["trigger"])
    assert (code, message.count("\n")) == (1, 1)
    assert message.startswith("earshot: schema trigger is not what its migrations make at revision 0")


async def test_migrate_says_where_each_schema_stands(empty: Mapping[str, str]) -> None:
    for stood in ("empty →", "unchanged,"):
        code, message = await earshot("migrate", "trigger", EARSHOT_MIGRATE_URL=empty["trigger"])
        assert (code, message) == (0, f"trigger: {stood} {await _check(empty['trigger'])}\n")


async def test_a_role_that_may_not_look_is_told_so_in_one_line(empty: Mapping[str, str]) -> None:
    code, message = await earshot("migrate", "trigger", EARSHOT_MIGRATE_URL=empty["scoring"])
    assert (code, message.count("\n")) == (1, 1)
    assert "permission denied for schema trigger" in message


async def test_readyz_names_an_edited_schema_and_the_process_goes_on(
    urls: Mapping[str, str], tmp_path: Path, trigger_db: Database
) -> None:
    async with open_stage(urls, tmp_path) as stage:
        assert (await stage.web.get(f"{stage.trigger}/readyz")).json() == {"status": "ready"}
        await _execute(trigger_db, "ALTER TABLE quotas RENAME used TO taken")
        refused = await stage.web.get(f"{stage.trigger}/readyz")
        assert refused.status_code == 503
        assert "“lacks quotas column used integer not null”" in refused.json()["problems"]["trigger.schema"]
        await _execute(trigger_db, "ALTER TABLE quotas RENAME taken TO used")
        assert (await stage.web.get(f"{stage.trigger}/readyz")).json() == {"status": "ready"}


async def test_an_index_or_a_table_of_the_operator_is_no_edit(trigger_db: Database) -> None:
    before = await schema.fingerprint(trigger_db, TRIGGER)
    await _execute(
        trigger_db, "CREATE INDEX by_hand ON decisions (decided_at)", "CREATE TABLE kept AS SELECT * FROM decisions"
    )
    assert (await schema.fingerprint(trigger_db, TRIGGER)).partition("-")[0] == before.partition("-")[0]


async def test_a_newer_schema_that_says_so_is_worked_on_and_left_alone(trigger_db: Database, tmp_path: Path) -> None:
    later = newer(tmp_path, oldest_reader="0001")
    await migrations.upgrade(trigger_db, later)
    fingerprint = await schema.fingerprint(trigger_db, TRIGGER)
    await migrations.upgrade(trigger_db, TRIGGER)
    assert await schema.fingerprint(trigger_db, TRIGGER) == fingerprint
    assert await schema.fingerprint(trigger_db, later) == fingerprint
    assert fingerprint.startswith(Migrations(later).head)
    await _execute(trigger_db, "ALTER TABLE respondents DROP COLUMN mood")
    with pytest.raises(SchemaUnfit, match="“lacks respondents column mood text”"):
        await schema.check(trigger_db, TRIGGER)


async def test_a_newer_schema_that_does_not_say_so_is_refused_in_words(trigger_db: Database, tmp_path: Path) -> None:
    await migrations.upgrade(trigger_db, newer(tmp_path))
    for attempt in (schema.check(trigger_db, TRIGGER), migrations.upgrade(trigger_db, TRIGGER)):
        with pytest.raises(SchemaUnfit, match=r"made by a newer version of Earshot.*; start the newer version$"):
            await attempt
    await _execute(trigger_db, "DELETE FROM schema_revisions")
    with pytest.raises(SchemaUnfit, match="made by a newer version"):
        await schema.check(trigger_db, TRIGGER)


async def test_a_database_that_recorded_nothing_yet_is_taken_over_as_it_is(trigger_db: Database) -> None:
    await _execute(trigger_db, "DROP TABLE schema_revisions")
    before = await schema.fingerprint(trigger_db, TRIGGER)
    await migrations.upgrade(trigger_db, TRIGGER)
    assert await schema.fingerprint(trigger_db, TRIGGER) == before
    async with trigger_db.engine.connect() as connection:
        standing = await schema.read_state(connection, "trigger")
    assert standing.record is not None
    assert standing.record.catalogue == standing.catalogue


async def test_a_role_that_may_only_read_and_write_rows_works_on_what_another_migrated(
    empty: Mapping[str, str],
) -> None:
    owner = Database(empty["trigger"], schema="trigger", pool_size=1)
    await _execute(
        owner,
        "GRANT USAGE ON SCHEMA trigger TO scoring",
        "ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO scoring",
    )
    await migrations.upgrade(owner, TRIGGER)
    await owner.close()
    rows_only = Database(empty["scoring"], schema="trigger", pool_size=1)
    assert await schema.fingerprint(rows_only, TRIGGER)
    await _execute(rows_only, "INSERT INTO outbox (topic, key, headers, body) VALUES ('t', 'k', '{}', '')")
    with pytest.raises(sa.exc.ProgrammingError, match="must be owner"):
        await _execute(rows_only, "DROP TABLE outbox")
    await rows_only.close()


async def test_a_start_that_may_not_migrate_waits_until_somebody_has(empty: Mapping[str, str]) -> None:
    url, stop = {"trigger": empty["trigger"]}, asyncio.Event()
    waiting = asyncio.create_task(databases.until_migrated(url, stop, DEFAULT))
    await asyncio.wait((waiting,), timeout=0.1)
    assert not waiting.done()
    await databases.migrate(url)
    assert await waiting is True


async def test_a_start_that_waits_ends_when_told_to(empty: Mapping[str, str]) -> None:
    stop = asyncio.Event()
    waiting = asyncio.create_task(databases.until_migrated(empty, stop, DEFAULT))
    await asyncio.wait((waiting,), timeout=0.1)
    stop.set()
    assert await waiting is False

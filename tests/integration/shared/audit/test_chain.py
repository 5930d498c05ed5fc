"""The audit log in the database: one chain whoever appends, what verification names, what retention drops."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta

import asyncpg
import pytest

from shared.database.audit import anchors, chain
from shared.database.audit.anchors import Anchor
from shared.database.audit.rows import FIRST_HASH, Actor, ActorKind, NewRow, Stage, row_hash
from shared.database.audit.verify import ChainBroken, Verified, verify
from shared.database.db import Database, fetch

_AGE = "UPDATE audit_log SET at = at - interval '{} days' WHERE number BETWEEN {} AND {}"
_REHASH = "UPDATE audit_log SET hash = '\\x{}' WHERE number = {}"
_COPY = """INSERT INTO audit_log SELECT {}, at, stage, of, actor_kind, actor, action, subject, customer, details,
status, hash FROM audit_log WHERE number = {}"""
_SWITCH = "ALTER TABLE audit_log {} TRIGGER USER"
ANNA = Actor(ActorKind.PERSON, "01999999-0000-7000-8000-000000000001")


def row(action: str = "POST /stores/edit", **more: object) -> NewRow:
    return NewRow(Stage.ASKED, ANNA, action, **more)  # type: ignore[arg-type]


async def add(database: Database, *rows: NewRow) -> list[int]:
    async with database.sessions.begin() as session:
        return await chain.append(session, rows)


async def verified(database: Database, *outside: Anchor) -> Verified:
    async with database.sessions.begin() as session:
        return await verify(session, outside)


async def tamper(database: Database, *statements: str) -> None:
    """Change the log as its owner can, who may switch triggers off."""
    connection = await database.connect()
    async with connection.transaction():
        for statement in (_SWITCH.format("DISABLE"), *statements, _SWITCH.format("ENABLE")):
            await connection.execute(statement)
    await connection.close()


async def age(database: Database, days: int, *, first: int, last: int) -> None:
    """Rewrite rows, which then stand in a chain that is whole, as if they were some days older."""
    await tamper(database, _AGE.format(days, first, last))
    await rehash(database, first=1)


async def rehash(database: Database, *, first: int) -> None:
    """Compute the hashes of all rows from `first` on, as somebody can who knows how."""
    async with database.sessions.begin() as session:
        rows = await fetch(session, "SELECT * FROM audit_log ORDER BY number")
    before, statements = FIRST_HASH, []
    for each in map(tuple, rows):
        before = row_hash(before, each[:-1]) if each[0] >= first else each[-1]
        statements.append(_REHASH.format(before.hex(), each[0]))
    await tamper(database, *statements)


async def anchored(database: Database, *days: int) -> list[Anchor]:
    """Append two rows for each of these days ago, the oldest first, and one of today; anchor them."""
    for number, ago in enumerate(days):
        await add(database, row(), row())
        await age(database, ago, first=2 * number + 1, last=2 * number + 2)
    await add(database, row())
    async with database.sessions.begin() as session:
        return await anchors.add_missing(session)


async def test_rows_are_numbered_without_gaps_and_follow_each_other(scoring_db: Database) -> None:
    assert await add(scoring_db, row(), row(details={"roles": ["manager"], "new": True}, status=303)) == [1, 2]
    assert await add(scoring_db, row(subject="17", of=1)) == [3]
    found = await verified(scoring_db)
    assert (found.rows, found.last, found.compared) == (3, 3, 0)


async def test_transaction_that_fails_leaves_no_gap(scoring_db: Database) -> None:
    await add(scoring_db, row())
    async with scoring_db.sessions() as session:
        await chain.append(session, [row()])
        await session.rollback()
    assert await add(scoring_db, row()) == [2]
    assert (await verified(scoring_db)).rows == 2


async def test_two_processes_that_append_at_once_keep_one_chain(scoring_db: Database) -> None:
    other = Database(scoring_db.url.text, schema="scoring")
    await asyncio.gather(*(add(each, row(), row()) for each in (scoring_db, other) for _ in range(20)))
    found = await verified(scoring_db)
    assert found.rows == found.last == 80
    await other.close()


async def test_rows_appended_during_a_verification_do_not_disturb_it(scoring_db: Database) -> None:
    await add(scoring_db, *[row()] * 30)

    async def keep_adding() -> None:
        for _ in range(60):
            await add(scoring_db, row())

    adding, seen = asyncio.create_task(keep_adding()), set()
    while not adding.done():
        found = await verified(scoring_db)
        assert found.rows == found.last
        seen.add(found.last)
    assert len(seen) > 2
    assert (await verified(scoring_db)).last == 90


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("UPDATE audit_log SET actor = 'somebody else' WHERE number = 3", "row 3 was altered"),
        ("UPDATE audit_log SET at = at + interval '1 microsecond' WHERE number = 3", "row 3 was altered"),
        ("UPDATE audit_log SET status = 200 WHERE number = 3", "row 3 was altered"),
        ("UPDATE audit_log SET hash = sha256(hash) WHERE number = 3", "row 3 was altered"),
        ("DELETE FROM audit_log WHERE number = 3", "row 3 is missing"),
        ("DELETE FROM audit_log WHERE number IN (2, 3)", "rows 2 to 3 are missing"),
        ("DELETE FROM audit_log WHERE number < 3", "rows 1 to 2 are missing"),
        (_COPY.format(6, 5), "row 6 was altered"),
    ],
)
async def test_first_row_that_was_changed_is_named(scoring_db: Database, statement: str, why: str) -> None:
    await add(scoring_db, *[row(subject=str(each)) for each in range(5)])
    await tamper(scoring_db, statement)
    with pytest.raises(ChainBroken, match=why):
        await verified(scoring_db)


async def test_inserted_row_is_named_even_if_those_after_it_moved(scoring_db: Database) -> None:
    await add(scoring_db, *[row(subject=str(each)) for each in range(5)])
    await tamper(
        scoring_db,
        "UPDATE audit_log SET number = number + 100 WHERE number > 3",
        "UPDATE audit_log SET number = number - 99 WHERE number > 100",
        _COPY.format(4, 3),
    )
    with pytest.raises(ChainBroken, match="row 4 was altered"):
        await verified(scoring_db)


async def test_database_refuses_to_change_rows_and_to_delete_single_ones(scoring_db: Database) -> None:
    await anchored(scoring_db, 3, 2)
    connection = await scoring_db.connect()
    for statement in (
        "UPDATE audit_log SET actor = 'x'",
        "TRUNCATE audit_log",
        "DELETE FROM audit_log WHERE number = 1",
        "DELETE FROM audit_log WHERE number = 2",
        "DELETE FROM audit_log",
        "DELETE FROM audit_anchors",
        "UPDATE audit_anchors SET hash = ''",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    await connection.execute("DELETE FROM audit_log WHERE number <= 2")
    await connection.close()
    assert (await verified(scoring_db)).rows == 3


async def test_each_day_that_is_over_gets_one_anchor(scoring_db: Database) -> None:
    today = datetime.now(UTC).date()
    made = await anchored(scoring_db, 5, 2)
    assert [(each.day, each.number) for each in made] == [
        (today - timedelta(days=5), 2),
        (today - timedelta(days=2), 4),
    ]
    async with scoring_db.sessions.begin() as session:
        assert await anchors.add_missing(session) == []
    assert (await verified(scoring_db)).compared == 2


async def test_log_that_was_rewritten_whole_does_not_match_its_anchor(scoring_db: Database) -> None:
    await anchored(scoring_db, 3, 2)
    await tamper(scoring_db, "UPDATE audit_log SET actor = 'x' WHERE number = 3")
    await rehash(scoring_db, first=3)
    with pytest.raises(ChainBroken, match="rows up to 4 were rewritten"):
        await verified(scoring_db)


async def test_end_of_the_log_that_was_cut_off_is_missing_up_to_its_anchor(scoring_db: Database) -> None:
    await anchored(scoring_db, 3, 2)
    await tamper(scoring_db, "DELETE FROM audit_log WHERE number > 3")
    with pytest.raises(ChainBroken, match="rows 4 to 4 are missing"):
        await verified(scoring_db)


async def test_log_rewritten_with_its_anchors_differs_from_an_anchor_kept_outside(scoring_db: Database) -> None:
    first, second = await anchored(scoring_db, 3, 2)
    assert (await verified(scoring_db, first, second)).compared == 2
    forged = Anchor(second.day, second.number, bytes(32))
    with pytest.raises(ChainBroken, match=f"anchor of {second.day} in the database differs"):
        await verified(scoring_db, first, forged)
    with pytest.raises(ChainBroken, match="no anchor of 2020-01-01"):
        await verified(scoring_db, Anchor(date(2020, 1, 1), 1, bytes(32)))


async def test_retention_drops_whole_anchored_days_and_the_rest_still_follows(scoring_db: Database) -> None:
    await anchored(scoring_db, 30, 20, 10)
    for days, dropped, left in ((31, 0, 7), (20, 2, 5), (20, 0, 5), (15, 2, 3), (0, 2, 1)):
        async with scoring_db.sessions.begin() as session:
            assert await anchors.drop_old(session, kept=timedelta(days=days)) == dropped
        assert (await verified(scoring_db)).rows == left
    assert await add(scoring_db, row()) == [8]


async def test_retention_never_drops_a_day_without_an_anchor(scoring_db: Database) -> None:
    await add(scoring_db, row(), row())
    await age(scoring_db, 900, first=1, last=2)
    async with scoring_db.sessions.begin() as session:
        assert await anchors.drop_old(session, kept=timedelta(days=1)) == 0
    assert (await verified(scoring_db)).rows == 2


async def test_chain_goes_on_from_the_anchor_when_every_row_was_dropped(scoring_db: Database) -> None:
    await add(scoring_db, row(), row())
    await age(scoring_db, 900, first=1, last=2)
    async with scoring_db.sessions.begin() as session:
        await anchors.add_missing(session)
        assert await anchors.drop_old(session, kept=timedelta(days=1)) == 2
    assert (await verified(scoring_db)).rows == 0
    assert await add(scoring_db, row()) == [3]
    assert (await verified(scoring_db)).rows == 1


async def test_erasure_takes_the_link_to_the_person_and_the_chain_stays_whole(scoring_db: Database) -> None:
    async with scoring_db.sessions.begin() as session:
        rows = [row(respondent="ns:shop:42"), row(respondent="ns:shop:42"), row(respondent="43")]
        await chain.append(session, rows)
        known = [each["customer"] for each in await fetch(session, "SELECT customer FROM audit_log ORDER BY number")]
        assert known[0] == known[1] != known[2]
        await chain.forget(session, ["ns:shop:42"])
    async with scoring_db.sessions.begin() as session:
        left = await fetch(session, "SELECT respondent_id FROM audit_customers")
        kept = await fetch(session, "SELECT row_to_json(audit_log)::text FROM audit_log")
    assert [each[0] for each in left] == ["43"]
    assert not [each for each in kept if "shop" in each[0]]
    assert (await verified(scoring_db)).rows == 3


async def test_ids_of_customers_go_with_the_last_row_about_them(scoring_db: Database) -> None:
    await add(scoring_db, row(respondent="42"), row(respondent="43"))
    await age(scoring_db, 900, first=1, last=2)
    await add(scoring_db, row(respondent="43"))
    async with scoring_db.sessions.begin() as session:
        await anchors.add_missing(session)
        await anchors.drop_old(session, kept=timedelta(days=1))
        left = await fetch(session, "SELECT respondent_id FROM audit_customers")
    assert [each[0] for each in left] == ["43"]

"""The job that anchors each day: one anchor whoever runs it, published with it, and retention after it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr, ValidationError

from deploy.ports import free_ports
from shared.config import Settings
from shared.contract.events import AuditAnchored
from shared.contract.vocabulary import Service
from shared.database import db
from shared.database.db import Database
from shared.messaging import codec
from shared.messaging.audit_anchors import AuditAnchors
from shared.messaging.relay_leadership import messages_in
from tests.fakes import smtp_sink
from tests.integration.shared.audit.test_chain import add, age, row, verified


async def published(database: Database) -> list[AuditAnchored]:
    async with database.sessions.begin() as session:
        messages = messages_in(await db.fetch(session, "SELECT * FROM outbox ORDER BY id"))
    events = [codec.parse(each) for each in messages]
    return [each.payload for each in events if isinstance(each.payload, AuditAnchored)]


async def past(database: Database, days: int) -> None:
    await add(database, row(), row())
    await age(database, days, first=1, last=2)


async def test_anchors_are_mailed_once_and_wait_while_the_mail_server_is_away(scoring_db: Database) -> None:
    await past(scoring_db, 3)
    async with smtp_sink() as sink:
        settings = Settings(
            _env_file=None,
            staff_send="live",
            staff_smtp_url=SecretStr(f"smtp://127.0.0.1:{sink.port}"),
            staff_from="earshot@shop.example",
            audit_mail_to="auditor@outside.example",
        )
        away = settings.model_copy(update={"staff_smtp_url": SecretStr(f"smtp://127.0.0.1:{free_ports(1)[0]}")})
        await AuditAnchors.of(away, scoring_db.sessions, Service.SCORING)()
        [anchor] = await published(scoring_db)  # it was made although its mail was not sent
        for _ in range(2):
            await AuditAnchors.of(settings, scoring_db.sessions, Service.SCORING)()
    [mail] = sink.mails
    assert sink.recipients == ["auditor@outside.example"]
    text = mail.get_payload(decode=True)
    assert isinstance(text, bytes)
    assert f"scoring:{anchor.day}:{anchor.hash}" in text.decode()
    assert (await verified(scoring_db)).compared == 1


def test_address_for_anchors_needs_the_switch_and_has_to_be_one() -> None:
    with pytest.raises(ValidationError, match="EARSHOT_STAFF_SEND"):
        Settings(_env_file=None, audit_mail_to="auditor@outside.example")
    with pytest.raises(ValidationError, match="audit_mail_to"):
        Settings(_env_file=None, audit_mail_to="a@b.example\r\nBcc: c@d.example")


async def test_day_that_is_over_is_anchored_and_published_once_whoever_runs_the_job(scoring_db: Database) -> None:
    await past(scoring_db, 3)
    await add(scoring_db, row())
    job = AuditAnchors(scoring_db.sessions, Service.SCORING, None)
    await asyncio.gather(*(job() for _ in range(4)))
    [anchor] = await published(scoring_db)
    assert (anchor.service, anchor.number) == (Service.SCORING, 2)
    assert anchor.day == datetime.now(UTC).date() - timedelta(days=3)
    assert anchor.key == f"scoring|{anchor.day}"
    found = await verified(scoring_db)
    assert (found.rows, found.compared) == (3, 1)


async def test_rows_past_retention_are_dropped_after_their_day_is_anchored(scoring_db: Database) -> None:
    await past(scoring_db, 800)
    await add(scoring_db, row())
    await AuditAnchors(scoring_db.sessions, Service.SCORING, None)()
    assert (await verified(scoring_db)).rows == 3
    await AuditAnchors(scoring_db.sessions, Service.SCORING, timedelta(days=730))()
    assert (await verified(scoring_db)).rows == 1
    assert len(await published(scoring_db)) == 1


async def test_empty_log_has_no_anchor(scoring_db: Database) -> None:
    await AuditAnchors(scoring_db.sessions, Service.SCORING, timedelta(days=1))()
    assert await published(scoring_db) == []
    assert (await verified(scoring_db)).rows == 0

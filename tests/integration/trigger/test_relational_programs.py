"""Relational programs: every known customer is decided once a cadence, with several processes and after outages."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from services.trigger.jobs.cadence import CadenceJob
from shared.clock import ManualClock
from shared.database import db
from shared.database.db import Database
from tests.integration.trigger.samples import CUSTOMER, NOW, SETTINGS, body, decide, decided, later
from tests.integration.trigger.test_programs import apply, asked, requests, somebody


async def test_relational_program_asks_every_known_customer_once_a_cadence(trigger_db: Database) -> None:
    await apply(trigger_db, "quarterly", cadence="10d")
    people = [somebody(number) for number in range(60)]
    await decide(trigger_db, [body("customer.updated", f"e{who['id']}", customer=who) for who in people])
    clock = ManualClock(NOW)
    by_day = []
    for day in range(20):
        clock.moment = later(days=day)
        before = len(await requests(trigger_db))
        for _ in range(2):
            await CadenceJob(trigger_db.sessions, clock, SETTINGS).tick()
        by_day.append(len(await requests(trigger_db)) - before)
    assert sum(by_day[:10]) == sum(by_day[10:]) == 60
    assert max(by_day) < 20
    assert by_day[:10] == by_day[10:]


async def test_two_schedulers_ask_nobody_twice_and_missed_days_are_made_up(trigger_db: Database) -> None:
    await apply(trigger_db, "quarterly", cadence="3d")
    await decide(trigger_db, [body("customer.updated", f"e{n}", customer=somebody(n)) for n in range(40)])
    clock = ManualClock(NOW)
    await CadenceJob(trigger_db.sessions, clock, SETTINGS).tick()
    clock.moment = later(days=2)
    await asyncio.gather(*(CadenceJob(trigger_db.sessions, clock, SETTINGS).tick() for _ in range(4)))
    assert [each.reason for each in await decided(trigger_db, "cadence.due")] == ["asked"] * 40


async def test_relational_program_keeps_to_the_caps_of_all(trigger_db: Database) -> None:
    await apply(trigger_db)
    await apply(trigger_db, "quarterly", cadence="1d", quarantine="30d")
    await asked(trigger_db)
    await CadenceJob(trigger_db.sessions, ManualClock(NOW), SETTINGS).tick()
    (made,) = await decided(trigger_db, "cadence.due")
    assert (made.reason, made.program_id) == ("quarantined", "quarterly")


async def test_relational_program_asks_at_the_time_of_day_of_the_customer(trigger_db: Database) -> None:
    await apply(trigger_db, "quarterly", cadence="1d", at="10:00")
    there = {**CUSTOMER, "time_zone": "Asia/Tokyo"}
    await decide(trigger_db, [body("customer.updated", "e1", customer=there)])
    await CadenceJob(trigger_db.sessions, ManualClock(NOW), SETTINGS).tick()
    (request,) = await requests(trigger_db)
    assert request.send_at == NOW + timedelta(hours=13)


async def test_customer_of_whom_only_the_id_is_known_is_never_due(trigger_db: Database) -> None:
    """A delivery has only the customer's id, so there is no data to decide by."""
    await apply(trigger_db, "quarterly", cadence="1d")
    nameless = body("order.delivered", "e1", order={"id": "1"}, customer={"id": "only-a-name"})
    await decide(trigger_db, [nameless, body("customer.updated", "e2", customer=somebody(1))])
    await CadenceJob(trigger_db.sessions, ManualClock(NOW), SETTINGS).tick()
    async with trigger_db.sessions() as session:
        known = await db.fetch(session, "SELECT id FROM respondents ORDER BY id")
    assert [row["id"] for row in known] == ["c1", "only-a-name"]
    assert [each.respondent_id for each in await decided(trigger_db, "cadence.due")] == ["c1"]

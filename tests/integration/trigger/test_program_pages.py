"""The pages of programs: what they say, and what their buttons do."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx2

from services.trigger.config import TriggerSettings
from services.trigger.handlers.programs import switch
from services.trigger.main import build_app
from shared.clock import ManualClock
from shared.contract.events import StaffChanged
from shared.contract.vocabulary import ProgramState, Role
from shared.database import db, staff
from shared.database.audit.rows import Actor, ActorKind
from shared.database.db import Database
from shared.web.staff.tickets import Ticket, TicketSigner
from tests.integration.trigger.test_programs import apply
from tests.staff_pages import done_on, undo

RICH: dict[str, Any] = {
    "title": "After a purchase",
    "conditions": {
        "all": [
            {"field": "order.amount", "operator": "ge", "value": 500},
            {
                "any": [
                    {"field": "touchpoint.channel", "operator": "in", "value": list("abcdefg")},
                    {"not": {"field": "attributes.vip", "value": True}},
                ]
            },
            {"field": "order.amount", "operator": "between", "value": [1, 2]},
            {"field": "customer.locale", "operator": "exists"},
        ]
    },
    "sample": "25%",
    "holdout": "5%",
    "quotas": [{"name": "a day", "limit": 1500}, {"name": "a store", "limit": 20, "by": "store"}],
    "caps": [
        {"name": "no", "after": "decline", "days": 365},
        {"name": "own", "scope": "program", "days": 100, "then": "delay"},
    ],
    "delay": "2h",
    "at": "10:00",
    "calls": {
        "priority": 5,
        "rules": [{"name": "VIP", "conditions": {"field": "attributes.vip", "value": True}, "priority": 50}],
    },
    "plan": [
        {"channel": "email", "window": {"start": "08:00", "end": "21:00"}, "holidays": "RU"},
        {"channel": "email", "after": "3d"},
        {"channel": "sms", "after": "90m"},
        {"channel": "call", "after": "1d", "retries": {"no_answer": {"after": "1d", "limit": 2}}},
    ],
}


def words(page: httpx2.Response) -> str:
    assert page.status_code == 200, page.text
    return " ".join(page.text.replace("\N{EN DASH}", "-").replace("\N{NARROW NO-BREAK SPACE}", "").split())


async def test_a_program_is_said_in_words(client: httpx2.AsyncClient, installed: Database) -> None:
    await apply(installed, **RICH)
    page = words(await client.get("/programs/shop"))
    assert (
        "after every purchase, if order amount at least 500 and (touchpoint channel one of a, b, c, d, e and 2 more or"
        " not (attributes vip is yes)) and order amount between 1 and 2 and customer locale is known;"
        " nobody more than once in 90 days; a sample of 25 %; never 5 % of the customers; at most 1500 a day;"
        " at most 20 a day for each store; not within 365 days after a refusal;"
        " later within 100 days after another survey of this program"
    ) in page
    assert (
        "E-mail 2 hours after the event, at 10:00 where the customer is (08:00-21:00 where the customer is, no holidays"
        " of RU) → reminder by e-mail 3 days after the mail (08:00-21:00 where the customer is) → SMS 90 minutes after"
        " the repeat (09:00-21:00 where the customer is) → call 1 day after the SMS (09:00-21:00 where the customer is)"
        " → over after 21 days. Stops with the first answer."
    ) in page
    assert "VIP (if attributes vip is yes): 50; usually 5" in page
    assert "3 calls at most; no answer: again after 1 day, 2 such calls at most; busy: again after 15 minutes;" in page
    assert "time_zone: not set" in page
    await apply(installed, "quarterly", cadence="91d")
    assert "all customers, once in 91 days, spread over the days; nobody more" in words(await client.get("/programs"))
    assert (await client.get("/programs/none")).status_code == 404
    assert (await client.get("/programs/none/stopped")).status_code == 404
    assert (await client.get("/programs/shop/sleeping")).status_code == 422


async def test_stop_asks_first_then_stops_and_says_by_whom(client: httpx2.AsyncClient) -> None:
    asked = words(await client.get("/programs/after-purchase/stopped"))
    assert "cannot be called back" in asked
    assert '<form method="post" action="/programs/after-purchase/stopped">' in asked
    assert "on</span>" in words(await client.get("/programs"))
    pressed = await client.post("/programs/after-purchase/stopped")
    assert (pressed.status_code, pressed.headers["location"]) == (303, "/programs/after-purchase")
    page = words(await client.get("/programs/after-purchase"))
    assert "nothing of it leaves. As far as is known, nothing left after the press. Links that are out" in page
    assert "/programs/after-purchase/withdrawn" in page
    assert "The program is stopped already since" in words(await client.get("/programs/after-purchase/stopped"))
    assert (await client.post("/programs/after-purchase/withdrawn")).status_code == 303
    assert "Its open surveys are withdrawn" in words(await client.get("/programs/after-purchase"))
    assert "stopped, surveys withdrawn" in words(await client.get("/programs"))
    await client.post("/programs/after-purchase/on")
    assert "On</span> since" in words(await client.get("/programs/after-purchase"))
    await client.post("/programs/after-purchase/off")
    assert "Surveys under way go on" in words(await client.get("/programs/after-purchase"))
    assert (await client.post("/programs/none/off")).status_code == 404


async def test_switch_is_undone_unless_somebody_switched_meanwhile(client: httpx2.AsyncClient) -> None:
    path = "/programs/after-purchase"
    await client.post(f"{path}/off")
    off = (await client.get(path)).text
    assert done_on(off) == "You switched it off: it asks nobody new."
    await undo(client, off)
    assert done_on((await client.get(path)).text) == "Undone: “You switched it off: it asks nobody new.”"
    await client.post(f"{path}/stopped")
    assert (await undo(client, off)).status_code == 409
    await undo(client, (await client.get(path)).text)
    assert (
        done_on((await client.get(path)).text)
        == "Undone: “You stopped it: nothing of it leaves, and calls that were due do not come back.”"
    )
    await client.post(f"{path}/withdrawn")
    assert "Undo" not in (await client.get(path)).text


async def test_stopping_everything_is_said_on_every_page(client: httpx2.AsyncClient) -> None:
    assert "programs applied later, too" in words(await client.get("/programs/*/stopped"))
    pressed = await client.post("/programs/*/stopped")
    assert pressed.headers["location"] == "/programs"
    assert "Everything is stopped" in words(await client.get("/programs"))
    assert "Everything is stopped" in words(await client.get("/programs/after-purchase"))
    assert "the state it has of its own" in words(await client.get("/programs/*/on"))
    await client.post("/programs/*/on")
    assert "Everything is stopped" not in words(await client.get("/programs"))


async def test_page_says_that_a_colleague_switched_it(client: httpx2.AsyncClient, installed: Database) -> None:
    await client.post("/programs/after-purchase/off")
    async with installed.sessions.begin() as session:
        await db.fetch(session, "UPDATE program_states SET changed_by = $1", f"person:{uuid4()}")
    assert ", by a colleague" in words(await client.get("/programs/after-purchase"))


async def test_page_names_a_colleague_who_has_switched_it(
    client: httpx2.AsyncClient, settings: TriggerSettings, installed: Database, clock: ManualClock
) -> None:
    vera = Ticket(uuid4(), "Vera Orlova", frozenset([Role.MANAGER]), datetime.now(UTC), uuid4(), revision=7)
    async with installed.sessions.begin() as session:
        await staff.store(session, [StaffChanged(person_id=vera.person, revision=7)])
    cookie = {"cookie": f"earshot={TicketSigner(settings.ticket_secrets).sign(vera)}"}
    app = httpx2.ASGITransport(build_app(settings, installed, clock))
    async with httpx2.AsyncClient(transport=app, base_url="http://127.0.0.1:8001") as hers:
        assert (await hers.post("/programs/after-purchase/off", headers=cookie)).status_code == 303
    assert ", by Vera Orlova" in words(await client.get("/programs/after-purchase"))
    assert "Vera Orlova" in words(await client.get("/audit/trigger"))


async def test_page_of_a_program_that_was_switched_elsewhere_offers_no_undo(
    client: httpx2.AsyncClient, installed: Database, clock: ManualClock
) -> None:
    await client.post("/programs/after-purchase/off")
    async with installed.sessions.begin() as session:
        await switch(
            session, "after-purchase", ProgramState.STOPPED, now=clock.now(), actor=Actor(ActorKind.COMMAND, "root")
        )
    page = (await client.get("/programs/after-purchase")).text
    assert (done_on(page), "You switched it off" in page) == ("", False)
    await client.post("/programs/*/off")
    await client.post("/v1/programs/*/state", json={"state": "on"})
    assert done_on((await client.get("/programs")).text) == ""


async def test_everything_that_is_off_is_said_and_goes_on_by_a_press(client: httpx2.AsyncClient) -> None:
    assert (await client.post("/programs/*/off")).status_code == 303
    for path in ("/programs", "/programs/after-purchase"):
        page = words(await client.get(path))
        assert ("Everything is switched off" in page, "On</span>" in page) == (True, False)
    assert 'href="/programs/*/on"' in words(await client.get("/programs"))
    assert (await client.post("/programs/*/on")).status_code == 303
    assert "On</span>" in words(await client.get("/programs/after-purchase"))


async def test_a_program_that_is_not_active_says_so(client: httpx2.AsyncClient, installed: Database) -> None:
    await apply(installed, active=False)
    assert "its document says so" in words(await client.get("/programs"))
    assert "applies a version that is active" in words(await client.get("/programs/shop"))
    await client.post("/programs/shop/on")
    assert "version 2" in words(await client.get("/programs"))

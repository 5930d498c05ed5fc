"""The HTTP API."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx2
import pytest

from services.trigger.handlers.mapped_events import read_message
from shared.clock import ManualClock
from shared.contract.events import ProgramPublished, SurveyRequested
from shared.database import db
from shared.database.db import Database
from shared.messaging.codec import InvalidEvent
from tests.integration.trigger.samples import (
    CUSTOMER,
    NOW,
    body,
    cancellation,
    count,
    later,
    message,
    published,
    purchase,
    reasons,
)
from tests.staff import NOBODY

EVENTS = "/v1/events"


async def test_single_event_is_answered_with_its_decision(client: httpx2.AsyncClient, installed: Database) -> None:
    answer = await client.post(EVENTS, json=purchase("e1"))
    assert answer.status_code == 202
    decided = answer.json()
    assert decided == {
        "id": "e1",
        "source": "shop",
        "decision_id": decided["decision_id"],
        "reason": "asked",
        "program": "after-purchase",
        "invitation_id": decided["invitation_id"],
        "ignored": [],
        "link": None,
    }
    assert (await client.post(EVENTS, json=purchase("e1"))).json() == decided
    assert await count(installed, "decisions") == 1


@pytest.mark.parametrize("days", [1.01, 30, 80 * 365])
async def test_event_of_the_day_after_tomorrow_is_refused(client: httpx2.AsyncClient, days: float) -> None:
    event = purchase("e1", at=later(days=days))
    answer = await client.post(EVENTS, json=event)
    assert (answer.status_code, answer.json()["detail"][:35]) == (422, "time: more than a day in the future")
    (one,) = (await client.post(EVENTS, json=[event])).json()["results"]
    assert (one["status"], one["detail"]) == (422, answer.json()["detail"])
    with pytest.raises(InvalidEvent, match="time: more than a day in the future"):  # so the consumer parks it
        read_message(message(event), {}, received=NOW)


async def test_event_of_tomorrow_counts_as_now(client: httpx2.AsyncClient, installed: Database) -> None:
    answer = await client.post(EVENTS, json=purchase("e1", at=later(hours=23)))
    assert (answer.status_code, answer.json()["reason"]) == (202, "asked")
    (asked,) = [event.payload for event in await published(installed) if event.type == "survey.requested"]
    assert isinstance(asked, SurveyRequested)
    assert asked.send_at == NOW


async def test_binary_mode_is_read_with_percent_encoded_headers(client: httpx2.AsyncClient) -> None:
    event = purchase("e1")
    headers = {
        "ce-specversion": "1.0",
        "ce-id": "%D0%B71",
        "ce-source": "shop",
        "ce-type": event["type"],
        "ce-time": event["time"],
    }
    answer = await client.post(EVENTS, json=event["data"], headers=headers)
    assert (answer.status_code, answer.json()["id"], answer.json()["reason"]) == (202, "з1", "asked")


@pytest.mark.parametrize("media_type", ["application/json", "application/cloudevents-batch+json; charset=utf-8"])
async def test_array_is_answered_in_order(client: httpx2.AsyncClient, media_type: str) -> None:
    sent = [
        purchase("e1", order="1"),
        {**purchase("e2"), "type": "crm.unknown"},
        purchase("e3", order="1"),
        purchase("e1", order="2"),
        7,
    ]
    answer = await client.post(EVENTS, content=json.dumps(sent), headers={"content-type": media_type})
    assert answer.status_code == 202
    results = answer.json()["results"]
    assert [one.get("reason") or one["status"] for one in results] == ["asked", 422, "duplicate", 409, 422]
    assert results[1]["detail"] == "type: 'crm.unknown' is not an event of this contract"
    assert results[3]["title"] == "This id was used before"


async def test_same_event_a_thousand_times_in_one_array_is_one_decision(
    client: httpx2.AsyncClient, installed: Database
) -> None:
    results = (await client.post(EVENTS, json=[purchase("e1")] * 1000)).json()["results"]
    assert len({one["decision_id"] for one in results}) == 1
    assert await count(installed, "decisions") == 1


def _without(event: dict[str, Any], *path: str) -> dict[str, Any]:
    *parents, last = path
    copy: dict[str, Any] = json.loads(json.dumps(event))
    place = copy
    for name in parents:
        place = place[name]
    del place[last]
    return copy


BAD_EVENTS: list[tuple[str | bytes, str]] = [
    (json.dumps({**purchase("e"), "type": "crm.purchase.complete"}), "; did you mean crm.purchase.completed?"),
    (json.dumps({**purchase("e"), "type": "crm.unknown"}), "type: 'crm.unknown' is not an event of this contract"),
    (json.dumps({**purchase("e"), "type": "nps.updated"}), "Field required"),
    (json.dumps(_without(purchase("e"), "data", "customer")), "customer: Field required"),
    (json.dumps(_without(purchase("e"), "data")), "data"),
    (json.dumps(_without(purchase("e"), "time")), "time"),
    (json.dumps({**purchase("e"), "id": 7.5}), "id"),
    (json.dumps(purchase("e", customer={"id": 7.5})), "customer.id: Input should be a valid string"),
    (json.dumps(purchase("e", customer=[])), "customer: "),
    (json.dumps(purchase("e", customer={"id": " "})), "customer.id: "),
    (json.dumps(purchase("e", customer={"id": "4" * 200, "namespace": "shop"})), "customer.id: expected 1 to 200"),
    (json.dumps(purchase("e", customer={"id": "a\0b"})), "customer.id: contains a NUL"),
    (json.dumps(purchase("e", customer={"id": "\ud800"})), "customer.id: contains a NUL character or is not Unicode"),
    (json.dumps(purchase("e")).replace('"order of e"', "1" * 5000), "order.id"),
    ('{"data":' * 50_000 + "1" + "}" * 50_000, "nested too deeply"),
    ("[" * 50_000 + "]" * 50_000, "nested too deeply"),
    ("{", "body: "),
    ("", "body: "),
    ("null", "body: "),
    (b"\xff", "body: "),
    (b"[\xff]", "body: "),
]


async def test_bad_event_is_refused_with_its_reason(client: httpx2.AsyncClient, installed: Database) -> None:
    for content, detail in BAD_EVENTS:
        answer = await client.post(EVENTS, content=content, headers={"content-type": "application/json"})
        assert answer.status_code == 422, detail
        assert answer.headers["content-type"] == "application/problem+json"
        assert detail in answer.json()["detail"]
    assert await count(installed, "decisions") == 0


async def test_strange_numbers_are_taken_or_refused_but_never_fail(client: httpx2.AsyncClient) -> None:
    texts = ["1e400", "-0.0", "9" * 4000, "1" + "0" * 5000, "1e-400", "18446744073709551616"]
    statuses = []
    for place, text in enumerate(texts):
        event = json.dumps(purchase(f"e{place}", customer={**CUSTOMER, "attributes": {"x": "NUMBER"}}))
        answer = await client.post(
            EVENTS, content=event.replace('"NUMBER"', text), headers={"content-type": "application/json"}
        )
        statuses.append(answer.status_code)
    assert set(statuses) <= {202, 422}
    assert statuses[1] == 202


async def test_other_content_type_is_refused(client: httpx2.AsyncClient) -> None:
    answer = await client.post(EVENTS, content=json.dumps(purchase("e")), headers={"content-type": "text/plain"})
    assert answer.status_code == 422


async def test_too_many_events_and_too_large_a_body_are_refused(client: httpx2.AsyncClient) -> None:
    assert (await client.post(EVENTS, json=[0] * 1001)).status_code == 422
    assert (await client.post(EVENTS, content=b" " * 5_000_000)).status_code == 413


async def test_event_by_http_and_log_is_decided_once(client: httpx2.AsyncClient, installed: Database) -> None:
    sent = [
        purchase(f"e{number}", customer={"id": f"c{number % 5}", "email": f"{number % 5}@x.test"})
        for number in range(40)
    ]
    through_log = asyncio.gather(*(reasons(installed, sent[start : start + 10]) for start in range(0, 40, 10)))
    answers = await asyncio.gather(*(client.post(EVENTS, json=one) for one in sent))
    logged = [reason for batch in await through_log for reason in batch]
    assert [answer.json()["reason"] for answer in answers] == logged
    assert logged.count("asked") == 5
    assert await count(installed, "decisions") == 40


async def test_one_id_for_many_customers_at_once_never_fails(client: httpx2.AsyncClient) -> None:
    sent = [purchase("e1", customer={**CUSTOMER, "id": f"c{number}"}) for number in range(12)]
    answers = await asyncio.gather(*(client.post(EVENTS, json=one) for one in sent))
    assert sorted(answer.status_code for answer in answers) == [202] + [409] * 11


async def test_decisions_are_searched_by_customer_or_event(client: httpx2.AsyncClient, clock: ManualClock) -> None:
    await client.post(EVENTS, json=[purchase("e1"), purchase("e2")])
    clock.moment = later(days=1)
    await client.post(EVENTS, json=purchase("e3", customer={"id": "c2", "email": "bob@shop.example"}))
    by_customer = (await client.get("/v1/decisions", params={"customer": " C1"})).json()["decisions"]
    assert [one["id"] for one in by_customer] == ["e2", "e1"]
    (trial,) = by_customer[0]["trail"]
    assert (trial["program"], trial["version"], trial["rule"]) == ("after-purchase", 1, "quarantined")
    until = "2026-05-30T12:00:00Z"
    assert trial["facts"] == {"cap": "quarantine", "last_asked_at": "2026-03-01T12:00:00Z", "until": until}
    assert [one["rule"] for one in trial["rules"] if one["outcome"] == "passed"][-1] == "sampled_out"
    assert [one["outcome"] for one in trial["rules"]][-2:] == ["stopped", "not_tried"]
    assert trial["would_change"] == by_customer[0]["would_change"]
    assert "30 May 2026, 12:00 UTC" in trial["would_change"]
    page = await client.get("/decisions", params={"customer": "C1"}, headers={"cookie": "earshot-zone=Europe%2FMoscow"})
    assert "30 May 2026, 15:00 Europe/Moscow" in page.text
    by_event = (await client.get("/v1/decisions", params={"event": "e3"})).json()["decisions"]
    assert [(one["id"], one["reason"], one["subject"]) for one in by_event] == [("e3", "asked", "order of e3")]
    assert len((await client.get("/v1/decisions", params={"limit": 1})).json()["decisions"]) == 1
    assert (await client.get("/v1/decisions", params={"limit": 0})).status_code == 422


async def test_proof_of_a_consent_is_shown_until_the_erasure(
    client: httpx2.AsyncClient, clock: ManualClock, installed: Database
) -> None:
    proof = {"at": "2026-02-01T09:00:00Z", "source": "till 7", "text": "Да, пишите мне"}
    told = {"email": {"given": "yes", **proof}, "sms": False}
    await client.post(EVENTS, json=purchase("e1", customer={**CUSTOMER, "id": "a/b", "consent": told}))
    clock.moment = later(days=1)
    await client.post(EVENTS, json=purchase("e2", at=later(days=1), customer={"id": "a/b"}))
    path = "/v1/respondents/a%2Fb/consent"
    plain = {"given": False, "at": "2026-03-01T12:00:00Z", "purposes": ["survey", "offers"]}
    assert (await client.get(path)).json() == {
        "customers": [
            {
                "customer": "a/b",
                "consent": {
                    "email": [{"given": True, "purposes": ["survey"], **proof}],
                    "sms": [{**plain, "source": None, "text": None}],
                },
            }
        ]
    }
    assert (await client.get("/v1/respondents/nobody/consent")).json() == {"customers": []}
    await client.post("/v1/respondents/a%2Fb/erase")
    assert (await client.get(path)).json() == {"customers": [{"customer": "a/b", "consent": {}}]}
    async with installed.sessions() as session:
        rows = await db.fetch(session, "SELECT consent_statements FROM respondents")
    assert [row["consent_statements"] for row in rows] == [None]


async def test_erasing_a_respondent_is_an_event_like_another(client: httpx2.AsyncClient, installed: Database) -> None:
    await client.post(EVENTS, json=purchase("e1", customer={**CUSTOMER, "id": "a/b"}))
    answer = await client.post("/v1/respondents/A%2Fb/erase")
    assert "only to contact it no more" in answer.json()["kept"]
    assert (answer.status_code, answer.json()["reason"]) == (202, "no_program")
    assert [event.type for event in await published(installed)] == ["survey.requested", "respondent.erased"]
    assert (await client.post("/v1/respondents/%20/erase")).status_code == 422
    assert (await client.post(f"/v1/respondents/{'x' * 201}/erase")).status_code == 422


DOCUMENT = """
id: big-baskets
brand: {name: Shop}
starts_on: [crm.purchase.completed]
priority: 10
conditions: {field: order.amount, operator: ge, value: 100}
"""


async def test_program_is_applied_once_per_content_and_published(
    client: httpx2.AsyncClient, installed: Database
) -> None:
    first = await client.put("/v1/programs", content=DOCUMENT)
    assert (first.status_code, first.json()["version"], first.json()["changed"]) == (200, 1, True)
    assert (await client.put("/v1/programs", json=first.json()["document"])).json()["changed"] is False
    second = await client.post("/v1/programs", content=DOCUMENT.replace("100", "50"))
    assert (second.json()["version"], second.json()["changed"]) == (2, True)
    shown = (await client.get("/v1/programs/big-baskets")).json()
    assert (shown["version"], [one["version"] for one in shown["versions"]]) == (2, [2, 1])
    assert [one["id"] for one in (await client.get("/v1/programs")).json()["programs"]] == [
        "after-purchase",
        "big-baskets",
    ]
    assert (await client.get("/v1/programs/none")).status_code == 404
    payloads = [event.payload for event in await published(installed, but=())]
    versions = [(p.program_id, p.program_version) for p in payloads if isinstance(p, ProgramPublished)]
    assert versions == [("after-purchase", 1), ("big-baskets", 1), ("big-baskets", 2)]


async def test_trail_keeps_every_program_tried(client: httpx2.AsyncClient) -> None:
    await client.put("/v1/programs", content=DOCUMENT)
    sent = purchase("e1")
    sent["data"]["order"]["amount"] = 30
    decided = (await client.post(EVENTS, json=sent)).json()
    assert (decided["reason"], decided["program"]) == ("asked", "after-purchase")
    (stored,) = (await client.get("/v1/decisions", params={"event": "e1"})).json()["decisions"]
    assert [(one["program"], one["rule"]) for one in stored["trail"]] == [
        ("big-baskets", "condition"),
        ("after-purchase", "asked"),
    ]
    assert stored["trail"][0]["facts"] == {
        "unmet": {"field": "order.amount", "operator": "ge", "value": 100},
        "found": "30",
    }


BAD_PROGRAMS: list[tuple[str | bytes, str]] = [
    ("", "document"),
    (b"\xff", "document"),
    ("id: Big Baskets", "id"),
    (DOCUMENT + "delay: soon", "delay"),
    (DOCUMENT + "title: *x", "document"),
    (DOCUMENT + "plan: [{channel: fax}]", "plan.0.channel"),
    (DOCUMENT + "colour: red", "colour"),
    ("x" * 100_001, "document"),
    ("[" * 50_000, "document"),
]


async def test_bad_program_is_refused_with_the_place(client: httpx2.AsyncClient) -> None:
    for document, where in BAD_PROGRAMS:
        answer = await client.put("/v1/programs", content=document)
        assert answer.status_code == 422, where
        assert where in [error["where"] for error in answer.json()["errors"]]


async def test_operations(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/")).headers["location"] == "/decisions"
    assert (await client.get("/readyz")).status_code == 200
    assert "earshot_decisions_total" in (await client.get("/metrics")).text
    assert "/v1/events" in (await client.get("/openapi.json")).json()["paths"]


async def test_nothing_is_reached_without_a_ticket_or_a_key(client: httpx2.AsyncClient) -> None:
    assert (await client.post(EVENTS, json=purchase("e1"), auth=NOBODY)).status_code == 401
    for path in ("/v1/decisions", "/v1/programs", "/docs", "/decisions"):
        assert (await client.get(path, auth=NOBODY)).status_code == 401


async def test_log_reads_the_same_event(client: httpx2.AsyncClient, installed: Database) -> None:
    sent = body("service.completed", "e1", service={"id": "1"})
    decided = (await client.post(EVENTS, content=message(sent).body)).json()
    assert decided["reason"] == "asked"
    assert await reasons(installed, [sent]) == ["asked"]
    assert await count(installed, "decisions") == 1


async def test_page_explains_decisions_and_escapes_input(client: httpx2.AsyncClient) -> None:
    await client.post(EVENTS, json=[purchase("e1"), purchase("<b>e2</b>"), cancellation("e3", order="order of e1")])
    shown = (await client.get("/decisions", params={"customer": "C1"})).text
    assert "A cap blocks the survey" in shown
    assert "stopped here" in shown
    assert "The survey was withdrawn" in shown
    assert "What would have changed it:" in shown
    assert "&lt;b&gt;e2" in shown
    assert "<b>e2" not in shown
    assert "ann@shop.example" not in shown
    assert "No decision found" in (await client.get("/decisions", params={"event": "none"})).text

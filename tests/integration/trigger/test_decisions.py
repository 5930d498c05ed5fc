"""Every event gets exactly one stored decision."""

from __future__ import annotations

import asyncio
import gc
import hashlib
from datetime import time
from typing import Any
from uuid import UUID

from services.trigger.domain.deciding.batch import DecisionBatch
from services.trigger.domain.deciding.stored_decision import StoredDecision
from shared.contract.events import (
    RespondentConsentChanged,
    RespondentErased,
    SurveyRequested,
    SurveyWithdrawn,
    Window,
)
from shared.contract.vocabulary import ChannelKind
from shared.database.db import Database
from tests.integration.trigger.samples import (
    CUSTOMER,
    NOW,
    body,
    cancellation,
    count,
    decide,
    known_respondents,
    later,
    published,
    purchase,
    reasons,
)


async def test_purchase_asks_and_publishes_the_whole_request(installed: Database) -> None:
    sent = purchase(
        "e1",
        order="48213",
        at=later(hours=-1),
        customer={**CUSTOMER, "phone": "+7 916 123-45-67", "locale": "ru-RU", "time_zone": "Europe/Moscow"},
        touchpoint={"store": "Tverskaya", "channel": "store"},
    )
    sent["data"]["order"] |= {"amount": "19.90", "currency": "RUB"}
    (verdict,) = await decide(installed, [sent])
    assert isinstance(verdict, StoredDecision)
    assert (verdict.reason, verdict.program_id, verdict.program_version) == ("asked", "after-purchase", 1)
    (event,) = await published(installed)
    request = event.payload
    assert isinstance(request, SurveyRequested)
    assert request.invitation_id == verdict.invitation_id
    assert (request.contact.email, request.contact.phone) == ("ann@shop.example", "+79161234567")
    assert (request.locale, request.time_zone) == ("ru", "Europe/Moscow")
    assert request.question == "Какова вероятность того, что вы порекомендуете нас другу или коллеге?"
    assert (request.event.subject, str(request.event.amount), request.event.currency) == ("48213", "19.90", "RUB")
    assert request.event.time == later(hours=-1)
    assert (request.send_at, request.expires_at) == (NOW, later(days=21))
    assert request.consent.model_dump() == {"email": True, "sms": None, "call": None}
    assert request.segments == {"store": "Tverskaya", "channel": "store"}
    assert [(step.channel, step.delay_s) for step in request.plan] == [
        (ChannelKind.EMAIL, 0),
        (ChannelKind.EMAIL, 3 * 86400),
        (ChannelKind.SMS, 2 * 86400),
        (ChannelKind.CALL, 2 * 86400),
    ]
    mail, phone = Window(start=time(8)), Window(start=time(9))
    assert [step.window for step in request.plan] == [mail, mail, phone, phone]
    assert request.link_key == "dev"


async def test_repeated_event_gets_its_first_decision(installed: Database) -> None:
    (first,) = await decide(installed, [purchase("e1")])
    (again,) = await decide(installed, [purchase("e1")], now=later(days=100))
    assert isinstance(first, StoredDecision)
    assert isinstance(again, StoredDecision)
    assert (again.id, again.reason, again.decided_at) == (first.id, first.reason, NOW)
    assert await count(installed, "decisions") == 1
    assert len(await published(installed)) == 1


async def test_committed_batch_is_released_without_garbage_collection(installed: Database) -> None:
    """Else the batches of many seconds would stay in memory, and a collection would have to look at all of them."""
    gc.collect()
    gc.disable()
    try:
        await decide(installed, [purchase("e1")])
        assert not [each for each in gc.get_objects() if type(each) is DecisionBatch]
    finally:
        gc.enable()


async def test_event_is_recognized_by_its_values_and_not_by_absent_fields(installed: Database) -> None:
    """Otherwise adding a field to the contract would turn every repeated event into a conflict."""
    (verdict,) = await decide(installed, [purchase("e1", order="1", customer={"id": "c1", "name": None})])
    assert isinstance(verdict, StoredDecision)
    customer, order = '{"id":"c1","consent":{},"attributes":{}}', '{"id":"1","items":[]}'
    said = f'{{"customer":{customer},"order":{order},"touchpoint":{{}},"attributes":{{}}}}'
    assert verdict.digest == hashlib.sha256(f"crm.purchase.completed {said}".encode()).digest()


async def test_same_event_a_thousand_times_in_one_batch_is_decided_once(installed: Database) -> None:
    verdicts = await decide(installed, [purchase("e1")] * 1000)
    assert len({verdict.id for verdict in verdicts if isinstance(verdict, StoredDecision)}) == 1
    assert await count(installed, "decisions") == 1


async def test_same_id_with_another_body_is_a_conflict_and_the_first_stands(installed: Database) -> None:
    assert await reasons(installed, [purchase("e1"), purchase("e1", order="other")]) == ["asked", "conflict"]
    assert await reasons(installed, [purchase("e1", order="third")]) == ["conflict"]
    assert await reasons(installed, [purchase("e1")]) == ["asked"]
    assert await count(installed, "decisions") == 1


async def test_same_order_under_another_id_is_a_duplicate(installed: Database) -> None:
    sent = [purchase("e1", order="1"), purchase("e2", order="1")]
    assert await reasons(installed, sent) == ["asked", "duplicate"]
    (verdict,) = await decide(installed, [purchase("e3", order="1")])
    assert isinstance(verdict, StoredDecision)
    assert verdict.trail == [
        {
            "program": "after-purchase",
            "version": 1,
            "rule": "duplicate",
            "facts": {"decided_by": {"source": "shop", "event": "e1"}},
        }
    ]


async def test_customer_is_quarantined_between_surveys(installed: Database) -> None:
    sent = [purchase("e1"), purchase("e2", customer={**CUSTOMER, "id": " c1 "})]
    assert await reasons(installed, sent) == ["asked", "quarantined"]
    assert await reasons(installed, [purchase("e3", at=later(days=89))], now=later(days=89)) == ["quarantined"]
    assert await reasons(installed, [purchase("e4", at=later(days=90))], now=later(days=90)) == ["asked"]


async def test_cancellation_withdraws_what_is_not_answered(installed: Database) -> None:
    (asked,) = await decide(installed, [purchase("e1", order="1")])
    (withdrawn,) = await decide(installed, [cancellation("e2", order="1")])
    assert isinstance(asked, StoredDecision)
    assert isinstance(withdrawn, StoredDecision)
    assert (withdrawn.reason, withdrawn.invitation_id) == ("withdrawn", asked.invitation_id)
    *_, event = await published(installed)
    assert isinstance(event.payload, SurveyWithdrawn)
    assert event.payload.invitation_id == asked.invitation_id
    assert await reasons(installed, [cancellation("e3", order="1")]) == ["nothing_to_withdraw"]


async def test_cancellation_before_its_purchase_works_too(installed: Database) -> None:
    assert await reasons(installed, [cancellation("e1", order="1")]) == ["nothing_to_withdraw"]
    assert await reasons(installed, [purchase("e2", order="1")]) == ["withdrawn"]
    assert await published(installed) == []


async def test_reopened_service_withdraws_its_own_survey_only(installed: Database) -> None:
    sent = [
        body("service.completed", "e1", service={"id": "1"}),
        cancellation("e2", order="1"),
        body("service.reopened", "e3", service={"id": "1"}),
    ]
    assert await reasons(installed, sent) == ["asked", "nothing_to_withdraw", "withdrawn"]


REASONS: list[tuple[dict[str, Any], str]] = [
    (purchase("e", at=later(days=-7, seconds=-1)), "too_old"),
    (purchase("e", at=later(days=400)), "asked"),
    (purchase("e", customer={"id": "c1"}), "unreachable"),
    (purchase("e", customer={"id": "c1", "email": "nobody@"}), "unreachable"),
    (purchase("e", customer={**CUSTOMER, "consent": {"email": False}}), "no_consent"),
    (purchase("e", customer={"id": "c1", "phone": "+79161234567"}), "no_consent"),
    (purchase("e", customer={"id": "c1", "phone": "+79161234567", "consent": {"call": True}}), "asked"),
    (body("order.delivered", "e", order={"id": "1"}), "no_program"),
    (body("customer.updated", "e"), "no_program"),
    (body("customer.erased", "e"), "no_program"),
    (cancellation("e", order="1"), "nothing_to_withdraw"),
]


async def test_every_event_gets_a_stored_reason(installed: Database) -> None:
    for number, (sent, reason) in enumerate(REASONS):
        customer = {**sent["data"]["customer"], "id": f"c{number}"}
        one = {**sent, "id": f"e{number}", "data": {**sent["data"], "customer": customer}}
        assert await reasons(installed, [one]) == [reason]
    assert await count(installed, "decisions") == len(REASONS)


async def test_purchases_are_counted_once_an_order(installed: Database) -> None:
    sent = [purchase("e1", order="1"), purchase("e2", order="1"), purchase("e3", order="2")]
    await decide(installed, [*sent, body("service.completed", "e4", service={"id": "1"})])
    (known,) = await known_respondents(installed)
    assert (known.purchases, known.first_purchase_at) == (2, NOW)


async def test_bad_address_is_named_and_never_shown(installed: Database) -> None:
    customer = {"id": "c1", "name": "Ann\r\nBcc: x\x1b", "email": "nobody@", "phone": "12", "time_zone": "Mars"}
    (verdict,) = await decide(installed, [purchase("e1", customer=customer)])
    assert isinstance(verdict, StoredDecision)
    (trial,) = verdict.trail
    assert trial["facts"]["unusable"] == ["email", "phone", "time_zone"]
    assert "nobody" not in str(verdict.trail)


async def test_what_is_absent_stays_as_it_was(installed: Database) -> None:
    await decide(installed, [body("customer.updated", "e1", customer={**CUSTOMER, "phone": "+79161234567"})])
    await decide(installed, [purchase("e2", customer={"id": "c1"})])
    (event,) = await published(installed)
    assert isinstance(event.payload, SurveyRequested)
    assert event.payload.contact.model_dump() == {"email": "ann@shop.example", "phone": "+79161234567"}


async def test_changed_consent_is_published(installed: Database) -> None:
    await decide(installed, [purchase("e1")])
    told = {**CUSTOMER, "consent": {"sms": True, "email": False}}
    assert await reasons(installed, [body("customer.updated", "e2", customer=told)]) == ["no_program"]
    *_, event = await published(installed)
    assert isinstance(event.payload, RespondentConsentChanged)
    assert event.payload.consent.model_dump() == {"email": False, "sms": True, "call": None}


RECORD = {"given": True, "at": NOW.isoformat(), "source": "shop.example/join", "text": "Yes, write me."}


async def test_change_of_offers_alone_is_published_and_a_request_names_the_channels(installed: Database) -> None:
    offers = {**CUSTOMER, "consent": {"email": {**RECORD, "purposes": ["survey", "offers"]}}}
    await decide(installed, [purchase("e1", customer=offers)])
    (asked,) = await published(installed)
    assert isinstance(asked.payload, SurveyRequested)
    assert (asked.payload.offers, asked.payload.assumed) == ([ChannelKind.EMAIL], [])
    assert "write me" not in asked.payload.model_dump_json()
    withdrawn = {**CUSTOMER, "consent": {"email": {"given": False, "purposes": ["offers"]}}}
    await decide(installed, [body("customer.updated", "e2", at=later(hours=1), customer=withdrawn)], now=later(hours=1))
    *_, event = await published(installed)
    assert isinstance(event.payload, RespondentConsentChanged)
    assert event.payload.model_dump() == {
        "respondent_id": "c1",
        "consent": {"email": True, "sms": None, "call": None},
        "offers": [],
    }


async def test_erased_customer_leaves_no_address_and_old_events_bring_none_back(installed: Database) -> None:
    await decide(installed, [purchase("e1"), body("customer.erased", "e2", customer={"id": "c1"})])
    *_, event = await published(installed)
    assert isinstance(event.payload, RespondentErased)
    late = purchase("e3", at=later(days=-1))
    assert await reasons(installed, [late], now=later(days=1)) == ["unreachable"]
    assert await reasons(installed, [purchase("e4", at=later(days=2))], now=later(days=95)) == ["too_old"]
    assert await reasons(installed, [purchase("e5", at=later(days=95))], now=later(days=95)) == ["asked"]


async def test_events_of_one_customer_from_many_callers_ask_once(installed: Database) -> None:
    batches = [[purchase(f"e{caller}-{number}") for number in range(25)] for caller in range(8)]
    found = await asyncio.gather(*(reasons(installed, batch) for batch in batches))
    flat = [reason for batch in found for reason in batch]
    assert (flat.count("asked"), flat.count("quarantined")) == (1, 199)
    assert len(await published(installed)) == 1


async def test_same_events_from_many_callers_are_decided_once(installed: Database) -> None:
    batch = [purchase(f"e{n}", customer={"id": f"c{n}", "email": f"{n}@x.test"}) for n in range(100)]
    found = await asyncio.gather(*(decide(installed, list(reversed(batch)) if n % 2 else batch) for n in range(8)))
    ids = {verdict.id for verdicts in found for verdict in verdicts if isinstance(verdict, StoredDecision)}
    assert len(ids) == await count(installed, "decisions") == 100
    assert len(await published(installed)) == 100


async def test_one_id_for_two_customers_at_once_is_raced_or_a_conflict(installed: Database) -> None:
    sent = [purchase("e1", customer={**CUSTOMER, "id": f"c{number}"}) for number in range(8)]
    found = await asyncio.gather(*(reasons(installed, [one]) for one in sent))
    assert sum(one == ["asked"] for one in found) == 1
    assert all(one == ["conflict"] for one in found if one != ["asked"])
    assert await count(installed, "decisions") == 1
    (event,) = await published(installed)
    assert isinstance(event.payload, SurveyRequested)


async def test_batching_changes_no_decision(installed: Database) -> None:
    sent = [
        purchase("e1", order="1"),
        cancellation("e2", order="1"),
        purchase("e3", order="2", customer={"id": "c2", "email": "bob@shop.example"}),
        purchase("e4", order="2", customer={"id": "c2", "email": "bob@shop.example"}),
        purchase("e5", order="5"),
    ]
    one_by_one = [reason for one in sent for reason in await reasons(installed, [one])]
    other = [{**one, "source": "other", "data": {**one["data"]}} for one in sent]
    for one in other:
        known = one["data"]["customer"]
        one["data"]["customer"] = {**known, "id": f"other {known['id']}", "email": f"other-{known['email']}"}
    assert await reasons(installed, other) == one_by_one
    assert one_by_one == ["asked", "withdrawn", "asked", "duplicate", "quarantined"]


async def test_invitation_ids_are_made_in_time_order(installed: Database) -> None:
    batch = [purchase(f"e{n}", customer={"id": f"c{n}", "email": f"{n}@x.test"}) for n in range(50)]
    asked = [verdict.invitation_id for verdict in await decide(installed, batch) if isinstance(verdict, StoredDecision)]
    ids = [id_ for id_ in asked if isinstance(id_, UUID)]
    assert len(ids) == 50
    assert ids == sorted(ids)

"""Programs with a database: caps, quotas, deliveries, follow-ups."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from prometheus_client import REGISTRY

from services.trigger.domain.deciding.stored_decision import StoredDecision
from services.trigger.domain.programs.document import ProgramDocument
from services.trigger.domain.sources.source import Source, SourceKind
from services.trigger.files.ingest import FileIngest, IngestMode
from services.trigger.handlers.events import decide_events, read_event
from services.trigger.handlers.feedback import on_feedback
from services.trigger.handlers.intake import EventIntake
from services.trigger.handlers.programs import apply_program
from shared.clock import ManualClock
from shared.contract import cloudevents
from shared.contract.events import (
    AnswerAmended,
    InvitationClosed,
    Payload,
    ProgramRef,
    RespondentPurchased,
    SurveyAnswered,
    SurveyRequested,
)
from shared.contract.vocabulary import AnswerMode, InvitationOutcome, Service, category_of
from shared.database import db
from shared.database.db import Database
from shared.database.session import Session
from tests.integration.trigger.samples import (
    NOW,
    SETTINGS,
    body,
    count,
    decide,
    decided,
    later,
    message,
    published,
    purchase,
    reasons,
)


async def apply(database: Database, id_: str = "shop", **written: Any) -> None:
    starts = {} if "cadence" in written else {"starts_on": ["crm.purchase.completed"]}
    document = ProgramDocument.model_validate({"id": id_, "brand": {"name": "Shop"}, **starts, **written})
    async with database.sessions.begin() as session:
        await apply_program(session, document, now=NOW)


async def handle_feedback(database: Database, *payloads: Payload, now: datetime = NOW) -> None:
    events = [cloudevents.new(payload, service=Service.SCORING, at=NOW) for payload in payloads]
    async with database.sessions.begin() as session:
        await on_feedback(session, events, now=now, settings=SETTINGS)


async def requests(database: Database) -> list[SurveyRequested]:
    return [event.payload for event in await published(database) if isinstance(event.payload, SurveyRequested)]


def somebody(number: int, **more: Any) -> dict[str, Any]:
    return {"id": f"c{number}", "email": f"c{number}@shop.example", **more}


def answer(
    invitation: UUID, score: int, *, program: str = "shop", mode: AnswerMode = AnswerMode.SELF
) -> SurveyAnswered:
    return SurveyAnswered(
        respondent_id="c1",
        invitation_id=invitation,
        customer_id="C1",
        answer_id=uuid4(),
        version=1,
        program=ProgramRef(id=program, version=1),
        score=score,
        category=category_of(score),
        reasons=["staff"],
        mode=mode,
        step=1,
        answered_at=NOW,
    )


async def asked(database: Database, id_: str = "e1") -> UUID:
    (verdict,) = await decide(database, [purchase(id_)])
    assert isinstance(verdict, StoredDecision)
    assert verdict.invitation_id is not None
    return verdict.invitation_id


async def test_caps_count_answers_and_declines_by_program(trigger_db: Database) -> None:
    caps = [
        {"name": "after an answer", "scope": "program", "after": "answer", "days": 20},
        {"name": "after a no", "scope": "program", "after": "decline", "days": 60},
    ]
    await apply(trigger_db, quarantine="0", caps=caps)
    invitation = await asked(trigger_db)
    assert await reasons(trigger_db, [purchase("e2")]) == ["asked"]
    await handle_feedback(trigger_db, answer(invitation, 9))
    assert await reasons(trigger_db, [purchase("e3")]) == ["quarantined"]
    assert await reasons(trigger_db, [purchase("e4", at=later(days=20))], now=later(days=20)) == ["asked"]
    declined = InvitationClosed(
        respondent_id="c1", invitation_id=invitation, outcome=InvitationOutcome.DECLINED, at=NOW
    )
    await handle_feedback(trigger_db, declined)
    (verdict,) = await decide(trigger_db, [purchase("e5", at=later(days=30))], now=later(days=30))
    assert isinstance(verdict, StoredDecision)
    assert verdict.trail[0]["facts"]["cap"] == "after a no"


async def test_delayed_survey_counts_from_when_it_goes_out(trigger_db: Database) -> None:
    cap = {"name": "a week", "days": 7, "then": "delay"}
    await apply(trigger_db, quarantine="0", caps=[cap], max_age="30d")
    await decide(trigger_db, [purchase(f"e{number}") for number in range(3)])
    assert [request.send_at for request in await requests(trigger_db)] == [NOW, later(days=7), later(days=14)]


async def test_quota_is_kept_by_many_callers_at_once(trigger_db: Database) -> None:
    await apply(trigger_db, quotas=[{"name": "a day", "limit": 7}, {"name": "a store", "by": "store", "limit": 5}])
    batches = [
        [
            purchase(
                f"e{caller}-{number}", customer=somebody(caller * 10 + number), touchpoint={"store": f"s{number % 2}"}
            )
            for number in range(5)
        ]
        for caller in range(6)
    ]
    found = await asyncio.gather(*(reasons(trigger_db, batch) for batch in batches))
    flat = [reason for batch in found for reason in batch]
    assert (flat.count("asked"), flat.count("over_quota")) == (7, 23)
    assert await reasons(trigger_db, [purchase("e", customer=somebody(99), at=later(days=1))], now=later(days=1)) == [
        "asked"
    ]


@pytest.mark.parametrize(
    ("zone", "now"),
    [
        ("Pacific/Honolulu", datetime(2026, 3, 2, 6, tzinfo=UTC)),  # 8 p.m. on 1 March there
        ("Pacific/Kiritimati", datetime(2026, 3, 1, 12, tzinfo=UTC)),  # 2 a.m. on 2 March there
    ],
)
async def test_quota_is_of_a_day_where_the_program_is_however_far_from_utc(
    trigger_db: Database, zone: str, now: datetime
) -> None:
    await apply(trigger_db, quotas=[{"name": "a day", "limit": 2}], time_zone=zone)

    async def at(hours: float) -> list[str]:
        when = now + timedelta(hours=hours)
        id_ = f"e{hours}"
        return await reasons(trigger_db, [purchase(id_, customer=somebody(int(hours * 10)), at=when)], now=when)

    told = [await at(hours) for hours in (0, 1, 2, 2.5, 24)]
    assert told == [["asked"], ["asked"], ["over_quota"], ["over_quota"], ["asked"]]


def delivered(id_: str, *, order: str, **rest: Any) -> dict[str, Any]:
    return body("order.delivered", id_, order={"id": order}, **rest)


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("delivery_first", [True, False])
async def test_delivery_and_purchase_in_either_order_ask_once(
    trigger_db: Database,
    delivery_first: bool,  # noqa: FBT001 - a case
    together: bool,  # noqa: FBT001 - a case
) -> None:
    await apply(trigger_db, delay_from="delivery", delay="2d")
    bought = purchase("e1", order="1", at=later(days=-5), touchpoint={"store": "Riverside"})
    bought["data"]["order"]["amount"] = "19.90"
    pair = [bought, delivered("e2", order="1", at=later(hours=-1))]
    pair = pair[::-1] if delivery_first else pair
    found = await reasons(trigger_db, pair) if together else [(await reasons(trigger_db, [one]))[0] for one in pair]
    assert found == ["waiting", "asked"]
    (request,) = await requests(trigger_db)
    assert request.send_at == later(days=2, hours=-1)
    assert (str(request.event.amount), request.event.time, request.segments) == (
        "19.90",
        later(hours=-1),
        {"store": "Riverside"},
    )


async def test_backfilled_delivery_asks_nobody(trigger_db: Database, clock: ManualClock, tmp_path: Path) -> None:
    await apply(trigger_db, delay_from="delivery", delay="2d")
    assert await reasons(trigger_db, [purchase("e1", order="1", touchpoint={"store": "s"})]) == ["waiting"]
    path = tmp_path / "year.jsonl"
    path.write_text(json.dumps(delivered("e2", order="1", at=later(hours=-1))))
    intake, source = EventIntake(trigger_db.sessions, clock, SETTINGS), Source("file", SourceKind.GENERIC)
    report = await FileIngest(intake, path, IngestMode.BACKFILL, source).run()
    assert report.reasons == Counter(historic=1)
    assert await requests(trigger_db) == []


async def test_delivery_told_twice_is_a_duplicate_although_the_first_asked_nobody(trigger_db: Database) -> None:
    await apply(trigger_db, delay_from="delivery")
    bought = purchase("e1", order="1", customer={"id": "c1"})
    assert await reasons(trigger_db, [bought]) == ["waiting"]
    assert await reasons(trigger_db, [delivered("e2", order="1", customer={"id": "c1"})]) == ["unreachable"]
    assert await reasons(trigger_db, [delivered("e3", order="1", customer={"id": "c1"})]) == ["duplicate"]


async def test_cancelled_order_is_not_asked_about_when_it_is_delivered(trigger_db: Database) -> None:
    await apply(trigger_db, delay_from="delivery")
    sent = [purchase("e1", order="1"), body("purchase.cancelled", "e2", order={"id": "1"}), delivered("e3", order="1")]
    assert await reasons(trigger_db, sent) == ["waiting", "nothing_to_withdraw", "withdrawn"]


async def test_erasure_deletes_the_details_of_an_order(trigger_db: Database) -> None:
    await apply(trigger_db)
    await decide(trigger_db, [purchase("e1"), body("customer.erased", "e2", customer={"id": "c1"})])
    async with trigger_db.sessions() as session:
        (row,) = await db.fetch(session, "SELECT details, shape, own_values FROM touchpoints")
    assert tuple(row) == (None, None, None)


FOLLOW_UP: dict[str, Any] = {
    "starts_on": ["survey.answered"],
    "conditions": {
        "all": [
            {"field": "answer.category", "value": "detractor"},
            {"field": "answer.reasons", "operator": "contains", "value": "staff"},
        ]
    },
    "delay": "7d",
}


async def test_answer_starts_its_follow_up_once(trigger_db: Database) -> None:
    await apply(trigger_db)
    await apply(trigger_db, "unhappy", **FOLLOW_UP)
    invitation = await asked(trigger_db)
    unhappy = answer(invitation, 3)
    await handle_feedback(trigger_db, unhappy)
    await handle_feedback(trigger_db, unhappy)
    await handle_feedback(trigger_db, answer(uuid4(), 10))
    first, follow_up = await requests(trigger_db)
    assert (first.program.id, follow_up.program.id) == ("shop", "unhappy")
    assert (follow_up.customer_id, follow_up.send_at, follow_up.event.subject) == ("C1", later(days=7), None)
    made = await decided(trigger_db, "survey.answered")
    assert [each.reason for each in made] == ["asked", "duplicate", "condition"]


async def test_follow_up_waits_for_the_reasons_that_come_after_the_score(trigger_db: Database) -> None:
    await apply(trigger_db)
    await apply(trigger_db, "unhappy", **FOLLOW_UP)
    told = answer(await asked(trigger_db), 3)
    await handle_feedback(trigger_db, told.model_copy(update={"reasons": []}))
    for version in (2, 3):
        await handle_feedback(trigger_db, AnswerAmended(**{**told.model_dump(), "version": version}))
    made = await decided(trigger_db, "survey.answered", "answer.amended")
    assert [(each.type, each.reason) for each in made if each.program_id == "unhappy"] == [
        ("survey.answered", "condition"),
        ("answer.amended", "asked"),
        ("answer.amended", "duplicate"),
    ]


async def test_answer_to_a_follow_up_or_from_an_old_tool_starts_none(trigger_db: Database) -> None:
    await apply(trigger_db)
    await apply(trigger_db, "unhappy", **FOLLOW_UP)
    await asked(trigger_db)
    await handle_feedback(
        trigger_db, answer(uuid4(), 3, program="unhappy"), answer(uuid4(), 3, mode=AnswerMode.IMPORTED)
    )
    assert len(await requests(trigger_db)) == 1
    (made,) = await decided(trigger_db, "survey.answered")
    assert made.reason == "historic"


async def test_purchase_within_the_return_window_is_published(trigger_db: Database) -> None:
    await apply(trigger_db)
    await decide(trigger_db, [purchase("e1")])
    for number, days in enumerate((89, 91)):
        again = purchase(f"again {number}", at=later(days=days))
        await decide(trigger_db, [again, {**again, "id": f"repeated {number}"}], now=later(days=days))
    await decide(trigger_db, [purchase("old", at=later(days=5), attributes={"historic": True})], now=later(days=95))
    told = [event.payload for event in await published(trigger_db) if isinstance(event.payload, RespondentPurchased)]
    assert [(one.respondent_id, one.event.id, one.event.time) for one in told] == [("c1", "again 0", later(days=89))]


async def test_request_carries_contact_caps_and_holidays(trigger_db: Database) -> None:
    caps = [{"name": "a week", "channel": "sms", "limit": 1, "days": 7}]
    await apply(trigger_db, plan=[{"channel": "email"}, {"channel": "call", "holidays": "RU"}], contact_caps=caps)
    await decide(trigger_db, [purchase("e1")])
    (request,) = await requests(trigger_db)
    assert [(step.holidays, step.window is None) for step in request.plan] == [(None, False), ("RU", False)]
    assert [(cap.name, cap.limit) for cap in request.contact_caps] == [("a week", 1)]


def counted(reason: str) -> float:
    labels = {"service": "trigger", "program": "counted", "reason": reason}
    return REGISTRY.get_sample_value("earshot_decisions_total", labels) or 0.0


async def test_decisions_and_missing_fields_are_counted_once_they_are_committed(trigger_db: Database) -> None:
    await apply(trigger_db, "counted", conditions={"field": "attributes.nowhere", "value": 1})
    async with trigger_db.sessions() as session:
        await _decide_in(session, "e1")
        await session.rollback()
    assert counted("condition") == 0
    async with trigger_db.sessions.begin() as session:
        await _decide_in(session, "e1")
    assert counted("condition") == 1
    labels = {"service": "trigger", "program": "counted", "field": "attributes.nowhere"}
    assert REGISTRY.get_sample_value("earshot_missing_fields_total", labels) == 1
    assert await count(trigger_db, "decisions") == 1


async def _decide_in(session: Session, id_: str) -> None:
    await decide_events(session, [read_event(message(purchase(id_)))], now=NOW, settings=SETTINGS)

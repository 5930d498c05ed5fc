"""All inputs at the same time: no deadlock, and nobody is asked twice."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import httpx2

from services.trigger.domain.programs.reading import read_program
from services.trigger.handlers.feedback import on_feedback
from services.trigger.handlers.programs import apply_program
from services.trigger.main import PROGRAMS
from shared.contract import cloudevents
from shared.contract.cloudevents import Event
from shared.contract.events import (
    InvitationClosed,
    Payload,
    RespondentOptedOut,
    RespondentReleased,
    RespondentSuppressed,
    SurveyRequested,
)
from shared.contract.vocabulary import InvitationOutcome, Service, SuppressionReason
from shared.database.db import Database
from shared.messaging import parking
from tests.integration.trigger.samples import (
    CUSTOMER,
    NOW,
    SETTINGS,
    body,
    cancellation,
    count,
    decide,
    later,
    message,
    published,
    purchase,
    reasons,
)

NAMES = [f"{sign}{letter}{number}" for sign in ("", "-", " ", "é") for letter in "aB_" for number in range(5)]


def sent_by_a_shop(chance: random.Random) -> list[dict[str, Any]]:
    events = []
    for number in range(400):
        customer = {**CUSTOMER, "id": f"x{chance.choice(NAMES)}"}
        order = str(chance.randrange(20))
        match chance.randrange(6):
            case 0:
                events.append(cancellation(f"e{number}", order=order, customer=customer))
            case 1:
                events.append(body("customer.erased", f"e{number}", customer={"id": customer["id"]}))
            case 2:
                events.append(body("customer.updated", f"e{number}", customer=customer))
            case _:
                events.append(purchase(f"e{number}", order=order, customer=customer))
    return events


def feedback_about(sent: Sequence[Event[Payload]]) -> list[Payload]:
    """Return the events of dispatcher and scoring about these surveys."""
    told: list[Payload] = []
    for request in (event.payload for event in sent):
        if isinstance(request, SurveyRequested):
            who = {"respondent_id": request.respondent_id}
            about: dict[str, Any] = {**who, "invitation_id": request.invitation_id}
            told += [
                InvitationClosed(**about, outcome=InvitationOutcome.EXHAUSTED, at=NOW),
                RespondentOptedOut(**about, at=NOW),
                RespondentSuppressed(**who, reason=SuppressionReason.OPT_OUT, at=NOW),
                RespondentReleased(**who, reason=SuppressionReason.OPT_OUT, at=NOW),
            ]
    return told


async def test_all_inputs_at_once_ask_nobody_twice(installed: Database, client: httpx2.AsyncClient) -> None:
    chance = random.Random(5)
    sent = sent_by_a_shop(chance)
    document = read_program(next(iter(PROGRAMS.glob("*.yaml"))).read_bytes())

    async def crm(events: Sequence[dict[str, Any]]) -> None:
        for start in range(0, len(events), 50):
            await decide(installed, events[start : start + 50])

    async def http(events: Sequence[dict[str, Any]]) -> None:
        for start in range(0, len(events), 50):
            response = await client.post("/v1/events", json=events[start : start + 50])
            assert response.status_code == 202

    async def feedback() -> None:
        for _ in range(20):
            told = feedback_about(await published(installed))
            chance.shuffle(told)
            events = [cloudevents.new(payload, service=Service.SCORING, at=NOW) for payload in told]
            async with installed.sessions.begin() as session:
                await on_feedback(session, events, now=NOW, settings=SETTINGS)

    async def programs() -> None:
        for number in range(10):
            changed = document.model_copy(update={"title": f"Version {number}"})
            async with installed.sessions.begin() as session:
                await apply_program(session, changed, now=NOW)

    shuffled = chance.sample(sent, len(sent))
    async with asyncio.timeout(60):
        await asyncio.gather(
            crm(sent), crm(shuffled), http(sent[::-1]), http(shuffled[::-1]), feedback(), feedback(), programs()
        )
    assert await count(installed, "decisions") == len(sent)
    requests = [e.payload for e in await published(installed) if isinstance(e.payload, SurveyRequested)]
    assert max(Counter(request.respondent_id for request in requests).values()) == 1


async def test_erasure_deletes_parked_events(installed: Database) -> None:
    hers = message(purchase("e1", customer={**CUSTOMER, "id": "Olga"}))
    others = message(purchase("e2"))
    misshapen = message({**purchase("e3"), "data": {"customer": {**CUSTOMER, "id": " OLGA "}}})
    async with installed.sessions.begin() as session:
        await parking.park(session, [(hers, "why"), (others, "why"), (misshapen, "why")])
    await decide(installed, [body("customer.erased", "e4", customer={"id": "olga"})])
    assert await count(installed, "parked") == 1


async def test_clock_that_runs_ahead_outdates_nothing(installed: Database) -> None:
    ahead = purchase("e1", order="1", at=later(days=400))
    assert await reasons(installed, [ahead, cancellation("e2", order="1")]) == ["asked", "withdrawn"]
    [request, _] = await published(installed)
    assert isinstance(request.payload, SurveyRequested)
    assert request.payload.send_at == later()  # an event of the future counts as one of now
    erased = body("customer.erased", "e3", customer={"id": "c1"}, at=later(days=400))
    assert await reasons(installed, [erased]) == ["no_program"]
    assert await reasons(installed, [purchase("e4", at=later(days=130))], now=later(days=130)) == ["asked"]

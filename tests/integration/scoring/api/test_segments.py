"""A segment is told as fully as the whole: its funnel, reasons, what moved, who came back, and its words."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import httpx2
import pytest

from services.scoring.domain.slices import Slice
from services.scoring.domain.stores.names import NO_STORES
from services.scoring.repository.scores import comments, figures
from services.scoring.repository.scores.comments import CommentFilter
from shared.contract.events import EventRef, RespondentPurchased
from shared.database.db import fetch
from tests.integration.scoring.api.test_score_api import sent
from tests.integration.scoring.stand import NOW, Scoring, differences, requested

DAYS = "?segment=store:Khimki"


async def ask(scoring: Scoring, store: str, score: int | None, *, weeks_ago: int = 1, **said: object) -> None:
    """Ask somebody who bought in a store; let them answer, if they do, the same day."""
    then = NOW - timedelta(weeks=weeks_ago)
    request = requested(segments={"store": store}, send_at=then, expires_at=then + timedelta(days=21))
    await scoring.receive(request, sent(request.invitation_id, request.respondent_id))
    if score is not None:
        scoring.clock.moment = then
        await scoring.score(request, score, **said)
        scoring.clock.moment = NOW
    bought = EventRef(
        source="shop", id=str(request.invitation_id), type="x", time=NOW, amount=Decimal(7), currency="EUR"
    )
    await scoring.receive(RespondentPurchased(respondent_id=request.respondent_id, event=bought))


async def test_segment_has_its_own_funnel_and_returns(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    await ask(scoring, "Khimki", 3)
    await ask(scoring, "Khimki", None)
    await ask(scoring, "Arbat", 9)
    await scoring.tick()
    funnel = (await client.get(f"/v1/funnel{DAYS}")).raise_for_status().json()
    assert (funnel["asked"], funnel["reached"], funnel["answered"]) == (2, 2, 1)
    assert [(step["step"], step["answered"]) for step in funnel["by_step"]] == [(1, 1)]
    groups = (await client.get(f"/v1/returns{DAYS}")).raise_for_status().json()["groups"]
    assert {group["group"]: group["people"] for group in groups if group["people"]} == {"detractor": 1, "silent": 1}
    assert await differences(scoring) == []


@pytest.mark.parametrize("together", [True, False])
async def test_cancelled_purchase_is_no_return(scoring: Scoring, client: httpx2.AsyncClient, *, together: bool) -> None:
    counted: list[RespondentPurchased] = []
    for order in ("e7", "e8"):
        request = requested(segments={"store": "Khimki"}, send_at=NOW - timedelta(weeks=1))
        await scoring.receive(request, sent(request.invitation_id, request.respondent_id))
        bought = EventRef(source="shop", id=order, type="x", time=NOW + timedelta(days=1))
        counted.append(RespondentPurchased(respondent_id=request.respondent_id, event=bought))
    taken_back = counted[0].model_copy(update={"cancelled": True})
    for batch in [(*counted, taken_back)] if together else [counted, (taken_back,), (taken_back,)]:
        await scoring.receive(*batch)
        await scoring.tick()
    groups = (await client.get(f"/v1/returns{DAYS}")).raise_for_status().json()["groups"]
    assert [(group["people"], group["returned"]) for group in groups if group["people"]] == [(2, 1)]
    assert await differences(scoring) == []


async def test_page_of_a_segment_says_why_and_what_without_operators(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    for number in range(30):
        await ask(scoring, "Khimki", 9, weeks_ago=6, reasons=("taste",))
        await ask(scoring, "Khimki", 2, reasons=("wait",), operator="Anna" if number < 10 else None)
        await ask(scoring, "Arbat", 10)
    while await scoring.tick():
        pass
    page = (await client.get(f"/{DAYS}&days=22")).raise_for_status().text
    for words_of_it in (
        "From asked to answered",
        "“Long wait” is the complaint of 100 %",
        "Without the 10 typed by operators",
    ):
        assert words_of_it in page
    assert "Bought again within 90 days" in page


async def test_score_without_operators_is_exact_in_every_series(scoring: Scoring) -> None:
    for score, operator in ((10, None), (2, None), (9, "Anna"), (0, "Anna"), (10, "Anna")):
        await ask(scoring, "Khimki", score, operator=operator)
    async with scoring.database.sessions.begin() as session:
        [store] = await figures.series(session, Slice(stores=NO_STORES), dimensions=["store"])
    assert (store.nps, store.tally.nps_without_operators) == (20, 0)


@pytest.mark.parametrize("most", [0, comments.MOST_SCANNED])
async def test_comments_of_a_segment_are_found_either_way(
    scoring: Scoring, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """Few invitations are all looked at, of many the newest answers; with none looked through there is none."""
    monkeypatch.setattr(comments, "MOST_SCANNED", most)
    await ask(scoring, "Khimki", 3, comment="Slow")
    await ask(scoring, "Arbat", 9, comment="Fast")
    which = Slice(
        "after-purchase", (NOW - timedelta(days=30)).date(), NOW.date(), ("store", "Khimki"), stores=NO_STORES
    )
    async with scoring.database.sessions.begin() as session:
        found = await comments.latest(session, which, CommentFilter("detractor"), with_empty=False, limit=8)
    assert ([row["comment"] for row in found.rows], found.complete) == ((["Slow"], True) if most else ([], False))


async def test_comments_of_operators_are_a_segment_too(scoring: Scoring) -> None:
    await ask(scoring, "Khimki", 3, comment="Slow", operator="Anna")
    await ask(scoring, "Khimki", 9, comment="Fast")
    which = Slice(
        "after-purchase", (NOW - timedelta(days=30)).date(), NOW.date(), ("mode", "operator"), stores=NO_STORES
    )
    async with scoring.database.sessions.begin() as session:
        found = await comments.latest(session, which, CommentFilter(), with_empty=False, limit=8)
    assert [row["comment"] for row in found.rows] == ["Slow"]


async def test_too_many_answers_are_refused_with_what_to_do(
    scoring: Scoring, client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "MOST_COUNTED", 1)
    await ask(scoring, "Khimki", 3)
    await ask(scoring, "Arbat", 9)
    refused = await client.get("/v1/nps?by=store,mode")
    assert (refused.status_code, "fewer days" in refused.json()["detail"]) == (422, True)
    assert (await client.get("/v1/nps?by=store,mode&segment=store:Arbat")).is_success
    assert (await client.get("/v1/nps?by=store")).is_success


async def test_more_answers_than_a_counter_of_a_day_can_hold_are_summed(scoring: Scoring) -> None:
    async with scoring.database.sessions.begin() as session:
        await fetch(session, _TWO_FULL_DAYS)
        [whole] = await figures.series(session, Slice(stores=NO_STORES))
    assert (whole.tally.n, whole.invited) == (4_000_000_000, 4_000_000_000)


_TWO_FULL_DAYS = """WITH days AS (SELECT '2026-01-01'::date + n AS day FROM generate_series(0, 1) n), counted AS (
    INSERT INTO buckets (program, dimension, value, day, s9) SELECT 'p', 'all', '', day, 2000000000 FROM days
) INSERT INTO invited (program, dimension, value, day, invited) SELECT 'p', 'all', '', day, 2000000000 FROM days"""

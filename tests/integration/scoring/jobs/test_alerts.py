"""Alerts are published with the answer or once a day, and never twice."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from services.scoring.domain.answers import Entry
from services.scoring.domain.calls import Callback
from services.scoring.jobs.alerts import publish_drops
from shared.contract.events import DetractorReported, NpsDropped
from tests.integration.scoring.stand import NOW, Scoring, requested


async def alerts(scoring: Scoring, kind: str) -> list[Any]:
    return [event.payload for event in await scoring.published(kind)]


async def tell(scoring: Scoring) -> int:
    async with scoring.database.sessions.begin() as session:
        return await publish_drops(session, now=scoring.clock.now())


async def week(scoring: Scoring, *scores: int, days_ago: int, reasons: tuple[str, ...] = (), **asked: Any) -> None:
    """Record answers on one day."""
    requests = [requested(**asked) for _ in scores]
    await scoring.receive(*requests)
    at = NOW - timedelta(days=days_ago)
    entries = [
        Entry(request.invitation_id, at, score, reasons=reasons if score <= 6 else None, step=1)
        for request, score in zip(requests, scores, strict=True)
    ]
    await asyncio.gather(*map(scoring.writer.record, entries))


async def test_detractor_is_reported_once_with_the_answer(scoring: Scoring) -> None:
    request = await scoring.asked()
    await scoring.score(request, 3, reasons=("wait",))
    await scoring.score(request, 2, comment="Slow.")
    [report] = await alerts(scoring, "detractor.reported")
    assert isinstance(report, DetractorReported)
    assert (report.score, report.reasons, report.segments["store"]) == (3, ["wait"], "Tverskaya")
    assert [event.type for event in await scoring.published()] == [
        "survey.answered",
        "detractor.reported",
        "answer.amended",
    ]


async def test_respondent_who_becomes_a_detractor_again_is_reported_again(scoring: Scoring) -> None:
    request = await scoring.asked()
    for score in (9, 3, 9, 4):
        await scoring.score(request, score)
    assert [report.score for report in await alerts(scoring, "detractor.reported")] == [3, 4]


async def test_detractor_who_asks_for_a_call_afterwards_is_reported_once_more(scoring: Scoring) -> None:
    request = await scoring.asked()
    await scoring.score(request, 3)
    for comment in ("Slow.", "Slow!"):
        await scoring.score(request, 3, comment=comment, callback=Callback(wanted=True))
    assert [report.callback_wanted for report in await alerts(scoring, "detractor.reported")] == [False, True]


async def test_test_survey_publishes_no_alert(scoring: Scoring) -> None:
    await scoring.score(await scoring.asked(test=True), 0)
    assert await alerts(scoring, "detractor.reported") == []


async def test_drop_is_published_once_a_week_with_the_store_that_caused_it(scoring: Scoring) -> None:
    stores = {name: {"store": name, "channel": "shop"} for name in ("Arbat", "Tverskaya")}
    for store in stores.values():
        await week(scoring, *[9] * 30, *[7] * 10, days_ago=10, segments=store)
    await week(scoring, *[9] * 30, *[7] * 10, days_ago=3, segments=stores["Arbat"])
    await week(scoring, *[9] * 5, *[3] * 35, days_ago=3, reasons=("wait",), segments=stores["Tverskaya"])

    assert await tell(scoring) == 3
    assert await tell(scoring) == 0
    scoring.clock.moment += timedelta(days=1)  # the same calendar week, looked at again
    assert await tell(scoring) == 0

    told = {(each.dimension, each.value): each for each in await alerts(scoring, "nps.dropped")}
    assert set(told) == {("all", ""), ("store", "Tverskaya"), ("channel", "shop")}
    whole, store = told["all", ""], told["store", "Tverskaya"]
    assert isinstance(whole, NpsDropped)
    assert (whole.before, whole.after, whole.moved_by) == (75, 0, "store=Tverskaya")
    assert (store.after, store.moved_by) == (-75, None)
    assert store.difference.low < store.after - store.before < store.difference.high < 0


async def test_two_processes_publish_a_drop_once(scoring: Scoring) -> None:
    await week(scoring, *[9] * 40, days_ago=10)
    await week(scoring, *[3] * 40, days_ago=3)
    told = await asyncio.gather(*(tell(scoring) for _ in range(4)))
    assert sorted(told) == [0, 0, 0, 3]


async def test_week_without_answers_is_no_drop(scoring: Scoring) -> None:
    await week(scoring, *[9] * 40, days_ago=10)
    assert await tell(scoring) == 0
    assert await alerts(scoring, "nps.dropped") == []

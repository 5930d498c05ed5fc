"""Figures of the last 30 days on the supervisor's page: outcomes, operators, and scores that they typed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from tests.integration.scoring.desk.test_team import report, words_of
from tests.integration.scoring.stand import Scoring, answer_all, call_for, requested, take


async def figures(client: httpx2.AsyncClient) -> str:
    response = await client.get("/desk-team/figures")
    assert response.status_code == 200
    return " ".join(words_of(response.text).replace("\N{NO-BREAK SPACE}", " ").split())


async def call(
    scoring: Scoring,
    client: httpx2.AsyncClient,
    disposition: str,
    *,
    operator: str = "Anna",
    tries: int = 1,
    **asked: Any,
) -> None:
    """Ask somebody, and report the same disposition of each try; `answered` is an answer of 9."""
    request = await scoring.asked(**asked)
    task = call_for(request, max_attempts=tries, window=None)
    await scoring.receive(task)
    for _ in range(tries):
        await client.post("/v1/desk/take", json={"operator": operator})
        if disposition == "answered":
            said = {"operator": operator, "score": 9}
            assert (await client.post(f"/v1/desk/{task.task_id}/answer", json=said)).status_code == 200
        else:
            await report(client, task.task_id, operator, disposition)
        scoring.clock.moment += timedelta(hours=3)


async def typed(scoring: Scoring, scores: Sequence[int], *, operator: str = "Anna", **asked: Any) -> None:
    """Store answers that an operator typed, without their calls."""
    requests = [requested(**asked) for _ in scores]
    await scoring.receive(*requests)
    for request, score in zip(requests, scores, strict=True):
        await scoring.score(request, score, operator=operator)


async def test_nothing_is_said_without_calls(client: httpx2.AsyncClient) -> None:
    page = await figures(client)
    for words in ("There was no call of a survey.", "No operator typed an answer.", "No call of a survey has ended."):
        assert words in page


async def test_outcomes_have_codes_and_rates_and_operators_intervals(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    for disposition, times in (("answered", 3), ("refused", 1), ("do_not_call", 1), ("wrong_number", 1)):
        for _ in range(times):
            await call(scoring, client, disposition)
    await call(scoring, client, "no_answer", tries=2)
    await call(scoring, client, "busy", operator="Boris")
    page = await figures(client)
    for code in ("1.1 answered 3 0", "2.112 refused, or wants no calls 2 0", "4.10 wrong number 1 0"):
        assert code in page
    assert "3.13 nobody picked up 1 0" in page
    assert "3.12 always busy 1 0" in page
    assert "RR1 43 % 16 % … 75 % I / (I + R + NC + U)" in page  # 3 of 7
    assert "COOP1 60 % 23 % … 88 %" in page  # 3 of 5
    assert "e = 83 %" in page  # 5 of 6
    assert "RR3 45 %" in page  # 3 of 5 + 2 · 5/6
    assert "Anna 8 5 62 % 31 % … 86 % 3 60 % 23 % … 88 %" in page
    assert "Boris 1 0 0 % 0 % … 79 % 0 –" in page  # noqa: RUF001 - a dash


async def test_call_that_comes_back_has_an_interim_code_and_what_was_answered_elsewhere_none(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    request = await scoring.asked()
    task = call_for(request)
    await scoring.receive(task)
    await take(client)
    await report(client, task.task_id, "Anna", "machine")
    assert "3.14 a machine picked up 0 1" in await figures(client)
    await scoring.score(request, 9)
    await scoring.rows(
        "UPDATE call_tasks SET state = 'closed', outcome = 'withdrawn', closed_at = $1", scoring.clock.now()
    )
    page = await figures(client)
    assert "3.14 a machine picked up 0 0" in page
    assert "No call of a survey has ended." in page


async def test_calls_of_more_than_30_days_ago_and_test_calls_do_not_count(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    await call(scoring, client, "refused")
    scoring.clock.moment += timedelta(days=31)
    later = scoring.clock.now() + timedelta(days=21)
    await call(scoring, client, "refused", expires_at=later, test=True)
    page = await figures(client)
    assert "2.112 refused, or wants no calls 0 0" in page
    assert "There was no call of a survey." in page


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        ([10] * 30, "higher than chance"),
        ([0] * 30, "lower than chance"),
        ([0, 10, 7] * 10, "no difference to see"),
        ([10] * 29, "too few answers to say"),
    ],
)
async def test_typed_scores_stand_beside_those_of_customers_of_the_same_store(
    scoring: Scoring, client: httpx2.AsyncClient, scores: list[int], words: str
) -> None:
    await answer_all(scoring, [0, 10, 7] * 12)
    await answer_all(scoring, [0] * 40, segments={"store": "Nevsky"})
    await typed(scoring, scores)
    page = await figures(client)
    assert words in page
    assert "beside 0" in page  # not the 40 of another store


async def test_suspect_answers_and_those_of_other_stores_are_not_compared(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    await answer_all(scoring, [0] * 40)
    await scoring.rows("UPDATE answers SET suspect = true")
    await typed(scoring, [10] * 40)
    page = await figures(client)
    assert "40 answers, 0 can be compared" in page
    assert "too few answers to say" in page

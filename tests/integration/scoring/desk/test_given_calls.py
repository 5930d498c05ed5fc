"""What the API gives a caller: the filled script, notices, reasons and extra questions; and their answers."""

from __future__ import annotations

import json

import httpx2
import pytest

from tests.integration.scoring.desk.test_call_lists import Centre, opened
from tests.integration.scoring.desk.test_extra_questions import QUESTIONS, on_desk_with_questions, stored
from tests.integration.scoring.stand import QUESTION, REASONS, Scoring, call_for, link_of, take

FULL = {
    "extra_questions": QUESTIONS,
    "labels": {"call.script": "{first_name}, {operator} of {brand}. {question}", "call.notice": "We record this."},
}


async def test_caller_of_the_api_is_given_all_there_is_to_read_and_to_ask(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    await scoring.receive(call_for(await scoring.asked(**FULL)))
    given = await take(client) or {}
    assert (given["locale"], given["notice"]) == ("en", "We record this.")
    assert given["script"] == f"Olga, Anna of Kofe Point. {QUESTION}"
    assert given["other_reasons"] == [{"id": each.id, "text": each.text} for each in REASONS.other]
    assert given["promoter_reasons"] == [{"id": each.id, "text": each.text} for each in REASONS.promoter]
    card, cash = {"id": "card", "text": "Card"}, {"id": "cash", "text": "Cash"}
    assert given["extra_questions"] == [
        {"id": "wish", "text": "What was missing?", "kind": "text", "choices": [], "required": False},
        {"id": "way", "text": "How did you pay?", "kind": "choice", "choices": [card, cash], "required": False},
    ]


async def test_extra_answers_of_the_api_are_stored_and_corrected(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    task_id = await on_desk_with_questions(scoring)
    await take(client)
    for extra in ({"wish": "Oat milk", "way": "card"}, {"way": ""}):
        body = {"operator": "Anna", "score": 4, "extra": extra}
        assert (await client.post(f"/v1/desk/{task_id}/answer", json=body)).status_code == 200
    assert await stored(scoring) == [{"wish": "Oat milk"}]


@pytest.mark.parametrize(
    "extra", [{"way": "barter"}, {"colour": "red"}, {"wish": "x" * 4001}, {"wish": "a\0"}, {"way": 1}, ["way"]]
)
async def test_extra_answer_that_the_call_does_not_ask_for_is_refused_as_a_whole(
    extra: object, scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    task_id = await on_desk_with_questions(scoring)
    await take(client)
    body = {"operator": "Anna", "score": 4, "extra": extra}
    refused = await client.post(f"/v1/desk/{task_id}/answer", json=body)
    assert refused.status_code == 422
    assert await stored(scoring) == []


async def test_reason_that_the_call_does_not_offer_is_refused(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    task_id = await on_desk_with_questions(scoring)
    await take(client)
    body = {"operator": "Anna", "score": 4, "reasons": ["no such reason"]}
    refused = await client.post(f"/v1/desk/{task_id}/answer", json=body)
    assert (refused.status_code, "offers no reason" in refused.text) == (422, True)
    assert await stored(scoring) == []


async def test_call_that_the_customer_asked_for_has_a_script_and_no_questions(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    labels = {"call.back": "{first_name}, it is {operator}."}
    request = await scoring.asked(extra_questions=QUESTIONS, labels=labels, time_zone="UTC")
    for said in ({"score": "3"}, {"comment": "", "best_time": "any", "callback": "1"}):
        await client.post(link_of(request.invitation_id), data=said)
    given = await take(client) or {}
    assert (given["kind"], given["script"]) == ("callback", "Olga, it is Anna.")
    assert given["extra_questions"] == given["other_reasons"] == []
    for unasked in ({"extra": {"wish": "Oat milk"}}, {"reasons": ["wait"]}):
        body = {"operator": "Anna", "score": 4, **unasked}
        refused = await client.post(f"/v1/desk/{given['task_id']}/answer", json=body)
        assert (refused.status_code, "The customer asked for this call" in refused.text) == (422, True)
        assert f"`{next(iter(unasked))}`" in refused.text
    assert await stored(scoring) == [{}]


async def test_outside_centre_is_given_the_same_and_returns_the_answers(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    centre: Centre = await opened(scoring, client, "North Calls")
    await scoring.receive(call_for(await scoring.asked(**FULL)))
    given = await centre.order(1)
    [call], [row] = given["calls"], await centre.rows(given)
    assert call["script"] == row["script"] == f"Olga, North Calls of Kofe Point. {QUESTION}"
    assert call["notice"] == row["notice"] == "We record this."
    for name in ("promoter_reasons", "other_reasons", "extra_questions"):
        assert json.loads(row[name]) == call[name] != []
    wrong = await centre.report(given, call["task_id"], "answer", score=8, extra={"way": "barter"})
    assert wrong.status_code == 422
    said = {"wish": "Oat milk", "way": "card"}
    assert (await centre.report(given, call["task_id"], "answer", score=8, extra=said)).status_code == 200
    assert await stored(scoring) == [said]


async def test_call_whose_survey_cannot_be_read_keeps_no_other_from_the_list(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    centre = await opened(scoring, client, "North Calls")
    broken, *others = [call_for(await scoring.asked(question=f"Question {number}?")) for number in range(4)]
    await scoring.receive(broken, *others)
    await scoring.rows("UPDATE contents SET document = '{\"plan\": 7}' WHERE document->>'question' = 'Question 0?'")
    given = await centre.order(10)
    assert {call["task_id"] for call in given["calls"]} == {str(each.task_id) for each in others}
    assert len(await centre.rows(given)) == len(others)

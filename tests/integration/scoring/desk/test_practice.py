"""A made-up call to practise with: the desk's own page, and nothing that counts."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from services.scoring.desk.practice import PRACTICE
from shared.contract.events import ProgramPublished
from tests.integration.scoring.stand import Scoring, on_desk

CALL = f"/desk/{PRACTICE}"
TABLES = ("call_tasks", "call_attempts", "invitations", "answers", "buckets", "invited", "outbox")
TEXTS = {
    "question": "How likely are you to recommend us?",
    "reasons": {"promoter": [], "other": [{"id": "wait", "text": "Long wait"}]},
    "extra_questions": [],
    "thanks": {"promoter": "Thanks.", "passive": "Thanks.", "detractor": "Sorry."},
    "labels": {},
}
PROGRAM: dict[str, Any] = {
    "id": "after-purchase",
    "brand": {"name": "Kofe Point"},
    "default_locale": "en",
    "texts": {"en": TEXTS},
    "plan": [{"channel": "call", "template": "call"}],
    "call_back": True,
}


async def publish(scoring: Scoring, document: dict[str, Any]) -> None:
    await scoring.receive(ProgramPublished(program_id=document["id"], program_version=1, document=document))


@pytest.fixture
async def published(scoring: Scoring) -> None:
    await publish(scoring, PROGRAM)


async def stored(scoring: Scoring) -> dict[str, int]:
    return {table: len(await scoring.rows(f"TABLE {table}")) for table in TABLES}


async def page_after(client: httpx2.AsyncClient, response: httpx2.Response) -> str:
    return (await client.get(response.headers["location"])).text


@pytest.mark.usefixtures("published")
async def test_made_up_call_looks_like_any_other_and_is_marked(client: httpx2.AsyncClient) -> None:
    client.cookies.set("operator", "Anna")
    assert CALL in (await client.get("/desk")).text
    page = (await client.get(CALL)).text
    for text in ("Practice", "nobody is called", TEXTS["question"], "Long wait", "No answer", f'{CALL}/answer"'):
        assert str(text) in page
    assert "tel:" not in page, "so that nobody is called by mistake"
    assert (await client.post(f"{CALL}/keep")).json()["held"] is True


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("answer", {"score": "9", "comment": "Good."}),
        *(("outcome", {"disposition": each}) for each in ("no_answer", "do_not_call", "wrong_number", "call_later")),
    ],
)
@pytest.mark.usefixtures("published")
async def test_nothing_of_a_made_up_call_is_stored(
    path: str, said: dict[str, str], scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    await on_desk(scoring)
    client.cookies.set("operator", "Anna")
    before = await stored(scoring)
    page = await page_after(client, await client.post(f"{CALL}/{path}", data=said))
    assert "Practice: this would have been saved." in page
    assert f'data-done="{PRACTICE}"' in page, "so that the browser forgets what was typed"
    assert "0 calls, 0 reached" in page
    assert await stored(scoring) == before
    assert str(PRACTICE) not in str(await scoring.rows("SELECT * FROM outbox"))


@pytest.mark.usefixtures("published")
async def test_mistakes_are_told_as_in_any_other_call(client: httpx2.AsyncClient) -> None:
    assert (await client.post(f"{CALL}/answer", data={"comment": "No score."})).status_code == 422
    assert (await client.post(f"{CALL}/outcome", data={"disposition": "call_later", "minutes": "1"})).status_code == 422
    asked = await client.post(f"{CALL}/outcome", data={"disposition": "busy", "score": "4", "comment": "She waited."})
    assert (asked.status_code, ">She waited.</textarea>" in asked.text, "Yes: Busy" in asked.text) == (422, True, True)
    lacks_score = await client.post(f"{CALL}/outcome", data={"disposition": "answered"})
    assert lacks_score.headers["location"] == f"{CALL}?said=score"


async def test_without_a_program_there_is_nothing_to_practise_with(client: httpx2.AsyncClient) -> None:
    page = await page_after(client, await client.get(CALL))
    assert "There is nothing to practise with before a program is published." in page


@pytest.mark.usefixtures("published")
async def test_made_up_call_is_never_taken_by_the_api(client: httpx2.AsyncClient) -> None:
    assert (await client.post("/v1/desk/take", json={"operator": "Anna"})).status_code == 204
    said = {"operator": "Anna", "score": 9}
    assert (await client.post(f"/v1/desk/{PRACTICE}/answer", json=said)).status_code == 404

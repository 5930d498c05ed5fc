"""One row, plan or text that this release cannot read takes no page, export or list of the API away."""

from __future__ import annotations

import httpx2
import pytest

from tests.integration.scoring.desk.test_callbacks import complained
from tests.integration.scoring.desk.test_team import report
from tests.integration.scoring.stand import Scoring, call_for, take
from tests.integration.scoring.test_bad_input import counted

CONTENT = 'UPDATE contents SET document = document || \'{"plan": 7, "reasons": {"promoter": 1}}\''
ANSWER = "UPDATE answers SET mode = 'hologram' WHERE score = 3"
CHANNEL = "UPDATE answers SET channel = 'hologram' WHERE score = 3"
SUSPECT = "UPDATE answers SET suspect = true, suspicion = 'hologram' WHERE score = 3"
OCCASION = "UPDATE invitations SET occasion = '{}'"
CALLED = "UPDATE call_attempts SET disposition = 'hologram'"
OUTCOME = "UPDATE call_tasks SET outcome = 'hologram' WHERE state = 'closed'"
KINDS = [CONTENT, ANSWER, CHANNEL, SUSPECT, OCCASION, CALLED, OUTCOME]
PATHS = [
    "/v1/answers",
    "/v1/nps",
    "/v1/funnel?program=after-purchase",
    "/v1/returns?program=after-purchase",
    "/",
    "/?definition=latest_per_customer",
    "/?segment=mode:self",
    "/export?program=after-purchase",
    "/comments",
    "/comments/export",
    "/tags",
    "/suspects",
    "/promised-calls",
    "/desk",
    "/desk-team",
    "/desk-team/figures",
    "/customer/scoring?id=c1",
    "/v1/customer-scoring?id=c1",
]


@pytest.fixture
async def stored(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    """Store answers with a comment, one with a tag, and calls of all states."""
    for score in (3, 9):
        answered = await scoring.score(await scoring.asked(), score, comment="Coffee", reasons=("wait",))
        tagged = await client.post(f"/v1/answers/{answered.answer.answer_id}/tags", json={"add": ["queue"]})
        assert tagged.status_code == 200
    for disposition in ("busy", "refused", "call_later"):
        await scoring.receive(call_for(await scoring.asked(customer_id="c1", respondent_id="c1")))
        await report(client, (await take(client) or {})["task_id"], "Anna", disposition)
    await complained(scoring, client, callback="1")
    await report(client, (await take(client) or {})["task_id"], "Anna", "answered")
    await scoring.tick()


@pytest.mark.parametrize("broken", KINDS)
@pytest.mark.usefixtures("stored")
async def test_every_list_is_shown_without_what_cannot_be_read(
    broken: str, scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    before = {path: (await client.get(path)).status_code for path in PATHS}
    assert set(before.values()) == {200}, before
    await scoring.rows(broken)
    after = {path: (await client.get(path)).status_code for path in PATHS}
    assert set(after.values()) == {200}, after


@pytest.mark.parametrize("broken", [ANSWER, CHANNEL])
@pytest.mark.usefixtures("stored")
async def test_answers_of_the_api_go_on_after_one_that_cannot_be_read(
    broken: str, scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    await scoring.rows(broken)
    before = counted("stored_answer")
    first = (await client.get("/v1/answers?limit=1")).json()
    assert (first["answers"], counted("stored_answer")) == ([], before + 1)
    second = (await client.get("/v1/answers", params={"limit": 1, "after": first["next"]})).json()
    assert [each["score"] for each in second["answers"]] == [9]


@pytest.mark.usefixtures("stored")
async def test_plan_that_cannot_be_read_is_reported(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    await scoring.rows(CONTENT)
    before = counted("stored_plan"), counted("stored_reasons")
    assert "Coffee" in (await client.get("/")).text
    assert counted("stored_plan") == before[0] + 1
    assert counted("stored_reasons") > before[1]


@pytest.mark.usefixtures("stored")
async def test_outcome_of_another_release_is_shown_as_it_is_stored(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    await scoring.rows(CALLED)
    await scoring.rows(OUTCOME.replace("hologram", "beamed"))
    assert "Called by Anna: hologram" in (await client.get("/customer/scoring?id=c1")).text
    page = (await client.get("/promised-calls")).text
    assert "hologram" in page
    assert "beamed" in page

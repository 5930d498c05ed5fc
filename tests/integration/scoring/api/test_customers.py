"""What scoring holds about a customer: on a page, and whole in an export."""

from __future__ import annotations

import httpx2

from shared.contract.events import RespondentErased
from tests.integration.scoring.stand import Scoring, call_for


async def test_all_that_a_customer_answered_is_shown_and_exported(client: httpx2.AsyncClient, scoring: Scoring) -> None:
    mine = await scoring.asked(customer_id="c-1", respondent_id="c-1")
    other = await scoring.asked(customer_id="c-2", respondent_id="c-2")
    await scoring.receive(call_for(mine))
    await scoring.score(mine, 3, comment="Waited")
    await scoring.score(mine, 2, comment="Waited 40 minutes")
    await scoring.score(other, 9, comment="Words of another")
    page = (await client.get("/customer/scoring", params={"id": "c-1"})).raise_for_status().text
    for shown in ("2, “Waited 40 minutes”", "3, “Waited” · version 1, replaced", "A call is due"):
        assert (shown, shown in page) == (shown, True)
    exported = (await client.get("/v1/customer-scoring", params={"id": "c-1"})).json()
    answers = [each["data"] for each in exported["entries"] if each["kind"] == "answer"]
    assert [(each["version"], each["score"], each["stands"]) for each in answers] == [(1, 3, False), (2, 2, True)]
    assert "Words of another" not in page + str(exported)
    await scoring.receive(RespondentErased(respondent_id="c-1"))
    erased = (await client.get("/v1/customer-scoring", params={"id": "c-1"})).json()
    assert (erased["facts"], erased["entries"], erased["places"]) == ([], [], [])

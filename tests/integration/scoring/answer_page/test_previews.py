"""Previews of a program's answer page, for staff: what a respondent would see, and nothing stored."""

from __future__ import annotations

import httpx2
import pytest

from services.trigger.domain.programs.document import ProgramDocument
from shared.contract.events import ProgramPublished
from tests.integration.scoring.stand import Scoring

PREVIEW = "/previews/shop"


async def publish(scoring: Scoring) -> None:
    document = ProgramDocument.model_validate(
        {"id": "shop", "brand": {"name": "Riverside"}, "starts_on": ["crm.purchase.completed"]}
    )
    await scoring.receive(
        ProgramPublished(program_id="shop", program_version=1, document=document.model_dump(mode="json"))
    )


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"locale": "en"}, "How likely are you to recommend us to a friend or colleague?"),
        ({"locale": "en", "what": "promoter"}, "We are glad you are happy with us."),
        ({"locale": "en", "what": "passive"}, "We will work on what was missing."),
        ({"locale": "ru", "what": "detractor"}, "Мы разберёмся, что пошло не так."),
    ],
)
async def test_a_page_is_shown_as_a_respondent_sees_it(
    scoring: Scoring, client: httpx2.AsyncClient, query: dict[str, str], said: str
) -> None:
    await publish(scoring)
    page = await client.get(PREVIEW, params=query)
    assert page.status_code == 200
    assert said in page.text
    assert "Riverside" in page.text
    assert "/s/" not in page.text
    assert "sandbox" in page.headers.get_list("content-security-policy")  # a press sends nothing
    assert await scoring.rows("SELECT 1 FROM invitations") == []


async def test_what_cannot_be_shown_is_not_found(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    assert (await client.get(PREVIEW, params={"locale": "en"})).status_code == 404
    await publish(scoring)
    assert (await client.get(PREVIEW, params={"locale": "fr"})).status_code == 404
    assert (await client.get(PREVIEW, params={"locale": "en", "what": "other"})).status_code == 422
    assert (await client.post(PREVIEW, params={"locale": "en"})).status_code in (403, 405)

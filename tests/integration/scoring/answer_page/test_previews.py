"""Previews of a program's answer page, for staff: what a respondent would see, and nothing stored."""

from __future__ import annotations

import re
from typing import Any

import httpx2
import pytest

from services.trigger.domain.programs.document import ProgramDocument
from shared.contract.events import ProgramPublished
from shared.web import links
from tests.integration.scoring.stand import Scoring

PREVIEW = "/previews/shop"


async def publish(scoring: Scoring, **written: Any) -> None:
    document = ProgramDocument.model_validate(
        {"id": "shop", "brand": {"name": "Riverside"}, "starts_on": ["crm.purchase.completed"]} | written
    )
    await scoring.receive(
        ProgramPublished(program_id="shop", program_version=1, document=document.model_dump(mode="json"))
    )


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"locale": "en"}, "How likely are you to recommend us to a friend or colleague?"),
        ({"locale": "en", "what": "after_promoter"}, "Friendly staff"),
        ({"locale": "en", "what": "after_passive"}, "your answer <strong>7</strong> is saved"),
        ({"locale": "en", "what": "after_detractor"}, "Call me back at ··· 01-42"),
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
    assert await scoring.rows("SELECT 1 FROM invitations") == []


async def test_what_cannot_be_shown_is_not_found(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    assert (await client.get(PREVIEW, params={"locale": "en"})).status_code == 404
    await publish(scoring)
    assert (await client.get(PREVIEW, params={"locale": "fr"})).status_code == 404
    assert (await client.get(PREVIEW, params={"locale": "en", "what": "other"})).status_code == 422
    assert (await client.post(PREVIEW, params={"locale": "en"})).status_code in (403, 405)


async def test_no_call_back_is_offered_where_the_program_offers_none(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    await publish(scoring, call_back=False)
    page = await client.get(PREVIEW, params={"locale": "en", "what": "after_detractor"})
    assert "your answer <strong>3</strong> is saved" in page.text
    assert "callback" not in page.text


async def test_operators_script_is_shown_as_it_is_read(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    await publish(scoring)
    page = (await client.get(PREVIEW, params={"locale": "en", "what": "call"})).text
    assert re.search(r"Hello, this is Riverside\. Your order 48213 of [^<]*: *<strong>How likely are you", page)
    russian = (await client.get(PREVIEW, params={"locale": "ru", "what": "call"})).text
    assert re.search(r"Здравствуйте, это Riverside\. Ваш заказ[^<]*: *<strong>Какова вероятность", russian)


async def test_programs_own_script_is_shown_with_a_sample(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    labels = {"call.script": "Hi {first_name}, order {number} at {store}? {question}", "call.notice": "We record."}
    await publish(scoring, texts={"en": {"labels": labels}})
    page = (await client.get(PREVIEW, params={"locale": "en", "what": "call"})).text
    assert "Hi Anna, order 48213 at Tverskaya? <strong>How likely" in page
    assert "We record." in page


@pytest.mark.parametrize("what", ["question", "after_detractor", "promoter"])
async def test_a_press_in_a_preview_says_that_it_is_one(
    scoring: Scoring, client: httpx2.AsyncClient, what: str
) -> None:
    await publish(scoring)
    page = (await client.get(PREVIEW, params={"locale": "en", "what": what})).text
    assert 'method="post"' not in page
    pressed = {path.partition("?")[0] for path in re.findall(r'(?:action|href)="(/previews/[^"]*)"', page)}
    assert pressed
    for path in pressed:
        said = await client.get(path, params={"score": "9"})
        assert said.status_code == 200
        assert "This is a preview" in said.text
        assert 'href="/previews/shop?locale=en"' in said.text


@pytest.mark.parametrize(
    ("language", "said"), [("en", "This is a test message"), ("ru", "Это проверочное сообщение"), ("de", "This is a")]
)
async def test_link_of_a_test_message_says_what_it_is(client: httpx2.AsyncClient, language: str, said: str) -> None:
    link = f"/s/{links.sample_token(language)}.1"
    for answer in (
        await client.get(link),
        await client.post(link, data={"score": "9"}),
        await client.get(f"{link}/stop"),
    ):
        assert answer.status_code == 200
        assert said in answer.text
        assert "refresh" not in answer.text

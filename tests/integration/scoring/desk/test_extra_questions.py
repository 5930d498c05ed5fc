"""Extra questions of a program at the call desk: entered, kept, corrected, and given back when nothing is saved."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

import httpx2
import pytest
from playwright.async_api import Browser, expect
from pydantic import JsonValue

from services.scoring.desk.keys import Action
from shared.contract.events import CallPriority, ExtraQuestion, ProgramPublished, Reason
from tests.browser import DESKTOP
from tests.integration.scoring.desk.test_corrections import save
from tests.integration.scoring.desk.test_operators_day import RUSSIAN, at_desk, keyboard, next_call, saved
from tests.integration.scoring.stand import Scoring, call_for, on_desk, take
from tests.journey.looking import looked_at

QUESTIONS = [
    ExtraQuestion(id="wish", text="What was missing?"),
    ExtraQuestion(
        id="way", text="How did you pay?", choices=[Reason(id="card", text="Card"), Reason(id="cash", text="Cash")]
    ),
]
EXTRA = {"extra.wish": "Oat milk", "extra.way": "card"}


async def on_desk_with_questions(scoring: Scoring) -> UUID:
    request = await scoring.asked(extra_questions=QUESTIONS)
    call = call_for(request)
    await scoring.receive(call)
    return call.task_id


async def stored(scoring: Scoring) -> list[dict[str, str]]:
    return [row["extra"] for row in await scoring.rows("SELECT extra FROM answers")]


async def test_answers_to_extra_questions_are_stored_and_corrected(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    task_id = await on_desk_with_questions(scoring)
    await take(client)
    await save(client, task_id, "Anna", score="4", **EXTRA)
    assert await stored(scoring) == [{"wish": "Oat milk", "way": "card"}]
    page = (await client.get(f"/desk/{task_id}")).text
    assert ">Oat milk</textarea>" in page
    assert 'value="card" checked' in page
    await save(client, task_id, "Anna", whole="1", score="4", **{"extra.wish": "Oat milk, tea", "extra.way": ""})
    assert await stored(scoring) == [{"wish": "Oat milk, tea"}]
    rows = await scoring.rows("SELECT extra FROM answer_versions WHERE version = 1")
    assert [row["extra"] for row in rows] == [{"wish": "Oat milk", "way": "card"}]


async def test_what_the_operator_leaves_empty_keeps_the_answer_given_online(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    request = await scoring.asked(extra_questions=QUESTIONS)
    call = call_for(request)
    await scoring.receive(call)
    await take(client)
    await scoring.score(request, 9, extra={"wish": "Oat milk", "way": "card"})
    await save(client, call.task_id, "Anna", score="8", **{"extra.wish": "", "extra.way": "cash"})
    assert await stored(scoring) == [{"wish": "Oat milk", "way": "cash"}]


@pytest.mark.parametrize("wrong", [{"extra.way": "barter"}, {"extra.colour": "red"}, {"extra.wish": " "}])
async def test_what_no_question_offers_is_not_stored(
    wrong: dict[str, str], scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    task_id = await on_desk_with_questions(scoring)
    await take(client)
    await save(client, task_id, "Anna", score="4", **wrong)
    assert await stored(scoring) == [{}]


async def test_text_that_is_too_long_is_refused_and_shown_again(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    task_id = await on_desk_with_questions(scoring)
    await take(client)
    refused = await save(client, task_id, "Anna", score="4", comment="Slow", **EXTRA | {"extra.wish": "x" * 4001})
    assert refused.status_code == 422
    assert "the text is too long" in refused.text
    assert f">{'x' * 4001}</textarea>" in refused.text
    assert 'value="card" checked' in refused.text
    assert await stored(scoring) == []


async def test_answers_to_extra_questions_of_a_lost_call_are_shown(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    task_id = await on_desk_with_questions(scoring)
    await take(client)
    await scoring.rows("UPDATE call_tasks SET leased_by = 'Boris', lease_until = clock_timestamp() + '1 hour'")
    lost = await save(client, task_id, "Anna", score="4", **EXTRA)
    assert lost.status_code == 409
    for words in ("Oat milk", "How did you pay?", "Card"):
        assert words in lost.text


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
async def test_answers_to_extra_questions_outlast_a_reload(
    browser: Browser, scoring: Scoring, urls: Mapping[str, str]
) -> None:
    await on_desk_with_questions(scoring)
    async with at_desk(browser, scoring, urls) as (page, _):
        keys = await keyboard(page, RUSSIAN)
        await next_call(page, keys)
        await keys.write("4")
        await page.keyboard.press("Tab")
        await page.keyboard.type("Oat milk")
        await page.keyboard.press("Tab")
        await page.keyboard.press("ArrowDown")
        await page.reload()
        await expect(page.get_by_label("What was missing?", exact=True)).to_have_value("Oat milk")
        await expect(page.get_by_role("radio", name="Card")).to_be_checked()
        await page.keyboard.press("Control+Enter")
        await saved(page, "Saved: 4 of 10.")
    assert await stored(scoring) == [{"wish": "Oat milk", "way": "card"}]


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
@pytest.mark.parametrize("locale", ["en-GB", "ru-RU"])
async def test_call_with_everything_that_a_program_says_looks_right(
    browser: Browser, scoring: Scoring, urls: Mapping[str, str], locale: str
) -> None:
    faults = list[str]()
    labels = {
        "call.script": "Hello {first_name}, this is {operator}, about order {number}.\n{question} Thank {you}!",
        "call.notice": "This call is recorded, so that we learn from it.",
    }
    priority = CallPriority(value=90, reason="their last score was a detractor")
    request = await scoring.asked(extra_questions=QUESTIONS, labels=labels, call_priority=priority)
    await scoring.receive(call_for(request, priority=priority.value, locale="de"))
    await on_desk(scoring)
    texts: dict[str, JsonValue] = {"en": {}, "ru": {}, "de": {}}
    await scoring.receive(ProgramPublished(program_id="p", program_version=1, document={"texts": texts}))
    async with at_desk(browser, scoring, urls, locale=locale, bypass_csp=True) as (page, url):
        await scoring.rows("UPDATE people SET spoken = '{en}'")
        await page.goto(f"{url}/desk")
        await looked_at(page, f"desk-unspoken-{locale[:2]}", faults)
        await page.goto(f"{url}/account")
        await looked_at(page, f"account-spoken-{locale[:2]}", faults)
        await scoring.rows("UPDATE people SET spoken = '{}'")
        await page.set_viewport_size(DESKTOP)
        await page.goto(f"{url}/desk")
        keys = await keyboard(page, RUSSIAN)
        async with page.expect_navigation(url="**/desk/*-*"):
            await keys.press(Action.NEXT)
        await keys.write("4")
        await looked_at(page, f"desk-everything-{locale[:2]}", faults)
    assert faults == [], "\n".join(faults)

"""Two operators in two real browsers, and what an open page of a call shows while the customer acts elsewhere."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping

import pytest
from playwright.async_api import Browser, Page, expect

from services.scoring.desk.keys import Action
from shared.contract.events import CallWithdrawn, ProgramPublished
from shared.contract.vocabulary import ProgramState
from tests.integration.scoring.desk.test_operators_day import (
    LATIN,
    RUSSIAN,
    Keyboard,
    at_desk,
    keyboard,
    next_call,
    saved,
    seated,
)
from tests.integration.scoring.people.test_looks import served
from tests.integration.scoring.stand import Scoring, call_for, on_desk

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

CALLS = 100
WORDS = "".join(RUSSIAN[LATIN.index(key)] for key in "WAITED")


async def test_two_operators_who_take_the_next_a_hundred_times_never_have_the_same_call(
    browser: Browser, scoring: Scoring, urls: Mapping[str, str]
) -> None:
    tasks = {str(await on_desk(scoring)) for _ in range(CALLS)}
    taken = Counter[str]()
    async with (
        served(scoring, urls) as url,
        seated(browser, scoring, url, "anna") as anna,
        seated(browser, scoring, url, "boris") as boris,
    ):
        desks = [(page, await keyboard(page, RUSSIAN)) for page in (anna, boris)]
        for _ in range(CALLS // len(desks)):
            taken.update(await asyncio.gather(*(next_call(page, keys) for page, keys in desks)))
            await asyncio.gather(*(nobody_answers(page, keys) for page, keys in desks))
    assert taken == Counter(tasks)
    made = await scoring.rows("SELECT task_id::text, count(*) AS calls FROM call_attempts GROUP BY task_id")
    assert {row["task_id"]: row["calls"] for row in made} == dict.fromkeys(tasks, 1)


async def nobody_answers(page: Page, keys: Keyboard) -> None:
    await keys.press(Action.NO_ANSWER)
    await saved(page, "Noted: no answer.")


async def test_operator_sees_in_the_open_page_that_the_customer_answers_online(
    browser: Browser, scoring: Scoring, urls: Mapping[str, str]
) -> None:
    request = await scoring.asked()
    await scoring.receive(call_for(request))
    async with at_desk(browser, scoring, urls) as (page, _):
        keys = await keyboard(page, RUSSIAN)
        await next_call(page, keys)
        await keys.write("4WAITED")
        await expect(page.locator("#meanwhile")).to_be_empty()
        await scoring.score(request, 9)
        await expect(page.locator("#meanwhile")).to_contain_text("Answered meanwhile: 9.")
        await expect(page.get_by_role("radio", name="4")).to_be_checked()
        await expect(page.get_by_label("In the customer")).to_have_value(WORDS)
        await expect(page.get_by_label("In the customer")).to_be_focused()
        await page.keyboard.press("Control+Enter")
        await saved(page, "Saved: 4 of 10.")
    assert [row["score"] for row in await scoring.versions("score")] == [9, 4]


async def test_words_stay_in_the_open_page_when_its_program_is_stopped(
    browser: Browser, scoring: Scoring, urls: Mapping[str, str]
) -> None:
    request = await scoring.asked()
    call = call_for(request)
    await scoring.receive(call)
    async with at_desk(browser, scoring, urls) as (page, _):
        keys = await keyboard(page, RUSSIAN)
        await next_call(page, keys)
        await keys.write("4WAITED")
        await scoring.receive(
            ProgramPublished(program_id=request.program.id, program_version=4, document={}, state=ProgramState.STOPPED),
            CallWithdrawn(
                respondent_id=request.respondent_id,
                invitation_id=request.invitation_id,
                task_id=call.task_id,
                reason="stopped",
            ),
        )
        await expect(page.locator("#stopped")).to_contain_text("Stopped: ")
        await expect(page.locator("#meanwhile")).to_contain_text("This call was withdrawn.")
        await expect(page.get_by_label("In the customer")).to_have_value(WORDS)

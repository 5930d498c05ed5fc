"""What an operator typed and did not save: it is theirs, outlasts a log-in that has ended, and no log-out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from services.scoring.domain.people.scope import EVERYTHING
from services.scoring.people import accounts
from shared.contract.vocabulary import Role
from tests.integration.scoring.desk.test_operators_day import at_desk
from tests.integration.scoring.people.conftest import PASSWORD, invited
from tests.integration.scoring.people.test_looks import join
from tests.integration.scoring.stand import Scoring, on_desk

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

DRAFTS = "() => Object.keys(sessionStorage).filter((name) => name.startsWith('desk ')).length"
WORDS = "They waited."


async def drafts(page: Page) -> int:
    return int(await page.evaluate(DRAFTS))


async def typed(page: Page) -> str:
    """Take a call and type a score and words; return the path of the call."""
    await page.get_by_role("button", name="Take the next").click()
    await page.wait_for_url("**/desk/*-*")
    await page.get_by_role("radio", name="4").check()
    await page.get_by_label("In the customer").fill(WORDS)
    assert await drafts(page) == 1
    return page.url


async def log_in(page: Page, login: str) -> None:
    await page.get_by_label("Login").fill(login)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.keyboard.press("Enter")


async def log_out(page: Page, url: str) -> None:
    await page.goto(f"{url}/account")
    await page.get_by_role("main").get_by_role("button", name="Log out").click()
    await page.wait_for_url("**/login**")


async def comment_in(page: Page, call: str) -> Any:
    await page.goto(call)
    return await page.get_by_label("In the customer").input_value()


async def test_log_out_deletes_what_was_typed_in_every_tab(
    browser: Browser, scoring: Scoring, urls: Mapping[str, str]
) -> None:
    await on_desk(scoring)
    async with at_desk(browser, scoring, urls) as (page, url):
        call = await typed(page)
        other = await page.context.new_page()
        await log_out(other, url)
        await page.wait_for_url("**/login**")
        assert (await drafts(page), await drafts(other)) == (0, 0)
        await log_in(page, "anna")
        await page.wait_for_url("**/desk/*-*")
        assert await comment_in(page, call) == ""
        await page.get_by_label("In the customer").fill(WORDS)
        await page.get_by_text("Anna Petrova", exact=True).click()
        await page.get_by_role("banner").get_by_role("button", name="Log out").click()
        await page.wait_for_url("**/login**")
        assert await drafts(page) == 0
        await page.go_back()
        await expect(page.get_by_label("Login")).to_be_visible()


async def test_page_of_another_person_deletes_what_was_typed_and_one_of_the_same_does_not(
    browser: Browser, scoring: Scoring, urls: Mapping[str, str]
) -> None:
    await on_desk(scoring)
    async with at_desk(browser, scoring, urls) as (page, url):
        call = await typed(page)
        await scoring.rows("DELETE FROM staff_sessions")
        await page.goto(f"{url}/account")
        await expect(page.get_by_label("Login")).to_be_visible()
        assert await drafts(page) == 1
        await log_in(page, "anna")
        await expect(page.get_by_role("main").get_by_role("button", name="Log out")).to_be_visible()
        assert await comment_in(page, call) == WORDS
        await scoring.rows("DELETE FROM staff_sessions")
        boris = await invited(scoring, "boris", Role.MANAGER)
        await join(page, url + boris.url(""))
        await page.goto(f"{url}/account")
        assert await drafts(page) == 0


async def test_words_stay_with_who_is_renamed(browser: Browser, scoring: Scoring, urls: Mapping[str, str]) -> None:
    await on_desk(scoring)
    async with at_desk(browser, scoring, urls) as (page, _):
        call = await typed(page)
        [row] = await scoring.rows("SELECT id FROM people")
        async with scoring.database.sessions.begin() as session:
            await accounts.change(session, row["id"], name="Anna", roles=[Role.OPERATOR], scope=EVERYTHING)
        assert await comment_in(page, call) == WORDS
        await page.keyboard.press("Control+Enter")
        await expect(page.get_by_role("status")).to_contain_text("Saved: 4 of 10.")

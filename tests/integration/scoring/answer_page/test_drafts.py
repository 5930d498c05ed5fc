"""On a phone that loses its net, what was typed is kept until the server has it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from playwright.async_api import Browser, BrowserContext, Page, Route

from tests.browser import PHONE, watched
from tests.integration.scoring.stand import Scoring, link_of

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

COMMENT = "The coffee was cold,\nand nobody came."
DRAFTS = "Object.keys(sessionStorage).filter((name) => name.startsWith('draft:')).length"
UNSENT = "Not sent yet: there is no connection"


@pytest.fixture
async def phone(browser: Browser) -> AsyncIterator[BrowserContext]:
    async with watched(browser, viewport=PHONE) as context:
        yield context


@pytest.fixture
async def page(phone: BrowserContext, scoring: Scoring, address: str) -> Page:
    """The page with the reasons, after the score 3."""
    page = await phone.new_page()
    await page.goto(address + link_of((await scoring.asked()).invitation_id))
    scoring.clock.moment += timedelta(seconds=5)
    await page.get_by_role("radio", name="3", exact=True).check()
    await page.get_by_role("button", name="Send 3").click()
    await page.get_by_role("textbox", name="Tell us more").fill(COMMENT)
    await page.get_by_label("Long wait").check()
    scoring.clock.moment += timedelta(seconds=5)
    return page


async def answers(scoring: Scoring) -> list[dict[str, object]]:
    return await scoring.rows("SELECT score, comment, reasons FROM answers")


SAVED = [{"score": 3, "comment": COMMENT, "reasons": ["wait"]}]


async def test_answer_sent_without_net_stays_and_is_sent_when_pressed_again(
    phone: BrowserContext, page: Page, scoring: Scoring
) -> None:
    await phone.set_offline(offline=True)
    await page.get_by_role("button", name="Send").click()
    await page.get_by_text(UNSENT).wait_for()
    assert await page.get_by_role("textbox", name="Tell us more").input_value() == COMMENT
    await phone.set_offline(offline=False)
    await page.get_by_role("button", name="Send").click()
    await page.get_by_text("We are sorry.").wait_for()
    assert await answers(scoring) == SAVED
    assert await page.evaluate(DRAFTS) == 0


async def test_back_from_the_error_of_the_browser_shows_what_was_typed(page: Page, scoring: Scoring) -> None:
    async def break_off(route: Route) -> None:
        await (route.abort("internetdisconnected") if route.request.method == "POST" else route.continue_())

    await page.route("**/s/*", break_off)
    await page.get_by_role("button", name="Send").click()
    await page.wait_for_url("chrome-error://**")
    await page.go_back()
    await page.get_by_text(UNSENT).wait_for()
    assert await page.get_by_role("textbox", name="Tell us more").input_value() == COMMENT
    assert await page.get_by_label("Long wait").is_checked()
    await page.unroute("**/s/*")
    scoring.clock.moment += timedelta(seconds=5)
    await page.get_by_role("button", name="Send").click()
    await page.get_by_text("We are sorry.").wait_for()
    assert await answers(scoring) == SAVED
    await page.go_back()
    assert await page.get_by_text(UNSENT).is_hidden()


async def test_score_that_was_not_sent_is_chosen_after_back(
    phone: BrowserContext, scoring: Scoring, address: str
) -> None:
    page = await phone.new_page()
    await page.goto(address + link_of((await scoring.asked()).invitation_id))
    await page.get_by_role("radio", name="7", exact=True).check()
    await phone.set_offline(offline=True)
    await page.get_by_role("button", name="Send 7").click()
    await page.get_by_text(UNSENT).wait_for()
    await phone.set_offline(offline=False)
    await page.reload()
    await page.get_by_role("button", name="Send 7").wait_for()


async def test_draft_is_forgotten_after_a_day_and_unknown_to_another_window(phone: BrowserContext, page: Page) -> None:
    other = await phone.new_page()
    await other.goto(page.url)
    assert await other.get_by_role("textbox", name="Tell us more").input_value() == ""
    assert await page.evaluate(DRAFTS) == 1
    await page.evaluate("""() => {
        for (const [name, text] of Object.entries(sessionStorage))
            sessionStorage.setItem(name, JSON.stringify({...JSON.parse(text), at: Date.now() - 86400001}));
    }""")
    await page.reload()
    assert await page.get_by_role("textbox", name="Tell us more").input_value() == ""
    assert await page.evaluate(DRAFTS) == 0


async def test_what_the_server_refused_is_as_it_was_and_not_called_unsent(page: Page, scoring: Scoring) -> None:
    await page.get_by_label("Call me back").check()
    await page.get_by_label("Another number").fill("12")
    await page.get_by_role("button", name="Send").click()
    await page.get_by_text("This is no phone number we can call").wait_for()
    assert await page.get_by_role("textbox", name="Tell us more").input_value() == COMMENT
    assert await page.get_by_text(UNSENT).is_hidden()
    await page.get_by_label("Another number").fill("+7 916 765-43-21")
    scoring.clock.moment += timedelta(seconds=5)
    await page.get_by_role("button", name="Send").click()
    await page.get_by_text("We are sorry.").wait_for()
    assert await answers(scoring) == SAVED

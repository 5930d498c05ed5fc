"""An operator at the call desk in a real browser, with a Russian and an English keyboard, by keyboard alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import cycle, islice
from typing import Any, NamedTuple

import httpx2
import pytest
from playwright.async_api import Browser, CDPSession, Page, expect

from services.scoring.desk.keys import DEFAULT, Action
from shared.contract.vocabulary import Role
from tests.browser import DESKTOP, watched
from tests.integration.scoring.desk.test_callbacks import complained
from tests.integration.scoring.people.conftest import PASSWORD, invited
from tests.integration.scoring.people.test_looks import join, served
from tests.integration.scoring.stand import Scoring, on_desk
from tests.journey.looking import looked_at

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

LATIN, RUSSIAN = "QWERTYUIOPASDFGHJKLZXCVBNM", "йцукенгшщзфывапролдячсмить"
CALLS = 50
ANSWERED = "answered"
OUTCOMES = (*DEFAULT, ANSWERED)[3:]
SURE = {"refused", "wrong_number", "do_not_call"}


class Keyboard(NamedTuple):
    """A keyboard whose keys give the letters of one layout; which key it is does not depend on the layout."""

    page: Page
    session: CDPSession
    letters: Mapping[str, str]

    async def strike(self, key: str) -> None:
        """Press the key that has this Latin letter or digit."""
        code = f"Digit{key}" if key.isdecimal() else f"Key{key}"
        letter = key if key.isdecimal() else self.letters[key]
        pressed = {"code": code, "key": letter, "windowsVirtualKeyCode": ord(key)}
        await self.session.send("Input.dispatchKeyEvent", {"type": "keyDown", "text": letter, **pressed})
        await self.session.send("Input.dispatchKeyEvent", {"type": "keyUp", **pressed})

    async def write(self, keys: str) -> None:
        for key in keys:
            await self.strike(key)

    async def press(self, action: Action) -> None:
        await self.strike(DEFAULT[action])


async def keyboard(page: Page, letters: str) -> Keyboard:
    session = await page.context.new_cdp_session(page)
    return Keyboard(page, session, dict(zip(LATIN, letters, strict=True)))


@asynccontextmanager
async def at_desk(
    browser: Browser, scoring: Scoring, urls: Mapping[str, str], **options: Any
) -> AsyncIterator[tuple[Page, str]]:
    """Log an operator in, and open the desk."""
    async with served(scoring, urls) as url, seated(browser, scoring, url, "anna", **options) as page:
        yield page, url


@asynccontextmanager
async def seated(browser: Browser, scoring: Scoring, url: str, login: str, **options: Any) -> AsyncIterator[Page]:
    """Open a browser in which this operator is logged in and sees the desk."""
    link = (await invited(scoring, login, Role.OPERATOR)).url("")
    async with watched(browser, viewport=DESKTOP, **options) as context:
        await context.clear_cookies()
        page = await context.new_page()
        await join(page, url + link)
        await page.wait_for_url(f"{url}/**")
        await page.goto(f"{url}/desk")
        yield page


async def next_call(page: Page, keys: Keyboard) -> str:
    await expect(page.get_by_role("button", name="Take the next")).to_be_visible()
    await page.wait_for_load_state()  # and its script is there
    async with page.expect_navigation(url="**/desk/*-*"):
        await keys.press(Action.NEXT)
    return page.url.rpartition("/")[2]


async def saved(page: Page, words: str) -> None:
    await expect(page.get_by_role("status")).to_contain_text(words)


async def test_operators_day_is_stored_as_it_was_typed(
    browser: Browser, scoring: Scoring, urls: Mapping[str, str]
) -> None:
    expected: dict[str, tuple[str, int | None, str | None]] = {}
    for _ in range(CALLS):
        await on_desk(scoring)
    async with at_desk(browser, scoring, urls) as (page, _):
        keys = await keyboard(page, RUSSIAN)
        for number, outcome in enumerate(islice(cycle(OUTCOMES), CALLS)):
            task = await next_call(page, keys)
            if outcome == ANSWERED:
                score, words = number % 11, "WAITED"
                await keys.write(str(score))
                await keys.write(words)
                if number < len(OUTCOMES):
                    await page.reload()
                if number // len(OUTCOMES) == 1:
                    await save_without_a_net(page)
                else:
                    await page.keyboard.press("Control+Enter")
                await saved(page, f"Saved: {score} of 10.")
                expected[task] = (ANSWERED, score, "".join(RUSSIAN[LATIN.index(key)] for key in words))
                continue
            await keys.press(Action(outcome))
            if outcome in SURE:
                await expect(page.get_by_text("Yes: ").locator("visible=true")).to_be_focused()
                await page.keyboard.press("Enter")
            await saved(page, "Noted: ")
            expected[task] = (outcome, None, None)
    rows = await scoring.rows(
        """SELECT a.task_id::text, a.disposition, v.score, v.comment FROM call_attempts a JOIN call_tasks t
        USING (task_id) LEFT JOIN answers v USING (invitation_id)"""
    )
    assert {row["task_id"]: (row["disposition"], row["score"], row["comment"]) for row in rows} == expected
    assert len(rows) == CALLS


async def save_without_a_net(page: Page) -> None:
    """Save while there is no connection: it is sent by itself when there is one."""
    await page.context.set_offline(True)
    await page.keyboard.press("Control+Enter")
    await expect(page.get_by_role("alert")).to_contain_text("Not saved yet")
    await page.context.set_offline(False)


@pytest.mark.parametrize("letters", [LATIN.lower(), RUSSIAN], ids=["english", "russian"])
async def test_words_after_a_score_press_no_button(
    browser: Browser, scoring: Scoring, urls: Mapping[str, str], letters: str
) -> None:
    await on_desk(scoring)
    async with at_desk(browser, scoring, urls) as (page, _):
        keys = await keyboard(page, letters)
        await next_call(page, keys)
        await keys.write("10SHEWAITEDADAY")
        await expect(page.get_by_role("radio", name="10")).to_be_checked()
        words = "".join(letters[LATIN.index(key)] for key in "SHEWAITEDADAY")
        await expect(page.get_by_label("In the customer")).to_have_value(words)
    assert await scoring.rows("SELECT 1 FROM call_attempts") == []


async def test_key_of_the_next_call_drops_no_words_and_a_question_is_taken_back(
    browser: Browser, scoring: Scoring, urls: Mapping[str, str]
) -> None:
    for _ in range(2):
        await on_desk(scoring)
    async with at_desk(browser, scoring, urls) as (page, _):
        keys = await keyboard(page, RUSSIAN)
        task = await next_call(page, keys)
        await keys.write("4WAITED")
        await page.keyboard.press("Escape")
        for action in (Action.NEXT, Action.WRONG_NUMBER):
            await keys.press(action)
        await expect(page.get_by_role("button", name="Yes: Wrong number")).to_be_focused()
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("button", name="Yes: Wrong number")).to_be_hidden()
        assert page.url.endswith(task)
        await expect(page.get_by_label("In the customer")).to_have_value("цфшеув")
    assert await scoring.rows("SELECT 1 FROM call_attempts") == []


async def test_words_outlast_the_log_in(browser: Browser, scoring: Scoring, urls: Mapping[str, str]) -> None:
    await on_desk(scoring)
    async with at_desk(browser, scoring, urls) as (page, _):
        keys = await keyboard(page, RUSSIAN)
        task = await next_call(page, keys)
        await keys.write("4WAITED")
        await scoring.rows("DELETE FROM staff_sessions")
        await page.keyboard.press("Control+Enter")
        await page.get_by_label("Login").fill("anna")
        await page.get_by_label("Password").fill(PASSWORD)
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"**/desk/{task}")
        await expect(page.get_by_label("In the customer")).to_have_value("цфшеув")
        await expect(page.get_by_role("radio", name="4")).to_be_checked()
        await page.keyboard.press("Control+Enter")
        await saved(page, "Saved: 4 of 10.")
    assert await scoring.rows("SELECT score, comment FROM answers") == [{"score": 4, "comment": "цфшеув"}]


async def test_words_are_shown_when_a_supervisor_took_the_call_meanwhile(
    browser: Browser, scoring: Scoring, urls: Mapping[str, str]
) -> None:
    await on_desk(scoring)
    async with at_desk(browser, scoring, urls) as (page, _):
        keys = await keyboard(page, RUSSIAN)
        task = await next_call(page, keys)
        await keys.write("4WAITED")
        await scoring.rows("UPDATE call_tasks SET leased_by = 'Boris', lease_until = clock_timestamp() + '1 hour'")
        await page.keyboard.press("Control+Enter")
        await expect(page.get_by_text("Boris has this call")).to_be_visible()
        await expect(page.get_by_role("status")).to_be_focused()
        await expect(page.get_by_label("What you typed").get_by_role("textbox")).to_have_value("цфшеув")
    assert await scoring.rows("SELECT 1 FROM answers") == []
    assert task


async def test_focus_is_on_what_was_done_and_then_in_the_first_field(
    browser: Browser, scoring: Scoring, urls: Mapping[str, str]
) -> None:
    await on_desk(scoring)
    async with at_desk(browser, scoring, urls) as (page, _):
        keys = await keyboard(page, RUSSIAN)
        await next_call(page, keys)
        await keys.write("4")
        await page.keyboard.press("Control+Enter")
        await saved(page, "Saved: 4 of 10.")
        await expect(page.get_by_role("status")).to_be_focused()
        await page.get_by_role("link", name="Correct it").click()
        await expect(page.get_by_role("radio", name="4")).to_be_focused()


@pytest.mark.parametrize("locale", ["en-GB", "ru-RU"])
async def test_pages_of_the_desk_look_right(
    browser: Browser, scoring: Scoring, urls: Mapping[str, str], client: httpx2.AsyncClient, locale: str
) -> None:
    faults = list[str]()
    await complained(scoring, client, callback="1", comment="Cold soup.", reasons="wait")
    tasks = [await on_desk(scoring) for _ in range(3)]
    async with at_desk(browser, scoring, urls, locale=locale, bypass_csp=True) as (page, url):
        keys, language = await keyboard(page, RUSSIAN), locale[:2]

        async def look(name: str) -> None:
            await looked_at(page, f"desk-{name}-{language}", faults)
            await page.set_viewport_size(DESKTOP)

        await look("queue")
        async with page.expect_navigation(url="**/desk/*-*"):
            await keys.press(Action.NEXT)
        await look("callback")
        await page.goto(f"{url}/desk")
        await page.locator(f'[value="{tasks[0]}"]').click()
        await page.wait_for_url("**/desk/*-*")
        await keys.write("4WAITED")
        await page.keyboard.press("Escape")
        await keys.press(Action.WRONG_NUMBER)
        await look("sure")
        await page.keyboard.press("Escape")
        await keys.press(Action.BUSY)
        await look("asked")
        await page.keyboard.press("Escape")
        await page.keyboard.press("Control+Enter")
        await page.wait_for_url("**/desk?said=answered*")
        await look("saved")
        await page.get_by_role("status").get_by_role("link").click()
        await page.wait_for_url("**/desk/*-*")
        await look("correction")
        await page.goto(f"{url}/desk")
        await page.locator(f'[value="{tasks[1]}"]').click()
        await page.wait_for_url("**/desk/*-*")
        await scoring.rows("UPDATE call_tasks SET leased_by = 'Boris' WHERE task_id = $1", tasks[1])
        await keys.write("4WAITED")
        await page.keyboard.press("Control+Enter")
        await expect(page.locator("textarea[readonly]")).to_be_visible()
        await look("lost")
        for path in ("desk/keys", "promised-calls"):
            await page.goto(f"{url}/{path}")
            await look(path.replace("/", "-"))
    assert faults == [], "\n".join(faults)

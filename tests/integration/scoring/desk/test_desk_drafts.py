"""What an operator typed and did not save: it is theirs, outlasts a log-in that has ended, and no key drops it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from playwright.async_api import Browser, Page, expect

from services.scoring.desk.keys import Action
from services.scoring.domain.people.scope import EVERYTHING
from services.scoring.people import accounts
from shared.contract.vocabulary import Role
from tests.integration.scoring.desk.test_callbacks import complained
from tests.integration.scoring.desk.test_operators_day import (
    LATIN,
    RUSSIAN,
    Keyboard,
    at_desk,
    keyboard,
    next_call,
    saved,
)
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


async def test_words_stay_on_the_page_of_who_is_no_operator_any_more(
    browser: Browser, scoring: Scoring, urls: Mapping[str, str]
) -> None:
    await on_desk(scoring)
    async with at_desk(browser, scoring, urls) as (page, _):
        await typed(page)
        [row] = await scoring.rows("SELECT id FROM people")
        async with scoring.database.sessions.begin() as session:
            await accounts.change(session, row["id"], name="Anna", roles=[Role.ANALYST], scope=EVERYTHING)
        await page.keyboard.press("Control+Enter")
        await expect(page.get_by_role("alert")).to_contain_text("not yours any more")
        assert await page.get_by_label("In the customer").input_value() == WORDS
    assert await scoring.rows("SELECT 1 FROM answers") == []


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


LAYOUTS = pytest.mark.parametrize("letters", [LATIN.lower(), RUSSIAN], ids=["english", "russian"])
STORED = """SELECT a.disposition, v.score, v.comment FROM call_attempts a JOIN call_tasks t USING (task_id)
    LEFT JOIN answers v USING (invitation_id)"""


@asynccontextmanager
async def on_a_call(
    browser: Browser, scoring: Scoring, urls: Mapping[str, str], letters: str = RUSSIAN
) -> AsyncIterator[tuple[Page, Keyboard]]:
    """Open the page of a call that its operator has taken with the key."""
    await on_desk(scoring)
    async with at_desk(browser, scoring, urls) as (page, _):
        keys = await keyboard(page, letters)
        await next_call(page, keys)
        yield page, keys


def in_layout(keys: str, letters: str) -> str:
    return "".join(letters[LATIN.index(key)] for key in keys)


@LAYOUTS
async def test_after_a_reload_words_are_added_to_those_that_were_typed(
    browser: Browser, scoring: Scoring, urls: Mapping[str, str], letters: str
) -> None:
    async with on_a_call(browser, scoring, urls, letters) as (page, keys):
        await keys.write("7FIRSTPART")
        await page.reload()
        await expect(page.get_by_label("In the customer")).to_be_focused()
        await keys.write("ANDTHENBAD")
        await page.keyboard.press("Control+Enter")
        await saved(page, "Saved: 7 of 10.")
    words = in_layout("FIRSTPARTANDTHENBAD", letters)
    assert await scoring.rows("SELECT score, comment FROM answers") == [{"score": 7, "comment": words}]


@LAYOUTS
@pytest.mark.parametrize(
    ("action", "label"),
    [
        (Action.NO_ANSWER, "No answer"),
        (Action.BUSY, "Busy"),
        (Action.MACHINE, "Machine"),
        (Action.CALL_LATER, "Call later"),
        (Action.REFUSED, "Refused"),
    ],
)
async def test_outcome_that_would_drop_an_answer_is_asked_first(  # noqa: PLR0917 - pytest passes them by name
    action: Action, label: str, browser: Browser, scoring: Scoring, urls: Mapping[str, str], letters: str
) -> None:
    async with on_a_call(browser, scoring, urls, letters) as (page, keys):
        await keys.write("7LONGWAIT")
        await page.keyboard.press("Escape")
        sure, pressed = page.get_by_role("button", name=f"Yes: {label}"), page.get_by_role("button", name=label)
        await keys.press(action)
        await expect(sure).to_be_focused()
        await expect(page.get_by_text("the words that you typed are not saved").locator("visible=true")).to_be_visible()
        await expect(page.get_by_role("alert")).to_be_hidden()
        await page.keyboard.press("Space")
        await page.keyboard.press("Escape")
        await expect(sure).to_be_hidden()
        if action is not Action.REFUSED:
            await expect(pressed).to_be_focused()
            await pressed.click()
            await expect(sure).to_be_focused()
        await expect(page.get_by_label("In the customer")).to_have_value(in_layout("LONGWAIT", letters))
        assert await scoring.rows(STORED) == []
        await keys.press(action)
        await page.keyboard.press("Enter")
        await saved(page, "Noted: ")
        assert await drafts(page) == 0
    assert [row["disposition"] for row in await scoring.rows(STORED)] == [action.value]


async def test_sentence_that_is_typed_outside_the_comment_ends_no_call(
    browser: Browser, scoring: Scoring, urls: Mapping[str, str]
) -> None:
    async with on_a_call(browser, scoring, urls) as (page, keys):
        await page.get_by_role("radio", name="4").check()
        for word in ("AND", "A", "LARGE", "MEAL"):
            await keys.write(word)
            await page.keyboard.press("Space")
        await expect(page.get_by_role("radio", name="4")).to_be_checked()
        await expect(page.get_by_role("button", name="Yes: Call later")).to_be_focused()
    assert await scoring.rows(STORED) == []


async def test_what_was_agreed_is_kept_by_each_outcome(
    browser: Browser, scoring: Scoring, urls: Mapping[str, str], client: httpx2.AsyncClient
) -> None:
    await complained(scoring, client, callback="1")
    async with at_desk(browser, scoring, urls) as (page, _):
        keys = await keyboard(page, RUSSIAN)
        await next_call(page, keys)
        await page.get_by_label("What was agreed").focus()
        await keys.write("REFUND")
        await page.reload()
        await expect(page.get_by_label("What was agreed")).to_be_focused()
        await keys.write("AGREED")
        await page.keyboard.press("Escape")
        await keys.press(Action.CALL_LATER)
        await saved(page, "Noted: call later.")
    notes = await scoring.rows("SELECT note FROM call_attempts")
    assert notes == [{"note": in_layout("REFUNDAGREED", RUSSIAN)}]


async def test_note_for_whoever_calls_then_is_kept_when_nobody_answers(
    browser: Browser, scoring: Scoring, urls: Mapping[str, str]
) -> None:
    async with on_a_call(browser, scoring, urls) as (page, keys):
        await page.get_by_label("Note for whoever").fill(WORDS)
        await page.keyboard.press("Escape")
        await keys.press(Action.BUSY)
        await saved(page, "Noted: busy.")
        await scoring.rows("UPDATE call_tasks SET due_at = due_at - interval '1 day' RETURNING 1")
        await page.goto(page.url.partition("?")[0])
        await next_call(page, keys)
        await page.get_by_label("Note for whoever").fill(WORDS)
        await page.keyboard.press("Enter")
        await saved(page, "Noted: call later.")
    noted = await scoring.rows("SELECT disposition, note FROM call_attempts ORDER BY at")
    assert [(row["disposition"], row["note"]) for row in noted] == [("busy", WORDS), ("call_later", WORDS)]


async def test_answer_that_is_typed_while_an_outcome_waits_for_the_net_is_not_dropped(
    browser: Browser, scoring: Scoring, urls: Mapping[str, str]
) -> None:
    async with on_a_call(browser, scoring, urls) as (page, keys):
        await page.context.set_offline(True)
        await keys.press(Action.REFUSED)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_contain_text("Not saved yet")
        await keys.write("4WAITED")
        await page.context.set_offline(False)
        await expect(page.get_by_role("status")).to_contain_text("the answer that you typed would be lost")
        await expect(page.get_by_label("In the customer")).to_have_value(in_layout("WAITED", RUSSIAN))
        await expect(page.get_by_role("button", name="Yes: Refused")).to_be_visible()
        await keys.write("5")
        await page.keyboard.press("Control+Enter")
        await saved(page, "Saved: 5 of 10.")


async def test_correction_goes_on_after_the_stored_comment(
    browser: Browser, scoring: Scoring, urls: Mapping[str, str]
) -> None:
    async with on_a_call(browser, scoring, urls) as (page, keys):
        await keys.write("4WAIT")
        await page.keyboard.press("Control+Enter")
        await saved(page, "Saved: 4 of 10.")
        await page.get_by_role("link", name="Correct it").click()
        await expect(page.get_by_role("radio", name="4")).to_be_focused()
        await page.wait_for_load_state()
        await keys.write("5GREAT")
        await page.keyboard.press("Control+Enter")
        await saved(page, "Saved: 5 of 10.")
    versions = await scoring.versions("score, comment")
    assert versions[-1] == {"score": 5, "comment": in_layout("WAITGREAT", RUSSIAN)}


async def test_without_a_script_the_server_asks_before_an_answer_is_dropped(
    scoring: Scoring, browser: Browser, urls: Mapping[str, str]
) -> None:
    await on_desk(scoring)
    async with at_desk(browser, scoring, urls, java_script_enabled=False) as (page, url):
        await page.goto(f"{url}/desk")
        await page.get_by_role("button", name="Take the next").click()
        for label in ("Busy", "Call later", "Refused"):
            await page.get_by_role("radio", name="4").check()
            await page.get_by_label("In the customer").fill(WORDS)
            await page.get_by_text(label, exact=True).locator("visible=true").click()
            if label == "Refused":
                await page.get_by_role("button", name="Yes: Refused").click()
            await expect(page.get_by_role("status")).to_contain_text("the answer that you typed would be lost")
            await expect(page.get_by_label("In the customer")).to_have_value(WORDS)
            await expect(page.get_by_role("radio", name="4")).to_be_checked()
            assert await scoring.rows(STORED) == []
        await page.get_by_role("button", name="Yes: Refused").click()
        await expect(page.get_by_role("status")).to_contain_text("Noted: refused.")
    assert [row["disposition"] for row in await scoring.rows(STORED)] == ["refused"]

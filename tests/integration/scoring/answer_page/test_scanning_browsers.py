"""Mail scanners that are real browsers: one runs the scripts of every page, one presses every button of every link."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from playwright.async_api import Browser, BrowserContext, Page

from tests.browser import HUMAN, PHONE
from tests.integration.scoring.answer_page.test_suspects import counted, sent
from tests.integration.scoring.stand import Scoring, link_of, requested

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

MAILS = 20
PRESS = "button => button.click()"


async def press_everything(page: Page, link: str) -> None:
    for score in range(11):
        await page.goto(f"{link}?score={score}", wait_until="commit")
        async with page.expect_navigation(wait_until="commit"):
            await page.locator("button.primary").evaluate(PRESS)


async def run_scripts(page: Page, link: str) -> None:
    for score in range(11):
        await page.goto(f"{link}?score={score}")


async def answer(context: BrowserContext, scoring: Scoring, link: str, score: int) -> None:
    """Open the page, choose a score and send it, as a person does."""
    page = await context.new_page()
    await page.goto(f"{link}?score={score}")
    scoring.clock.moment += timedelta(seconds=3)
    await page.get_by_role("button", name=f"Send {score}").click()
    await page.get_by_role("status").wait_for()
    await page.close()


@pytest.mark.parametrize("scan", [run_scripts, press_everything])
async def test_scanning_browser_counts_nothing_and_loses_nothing(
    scan: object, scoring: Scoring, browser: Browser, address: str
) -> None:
    requests = [requested() for _ in range(MAILS)]
    await scoring.receive(*requests, *(sent(scoring, request) for request in requests))
    links = [address + link_of(request.invitation_id) for request in requests]
    person = await browser.new_context(viewport=PHONE, user_agent=HUMAN)
    scoring.clock.moment += timedelta(minutes=2)
    await answer(person, scoring, links[0], 9)  # before the scanner
    scoring.clock.moment += timedelta(minutes=5)

    scanner = await browser.new_context(user_agent=HUMAN)  # with the user agent of a person
    tabs = [await scanner.new_page() for _ in range(4)]

    async def work(number: int) -> None:
        for link in links[number :: len(tabs)]:
            await (run_scripts if scan is run_scripts else press_everything)(tabs[number], link)

    await asyncio.gather(*(work(number) for number in range(len(tabs))))
    assert await counted(scoring) == {9: 1}
    suspects = await scoring.rows("SELECT count(*) AS n FROM answers WHERE suspect")
    assert suspects == [{"n": 0 if scan is run_scripts else MAILS - 1}]

    scoring.clock.moment += timedelta(hours=3)
    for link in links[1:11]:
        await answer(person, scoring, link, 7)
    assert await counted(scoring) == {7: 10, 9: 1}
    await scanner.close()
    await person.close()

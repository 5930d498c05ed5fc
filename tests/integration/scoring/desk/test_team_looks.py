"""The supervisor's pages in a real browser, and a call that is taken over while its operator types."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import httpx2
import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from shared.contract.vocabulary import Role
from tests.browser import DESKTOP, watched
from tests.integration.scoring.desk.test_callbacks import complained
from tests.integration.scoring.desk.test_team_figures import call, typed
from tests.integration.scoring.people.conftest import invited
from tests.integration.scoring.people.test_looks import join, served
from tests.integration.scoring.stand import Scoring, answer_all, on_desk
from tests.journey.looking import follow, looked_at

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


async def entered(context: BrowserContext, scoring: Scoring, url: str, login: str, role: Role) -> Page:
    """Log somebody in and return the page."""
    await context.clear_cookies()
    page = await context.new_page()
    await join(page, url + (await invited(scoring, login, role)).url(""))
    await page.wait_for_url(f"{url}/**")
    return page


@pytest.mark.parametrize("locale", ["en-GB", "ru-RU"])
async def test_pages_of_the_supervisor_look_right(
    browser: Browser, scoring: Scoring, urls: Mapping[str, str], client: httpx2.AsyncClient, locale: str
) -> None:
    faults = list[str]()
    async with (
        served(scoring, urls) as url,
        watched(browser, viewport=DESKTOP, locale=locale, bypass_csp=True) as context,
    ):
        page = await entered(context, scoring, url, "vera", Role.SUPERVISOR)

        async def look(path: str, name: str) -> None:
            await page.goto(url + path)
            for asked in await page.locator("details:not(.own)").all():
                await asked.locator("summary").click()
            await looked_at(page, f"{name}-{locale[:2]}", faults)
            await page.set_viewport_size(DESKTOP)

        for path, name in (("/desk-team", "team-empty"), ("/desk-team/figures", "figures-empty")):
            await look(path, name)
        await fill(scoring, client)
        for path, name in (("/desk-team", "team"), ("/desk-team/figures", "figures")):
            await look(path, name)
    assert faults == [], "\n".join(faults)


async def fill(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    """Store a day with every state of an operator, and a month with a flag and without."""
    await answer_all(scoring, [0, 10, 7] * 12)
    await typed(scoring, [10] * 30, operator="Alexandra Konstantinopolskaya")
    await typed(scoring, [0, 10, 7] * 10, operator="Boris")
    await typed(scoring, [10] * 3, operator="Clara")
    for disposition in ("refused", "no_answer"):
        await call(scoring, client, disposition, operator="Boris")
    await complained(scoring, client, callback="1", best_time="any")
    await client.post("/desk/pause", headers={"cookie": "operator=Clara"})
    tasks = [await on_desk(scoring, window=None) for _ in range(3)]
    chosen = {"operator": "Alexandra Konstantinopolskaya", "task_id": str(tasks[0])}
    assert "/desk/" in (await client.post("/desk/take", data=chosen)).headers["location"]
    scoring.clock.moment += timedelta(minutes=70)


async def test_call_is_taken_over_while_its_operator_types(
    browser: Browser, scoring: Scoring, urls: Mapping[str, str]
) -> None:
    await on_desk(scoring)
    async with (
        served(scoring, urls) as url,
        watched(browser, viewport=DESKTOP) as hers,
        watched(browser, viewport=DESKTOP) as of_supervisor,
    ):
        anna = await entered(hers, scoring, url, "anna", Role.OPERATOR)
        vera = await entered(of_supervisor, scoring, url, "vera", Role.SUPERVISOR)
        await anna.clock.install()
        await anna.goto(f"{url}/desk")
        await follow(anna.get_by_role("button", name="Take the next"))
        task = anna.url.rpartition("/")[2]
        await anna.get_by_label("In the customer").fill("She waited.")
        await vera.goto(f"{url}/desk-team")
        await vera.get_by_text("Take over").click()
        await follow(vera.get_by_role("button", name="Yes: take the call over"))
        assert vera.url == f"{url}/desk/{task}"
        await expect(vera.get_by_role("status")).to_contain_text("You took this call over from Anna Petrova.")
        await anna.clock.fast_forward(21_000)
        await expect(anna.get_by_role("alert")).to_contain_text("has this call now: tell them what you know")
        await expect(anna.get_by_label("In the customer")).to_have_value("She waited.")
        await vera.get_by_role("radio", name="8").check(force=True)
        await vera.get_by_label("In the customer").fill("She waited, but likes the cake.")
        await follow(vera.get_by_role("button", name="Save answer"))
        await expect(vera.get_by_role("status")).to_contain_text("Saved: 8 of 10.")
    stored = await scoring.rows("SELECT operator, comment FROM answers")
    assert stored == [{"operator": "Vera Petrova", "comment": "She waited, but likes the cake."}]


async def test_operator_pauses_and_goes_on(browser: Browser, scoring: Scoring, urls: Mapping[str, str]) -> None:
    await on_desk(scoring)
    async with served(scoring, urls) as url, watched(browser, viewport=DESKTOP) as context:
        page = await entered(context, scoring, url, "anna", Role.OPERATOR)
        await page.goto(f"{url}/desk")
        await follow(page.get_by_role("button", name="Pause"))
        await expect(page.get_by_role("button", name="Take the next")).to_have_count(0)
        await follow(page.locator("#queue button").first)
        await expect(page.get_by_role("status")).to_contain_text("You pause: end the pause to take a call.")
        await follow(page.get_by_role("button", name="End the pause"))
        await follow(page.get_by_role("button", name="Take the next"))
        assert "/desk/" in page.url

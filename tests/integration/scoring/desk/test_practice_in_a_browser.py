"""A made-up call in a real browser: by the same keys, and in both languages."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from playwright.async_api import Browser, expect

from services.scoring.desk.practice import PRACTICE
from tests.integration.scoring.desk.test_operators_day import RUSSIAN, at_desk, keyboard
from tests.integration.scoring.desk.test_practice import PROGRAM, publish
from tests.integration.scoring.stand import Scoring
from tests.journey.looking import looked_at

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


@pytest.mark.parametrize(
    ("locale", "link", "saved"),
    [("en-GB", "Practise with", "Practice: this would"), ("ru-RU", "Потренироваться", "Тренировка: настоящий")],
)
async def test_practice_is_marked_and_kept_in_no_browser(  # noqa: PLR0917 - pytest passes them by name
    locale: str, link: str, saved: str, browser: Browser, scoring: Scoring, urls: Mapping[str, str]
) -> None:
    await publish(scoring, PROGRAM)
    faults: list[str] = []
    async with at_desk(browser, scoring, urls, locale=locale, bypass_csp=True) as (page, url):
        await page.get_by_role("link", name=link).click()
        await expect(page.locator("#practice")).to_be_visible()
        await looked_at(page, f"desk-practice-{locale[:2]}", faults)
        keys = await keyboard(page, RUSSIAN)
        await page.locator("h1").click()
        await keys.strike("8")
        await keys.write("WORDS")
        await page.keyboard.press("Control+Enter")
        await expect(page.get_by_role("status")).to_contain_text(saved)
        await page.goto(f"{url}/desk/{PRACTICE}")
        await expect(page.locator("#answer textarea[name=comment]")).to_have_value("")
    assert faults == []

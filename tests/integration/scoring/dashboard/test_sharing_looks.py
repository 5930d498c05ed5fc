"""Sharing figures in a real browser: shared by keyboard, opened without a log-in, printed, revoked, and gone."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest
from playwright.async_api import Browser, Page, expect

from shared.contract.vocabulary import Role
from tests.browser import DESKTOP, PHONE, SCREENSHOTS, watched
from tests.integration.scoring.dashboard.test_dashboard_looks import PAPER, a_quarter
from tests.integration.scoring.people.conftest import invited
from tests.integration.scoring.people.test_looks import join, served
from tests.integration.scoring.stand import Scoring
from tests.journey.looking import NARROW, looked_at

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

SIZES = (NARROW, PHONE, DESKTOP)
KEYS = {"en": "Band around it: its 95 % interval", "ru": "Полоса вокруг неё — интервал 95 %"}
NOTED = "window.print = () => { document.body.dataset.printed = 'yes' }"


async def tabbed_to(page: Page, name: str) -> None:
    """Press Tab until a button of this name has the focus, and Enter."""
    wanted = page.get_by_role("button", name=name, exact=True).first
    for _ in range(60):
        await page.keyboard.press("Tab")
        if await wanted.evaluate("button => button === document.activeElement"):
            break
    await expect(wanted).to_be_focused()
    async with page.expect_navigation():
        await page.keyboard.press("Enter")


async def printed_on_one_page(page: Page, button: str, name: str) -> None:
    """Press the print button, and look at the paper: one page of A4 without any button."""
    await page.get_by_role("button", name=button, exact=True).click()
    await expect(page.locator("body")).to_have_attribute("data-printed", "yes")
    await page.emulate_media(media="print")
    await page.set_viewport_size(PAPER)
    await expect(page.locator("button:visible")).to_have_count(0)
    await page.screenshot(path=SCREENSHOTS / f"{name}-print.png", full_page=True)
    paper = await page.pdf(format="A4", print_background=True)
    assert len(re.findall(rb"/Type\s*/Page\b", paper)) == 1
    await page.emulate_media(media="screen")
    await page.set_viewport_size(DESKTOP)


@pytest.mark.parametrize(
    ("locale", "buttons"),
    [("en-GB", ("Print", "Share figures", "Revoke")), ("ru-RU", ("Напечатать", "Поделиться цифрами", "Отозвать"))],
)
async def test_view_is_shared_opened_without_a_log_in_and_revoked(
    scoring: Scoring, urls: Mapping[str, str], browser: Browser, locale: str, buttons: tuple[str, str, str]
) -> None:
    await a_quarter(scoring)
    faults, language = list[str](), locale[:2]
    print_, share, revoke = buttons
    options = {"viewport": DESKTOP, "locale": locale, "bypass_csp": True}
    async with (
        served(scoring, urls) as url,
        watched(browser, **options) as hers,
        watched(browser, **options) as of_strangers,
    ):
        for context in (hers, of_strangers):
            await context.clear_cookies()
            await context.add_init_script(NOTED)
        page, stranger = await hers.new_page(), await of_strangers.new_page()
        await join(page, url + (await invited(scoring, "vera", Role.MANAGER)).url(""))
        await page.goto(f"{url}/shares")
        await looked_at(page, f"shares-none-{language}", faults, sizes=SIZES)
        await page.set_viewport_size(DESKTOP)
        await page.goto(f"{url}/?days=14")
        await expect(page.get_by_text(KEYS[language])).to_be_visible()
        await printed_on_one_page(page, print_, f"dashboard-{language}")
        await tabbed_to(page, share)
        shown = page.get_by_role("textbox")
        link = await shown.input_value()
        assert await shown.evaluate("field => field.scrollWidth <= field.clientWidth"), "the link is cut off"
        await expect(page.get_by_role("link", name="After delivery")).to_be_visible()
        await looked_at(page, f"shares-made-{language}", faults, sizes=SIZES)
        await stranger.goto(link)
        await expect(stranger.locator(".score")).to_be_visible()
        await expect(stranger.get_by_text(KEYS[language])).to_be_visible()
        await looked_at(stranger, f"shared-{language}", faults, sizes=SIZES)
        await stranger.set_viewport_size(DESKTOP)
        await printed_on_one_page(stranger, print_, f"shared-{language}")
        await page.set_viewport_size(DESKTOP)
        await page.goto(f"{url}/shares")
        await tabbed_to(page, revoke)
        await looked_at(page, f"shares-revoked-{language}", faults, sizes=SIZES)
        ended = await stranger.goto(link)
        assert ended is not None
        assert ended.status == 404
        await expect(stranger.locator(".score")).to_have_count(0)
        await looked_at(stranger, f"shared-ended-{language}", faults, sizes=SIZES)
    assert faults == [], "\n".join(faults)

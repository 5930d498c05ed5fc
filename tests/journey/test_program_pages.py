"""The pages of programs in a real browser: a wrong survey is stopped, without scripts, and goes on."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser import DESKTOP, log_in, watched
from tests.journey.looking import NARROW, follow, looked_at
from tests.journey.stage import Stage, purchase

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

LONG = """
id: a-program-with-a-rather-long-name-that-does-not-fit
title: Nach jedem Einkauf in einer unserer Niederlassungen
brand: {name: Riverside}
starts_on: [crm.purchase.completed]
conditions:
  all:
    - {field: order.amount, operator: ge, value: 5000000}
    - {field: touchpoint.channel, operator: in, value: [store, online]}
quotas: [{name: a day, limit: 500}]
"""


async def frames_are_whole(page: Page) -> None:
    """Every frame is as tall as its content, and its content is as wide as the frame."""
    for size in (NARROW, DESKTOP):
        await page.set_viewport_size(size)
        await page.wait_for_function(
            """() => [...document.querySelectorAll("iframe")].every((frame) => {
                const inside = frame.contentDocument.documentElement;
                return inside.innerText.length > 20 && Math.abs(frame.offsetHeight - inside.scrollHeight) <= 2
                    && inside.scrollWidth <= inside.clientWidth;
            })"""
        )
    assert await page.locator("iframe").count() == 3


async def test_a_press_in_a_preview_leads_back(stage: Stage, browser: Browser) -> None:
    async with watched(browser, viewport=DESKTOP) as context:
        page = await context.new_page()
        await page.goto(f"{stage.scoring}/mail/programs/after-purchase")
        await follow(page.get_by_role("link", name="the page as a customer sees it"))
        await page.get_by_role("radio", name="9", exact=True).check()
        await follow(page.get_by_role("button", name="Send 9"))
        await expect(page.get_by_role("heading", name="This is a preview")).to_be_visible()
        await follow(page.get_by_role("link", name="Back to the question"))
        await expect(page.get_by_role("radio", name="9", exact=True)).to_be_visible()


async def test_every_page_of_programs_is_accessible_and_fits_the_narrowest_phone(
    stage: Stage, browser: Browser
) -> None:
    faults = list[str]()
    await stage.web.put(f"{stage.trigger}/v1/programs", content=LONG)
    context = await browser.new_context(bypass_csp=True)
    await log_in(context)
    page = await context.new_page()
    await page.goto(f"{stage.scoring}/programs")
    await looked_at(page, "programs", faults)
    await follow(page.get_by_role("link", name="Show Nach jedem"))
    await looked_at(page, "program", faults)
    await follow(page.get_by_role("link", name="Stop"))
    await looked_at(page, "program-stop", faults)
    await follow(page.get_by_role("button", name="Stop “Nach jedem"))
    await looked_at(page, "program-stopped", faults)
    await page.goto(f"{stage.scoring}/mail/programs/after-purchase")
    await looked_at(page, "program-messages", faults)
    await frames_are_whole(page)
    await page.get_by_label("Mail address").fill("nobody")
    await follow(page.get_by_role("button", name="Send me the whole chain"))
    await expect(page.get_by_label("Mail address")).to_have_value("nobody")
    await looked_at(page, "program-refused", faults)
    await page.get_by_label("Mail address").fill("me@example.com")
    await follow(page.get_by_role("button", name="Send me the whole chain"))
    await looked_at(page, "program-test-asked", faults)
    await follow(page.get_by_role("button", name="Yes, send them"))
    await looked_at(page, "program-tested", faults)
    await stage.web.post(f"{stage.trigger}/v1/programs/*/state", json={"state": "stopped"})
    await page.goto(f"{stage.scoring}/programs")
    await looked_at(page, "programs-stopped", faults)
    await context.close()
    assert faults == [], "\n".join(faults)


async def test_a_wrong_survey_is_stopped_and_goes_on_where_it_stood(stage: Stage, browser: Browser) -> None:
    await stage.happens(purchase(1))
    assert len(await stage.mailbox()) == 1
    async with watched(browser, viewport=DESKTOP, java_script_enabled=False) as context:
        page = await context.new_page()
        await page.goto(f"{stage.scoring}/programs/after-purchase")
        await page.get_by_role("link", name="Stop", exact=True).click()
        await page.get_by_role("button", name="Stop").click()
        await expect(page.get_by_text("Stopped since")).to_be_visible()
        [decided] = await stage.happens(purchase(2))
        assert decided["reason"] == "switched_off"
        await stage.after(days=4)
        assert len(await stage.mailbox()) == 1
        await page.get_by_role("link", name="Go on").click()
        await page.get_by_role("button", name="Go on").click()
        await expect(page.get_by_text("On", exact=True)).to_be_visible()
    await stage.settle()
    assert [message["step"] for message in await stage.mailbox()] == [1, 2]

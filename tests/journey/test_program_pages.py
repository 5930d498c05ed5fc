"""The pages of programs in a real browser: a wrong survey is stopped, without scripts, and goes on."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, expect

from tests.browser import DESKTOP, log_in, watched
from tests.journey.looking import follow, looked_at
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
    await page.get_by_label("Mail address").fill("me@example.com")
    await follow(page.get_by_role("button", name="Send me the whole chain"))
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
        await expect(page.get_by_text("nothing of it leaves")).to_be_visible()
        [decided] = await stage.happens(purchase(2))
        assert decided["reason"] == "switched_off"
        await stage.after(days=4)
        assert len(await stage.mailbox()) == 1
        await page.get_by_role("link", name="Go on").click()
        await page.get_by_role("button", name="Go on").click()
        await expect(page.get_by_text("On", exact=True)).to_be_visible()
    await stage.settle()
    assert [message["step"] for message in await stage.mailbox()] == [1, 2]

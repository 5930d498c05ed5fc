"""A privacy officer in a real browser: finds a customer, sees what all services hold, exports and erases it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.integration.deploy.processes import Earshot, earshot
from tests.journey.looking import follow, looked_at
from tests.journey.stage import purchase
from tests.staff import PROCESS_STAFF

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


@pytest.fixture
async def running(urls: Mapping[str, str], tmp_path: Path) -> AsyncIterator[Earshot]:
    async with earshot(urls, tmp_path) as process:
        await process.until_ready()
        yield process


async def test_customer_is_found_shown_exported_and_erased(running: Earshot, browser: Browser, tmp_path: Path) -> None:
    address, faults = running.addresses["scoring"], list[str]()
    sent = await running.web.post(f"{address}/v1/events", json=purchase(at=datetime.now(UTC)))
    assert sent.json()["reason"] == "asked"
    context = await browser.new_context(bypass_csp=True, accept_downloads=True)
    name, _, ticket = PROCESS_STAFF.header().partition("=")
    await context.add_cookies([{"name": name, "value": ticket, "url": "http://127.0.0.1"}])
    page = await context.new_page()
    await page.goto(f"{address}/customers")
    await page.get_by_role("searchbox", name="Customer", exact=True).fill("olga1@example.com")
    async with page.expect_navigation():
        await page.keyboard.press("Enter")
    await looked_at(page, "customers", faults)
    await page.get_by_role("button", name="Show everything about").click()
    history = page.locator("#history")
    await expect(history).to_have_attribute("data-whole", "yes")
    await expect(history.get_by_text("Asked")).to_be_visible()
    await expect(history.get_by_text("Survey of After a purchase or a service began")).to_be_visible()
    await looked_at(page, "customer", faults)
    async with page.expect_download() as saving:
        await page.get_by_role("button", name="Export everything as JSON").click()
    await (await saving.value).save_as(tmp_path / "customer.json")
    exported = json.loads((tmp_path / "customer.json").read_bytes())
    assert [each["service"] for each in exported] == ["trigger", "dispatcher", "scoring"]
    await follow(page.get_by_role("link", name="Erase…"))
    await looked_at(page, "customer-erase", faults)
    await page.get_by_role("button", name="Erase for good").click()
    await expect(page.get_by_role("heading", name="Receipt of an erasure")).to_be_visible()
    async with asyncio.timeout(20):
        while await page.get_by_text("not confirmed yet").count():
            await page.reload()
    await looked_at(page, "customer-erased", faults)
    await context.close()
    assert faults == [], "\n".join(faults)

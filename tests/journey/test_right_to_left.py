"""A program in Arabic, in a real browser: page, unsubscribe page and mail are written from right to left."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Browser, Page, ViewportSize

from tests.browser import SIDEWAYS, photograph, watched
from tests.journey.stage import Stage, link_in, purchase

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

NARROW: ViewportSize = {"width": 320, "height": 640}
TEXTS: dict[str, Any] = {
    "question": "ما مدى احتمال أن توصي بنا لصديق أو زميل؟",
    "labels": {
        "send": "إرسال",
        "lowest": "0 غير محتمل إطلاقا",
        "highest": "10 مؤكد",
        "order": "طلبك {number}بتاريخ {date}",
        "stop": "لا تسألوني مرة أخرى",
        "after": "يمكنك تغيير إجابتك حتى {date}.",
        "mail.subject": "{brand}: سؤال واحد",
        "mail.scale": "0 غير محتمل إطلاقا · 10 مؤكد",
        "mail.unsubscribe": "لا تسألوني مرة أخرى",
        "mail.ask_title": "هل نتوقف عن سؤالك؟",
    },
}
PROGRAM = {
    "id": "after-purchase",
    "title": "After a purchase",
    "brand": {"name": "Kofe Point", "privacy_url": "https://example.com/privacy"},
    "starts_on": ["crm.purchase.completed"],
    "texts": {"ar": TEXTS},
    "default_locale": "ar",
}


async def check(page: Page, name: str) -> None:
    """The text begins on the right, and nothing is wider than the page."""
    assert await page.evaluate("getComputedStyle(document.querySelector('h1')).direction") == "rtl"
    assert await page.evaluate(SIDEWAYS) == 0
    await photograph(page, name)


async def left_of(page: Page, selector: str) -> list[float]:
    boxes = [await each.bounding_box() for each in await page.locator(selector).all()]
    return [box["x"] for box in boxes if box is not None]


async def test_pages_and_mail_of_an_arabic_program_are_written_from_right_to_left(
    stage: Stage, browser: Browser
) -> None:
    (await stage.web.put(f"{stage.trigger}/v1/programs", json=PROGRAM)).raise_for_status()
    await stage.happens(purchase(locale="ar-EG"))
    await stage.after(minutes=5)
    [message] = await stage.mailbox()
    assert message["subject"] == "Kofe Point: سؤال واحد"
    link = link_in(message)
    async with watched(browser, viewport=NARROW) as context:
        page = await context.new_page()
        await page.goto(link)
        await check(page, "right-to-left-question")
        places = await left_of(page, ".squares label")
        assert places[0] > places[1], "0 is on the right"
        assert min(places) >= 16
        assert "لا تسألوني مرة أخرى" in await page.inner_text("main")
        await page.get_by_role("radio", name="3", exact=True).check()
        async with page.expect_navigation():
            await page.get_by_role("button").first.click()
        await check(page, "right-to-left-reasons")
    context = await browser.new_context(viewport=NARROW)
    page = await context.new_page()
    await page.set_content((await stage.web.get(f"{stage.dispatcher}/mailbox/{message['id']}/html")).text)
    await check(page, "right-to-left-mail")
    squares = await left_of(page, "a.square")
    assert squares[0] > squares[1]
    await context.close()

"""The form to be quoted in a real browser: narrow and wide, light and dark, in four languages, without scripts."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Browser

from tests.browser import SIDEWAYS, photograph, watched
from tests.integration.scoring.stand import Scoring, link_of

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

LABELS: dict[str, dict[str, str]] = {
    "en": {},
    "ru": {},
    "de": {
        "quote_title": "Dürfen wir Sie zitieren?",
        "quote_text": "{brand} darf Ihren Kommentar anderen zeigen. Über diesen Link widerrufen Sie das jederzeit.",
        "quote_yes": "Ja, meine Worte dürfen veröffentlicht werden",
        "quote_nobody": "Ohne Namensnennung",
        "quote_first": "Als {name}",
        "quote_own": "Unter einem anderen Namen:",
        "quote_save": "Speichern",
        "quote_saved": "Ihre Worte dürfen zitiert werden.",
    },
    "ar": {
        "quote_title": "هل يمكننا اقتباس كلماتك؟",
        "quote_text": "يمكن لـ {brand} أن تعرض تعليقك على الآخرين. يمكنك التراجع عبر هذا الرابط في أي وقت.",
        "quote_yes": "نعم، يمكن اقتباس كلماتي",
        "quote_nobody": "بدون اسم",
        "quote_first": "باسم {name}",
        "quote_own": "باسم آخر:",
        "quote_save": "حفظ",
        "quote_saved": "يمكن اقتباس كلماتك.",
    },
}


@pytest.mark.parametrize("language", LABELS)
async def test_form_fits_every_width_and_works_without_scripts(
    scoring: Scoring, browser: Browser, address: str, language: str
) -> None:
    changes: dict[str, Any] = {"locale": language, "labels": LABELS[language]}
    request = await scoring.asked(**changes)
    await scoring.score(request, 9, comment="Fine coffee")
    async with watched(browser, java_script_enabled=False) as context:
        page = await context.new_page()
        for width in (320, 360, 1280):
            await page.set_viewport_size({"width": width, "height": 740})
            await page.goto(f"{address}{link_of(request.invitation_id)}?done=1")
            await photograph(page, f"quote-{language}-{width}")
            scrolled = await browser.new_page(viewport={"width": width, "height": 740})
            await scrolled.goto(page.url)
            assert await scrolled.evaluate(SIDEWAYS) == 0
            await scrolled.close()
        assert not await page.get_by_role("checkbox").is_checked()
        await page.get_by_role("checkbox").check()
        await page.get_by_role("radio").nth(2).check()
        await page.get_by_role("textbox").fill("Olga P.")
        await page.locator("#quote button").click()
        await page.get_by_role("status").wait_for()
        await photograph(page, f"quoted-{language}")
    [stored] = await scoring.rows("SELECT name, wording FROM quotes")
    assert stored["name"] == "Olga P."
    assert LABELS[language].get("quote_title", "") in stored["wording"]

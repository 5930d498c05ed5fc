"""The pages of comments and tags in a real browser: narrow and wide, light and dark, in both languages."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser

from tests.browser import SIDEWAYS, photograph, watched
from tests.integration.scoring.answer_page.conftest import address
from tests.integration.scoring.stand import Scoring

__all__ = ["address"]
pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
LONG = "Холодный кофе и Rindfleischetikettierungsüberwachungsaufgabenübertragungsgesetz " * 3


@pytest.mark.parametrize("language", ["en", "ru"])
async def test_comments_and_tags_fit_every_width(
    scoring: Scoring, browser: Browser, address: str, language: str
) -> None:
    for number, comment in enumerate((LONG, "Cold coffee", "قهوة باردة", "A <b>bold</b> word about кофе")):
        result = await scoring.score(await scoring.asked(), number * 3, comment=comment)
        await scoring.rows(
            "INSERT INTO answer_tags VALUES ($1, 'холодный кофе'), ($1, 'wi-fi')", result.answer.answer_id
        )
        await scoring.rows("INSERT INTO quotes VALUES ($1, 'Ольга', 'May we?', now())", result.answer.answer_id)
    async with watched(browser, locale=language) as context:
        page = await context.new_page()
        for width in (320, 360, 1280, 1680):
            await page.set_viewport_size({"width": width, "height": 740})
            for name, path in (
                ("comments", "/comments?words=кофе"),
                ("tags", "/tags"),
                ("comments-wrong", "/comments?words=the"),
            ):
                await page.goto(address + path)
                await photograph(page, f"{name}-{language}-{width}")
                assert await page.evaluate(SIDEWAYS) == 0

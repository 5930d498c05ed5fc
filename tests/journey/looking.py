"""A page looked at: pictures in both widths, what axe finds, and a press that leads to another page."""

from __future__ import annotations

from collections.abc import Sequence

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Locator, Page, ViewportSize

from tests.browser import DESKTOP, SIDEWAYS, photograph, schemes_of

NARROW: ViewportSize = {"width": 320, "height": 640}


async def follow(pressed: Locator) -> None:
    """Press a link or a button, and wait for the page that it leads to."""
    async with pressed.page.expect_navigation():
        await pressed.click()


async def looked_at(page: Page, name: str, faults: list[str]) -> None:
    """Keep pictures, and add what axe finds; nothing is wider than the narrowest phone."""
    await page.wait_for_load_state()  # a text can be seen before the style sheets are there
    for width, size in (("320", NARROW), ("1280", DESKTOP)):
        await page.set_viewport_size(size)
        assert await page.evaluate(SIDEWAYS) <= 0, f"{name} is wider than {width} pixels"
        await photograph(page, f"{name}-{width}")
        faults += await faults_of(page, f"{name}-{width}")


async def faults_of(page: Page, name: str, *, apart: Sequence[str] = ()) -> list[str]:
    """Return what axe finds, without rules that do not hold for mails."""
    faults: list[str] = []
    options = {"resultTypes": ["violations"], "rules": {rule: {"enabled": False} for rule in apart}}
    async for scheme in schemes_of(page):
        found = (await Axe().run(page, options=options)).response["violations"]
        faults += [f"{name}, {scheme}: {v['id']}: {node['html']}" for v in found for node in v["nodes"]]
    return faults

"""Debian's chromium for tests, and what its pages are watched for."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    ViewportSize,
    WebError,
    async_playwright,
    expect,
)

from tests.staff import STAFF

expect.set_options(timeout=20_000)  # ms: a page may be slow beside other work

SCREENSHOTS = Path(__file__).parent.parent / "build" / "screenshots"
PHONE: ViewportSize = {"width": 360, "height": 640}
DESKTOP: ViewportSize = {"width": 1280, "height": 800}
SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
HUMAN = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    # without a window it takes a third less of the processor
    executable = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    if executable is None:
        _refuse("chromium is not installed: apt-get install chromium-headless-shell")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable, args=_ARGUMENTS)
        yield browser
        await browser.close()


def _refuse(reason: str) -> None:
    if os.environ.get("EARSHOT_REQUIRE_BROWSER") == "1":
        pytest.fail(f"a browser is required here, but {reason}", pytrace=False)
    pytest.skip(reason)


class Watch:
    """Remembers what no page of ours may do; a refusal of the content security policy is a console error."""

    def __init__(self, context: BrowserContext) -> None:
        self.complaints: list[str] = []
        context.on("console", self._on_console)
        context.on("weberror", self._on_error)
        context.on("request", self._on_request)

    def _on_console(self, message: ConsoleMessage) -> None:
        about = message.location["url"]
        is_below = message.page is not None and about.startswith(message.page.url)  # the page itself, or a form of it
        is_own_status = is_below and "status of 4" in message.text
        is_offline = "ERR_INTERNET_DISCONNECTED" in message.text  # as a test wants it
        if message.type in ("error", "warning") and not is_own_status and not is_offline:
            self.complaints.append(f"console: {message.text} {about}")

    def _on_error(self, error: WebError) -> None:
        self.complaints.append(f"script: {error.error}")

    def _on_request(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme not in ("data", "about") and address.hostname != "127.0.0.1":
            self.complaints.append(f"request: {request.url}")


async def log_in(context: BrowserContext) -> None:
    """Give a window the ticket of staff with every role."""
    name, _, ticket = STAFF.header().partition("=")
    await context.add_cookies([{"name": name, "value": ticket, "url": "http://127.0.0.1"}])


@asynccontextmanager
async def watched(browser: Browser, **options: Any) -> AsyncIterator[BrowserContext]:
    """Open a window with its own cookies, in which staff with every role is logged in.

    Fail at its end if a page of it did what no page of ours may do.
    """
    context = await browser.new_context(**{"user_agent": HUMAN} | options)  # headless, it would say so
    await log_in(context)
    watch = Watch(context)
    try:
        yield context
    finally:
        await context.close()
    assert watch.complaints == []


async def schemes_of(page: Page) -> AsyncIterator[str]:
    """Show the page light, then dark."""
    for scheme in SCHEMES:
        await page.emulate_media(color_scheme=scheme)
        yield scheme
    await page.emulate_media(color_scheme=SCHEMES[0])


async def photograph(page: Page, name: str) -> None:
    """Keep how the whole page looks in build/screenshots."""
    async for scheme in schemes_of(page):
        await page.screenshot(path=SCREENSHOTS / f"{name}-{scheme}.png", full_page=True)

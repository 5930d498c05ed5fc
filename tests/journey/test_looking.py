"""What looks at pages finds a fault that only one of the schemes has."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser

from tests.journey.looking import faults_of

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

PAGE = """<!doctype html><html lang="en"><title>Sums</title><style>
body {{ color: #222; background: #fff }}
@media (prefers-color-scheme: {scheme}) {{ body {{ color: #777; background: #888 }} }}
</style><main><h1>Sums</h1><p>Read me.</p></main></html>"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_text_that_cannot_be_read_in_one_scheme_is_found_in_it(browser: Browser, scheme: str) -> None:
    page = await browser.new_page()
    await page.set_content(PAGE.format(scheme=scheme))
    faults = await faults_of(page, "sums")
    await page.close()
    assert {fault.split(": <")[0] for fault in faults} == {f"sums, {scheme}: color-contrast"}

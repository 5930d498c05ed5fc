"""A page looked at in every width: pictures, what does not fit, what axe finds. And a link followed to its page."""

from __future__ import annotations

from collections.abc import Sequence

from axe_playwright_python.base import AXE_SCRIPT
from playwright.async_api import Locator, Page, ViewportSize

from tests.browser import DESKTOP, PHONE, SCHEMES, SIDEWAYS, photograph, schemes_of

NARROWEST: ViewportSize = {"width": 280, "height": 640}
NARROW: ViewportSize = {"width": 320, "height": 640}
ZOOMED: ViewportSize = {"width": 640, "height": 400}  # what DESKTOP shows at 200 %
WIDE: ViewportSize = {"width": 1680, "height": 1050}
OF_STAFF = (NARROW, ZOOMED, WIDE, DESKTOP)
OF_RESPONDENTS = (NARROWEST, PHONE, DESKTOP)
_OFF_BY_DEFAULT = ("target-size",)  # of the rules for WCAG 2.2, A and AA, that are not deprecated
_OF_COLOURS = ("color-contrast", "link-in-text-block")  # the only rules whose result the scheme may change
_VIOLATIONS = "options => axe.run(options).then(found => found.violations)"
_MISFITS = """() => {
    const faults = [];
    const say = (what, element) => faults.push(`${what}: ${element.outerHTML.slice(0, 160)}`);
    const scrolls = (element) => ["auto", "scroll"].includes(getComputedStyle(element).overflowX);
    const around = (element) => {
        const outer = element.parentElement;
        return !outer || scrolls(outer) || outer.matches(".card, body") ? outer : around(outer);
    };
    for (const element of document.body.querySelectorAll(":not(.hidden-text, .skip, svg *, input, textarea, select)")) {
        const box = element.getBoundingClientRect(), style = getComputedStyle(element);
        if (!box.width || !box.height || style.visibility === "hidden") continue;
        if (element.scrollWidth > element.clientWidth + 1 && style.display !== "inline") {
            const cut = ["hidden", "clip"].includes(style.overflowX) && style.textOverflow !== "ellipsis";
            if (cut) say("cut off", element);
            const region = ':is([role=region], [role=group])[tabindex="0"]:is([aria-label], [aria-labelledby])';
            if (scrolls(element) && !element.matches(region)) say("scrolls without a name", element);
            if (scrolls(element) && style.backgroundImage === "none") say("scrolls without an edge", element);
        }
        const outer = around(element), edges = outer.getBoundingClientRect();
        if (!scrolls(outer) && (box.right > edges.right + 1 || box.left < edges.left - 1)) say("sticks out", element);
    }
    return faults;
}"""


async def follow(pressed: Locator) -> None:
    """Press a link or a button, and wait for the page that it leads to."""
    async with pressed.page.expect_navigation():
        await pressed.click()


async def looked_at(page: Page, name: str, faults: list[str], *, sizes: Sequence[ViewportSize] = OF_STAFF) -> None:
    """Add what does not fit at any of the sizes; at the first and the last, add what axe finds and keep pictures."""
    await page.wait_for_load_state()  # a text can be seen before the style sheets are there
    for size in sizes:
        await page.set_viewport_size(size)
        place = f"{name}-{size['width']}"
        faults += await misfits_of(page, place)
        if size in (sizes[0], sizes[-1]):
            await photograph(page, place)
            faults += await faults_of(page, place)


async def misfits_of(page: Page, name: str) -> list[str]:
    """Return what sticks out of the page or its card, what is cut off, and what scrolls sideways without saying so."""
    frames = [frame for frame in page.frames if frame is not page.main_frame]
    wide = [f"{name}: wider than its frame: {frame.url}" for frame in frames if await frame.evaluate(SIDEWAYS) > 0]
    own = [f"{name}: wider than the page"] if await page.evaluate(SIDEWAYS) > 0 else []
    return own + wide + [f"{name}: {fault}" for fault in await page.evaluate(_MISFITS)]


async def faults_of(page: Page, name: str, *, apart: Sequence[str] = ()) -> list[str]:
    """Return what axe finds: light by all rules but those `apart`, dark by those of colours."""
    faults: list[str] = []
    enabled = {rule: {"enabled": True} for rule in _OFF_BY_DEFAULT} | {rule: {"enabled": False} for rule in apart}
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(AXE_SCRIPT)
    async for scheme in schemes_of(page):
        rules = (
            {"rules": enabled}
            if scheme == SCHEMES[0]
            else {"runOnly": [rule for rule in _OF_COLOURS if rule not in apart]}
        )
        found = await page.evaluate(_VIOLATIONS, {"resultTypes": ["violations"], **rules})
        faults += [f"{name}, {scheme}: {v['id']}: {node['html']}" for v in found for node in v["nodes"]]
    return faults

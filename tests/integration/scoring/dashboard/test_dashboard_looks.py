"""The dashboard in a real browser: no violation, no sideways scroll, alive, and two pictures to look at."""

from __future__ import annotations

import asyncio
import random
import re
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx2
import pytest
from playwright.async_api import Browser, Page, ViewportSize, expect
from uuid_utils.compat import uuid7

from services.scoring.answers.record import record
from services.scoring.config import ScoringSettings
from services.scoring.domain.answers import Entry
from services.scoring.domain.bot_detection import Device
from services.scoring.main import build_app
from shared.contract.events import EventRef, Payload, ProgramPublished, RespondentPurchased
from shared.contract.vocabulary import Service, category_of
from shared.messaging.transport import open_log
from shared.runtime import ServiceContext
from shared.serving import serve
from tests.browser import DESKTOP, PHONE, SCREENSHOTS, SIDEWAYS, photograph, watched
from tests.integration.scoring.api.test_score_api import sent
from tests.integration.scoring.stand import NOW, Scoring, named, requested
from tests.journey.looking import looked_at
from tests.staff import STAFF

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

PAPER: ViewportSize = {"width": 794, "height": 1123}  # A4 at 96 dots an inch
WEEKS, ASKED_A_WEEK = 12, 70
STORES = {"Tverskaya": 0.72, "Arbat": 0.62, "Online": 0.58, "Sokol": 0.5, "Khimki": 0.42}
WORDS = ("Forty minutes for two coffees.", "Anna remembered my order.", "Fine, but the courier came late.")


async def a_quarter(scoring: Scoring) -> None:
    """Fill twelve weeks of five stores, one of which falls in the last four."""
    chance = random.Random(3)
    scoring.clock.moment = NOW - timedelta(weeks=WEEKS)
    document = {"title": "After delivery", "target": 45}
    await scoring.receive(ProgramPublished(program_id="after-purchase", program_version=3, document=document))
    for week in range(WEEKS):
        await _a_week(scoring, chance, week)
        scoring.clock.moment += timedelta(days=7)
    while await scoring.tick():
        pass


async def _a_week(scoring: Scoring, chance: random.Random, week: int) -> None:
    now, told, entries = scoring.clock.now(), list[Payload](), list[Entry]()
    for _ in range(ASKED_A_WEEK):
        store = chance.choice(list(STORES))
        about = EventRef(source="shop", id=str(uuid7()), type="crm.purchase.completed", time=now, subject="1")
        request = requested(
            segments={
                "store": store,
                "channel": chance.choice(["shop", "web"]),
                "employee": f"e-{chance.randrange(9)}",
            },
            event=about,
            send_at=now,
            expires_at=now + timedelta(days=21),
        )
        attempt = sent(request.invitation_id, request.respondent_id)
        told += [request, attempt.model_copy(update={"at": now + timedelta(hours=chance.randrange(9))})]
        if chance.random() < 0.25:
            bought = {"id": str(uuid7()), "time": now + timedelta(days=9), "amount": Decimal(900), "currency": "RUB"}
            told.append(RespondentPurchased(respondent_id=request.respondent_id, event=about.model_copy(update=bought)))
        if chance.random() < 0.5:
            fallen = 0.45 if store == "Khimki" and week >= WEEKS - 6 else 0.0
            entries.append(_entry(scoring, request.invitation_id, chance, STORES[store] - fallen))
    await scoring.receive(*told)
    async with scoring.database.sessions.begin() as session:
        await record(session, entries)


def _entry(scoring: Scoring, invitation_id: Any, chance: random.Random, liking: float) -> Entry:
    luck = chance.random()
    score = chance.choice((9, 10)) if luck < liking else chance.choice((7, 8) if luck < liking + 0.2 else range(7))
    happy = category_of(score) == "promoter"
    return Entry(
        invitation_id,
        scoring.clock.now() + timedelta(hours=chance.randrange(48)),
        score,
        reasons=(chance.choice(("taste", "staff") if happy else ("wait", "staff", "price")),),
        comment=chance.choice(WORDS) if chance.random() < 0.2 else None,
        step=chance.choice((1, 1, 1, 2, 3)),
        device=chance.choice(list(Device)),
        operator=named("Anna") if chance.random() < 0.1 else None,
    )


@asynccontextmanager
async def served(scoring: Scoring, urls: Mapping[str, str]) -> AsyncIterator[str]:
    """Serve on a port of its own; pages that listen let go when it stops."""
    stop = asyncio.Event()
    log = open_log(urls["transport"])
    app = build_app(ScoringSettings(), database=scoring.database, clock=scoring.clock, stop=stop)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        around = ServiceContext(urls["scoring"], log, scoring.clock, stop, listener)
        serving = asyncio.create_task(serve(app, around, service=Service.SCORING))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            stop.set()
            await serving
            await log.close()


async def clean(page: Page) -> None:
    """Look at it narrow, at 200 % and on a desktop; everything fits, and the checker finds nothing."""
    faults, before = list[str](), page.viewport_size
    await looked_at(page, "score", faults)
    if before is not None:
        await page.set_viewport_size(before)
    assert faults == [], "\n".join(faults)


async def printed_whole(page: Page) -> None:
    """Look at it as on paper, A4: whose score it is, no table cut off, and all on one page."""
    await page.emulate_media(media="print")
    await page.set_viewport_size(PAPER)
    await expect(page.locator(".printed")).to_have_text("After delivery, 8 Oct to 18 Nov 2026")
    cut_off = "tables => tables.filter(table => table.scrollWidth > table.clientWidth).length"
    assert await page.locator(".scroll").evaluate_all(cut_off) == 0
    await page.screenshot(path=SCREENSHOTS / "score-print.png", full_page=True)
    printed = await page.pdf(path=SCREENSHOTS / "score.pdf", format="A4", print_background=True)
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 1
    await page.emulate_media(media="screen")
    await page.set_viewport_size(DESKTOP)


async def test_dashboard_is_accessible_alive_and_fits_a_phone(
    scoring: Scoring, urls: Mapping[str, str], browser: Browser
) -> None:
    await a_quarter(scoring)
    async with (
        served(scoring, urls) as url,
        watched(browser, viewport=DESKTOP) as context,
        httpx2.AsyncClient(auth=STAFF) as web,
    ):
        note = {"day": str((NOW - timedelta(weeks=5)).date()), "text": "New courier service"}
        (await web.post(f"{url}/v1/annotations", json=note)).raise_for_status()
        page = await context.new_page()
        await page.goto(f"{url}/?days=42&period=week")
        await expect(page.locator(".live")).to_have_text("live")
        await expect(page.locator(".moved")).to_contain_text("Khimki fell by")
        before = await page.locator("#score").inner_text()
        scoring.clock.moment -= timedelta(days=3)
        await scoring.score(await scoring.asked(send_at=NOW - timedelta(days=3)), 10)
        scoring.clock.moment = NOW
        await scoring.tick()
        await expect(page.locator("#score")).not_to_have_text(before, timeout=10_000)
        await clean(page)
        await photograph(page, "score-1280")
        await page.get_by_label("Period").select_option("7")
        await page.get_by_role("button", name="Show").click()
        await expect(page.locator("#score")).to_be_visible()
        await page.get_by_title("Choose the days").click()
        await expect(page.get_by_label("From", exact=True)).to_have_value("2026-11-12")
        await clean(page)
        await page.goto(f"{url}/?days=42&period=week")
        await printed_whole(page)
        await page.get_by_role("region", name="By store").get_by_role("link", name="Khimki").click()
        await expect(page.locator("#by")).to_be_focused()
        await expect(page.locator("#chosen")).to_contain_text("Khimki")
        await clean(page)
        await page.go_back()
        await page.set_viewport_size(PHONE)
        assert await page.evaluate(SIDEWAYS) <= 0
        await clean(page)
        await photograph(page, "score-360")

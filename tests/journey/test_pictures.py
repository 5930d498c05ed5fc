"""Twelve weeks of five shops, for the pictures of the documentation; EARSHOT_TEST_PICTURES=1 saves them."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.async_api import Browser, FloatRect, Locator, Page, expect

from services.dispatcher.config import DispatcherSettings
from services.dispatcher.messages import mime
from services.dispatcher.messages.samples import SampleMail
from tests.browser import DESKTOP, PHONE, SIDEWAYS, photograph, watched
from tests.journey.stage import Stage, link_in, purchase

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
MAX_PICTURE = 300_000
TAKEN = os.environ.get("EARSHOT_TEST_PICTURES") == "1"
WEEKS, SOLD_AT_ONCE = 12 if TAKEN else 2, 36
OPERATOR = "Operator 7"
PROGRAM = {
    "id": "after-purchase",
    "title": "After a purchase",
    "brand": {"name": "Kofe Point", "privacy_url": "https://example.com/privacy"},
    "starts_on": ["crm.purchase.completed"],
    "target": 45,
}
SHARES = {  # of promoters, passives and detractors
    "Tverskaya": (0.68, 0.21, 0.11),
    "Arbat": (0.58, 0.27, 0.15),
    "Online": (0.55, 0.28, 0.17),
    "Sokol": (0.47, 0.32, 0.21),
    "Khimki": (0.62, 0.23, 0.15),
}
AFTER_THE_MOVE = {**SHARES, "Khimki": (0.1, 0.25, 0.65)}
REASONS = {True: ("staff", "quality", "speed", "choice"), False: ("speed", "speed", "staff", "price", "choice")}
VISITORS = (24, 20, 28, 16, 12)
NAMES = ("Olga Smirnova", "Rustam Karimov", "Elena Volkova", "Pavel Morozov", "Anna Belova")
ANSWERED = {"email 1": 0.26, "email 2": 0.14, "sms 3": 0.1, "call": 0.07}  # the share of those who got the message
LAST_WORDS = (
    ("Online", 8, (), "Fine, but the courier came an hour late."),
    ("Sokol", 6, ("choice",), "No pastries left at eleven in the morning."),
    ("Arbat", 10, ("quality", "staff"), "The best flat white in the neighbourhood."),
    ("Khimki", 7, ("price",), "Good, though it used to be cheaper."),
    ("Tverskaya", 10, ("staff",), "Anna at the counter remembered my order."),
    ("Online", 9, ("speed",), "Ordered at nine, drank it at half past."),
    ("Khimki", 4, ("speed", "staff"), "Forty minutes for two coffees, nobody said a word."),
)


@dataclass
class Season:
    """The shops' customers; what each of them does is drawn with a fixed seed."""

    stage: Stage
    chance: random.Random = field(default_factory=lambda: random.Random(7))
    sold: int = 0
    cursor: int = 0
    answered: int = 0
    shares: Mapping[str, tuple[float, float, float]] = field(default_factory=lambda: SHARES)

    async def play(self) -> None:
        answer = await self.stage.web.put(f"{self.stage.trigger}/v1/programs", json=PROGRAM)
        answer.raise_for_status()
        for half in range(2 * WEEKS):
            await self.stage.after(days=3 + half % 2 if half else 0)
            if half == WEEKS:
                await self.move()
            await self.sell()
            await self.read_mail()
            await self.make_calls()
        await self.speak_out()

    async def move(self) -> None:
        """Let one shop get worse from this day on, and annotate the day."""
        self.shares = AFTER_THE_MOVE
        note = {"day": str(self.stage.clock.now().date()), "text": "Khimki moves house"}
        (await self.stage.web.post(f"{self.stage.scoring}/v1/annotations", json=note)).raise_for_status()

    async def sell(self) -> None:
        stores = self.chance.choices(list(SHARES), VISITORS, k=SOLD_AT_ONCE)
        await self.stage.happens(*(self.sale(store) for store in stores))

    def sale(self, store: str, **customer: Any) -> dict[str, Any]:
        self.sold += 1
        who = {"name": self.chance.choice(NAMES), "time_zone": "Europe/Moscow", **customer}
        bought = purchase(self.sold, at=self.stage.clock.now(), store=store, **who)
        bought["data"]["order"]["id"] = str(48_000 + self.sold)
        return bought

    async def unread(self) -> list[dict[str, Any]]:
        parameters = {"limit": 500, "after": self.cursor}
        answer = await self.stage.web.get(f"{self.stage.dispatcher}/v1/mailbox", params=parameters)
        messages: list[dict[str, Any]] = answer.raise_for_status().json()["messages"]
        self.cursor = messages[-1]["cursor"] if messages else self.cursor
        return messages

    async def read_mail(self) -> None:
        async with asyncio.TaskGroup() as readers:
            for message in await self.unread():
                if self.chance.random() < ANSWERED[f"{message['channel']} {message['step']}"]:
                    score = self.score_of(message["text"])
                    why = self.chance.choice(REASONS[score >= 9])
                    readers.create_task(self.answer(message, score, reasons=why, comment=""))

    async def answer(self, message: Mapping[str, Any], score: int, **more: object) -> None:
        saved = await self.stage.web.post(link_in(message), data={"score": score, **more}, follow_redirects=True)
        saved.raise_for_status()
        self.answered += 1

    def score_of(self, text: str) -> int:
        shares = next((shares for store, shares in self.shares.items() if store in text), SHARES["Online"])
        [group] = self.chance.choices(((10, 9, 10), (8, 7, 8), (6, 5, 6, 4, 3, 5, 2, 1, 0, 0)), shares)
        return self.chance.choice(group)

    async def make_calls(self) -> None:
        while (taken := await self.desk("take")).status_code == httpx2.codes.OK:
            task, luck = taken.json(), self.chance.random()
            if luck < ANSWERED["call"]:
                await self.desk(f"{task['task_id']}/answer", score=self.score_of(task["summary"]), reasons=[])
                self.answered += 1
            else:
                await self.desk(f"{task['task_id']}/outcome", disposition="refused" if luck > 0.5 else "no_answer")

    async def desk(self, action: str, **said: object) -> httpx2.Response:
        body = {"operator": OPERATOR, **said}
        answer = await self.stage.web.post(f"{self.stage.scoring}/v1/desk/{action}", json=body)
        return answer.raise_for_status()

    async def speak_out(self) -> None:
        """Give the newest answers comments worth reading."""
        for store, score, reasons, words in LAST_WORDS:
            await self.unread()
            await self.stage.happens(self.sale(store))
            [mail] = await self.unread()
            await self.stage.after(minutes=34)
            await self.answer(mail, score, reasons=list(reasons), comment=words)
        await self.stage.settle()


async def test_quarter_of_five_shops(stage: Stage, browser: Browser) -> None:
    season = Season(stage)
    await season.play()
    whole = (await stage.score())["series"][0]
    assert (whole["n"], whole["invited"]) == (season.answered, season.sold)
    stores = (await stage.score(by="store"))["series"]
    assert sum(store["n"] for store in stores) == whole["n"]

    async with watched(browser, viewport=DESKTOP) as context:
        page = await context.new_page()
        await show_dashboard(page, stage)
        await show_desk(page, stage)
        await show_team(page, season)
        await stage.happens(season.sale("Tverskaya"))
        [mail] = await season.unread()
        await show_question(page, stage, mail)


@pytest.mark.parametrize("locale", ["en", "ru"])
async def test_mail_is_read_on_the_smallest_phone_and_in_the_dark(browser: Browser, locale: str) -> None:
    settings = DispatcherSettings(_env_file=None)
    mail = SampleMail(locale=locale).compose(settings.composer)
    async with watched(browser, viewport={"width": 320, "height": 600}) as context:
        page = await context.new_page()
        await page.set_content(mime.read_alternative(mail.body)[1])
        assert await page.evaluate(SIDEWAYS) <= 0
        await expect(page.get_by_role("link", name="10")).to_be_in_viewport()
        await take(page, f"mail-{locale}")
        await page.emulate_media(color_scheme="dark")
        await expect(page.locator("h1")).to_have_css("color", "rgb(241, 244, 246)")
        await expect(page.locator(".paper")).to_have_css("background-color", "rgb(23, 32, 42)")
        await take(page, f"mail-{locale}-dark")


async def show_dashboard(page: Page, stage: Stage) -> None:
    await page.goto(stage.scoring)
    await expect(page.locator(".picture.wide circle")).to_have_count(WEEKS)
    await expect(page.locator("#stores tbody tr")).to_have_count(len(SHARES))
    await expect(page.locator("#words li").first).to_contain_text(LAST_WORDS[-1][-1])
    await page.set_viewport_size(PHONE)
    assert await page.evaluate(SIDEWAYS) <= 0
    await photograph(page, "dashboard-360")
    await page.set_viewport_size(DESKTOP)
    await photograph(page, "dashboard-1280")
    await take(page, "dashboard", until=page.get_by_role("region", name="Reasons"))


async def show_desk(page: Page, stage: Stage) -> None:
    await page.goto(f"{stage.scoring}/desk")
    await page.get_by_label("Your name").fill(OPERATOR)
    await page.keyboard.press("Enter")
    await page.get_by_role("radio", name="7", exact=True).check()
    await expect(page.get_by_role("button", name="Save answer")).to_be_in_viewport()
    await take(page, "desk")


async def show_team(page: Page, season: Season) -> None:
    """Show the team with two more operators, who called in this hour."""
    for operator, disposition in (("Operator 2", "no_answer"), ("Operator 4", "busy")):
        taken = await season.desk("take", operator=operator)
        if taken.status_code == httpx2.codes.OK:
            await season.desk(f"{taken.json()['task_id']}/outcome", operator=operator, disposition=disposition)
    await page.goto(f"{season.stage.scoring}/desk-team")
    await expect(page.get_by_text(OPERATOR).first).to_be_visible()
    await take(page, "team")


async def show_question(page: Page, stage: Stage, mail: Mapping[str, Any]) -> None:
    await page.set_viewport_size({"width": 600, "height": 480})
    await page.goto(f"{stage.dispatcher}/mailbox/{mail['id']}/html")
    await expect(page.get_by_role("link", name="10")).to_be_in_viewport()
    await take(page, "mail")
    await page.set_viewport_size(PHONE)
    await page.goto(f"{link_in(mail)}?score=9")
    await expect(page.get_by_role("button")).to_have_text("Send 9")
    await take(page, "answer")


async def take(page: Page, name: str, *, until: Locator | None = None) -> None:
    """Save a picture of the page, or of the part above an element, when EARSHOT_TEST_PICTURES is set."""
    end = await until.bounding_box() if until else None
    clip: FloatRect | None = end and {"x": 0, "y": 0, "width": DESKTOP["width"], "height": end["y"]}
    picture = await page.screenshot(full_page=True, clip=clip)
    assert len(picture) < MAX_PICTURE
    if TAKEN:
        PICTURES.mkdir(exist_ok=True)
        (PICTURES / f"{name}.png").write_bytes(picture)

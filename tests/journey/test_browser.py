"""What people see, in a real browser, at the size of a phone and of a desktop."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from playwright.async_api import Browser, BrowserContext, Page, Response, Route, expect

from services.dispatcher.domain.receipts import ReceiptKind, Reference
from services.dispatcher.domain.replies import Reply
from services.dispatcher.repository import replies
from shared.contract.events import NpsUpdated
from shared.contract.vocabulary import ChannelKind, Service
from shared.database.db import Database
from tests.browser import DESKTOP, PHONE, Watch, log_in, watched
from tests.journey.looking import OF_RESPONDENTS, OF_STAFF, faults_of, looked_at
from tests.journey.stage import Stage, event, link_in, purchase
from tests.journey.test_chain import published

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

PRIVATE = {"x-robots-tag": "noindex, nofollow", "referrer-policy": "no-referrer", "cache-control": "no-store"}
MAX_ANSWER_PAGE = 50_000


async def silence(stage: Stage) -> None:
    """Advance time past mail, repeat and SMS without an answer, until the call is due."""
    for _ in range(8):
        await stage.after(days=1)


async def test_two_customers_are_heard(stage: Stage, browser: Browser) -> None:
    """One customer answers by mail, another on a call; the open dashboard shows both without a reload."""
    async with watched(browser, viewport=DESKTOP) as context:
        dashboard = await context.new_page()
        await dashboard.goto(stage.scoring)
        await expect(dashboard.get_by_role("heading", name="Nobody has been asked yet")).to_be_visible()
        results = await stage.happens(purchase(1, name="Olga Smirnova"), purchase(2, name="Rustam Karimov"))

        await stage.after(minutes=5)
        await answer_on_phone(await follow_mail(context, stage, "olga1@example.com", score="8"))
        await stage.settle()
        await expect(dashboard.get_by_role("heading", name="1 answer so far")).to_be_visible()
        await expect(dashboard.get_by_text("Tverskaya, today 10:05, e-mail. “Anna was kind.”")).to_be_visible()

        await silence(stage)
        assert [message["step"] for message in await stage.mailbox()] == [1, 1, 2, 3]
        await enter_at_desk(context, stage)
        await stage.settle()
        await expect(dashboard.get_by_role("heading", name="2 answers so far")).to_be_visible()
        await expect(dashboard.get_by_text("the desk. “Waited too long.”")).to_be_visible()

    for result in results:
        assert (await stage.invitation(result["invitation_id"]))["outcome"] == "answered"
    updates = [u for u in await published(stage, "nps.updates", NpsUpdated) if isinstance(u, NpsUpdated)]
    counted = {(u.dimension, u.value, u.day.day, u.by_score[9], u.by_score[4]) for u in updates if u.n}
    assert {("mode", "self", 2, 1, 0), ("mode", "operator", 10, 0, 1)} <= counted
    assert {("all", "", 2, 1, 0), ("all", "", 10, 0, 1)} <= counted


async def follow_mail(context: BrowserContext, stage: Stage, address: str, *, score: str) -> Page:
    """Open the mail in the mailbox and tap a score in it."""
    page = await context.new_page()
    await page.goto(f"{stage.dispatcher}/mailbox")
    await page.get_by_role("link", name=address).click()
    async with context.expect_page() as opened:
        await page.frame_locator("iframe").get_by_role("link", name=score, exact=True).click()
    return await opened.value


async def answer_on_phone(page: Page) -> None:
    """Choose another score than was tapped in the mail, send it, and give reasons."""
    await page.set_viewport_size(PHONE)
    await expect(page.get_by_role("button")).to_have_text("Send 8")
    await page.get_by_role("radio", name="9", exact=True).check()
    await page.get_by_role("button", name="Send 9").click()
    await expect(page.get_by_role("status")).to_contain_text("your answer 9 is saved")
    await page.get_by_label("Friendly staff").check()
    await page.get_by_label("Tell us more").fill("Anna was kind.")
    await page.get_by_role("button", name="Send").click()
    await expect(page.get_by_role("heading", name="Thank you")).to_be_visible()


async def enter_at_desk(context: BrowserContext, stage: Stage) -> None:
    """Take the call and enter the answer with the keyboard alone."""
    page = await context.new_page()
    await page.goto(f"{stage.scoring}/desk")
    await page.get_by_label("Your name").fill("Operator 7")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/desk/*-*")  # and its script
    await expect(page.get_by_text("+7 900 000-00-02")).to_be_visible()
    await page.keyboard.type("10")
    await expect(page.get_by_role("radio", name="10")).to_be_checked()
    await page.get_by_label("Friendly staff").check()
    await page.keyboard.press("Escape")  # out of the comment, into which a score leads
    await page.keyboard.press("4")
    await expect(page.get_by_role("radio", name="4")).to_be_checked()
    await expect(page.get_by_label("Friendly staff")).to_be_hidden()
    await expect(page.get_by_role("group", name="Reasons for 0 to 8")).to_be_visible()
    await expect(page.get_by_label(re.compile("own words"))).to_be_focused()
    await page.keyboard.type("Waited too long.")
    await page.keyboard.press("Control+Enter")
    await expect(page.get_by_role("status")).to_contain_text("Saved: 4 of 10. The call is closed.")


@pytest.mark.parametrize(
    ("locale", "words"),
    [
        ("en", ("Send", "your answer 9 is saved", "Friendly staff", "Tell us more", "Thank you", "Change")),
        ("ru", ("Отправить", "оценка 9 сохранена", "Качество", "Расскажите подробнее", "Спасибо", "Изменить")),
    ],
)
async def test_answer_is_given_and_changed_without_scripts(
    stage: Stage, browser: Browser, locale: str, words: tuple[str, ...]
) -> None:
    send, saved, reason, comment, thanks, change = words
    await stage.happens(purchase(locale=locale))
    await stage.after(minutes=5)
    link = link_in((await stage.mailbox())[0])
    async with watched(browser, viewport=PHONE, java_script_enabled=False) as context:
        page = await context.new_page()
        await page.goto(link)
        await page.get_by_role("radio", name="9", exact=True).check()
        await page.get_by_role("button", name=send, exact=True).click()
        await expect(page.get_by_role("status")).to_contain_text(saved)
        await page.get_by_label(reason).check()
        await page.get_by_label(comment).fill("Тепло 🙂")
        await page.get_by_role("button", name=send, exact=True).click()
        await expect(page.get_by_role("heading", name=thanks)).to_be_visible()
        await page.get_by_role("link", name=change).click()
        await page.get_by_role("radio", name="10", exact=True).check()
        await page.get_by_role("button", name=send, exact=True).click()
        await expect(page.get_by_role("status")).to_contain_text("10")
        await expect(page.get_by_label(comment)).to_have_value("Тепло 🙂")
    await stage.settle()
    assert (await stage.score())["series"][0]["by_score"][9:] == [0, 1]


@pytest.mark.parametrize("locale", ["en", "ru"])
async def test_first_screen_of_a_phone_holds_the_whole_question(stage: Stage, browser: Browser, locale: str) -> None:
    await stage.happens(purchase(locale=locale))
    async with watched(browser, viewport=PHONE) as context:
        page, loaded = await context.new_page(), list[Response]()
        page.on("response", lambda response: loaded.append(response))  # noqa: PLW0108 - playwright marks its handlers
        await page.goto(link_in((await stage.mailbox())[0]) + "?score=9", wait_until="networkidle")
        assert sum([len(await response.body()) for response in loaded]) < MAX_ANSWER_PAGE
        button = await page.get_by_role("button").bounding_box()
        squares = [await square.bounding_box() for square in await page.locator(".squares label").all()]
    assert button is not None
    assert button["y"] + button["height"] <= PHONE["height"]
    assert len(squares) == 11
    assert all(box and min(box["width"], box["height"]) >= 44 for box in squares)


@dataclass(frozen=True, slots=True)
class Places:
    """Return every page by name; some have another status than 200."""

    pages: dict[str, str]
    for_respondents: frozenset[str]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.pages.items())


async def every_page(stage: Stage) -> Places:
    """Bring the services to a state in which every page shows something, and an operator has a call."""
    languages = {n: "ru" if n % 2 else "en" for n in range(1, 8)}
    await stage.happens(*(purchase(n, name="Olga Smirnova", locale=language) for n, language in languages.items()))
    await stage.happens(event("crm.purchase.cancelled", {"id": "customer-6"}, order={"id": "order-6"}))
    mails = {message["to"]: message for message in await stage.mailbox()}
    links = [link_in(mails[f"olga{n}@example.com"]) for n in range(1, 8)]
    await stage.answer(links[2], 4, reasons=["speed"], comment="Долго ждали.")
    await stage.answer(links[3], 9)
    unsubscribing = re.search(r"https?://\S+/u/[\w-]{22}", mails["olga5@example.com"]["text"])
    assert unsubscribing is not None
    (await stage.web.post(unsubscribing.group(), data={"what": "email"})).raise_for_status()
    await write_back(stage, mails["olga3@example.com"]["invitation_id"])
    await silence(stage)
    taken = await stage.web.post(f"{stage.scoring}/v1/desk/take", json={"operator": "Operator 7"})
    listed = (await stage.web.get(f"{stage.dispatcher}/v1/invitations?customer=customer-1")).raise_for_status().json()
    messages = {message["channel"]: message["id"] for message in await stage.mailbox()}
    found = re.search(r"https?://\S+/u/[\w-]{22}", mails["olga7@example.com"]["text"])
    assert found is not None
    respondents = {
        "question-ru": links[0],
        "question-en": f"{links[1]}?score=9",
        "saved-ru": links[2],
        "saved-en": links[3],
        "thanks-ru": f"{links[2]}?done=1",
        "thanks-en": f"{links[3]}?done=1",
        "withdrawn": links[5],
        "unknown": f"{stage.scoring}/s/{'A' * 22}.1?try=3",
        "stop": f"{links[1]}/stop",
        "unsubscribe-ru": found.group(),
        "unsubscribe-unknown": f"{stage.dispatcher}/u/{'A' * 22}",
    }
    staff = {
        "dashboard-few": stage.scoring,
        "suspects": f"{stage.scoring}/suspects",
        "stores": f"{stage.scoring}/stores",
        "statistics": f"{stage.scoring}/statistics",
        "desk": f"{stage.scoring}/desk",
        "desk-call": f"{stage.scoring}/desk/{taken.json()['task_id']}",
        "mailbox": f"{stage.dispatcher}/mailbox",
        "mail": f"{stage.dispatcher}/mailbox/{messages['email']}",
        "sms": f"{stage.dispatcher}/mailbox/{messages['sms']}",
        "invitations": f"{stage.dispatcher}/invitations?customer=customer-1",
        "invitation": f"{stage.dispatcher}/invitations/{listed['invitations'][0]['id']}",
        "mails": f"{stage.dispatcher}/mail",
        "suppressions": f"{stage.dispatcher}/suppressions",
        "replies": f"{stage.dispatcher}/replies",
    }
    return Places(respondents | staff, frozenset(respondents))


async def write_back(stage: Stage, invitation_id: str) -> None:
    """Keep a mail and a text message of respondents, as the reader of the mailbox and the webhooks do."""
    mail = Reply(
        provider="imap",
        key="a1",
        channel=ChannelKind.EMAIL,
        sender="olga3.with.a.rather.long.address.that.has.to.wrap.somewhere@mail.example.com",
        subject="Re: How likely are you to recommend Kofe Point to a friend or a colleague?",
        text="My parcel never came.\nPlease call me: I am at home until six, " + "or-in-the-garden" * 8,
        at=stage.clock.now(),
        reference=Reference(UUID(invitation_id), 1),
    )
    text = replace(mail, key="a2", channel=ChannelKind.SMS, sender="+15550100", subject="", text="Стоп! Где заказ?")
    database = Database(stage.urls["dispatcher"], schema=Service.DISPATCHER, pool_size=1)
    async with database.sessions.begin() as session:
        await replies.keep(session, [mail, replace(text, asks=ReceiptKind.STOP)])
    await database.close()


async def as_operator(context: BrowserContext, stage: Stage) -> None:
    await context.add_cookies([{"name": "operator", "value": "Operator%207", "url": stage.scoring}])


INLINE = re.compile(r"<[^>]* style=|<style|<script(?![^>]* src=)")  # in the page as it was sent


async def test_every_page_is_private_and_has_no_inline_parts(stage: Stage, browser: Browser) -> None:
    places = await every_page(stage)
    async with watched(browser) as context:
        await as_operator(context, stage)
        page = await context.new_page()
        for name, address in places:
            response = await page.goto(address)
            assert response is not None
            assert {key: response.headers[key] for key in PRIVATE} == PRIVATE, name
            assert "unsafe" not in response.headers["content-security-policy"], name
            assert INLINE.findall(await response.text()) == [], name


async def test_every_page_is_accessible_and_fits(stage: Stage, browser: Browser) -> None:
    """axe-core can run only without our content security policy."""
    places, faults = await every_page(stage), list[str]()
    context = await browser.new_context(bypass_csp=True)
    await log_in(context)
    await as_operator(context, stage)
    page = await context.new_page()
    for name, address in places:
        await page.goto(address)
        sizes = OF_RESPONDENTS if name in places.for_respondents else OF_STAFF
        await looked_at(page, name, faults, sizes=sizes)
    mail = await stage.web.get(places.pages["mail"] + "/html")
    await page.set_content(mail.text)
    faults += await faults_of(page, "mail body", apart=("region", "landmark-one-main"))
    await context.close()
    assert faults == [], "\n".join(faults)


async def test_watch_sees_what_no_page_may_do(browser: Browser) -> None:
    async def serve(route: Route) -> None:
        if urlsplit(route.request.url).hostname == "127.0.0.1":
            html = "<p style='color: red'>x</p><img src='http://example.com/x.png'><script src='/fails.js'></script>"
            policy = "default-src 'self'; img-src *"
            await route.fulfill(body=html, content_type="text/html", headers={"content-security-policy": policy})
        else:
            await route.abort()

    context = await browser.new_context()
    watch = Watch(context)
    await context.route("**", serve)
    await (await context.new_page()).goto("http://127.0.0.1/")
    await context.close()
    seen = "\n".join(watch.complaints)
    assert "request: http://example.com/x.png" in seen
    assert "style-src" in seen

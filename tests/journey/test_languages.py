"""Pages for staff in both languages, in a real browser: the narrowest phone and a desktop, light and dark."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.browser import log_in
from tests.journey.looking import looked_at
from tests.journey.stage import Stage, purchase

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

ENGLISH = re.compile(r"\b(the|and|of|no|is|are|not|with|what|who|this|that|about)\b", re.IGNORECASE)
SENTENCE = re.compile(r"[A-Za-z]{2,}(?:,? [A-Za-z]{2,})+")
PAGES = {
    "dashboard": "/",
    "stores": "/stores",
    "store": "/stores/edit",
    "suspects": "/suspects",
    "comments": "/comments?words=coffee",
    "tags": "/tags",
    "customers": "/customers?find=customer-1",
    "customer": "/customer/trigger?id=customer-1",
    "erase": "/customers/erase?id=customer-1",
    "erased": "/customers/erased?id=customer-1",
    "decisions": "/decisions",
    "invitations": "/invitations",
    "replies": "/replies",
    "suppressions": "/suppressions",
    "mailbox": "/mailbox",
    "mails": "/mail",
    "desk": "/desk",
    "sources": "/sources",
    "programs": "/programs",
    "program": "/programs/after-purchase",
    "stop": "/programs/after-purchase/stopped",
    "messages": "/mail/programs/after-purchase",
    "people": "/people",
    "keys": "/keys/scoring",
    "audit": "/audit/scoring",
    "account": "/account",
    "nothing": "/stores/nothing",
}

LONG = "a" * 401
ODD = {  # addresses with mistakes, and pages that most people open seldom
    "/?from=x",
    "/?program=nope",
    f"/?program={LONG}",
    "/account/refused",
    "/account/refused?part=1",
    "/account/codes",
    "/audit/dispatcher",
    "/keys/dispatcher",
    "/keys/trigger",
    "/audit/scoring?from=x",
    "/audit/trigger",
    "/audit/trigger?before=x&days=1",
    "/customer/dispatcher?id=customer-1",
    "/customer/scoring?id=customer-1",
    "/customer/trigger",
    "/customer/trigger?id=nobody",
    "/customer/trigger?id=customer-1&id=customer-2",
    f"/customer/trigger?id={LONG}",
    "/customer/trigger?id=",
    f"/customer/trigger?{'&'.join(f'id={number}' for number in range(60))}",
    "/customer/trigger?id=1&page=2",
    "/customers/erase",
    "/customers/erase?id=nobody",
    "/customers/erased",
    "/customers/erased?id=nobody",
    "/customers?find=nobody",
    "/customers?find=a&find=b",
    f"/customers?find={LONG}",
    "/decisions?customer=customer-1",
    "/decisions?customer=nobody",
    f"/decisions?event={LONG}",
    "/desk/xxx",
    "/desk/00000000-0000-7000-8000-000000000000",
    "/invitations/xxx",
    "/invitations/00000000-0000-7000-8000-000000000000",
    "/invitations?outcome=x",
    "/invitations?customer=nobody",
    "/join/nothing",
    "/mail/programs/after-purchase?locale=zz",
    "/mail/programs/nope",
    "/mail?template=x",
    "/mail?locale=zz",
    "/mailbox/xxx",
    "/mailbox/00000000-0000-7000-8000-000000000000",
    "/nothing",
    "/people/import",
    "/people/xxx",
    "/people/00000000-0000-7000-8000-000000000000",
    "/previews/after-purchase?locale=ru&what=x",
    "/previews/after-purchase?locale=zz&what=question",
    "/previews/nope?locale=ru&what=question",
    "/previews/after-purchase?locale=ru&what=question",
    f"/programs/{LONG}",
    "/programs/*/off",
    "/programs/*/withdrawn",
    "/programs/after-purchase/off",
    "/programs/after-purchase/on",
    "/programs/after-purchase/xyz",
    "/programs/nope",
    "/programs/nope/on",
    "/replies?read=x",
    "/replies?read=true",
    "/sources?source=nope",
    "/sources?source=shop",
    "/statistics",
    "/stores/edit?code=nope",
    "/stores/import",
    "/stores?days=x",
    "/suppressions?customer=nobody",
    "/suppressions?find=zzz",
    "/suspects?before=x",
    "/u/nothing",
}


async def window(browser: Browser, locale: str) -> BrowserContext:
    return await browser.new_context(bypass_csp=True, locale=locale)  # axe is put into the page


async def words_of(page: Page) -> str:
    """Return the texts of the page's own, without those of customers, programs and code."""
    text = await page.evaluate(
        """() => {
            const copy = document.querySelector("main").cloneNode(true);
            const foreign = "code, iframe, svg, [lang=en], option, em, .subject, .headers dd, #who";
            for (const each of copy.querySelectorAll(foreign)) each.remove();
            return copy.innerText;
        }"""
    )
    return str(text)


@pytest.mark.parametrize("locale", ["ru-RU", "en-GB"])
async def test_every_page_is_accessible_and_fits_in_both_languages(stage: Stage, browser: Browser, locale: str) -> None:
    faults, english = list[str](), dict[str, list[str]]()
    await stage.happens(purchase(1, store="Арбат"), purchase(2, store="Сокол"))
    await stage.after(minutes=5)
    context, language = await window(browser, locale), locale[:2]
    page = await context.new_page()
    await page.goto(f"{stage.scoring}/login")
    await looked_at(page, f"language-{language}-login", faults)
    await log_in(context)
    for name, path in PAGES.items():
        await page.goto(f"{stage.scoring}{path}")
        await expect(page.locator("html")).to_have_attribute("lang", language)
        await looked_at(page, f"language-{language}-{name}", faults)
        english[name] = ENGLISH.findall(await words_of(page))
    await context.close()
    assert faults == [], "\n".join(faults)
    assert {name: found for name, found in english.items() if bool(found) is (language == "ru")} == {}


async def test_no_page_says_a_sentence_in_english_to_a_russian_reader(stage: Stage, browser: Browser) -> None:
    await stage.happens(purchase(1, store="Арбат"), purchase(2, store="Сокол", consent={"email": False}))
    await stage.after(days=20)
    context, english = await window(browser, "ru-RU"), dict[str, list[str]]()
    page = await context.new_page()
    await log_in(context)
    for path in sorted(ODD):
        shown = await page.goto(f"{stage.scoring}{path}")
        assert shown is not None
        assert shown.status < 500, path
        english[path] = SENTENCE.findall((await words_of(page)).replace("After a purchase or a service", ""))
    await context.close()
    assert {path: found for path, found in english.items() if found} == {}


async def test_person_chooses_a_language_that_holds_in_every_service(stage: Stage, browser: Browser) -> None:
    context = await window(browser, "en-GB")
    await log_in(context)
    page = await context.new_page()
    await page.goto(f"{stage.scoring}/account")
    await page.get_by_label("Language of the pages").select_option("ru")
    await page.get_by_role("button", name="Choose").click()
    await expect(page.get_by_role("heading", name="Ваш профиль")).to_be_visible()
    for address, heading in ((stage.trigger, "Почему этого клиента"), (stage.dispatcher, "Приглашения")):
        await page.goto(f"{address}/{'decisions' if address == stage.trigger else 'invitations'}")
        await expect(page.get_by_role("heading", name=heading)).to_be_visible()
    await page.goto(f"{stage.scoring}/account")
    await page.get_by_label("Язык страниц").select_option("")
    await page.get_by_role("button", name="Выбрать").click()
    await expect(page.get_by_role("heading", name="Your account")).to_be_visible()
    await context.close()


async def test_the_first_tab_stop_skips_the_header(stage: Stage, browser: Browser) -> None:
    context = await window(browser, "en-GB")
    await log_in(context)
    page = await context.new_page()
    await page.goto(f"{stage.scoring}/stores")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("main")).to_be_focused()
    current = page.locator("header [aria-current]")
    assert await current.all_inner_texts() == ["Score", "Stores"]
    await context.close()


async def test_person_reads_times_in_the_zone_of_the_browser_or_in_one_of_choice(
    stage: Stage, browser: Browser
) -> None:
    await stage.happens(purchase(1))
    context = await browser.new_context(locale="en-GB", timezone_id="Asia/Yekaterinburg")
    page = await context.new_page()
    await page.goto(f"{stage.scoring}/login")
    await log_in(context)
    for address, path in ((stage.trigger, "decisions"), (stage.dispatcher, "invitations")):
        await page.goto(f"{address}/{path}")
        await expect(page.get_by_text("times in Asia/Yekaterinburg")).to_be_visible()
        await expect(page.locator("time").first).to_have_text("2 Mar 2026, 15:00")
    await page.goto(f"{stage.scoring}/account")
    await page.get_by_label("Time zone of the pages").fill("Europe/Moscow")
    await page.get_by_role("button", name="Set the zone").click()
    await expect(page.get_by_text("times in Europe/Moscow")).to_be_visible()
    await page.goto(f"{stage.trigger}/decisions")
    await expect(page.locator("time").first).to_have_text("2 Mar 2026, 13:00")
    await context.close()

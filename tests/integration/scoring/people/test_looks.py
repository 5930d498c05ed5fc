"""The pages of people and the log-in in a real browser: how they look, by keyboard, and the cookie it keeps."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from uuid import uuid4

import pyotp
import pytest
from playwright.async_api import Browser, Page, expect

from services.scoring.config import ScoringSettings
from services.scoring.domain.stores.store import Store
from services.scoring.main import build_app
from services.scoring.people.link_mailer import LinkMailer
from services.scoring.people.oidc.settings import ProviderSettings
from services.scoring.repository.people import accounts, sessions
from services.scoring.repository.stores import listed
from shared.contract.vocabulary import Role, Service
from shared.messaging.transport import open_log
from shared.runtime import ServiceContext
from shared.serving import serve
from shared.smtp_server import SmtpServer
from shared.staff_mail import StaffMail
from tests.browser import DESKTOP, watched
from tests.fakes import smtp_sink
from tests.integration.scoring.people.conftest import PASSWORD, invited
from tests.integration.scoring.stand import Scoring
from tests.journey import looking


@asynccontextmanager
async def served(
    scoring: Scoring,
    urls: Mapping[str, str],
    *,
    samples: bool = False,
    oidc: Sequence[ProviderSettings] = (),
    link_mailer: LinkMailer | None = None,
) -> AsyncIterator[str]:
    stop, log = asyncio.Event(), open_log(urls["transport"])
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        settings = ScoringSettings(public_url=url, oidc=tuple(oidc))
        app = build_app(
            settings,
            database=scoring.database,
            clock=scoring.clock,
            stop=stop,
            samples=samples,
            link_mailer=link_mailer,
        )
        around = ServiceContext(urls["scoring"], log, scoring.clock, stop, listener)
        serving = asyncio.create_task(serve(app, around, service=Service.SCORING))
        try:
            yield url
        finally:
            stop.set()
            await serving
            await log.close()


async def looked_at(page: Page, name: str) -> None:
    """Photograph a page at each width, light and dark; everything fits, and the checker finds nothing."""
    faults = list[str]()
    await looking.looked_at(page, f"people-{name}", faults)
    assert faults == [], "\n".join(faults)


async def choose_password(page: Page) -> None:
    """Fill in the form, in any language."""
    await page.locator("[name=password]").fill(PASSWORD)
    await page.locator("[name=again]").fill(PASSWORD)
    async with page.expect_navigation():
        await page.keyboard.press("Enter")


async def join(page: Page, link: str) -> None:
    await page.goto(link)
    await choose_password(page)


async def test_pages_of_people_look_right(browser: Browser, scoring: Scoring, urls: Mapping[str, str]) -> None:
    login = "alexandra.konstantinopolskaya@a-long-shop-name.example"
    async with scoring.database.sessions.begin() as session:
        await listed.put(session, [Store("A1", "Arbat", (), "Moscow"), Store("N1", "Nevsky", (), "North-West")])
    await scoring.asked()
    link = (await invited(scoring, login, Role.ADMINISTRATOR)).url("")
    async with (
        served(scoring, urls, samples=True) as url,
        watched(browser, viewport=DESKTOP, bypass_csp=True) as context,
    ):
        await context.clear_cookies()
        page = await context.new_page()
        await page.goto(url)
        await page.get_by_text("Look around as").wait_for()
        await looked_at(page, "log-in-demo")
        await page.goto(url + link)
        await looked_at(page, "join")
        await choose_password(page)
        await page.goto(f"{url}/people")
        await looked_at(page, "list")
        await page.get_by_label("Name", exact=True).fill("Oleg Ivanov")
        await page.get_by_label("Login").fill("oleg")
        await page.get_by_label("operator").check()
        await page.get_by_label("only what is chosen here").check()
        await page.get_by_label("North-West").check()
        await page.get_by_label("Stores", exact=True).fill("Arbat")
        await page.get_by_role("button", name="Add and make a link").click()
        await page.get_by_text("Give this to Oleg Ivanov").wait_for()
        await looked_at(page, "link")
        await page.get_by_role("link", name="All people").click()
        await page.get_by_role("link", name="Oleg Ivanov").click()
        await looked_at(page, "person")
        await page.goto(f"{url}/people/{uuid4()}")
        await page.get_by_text("No such person").wait_for()
        await looked_at(page, "error")
        await page.goto(f"{url}/people/import")
        lines = "login,name,roles\nanna,Anna Orlova,manager\nb,Bad Line,astronaut\n"
        file = {"name": "people.csv", "mimeType": "text/csv", "buffer": lines.encode()}
        await page.get_by_label("A CSV file").set_input_files(file)  # type: ignore[arg-type]
        await page.get_by_role("button", name="Check the file").click()
        await page.get_by_text("Nothing is stored yet").wait_for()
        await looked_at(page, "import")
        await page.get_by_role("button", name="Store the 1 good line").click()
        await page.get_by_text("Links, shown only now").wait_for()
        await looked_at(page, "imported")
        await codes_look_right(page, url, login)
        await page.goto(f"{url}/join/nothing")
        await looked_at(page, "join-used")


async def test_log_in_with_providers_looks_right(browser: Browser, scoring: Scoring, urls: Mapping[str, str]) -> None:
    labels = {"company": "Company account", "partners": "Franchise partners and their agencies"}
    oidc = [
        ProviderSettings.model_validate(
            {"id": id_, "label": label, "client_id": "x", "roles": {"x": ["manager"]}}
            | {"issuer": f"https://{id_}.example"}
        )
        for id_, label in labels.items()
    ]
    async with (
        served(scoring, urls, oidc=oidc) as url,
        watched(browser, viewport=DESKTOP, bypass_csp=True) as context,
    ):
        await context.clear_cookies()
        page = await context.new_page()
        await page.goto(f"{url}/login?left=partners")
        await page.get_by_text("perhaps still logged in at Franchise").wait_for()
        await looked_at(page, "log-in-providers")
        await page.goto(f"{url}/login/from/partners?code=x&state=of-another-browser")
        await page.get_by_text("Begin again").wait_for()
        await looked_at(page, "log-in-provider-failed")


async def codes_look_right(page: Page, url: str, login: str) -> None:
    """Add a second factor on the account's page, and log in with it."""
    await page.goto(f"{url}/account")
    await looked_at(page, "account")
    await page.get_by_role("link", name="Add one-time codes").click()
    await page.wait_for_url(f"{url}/account/codes")
    await looked_at(page, "codes")
    secret = await page.locator("code.key").inner_text()
    await page.get_by_label("The code that the app shows now").fill(pyotp.TOTP(secret).now())
    await page.get_by_label("Your password").fill(PASSWORD)
    await page.get_by_role("button", name="Save").click()
    await page.get_by_text("Print these").wait_for()
    await looked_at(page, "codes-recovery")
    recovery = await page.locator(".codes code").first.inner_text()
    await page.get_by_role("link", name="I have them").click()
    await page.get_by_role("button", name="Log out").first.click()
    await page.get_by_label("Login").fill(login)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Log in").click()
    await expect(page.get_by_label("Code")).to_be_focused()
    await looked_at(page, "log-in-code")
    await page.keyboard.type(recovery)
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"{url}/stores")


async def test_chain_of_300_stores_and_400_people_is_set_up_from_two_files(
    browser: Browser, scoring: Scoring, urls: Mapping[str, str]
) -> None:
    stores = "".join(f"S{n},Store {n},Region {n % 20}\n" for n in range(300))
    managers = "".join(f"m{n},Manager {n},manager,S{n},\n" for n in range(300))
    regional = "".join(f'r{n},Regional {n},"manager, analyst",,Region {n % 20}\n' for n in range(100))
    link = (await invited(scoring, "root", Role.ADMINISTRATOR)).url("")
    async with served(scoring, urls) as url, watched(browser, viewport=DESKTOP) as context:
        await context.clear_cookies()
        page = await context.new_page()
        await join(page, url + link)
        for path, heading, lines, done in (
            ("stores", "code,name,region", stores, "300"),
            ("people", "login,name,roles,stores,regions", managers + regional, "Stored: 400 added"),
        ):
            await page.goto(f"{url}/{path}/import")
            content = f"{heading}\n{lines}".encode()
            file = {"name": f"{path}.csv", "mimeType": "text/csv", "buffer": content}
            await page.locator("input[type=file]").set_input_files(file)  # type: ignore[arg-type]
            await page.get_by_role("button", name="Check the file").click()
            await page.get_by_role("button", name="Store").click()
            await page.get_by_role("status").filter(has_text=done).wait_for()
        await page.goto(f"{url}/people")
        await expect(page.get_by_text("401 people")).to_be_visible()
        await looked_at(page, "chain")
    async with scoring.database.sessions.begin() as session:
        scopes = {person.login: person.scope for person in await accounts.load_all(session)}
    assert scopes["m7"].stores == {"S7"}
    assert scopes["r7"].regions == {"Region 7"}


async def test_pages_of_links_by_mail_look_right(browser: Browser, scoring: Scoring, urls: Mapping[str, str]) -> None:
    link = (await invited(scoring, "admin", Role.ADMINISTRATOR)).url("")
    async with smtp_sink() as sink:
        sink.replies["wrong@shop.example"] = "550 no such user"
        server = SmtpServer.from_url(f"smtp://127.0.0.1:{sink.port}")
        mail = StaffMail(server, sender="earshot@shop.example", per_hour=10, service=Service.SCORING)
        mailer = LinkMailer(scoring.database.sessions, mail, origin="http://127.0.0.1:8000")
        async with served(scoring, urls, link_mailer=mailer) as url, watched(browser, viewport=DESKTOP) as context:
            await context.clear_cookies()
            page = await context.new_page()
            await page.goto(f"{url}/login")
            await looked_at(page, "log-in-with-mail")
            await page.get_by_role("link", name="Forgot the password?").click()
            await looked_at(page, "forgot")
            await page.get_by_label("Login").fill("admin")
            await page.get_by_role("button", name="Send a link").click()
            await page.get_by_text("a link is on its way").wait_for()
            await looked_at(page, "asked")
            await page.goto(url + link)
            await page.get_by_label("Password").fill(PASSWORD)
            await page.get_by_label("The same again").fill(PASSWORD)
            await page.get_by_role("button", name="Save and log in").click()
            await page.goto(f"{url}/people/import")
            people = ("anna,Anna Orlova,manager,anna@shop.example", "oleg,Oleg,operator,wrong@shop.example")
            lines = "\n".join(["login,name,roles,e-mail", *people])
            file = {"name": "people.csv", "mimeType": "text/csv", "buffer": lines.encode()}
            await page.get_by_label("A CSV file").set_input_files(file)  # type: ignore[arg-type]
            await page.get_by_role("button", name="Check the file").click()
            await page.get_by_role("button", name="Store 2 people").click()
            await page.get_by_text("Links, shown only now").wait_for()
            await looked_at(page, "imported-with-mail")
            async with context.expect_page() as opening:
                await page.get_by_role("button", name="Send 2 links by mail").click()
            mailed = await opening.value
            await mailed.get_by_text("1 of 2 links were sent").wait_for()
            await looked_at(mailed, "mailed")
            await page.goto(f"{url}/people")
            await looked_at(page, "list-with-mail")
            await page.get_by_role("link", name="Anna Orlova").click()
            await looked_at(page, "person-with-mail")
            await page.get_by_text("Make a link for a new password").click()
            await page.get_by_role("button", name="Make the link").click()
            await page.get_by_text("Give this to Anna Orlova").wait_for()
            await looked_at(page, "link-with-mail")
            await page.get_by_role("button", name="Send a link by mail instead").click()
            await page.get_by_text("Sent: 1 link").wait_for()
            assert sink.recipients == ["anna@shop.example"] * 2


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
async def test_browser_logs_in_by_keyboard_and_keeps_the_cookie_until_it_logs_out(
    browser: Browser, scoring: Scoring, urls: Mapping[str, str], name: str
) -> None:
    link = (await invited(scoring, "olga", Role.SUPERVISOR)).url("")
    async with served(scoring, urls) as url:
        context = await browser.new_context(bypass_csp=True)
        page = await context.new_page()
        await page.goto(url + link)
        await expect(page.get_by_label("Password")).to_be_focused()
        for key in (PASSWORD, "Tab", PASSWORD, "Enter"):
            await (page.keyboard.type(key) if " " in key else page.keyboard.press(key))
        await page.wait_for_url(f"{url}/")
        (cookie,) = [each for each in await context.cookies() if each["name"] == "earshot"]
        assert (cookie["httpOnly"], cookie["sameSite"], cookie["expires"]) == (True, "Lax", -1)
        await page.goto(f"{url}/account")
        await page.get_by_role("button", name="Log out").first.press("Enter")
        await page.wait_for_url(f"{url}/login")
        elsewhere = url.replace("127.0.0.1", name)
        await page.goto(f"{elsewhere}/suspects")
        assert page.url.startswith(f"{url}/login")  # at the name that links to pages use
        await looked_at(page, "log-in")
        await expect(page.get_by_label("Login")).to_be_focused()
        for key in ("olga", "Tab", "not the password", "Enter"):
            await (page.keyboard.press(key) if key in ("Tab", "Enter") else page.keyboard.type(key))
        await page.get_by_text("do not belong together").wait_for()
        await looked_at(page, "log-in-wrong")
        await page.get_by_label("Password").focus()
        await page.keyboard.type(PASSWORD)
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"{url}/suspects")
        await context.close()


async def test_page_that_is_open_says_that_the_session_has_ended(
    browser: Browser, scoring: Scoring, urls: Mapping[str, str]
) -> None:
    link = (await invited(scoring, "olga", Role.OPERATOR, Role.SUPERVISOR)).url("")
    async with served(scoring, urls) as url, watched(browser, viewport=DESKTOP, bypass_csp=True) as context:
        await context.clear_cookies()
        desk, dashboard = await context.new_page(), await context.new_page()
        await join(desk, url + link)
        await desk.goto(f"{url}/desk")
        await dashboard.goto(url)
        async with scoring.database.sessions.begin() as session:
            found = await accounts.by_login(session, "olga")
            assert found is not None
            await sessions.end_all(session, found[0].id)
        for page in (desk, dashboard):
            await page.bring_to_front()
            await expect(page.get_by_role("alert")).to_contain_text("Your log-in has ended")
            await looked_at(page, "session-ended")
        await dashboard.get_by_role("link", name="Log in again").click()
        await expect(dashboard.get_by_label("Password")).to_be_visible()

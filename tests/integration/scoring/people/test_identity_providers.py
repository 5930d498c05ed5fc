"""Log-in at real identity providers in a real browser."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack

import pytest
from playwright.async_api import Browser, Page, expect

from deploy.ports import free_ports
from services.scoring.people.oidc.settings import ProviderSettings
from tests.browser import HUMAN
from tests.identity_providers.keycloak_server import CLIENT, PASSWORD, SECRET, Keycloak, require_keycloak
from tests.identity_providers.node_provider import node_provider
from tests.integration.scoring.people.test_looks import served
from tests.integration.scoring.stand import Scoring
from tests.npm import NotHere


@pytest.fixture(scope="module")
def keycloak() -> Iterator[Keycloak]:
    require_keycloak()
    with Keycloak() as server:
        yield server


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A page of somebody who is not logged in; what providers log in the console does not matter."""
    context = await browser.new_context(user_agent=HUMAN)
    yield await context.new_page()
    await context.close()


def settings(provider: str, issuer: str) -> ProviderSettings:
    return ProviderSettings.model_validate(
        {
            "id": provider,
            "label": "Company account",
            "issuer": issuer,
            "client_id": CLIENT,
            "client_secret": SECRET,
            "roles": {"nps-supervisors": ["supervisor"]},
        }
    )


async def enter_keycloak(page: Page, user: str) -> None:
    await page.get_by_role("button", name="Company account").click()
    await page.locator("#username").fill(user)
    await page.locator("#password").fill(PASSWORD)
    await page.locator("#kc-login").click()


async def test_keycloak_says_who_comes_in_and_who_goes(
    page: Page, keycloak: Keycloak, scoring: Scoring, urls: Mapping[str, str]
) -> None:
    async with served(scoring, urls, oidc=[settings("keycloak", keycloak.issuer)]) as url:
        await asyncio.to_thread(
            keycloak.make_realm, earshot=url, groups=["nps-supervisors"], users={"olga": ["nps-supervisors"]}
        )
        await page.goto(f"{url}/suspects")
        await enter_keycloak(page, "olga")
        await expect(page).to_have_url(f"{url}/suspects")
        await page.locator("summary", has_text="Olga Petrova").click()
        await page.get_by_role("link", name="Your account").click()
        await expect(page.get_by_text("You log in by Company account")).to_be_visible()

        await page.get_by_role("button", name="Log out").first.click()
        await page.get_by_role("button", name="Log out there, too").click()
        await page.locator("#kc-logout").click()
        await page.goto(f"{url}/login")
        await enter_keycloak(page, "olga")  # Keycloak asks again
        await expect(page.get_by_role("heading", name="Nobody has been asked yet")).to_be_visible()

        await asyncio.to_thread(keycloak.leave_group, "olga", "nps-supervisors")
        await page.goto(f"{url}/account")
        await expect(page.get_by_text("Roles: Supervisor")).to_be_visible()
        await asyncio.to_thread(keycloak.log_out, "olga")  # which it tells over the back channel
        await page.goto(f"{url}/account")
        await enter_keycloak(page, "olga")
        await expect(page.get_by_text("none of your groups there opens a page here")).to_be_visible()


async def test_node_s_provider_agrees(page: Page, scoring: Scoring, urls: Mapping[str, str]) -> None:
    """A second opinion of another implementation, which puts names and groups into the userinfo only."""
    (port,) = free_ports(1)
    provider = settings("node", f"http://127.0.0.1:{port}")
    async with served(scoring, urls, oidc=[provider]) as url, AsyncExitStack() as running:
        callback = f"{url}/login/from/node"
        try:
            await running.enter_async_context(node_provider(port, client_id=CLIENT, secret=SECRET, callback=callback))
        except NotHere as error:
            pytest.skip(str(error))
        await page.goto(f"{url}/suspects")
        await page.get_by_role("button", name="Company account").click()
        await page.locator("[name=login]").fill("anna")
        await page.locator("[name=password]").fill("any")
        await page.get_by_role("button", name="Sign-in").click()
        await page.get_by_role("button", name="Continue").click()
        await expect(page).to_have_url(f"{url}/suspects")
        await expect(page.locator("summary", has_text="anna Petrova")).to_be_visible()

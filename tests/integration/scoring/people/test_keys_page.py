"""The page of API keys and webhooks: what it says of each and who may open it, and the revocation of a key."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

import httpx2
import pytest
from fastapi import FastAPI
from playwright.async_api import Browser
from uuid_utils.compat import uuid7

from shared.contract.api_keys import KeyScope, NewKey, digest, new_token
from shared.contract.vocabulary import Role, Service
from shared.database import api_keys
from shared.database.audit import chain
from shared.database.audit.rows import Actor, ActorKind, NewRow, Stage
from shared.database.db import fetch
from tests.audit import ended
from tests.browser import DESKTOP, watched
from tests.integration.scoring.people.conftest import Open, invited, joined
from tests.integration.scoring.people.test_looks import join, looked_at, served
from tests.integration.scoring.stand import Scoring
from tests.staff_pages import done_on

PAGE = "/keys/scoring"
_ENDPOINT = """INSERT INTO webhook_endpoints (id, url, types, secret)
VALUES ($1, 'https://crm.a-long-shop-name.example/hooks/earshot', '["survey.answered"]', 'x')"""


async def key_of(scoring: Scoring, name: str) -> tuple[UUID, str]:
    """Make a key as the command does; return its id and its token."""
    token = new_token([Service.SCORING])
    key = NewKey(uuid7(), name, digest(token), frozenset([KeyScope.SCORES_READ]), timedelta(days=30))
    made = NewRow(Stage.ENDED, Actor(ActorKind.COMMAND, "root"), "earshot keys create", subject=str(key.id), status=0)
    async with scoring.database.sessions.begin() as session:
        await api_keys.add(session, key)
        await chain.append(session, [made])
    return key.id, token


async def test_administrator_sees_who_made_a_key_and_revokes_it_after_a_question(
    web: httpx2.AsyncClient, scoring: Scoring, app: FastAPI
) -> None:
    id_, token = await key_of(scoring, "bi")
    await joined(web, scoring, "admin", Role.ADMINISTRATOR)
    page = (await web.get(PAGE)).text
    for text in ("bi</td>", "<code>scores:read</code>", "from the command line by root", "until "):
        assert text in page, text
    assert token not in page
    asked = (await web.get(f"{PAGE}/{id_}/revoke")).text
    assert ("Revoke the key “bi”?" in asked, f"earshot keys revoke {id_}" in asked) == (True, True)
    with_key = {"authorization": f"Bearer {token}"}
    assert (await web.get("/v1/nps", headers=with_key)).status_code == 200
    assert page.count('<time datetime="') == 1
    await app.state.keys.uses.store()
    assert (await web.get(PAGE)).text.count('<time datetime="') == 2, "when it was made, and when it was used last"
    pressed = await web.post(f"{PAGE}/{id_}/revoke")
    assert (pressed.status_code, pressed.headers["location"]) == (303, PAGE)
    page = (await web.get(PAGE)).text
    assert done_on(page) == "You revoked the key in scoring."
    assert "by you" in page
    assert f"{id_}/revoke" not in page
    (row,) = await scoring.rows("SELECT revoked_at FROM api_keys")
    assert row["revoked_at"] is not None
    assert (await ended(scoring.database))[-1] == ("POST /keys/scoring/{key_id}/revoke", str(id_), "{}", 303)
    assert (await web.post(f"{PAGE}/{uuid7()}/revoke")).status_code == 404


async def test_page_shows_webhooks_with_who_changed_them_and_without_secrets(
    web: httpx2.AsyncClient, scoring: Scoring
) -> None:
    await joined(web, scoring, "admin", Role.ADMINISTRATOR)
    made = (await web.post("/v1/webhooks", json={"url": "https://93.184.216.34/hook"})).json()
    await web.post(f"/v1/webhooks/{made['id']}/disable")
    page = (await web.get(PAGE)).text
    assert "https://93.184.216.34/hook" in page
    assert made["secret"] not in page
    for act in ("added ", "turned off "):
        assert act in page
    assert page.count(", by you") == 2


@pytest.mark.parametrize("role", Role)
async def test_keys_are_for_administrators_alone(opened: Open, scoring: Scoring, role: Role) -> None:
    id_, _ = await key_of(scoring, "bi")
    async with opened() as web:
        await joined(web, scoring, "olya", role)
        allowed = role is Role.ADMINISTRATOR
        assert ((await web.get(PAGE)).status_code == 200) is allowed
        assert ((await web.post(f"{PAGE}/{id_}/revoke")).status_code == 303) is allowed


async def test_page_and_question_look_right(browser: Browser, scoring: Scoring, urls: Mapping[str, str]) -> None:
    (id_, _), (old, _) = (
        await key_of(scoring, "business-intelligence-of-the-head-office"),
        await key_of(scoring, "till"),
    )
    async with scoring.database.sessions.begin() as session:
        await api_keys.revoke(session, old)
        await fetch(session, _ENDPOINT, uuid7())
    link = (await invited(scoring, "admin", Role.ADMINISTRATOR)).url("")
    async with served(scoring, urls) as url, watched(browser, viewport=DESKTOP, bypass_csp=True) as context:
        await context.clear_cookies()
        page = await context.new_page()
        await join(page, url + link)
        await page.goto(f"{url}{PAGE}")
        await looked_at(page, "keys")
        await page.get_by_role("link", name="Revoke business-intelligence-of-the-head-office").click()
        await page.wait_for_url(f"{url}{PAGE}/{id_}/revoke")
        await looked_at(page, "key-revoke")

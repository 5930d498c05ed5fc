"""API keys: scopes, expiry, revocation and rate limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

import httpx2
import pytest
from typer.testing import CliRunner

from deploy.commands.keys import app
from services.trigger.config import TriggerSettings
from services.trigger.main import build_app
from shared.clock import ManualClock
from shared.contract.vocabulary import Service
from shared.database import db
from shared.database.db import Database
from shared.web.api_keys import verifier
from tests.integration.trigger.samples import count, purchase
from tests.staff import STAFF

EVENTS = "/v1/events"
OUTSIDE = {"x-forwarded-for": "203.0.113.9"}


@pytest.fixture
async def outside(
    installed: Database, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx2.AsyncClient]:
    monkeypatch.setattr(verifier, "CACHE_S", 0.0)
    settings = TriggerSettings(_env_file=None, events_per_second=0.01)
    transport = httpx2.ASGITransport(build_app(settings, installed, clock))
    async with httpx2.AsyncClient(transport=transport, base_url="http://earshot.example", headers=OUTSIDE) as http:
        yield http


@pytest.fixture
def earshot(urls: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    for service in Service:
        monkeypatch.setenv(f"EARSHOT_{service.upper()}_DATABASE_URL", urls[service])
    return CliRunner()


async def create_key(runner: CliRunner, *words: str) -> tuple[dict[str, str], str]:
    """Create a key; return the header with it, and its id."""
    result = await asyncio.to_thread(runner.invoke, app, ["create", "shop", *words])
    assert result.exit_code == 0, result.output
    return {"authorization": f"Bearer {result.stdout.strip()}"}, result.stderr.split("\t")[0]


async def test_key_allows_what_its_scopes_say_and_nothing_else(outside: httpx2.AsyncClient, earshot: CliRunner) -> None:
    key, _ = await create_key(earshot)
    assert (await outside.post(EVENTS, json=purchase("e1"))).status_code == 401
    assert (await outside.post(EVENTS, json=purchase("e1"), headers=key)).json()["reason"] == "asked"
    refused = await outside.get("/v1/decisions", headers=key)
    assert (refused.status_code, refused.json()["detail"]) == (
        403,
        "This needs the scope decisions:read; its scopes in trigger are events:write.",
    )
    for path in ("/docs", "/metrics", "/v1/events/other"):
        assert (await outside.get(path, headers=key)).status_code == 403
    wider, _ = await create_key(earshot, "--scope", "decisions:read", "--scope", "programs:read")
    assert len((await outside.get("/v1/decisions", headers=wider)).json()["decisions"]) == 1
    assert (await outside.get("/v1/programs/after-purchase", headers=wider)).status_code == 200
    assert (await outside.put("/v1/programs", headers=wider)).status_code == 403
    assert (await outside.get("/docs", auth=STAFF)).status_code == 200


async def test_revoked_expired_and_unknown_keys_are_refused_alike(
    outside: httpx2.AsyncClient, earshot: CliRunner, installed: Database
) -> None:
    revoked, id_ = await create_key(earshot)
    assert (await outside.post(EVENTS, json=purchase("e1"), headers=revoked)).status_code == 202
    result = await asyncio.to_thread(earshot.invoke, app, ["revoke", id_])
    assert result.output == f"{id_} revoked\n"
    expired, other = await create_key(earshot)
    async with installed.sessions.begin() as session:
        await db.fetch(session, "UPDATE api_keys SET expires_at = clock_timestamp() WHERE id = $1::text::uuid", other)
    answers = [
        await outside.post(EVENTS, json=purchase("e2"), headers=headers)
        for headers in (revoked, expired, {"authorization": "Bearer esk_unknown"})
    ]
    assert {(answer.status_code, answer.json()["title"]) for answer in answers} == {(401, "This key is not valid")}
    assert await count(installed, "decisions") == 1
    listed = (await asyncio.to_thread(earshot.invoke, app, ["list"])).output
    assert f"{id_}\tshop\tevents:write\trevoked 20" in listed


async def test_only_a_digest_of_a_key_is_kept(earshot: CliRunner, trigger_db: Database) -> None:
    key, _ = await create_key(earshot, "--days", "0")
    async with trigger_db.sessions() as session:
        (row,) = await db.fetch(session, "SELECT k::text AS kept, expires_at FROM api_keys AS k")
    assert key["authorization"].removeprefix("Bearer esk_t_") not in row["kept"]
    assert row["expires_at"] is None


async def test_key_over_its_rate_limit_is_told_when_to_retry(outside: httpx2.AsyncClient, earshot: CliRunner) -> None:
    key, _ = await create_key(earshot)
    other, _ = await create_key(earshot)
    assert (await outside.post(EVENTS, json=[purchase("e1")] * 1000, headers=key)).status_code == 202
    refused = await outside.post(EVENTS, json=purchase("e2"), headers=key)
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) in range(90, 101)
    assert (await outside.post(EVENTS, json=purchase("e2"), headers=other)).status_code == 202
    assert (await outside.post(EVENTS, json=[purchase("e3")] * 1000, auth=STAFF)).status_code == 202
    assert (await outside.post(EVENTS, json=purchase("e4"), auth=STAFF)).status_code == 202


async def test_single_events_at_once_share_a_transaction(outside: httpx2.AsyncClient, installed: Database) -> None:
    sent = [purchase(f"e{number}", customer={"id": f"c{number}", "email": "a@shop.example"}) for number in range(100)]
    answers = await asyncio.gather(*(outside.post(EVENTS, json=one, auth=STAFF) for one in sent))
    assert [answer.json()["id"] for answer in answers] == [one["id"] for one in sent]
    async with installed.sessions() as session:
        (row,) = await db.fetch(session, "SELECT count(DISTINCT xmin::text) AS commits FROM decisions")
    assert row["commits"] < 20

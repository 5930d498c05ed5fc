"""The verifier of API keys: how long it believes what it has read, and what it does while the database is away."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from uuid_utils.compat import uuid7

from shared.contract.api_keys import KeyScope, NewKey, digest
from shared.contract.vocabulary import Service
from shared.database import api_keys
from shared.database.db import Database, fetch, is_transient
from shared.web.api_keys import refusals, verifier
from shared.web.api_keys.verifier import ApiKeyVerifier
from shared.web.client_address import ClientAddress
from shared.web.problems import Forbidden, TooManyRequests, Unauthorized
from tests.integration.scoring.people.conftest import MachineClock

TOKEN, OTHER = "esk_s_of-a-test", "esk_s_of-another"
BOTH = frozenset({KeyScope.SCORES_READ, KeyScope.METRICS_READ})


class Machine:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def today() -> MachineClock:
    return MachineClock()


@pytest.fixture
def checking(scoring_db: Database, machine: Machine, today: MachineClock) -> ApiKeyVerifier:
    return ApiKeyVerifier(Service.SCORING, scoring_db.sessions, ClientAddress(), monotonic=machine, now=today.now)


@pytest.fixture
def nowhere() -> Database:
    return Database("postgresql://nobody@127.0.0.1:1/nowhere", schema="scoring")


async def add(database: Database, token: str = TOKEN, lasting: timedelta | None = None) -> NewKey:
    key = NewKey(uuid7(), "test", digest(token), BOTH, lasting)
    async with database.sessions.begin() as session:
        await api_keys.add(session, key)
    return key


def request(path: str, client: str = "8.8.8.8") -> dict[str, Any]:
    return {"type": "http", "method": "GET", "path": path, "headers": [], "client": (client, 1)}


async def test_hour_of_the_last_use_is_stored_once_an_hour_and_key_and_off_the_path_of_requests(
    checking: ApiKeyVerifier, scoring_db: Database, today: MachineClock
) -> None:
    key, other = await add(scoring_db), await add(scoring_db, OTHER)

    async def used_at() -> list[datetime | None]:
        async with scoring_db.sessions.begin() as session:
            known = {each.id: each.used_at for each in await api_keys.load_all(session)}
        return [known[key.id], known[other.id]]

    today.at = at = datetime(2026, 11, 17, 9, 15, tzinfo=UTC)
    for _ in range(3):
        await checking.admit(request("/v1/nps"), TOKEN)
    with pytest.raises(Forbidden):
        await checking.admit(request("/v1/nps") | {"method": "DELETE"}, OTHER)
    assert await used_at() == [None, None]
    await checking.uses.store()
    assert await used_at() == [at.replace(minute=0), None], "what is refused is no use"
    async with scoring_db.sessions.begin() as session:
        await fetch(session, "UPDATE api_keys SET used_at = NULL")
    today.after(minutes=44)
    await checking.admit(request("/v1/nps"), TOKEN)
    await checking.uses.store()
    assert await used_at() == [None, None], "a second write in the hour"
    today.after(minutes=1)
    await checking.admit(request("/v1/nps"), TOKEN)
    async with scoring_db.sessions.begin() as session:
        await fetch(session, "ALTER TABLE api_keys RENAME TO away")
    with pytest.raises(Exception, match="api_keys"):
        await checking.uses.store()
    async with scoring_db.sessions.begin() as session:
        await fetch(session, "ALTER TABLE away RENAME TO api_keys")
    await checking.uses.store()
    assert await used_at() == [at.replace(hour=10, minute=0), None]
    async with scoring_db.sessions.begin() as session:
        await api_keys.store_uses(session, {key.id: at})
    assert await used_at() == [at.replace(hour=10, minute=0), None], "another process was slower"


async def test_revoked_key_works_for_five_seconds_at_most(
    checking: ApiKeyVerifier, scoring_db: Database, machine: Machine
) -> None:
    key = await add(scoring_db)
    await checking.admit(request("/v1/nps"), TOKEN)
    async with scoring_db.sessions.begin() as session:
        await api_keys.revoke(session, key.id)
    machine.now += verifier.CACHE_S - 0.1
    await checking.admit(asked := request("/v1/nps"), TOKEN)
    assert asked["state"]["key"] == key.id
    machine.now += 0.1
    with pytest.raises(Unauthorized):
        await checking.admit(request("/v1/nps"), TOKEN)


async def test_memory_of_keys_is_bounded(
    checking: ApiKeyVerifier, scoring_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifier, "CACHE_SIZE", 3)
    for number in range(5):
        await add(scoring_db, f"{TOKEN}{number}")
        await checking.admit(request("/v1/nps"), f"{TOKEN}{number}")
    assert len(checking._cache) == 3
    with pytest.raises(Unauthorized):
        await checking.admit(request("/v1/nps"), "esk_unknown")
    assert len(checking._cache) == 3


async def test_monitoring_reads_metrics_for_an_hour_while_the_database_is_away(
    checking: ApiKeyVerifier, scoring_db: Database, nowhere: Database, machine: Machine
) -> None:
    await add(scoring_db)
    await checking.admit(request("/metrics"), TOKEN)
    checking._sessions = nowhere.sessions
    machine.now += verifier.CACHE_S + verifier.OUTAGE_S - 1
    await checking.admit(request("/metrics"), TOKEN)
    for path, token in (("/v1/nps", TOKEN), ("/metrics", "esk_unknown")):
        with pytest.raises(Exception, match=r".*") as failed:
            await checking.admit(request(path), token)
        assert is_transient(failed.value), "which is answered with 503"
    machine.now += 1
    with pytest.raises(OSError, match=r".*"):
        await checking.admit(request("/metrics"), TOKEN)


async def test_key_that_was_revoked_before_an_outage_is_not_valid_again_in_it(
    checking: ApiKeyVerifier, scoring_db: Database, nowhere: Database, machine: Machine
) -> None:
    key = await add(scoring_db)
    await checking.admit(request("/metrics"), TOKEN)
    async with scoring_db.sessions.begin() as session:
        await api_keys.revoke(session, key.id)
    machine.now += verifier.CACHE_S
    with pytest.raises(Unauthorized):
        await checking.admit(request("/metrics"), TOKEN)
    checking._sessions = nowhere.sessions
    with pytest.raises(OSError, match=r".*"):
        await checking.admit(request("/metrics"), TOKEN)


async def test_client_of_many_guesses_is_answered_again_after_a_while(
    checking: ApiKeyVerifier, machine: Machine
) -> None:
    async def guess(client: str = "8.8.8.8") -> type[Exception]:
        with pytest.raises(Exception, match="key") as refused:
            await checking.admit(request("/v1/nps", client), "esk_guess")
        return refused.type

    assert [await guess() for _ in range(refusals.GUESSES + 1)] == [Unauthorized] * refusals.GUESSES + [TooManyRequests]
    machine.now += refusals.GUESS_S
    assert [await guess(), await guess(), await guess("9.9.9.9")] == [Unauthorized, TooManyRequests, Unauthorized]


async def test_guesses_of_many_clients_fill_no_memory(checking: ApiKeyVerifier) -> None:
    limit = checking._refusals._limit
    for number in range(12_000):
        checking._refusals.unknown("esk_x", "/v1/nps", client=str(number), needed=None)
    assert len(limit) == 10_000


async def test_expired_key_ends_by_machine_time(checking: ApiKeyVerifier, scoring_db: Database) -> None:
    await add(scoring_db, lasting=timedelta(hours=1))
    await checking.admit(request("/v1/nps"), TOKEN)
    async with scoring_db.engine.begin() as connection:
        await connection.execute(sa.text("UPDATE api_keys SET expires_at = clock_timestamp()"))
    checking._cache.clear()
    with pytest.raises(Unauthorized):
        await checking.admit(request("/v1/nps"), TOKEN)


async def test_method_of_a_prefix_without_scope_is_refused(checking: ApiKeyVerifier, scoring_db: Database) -> None:
    await add(scoring_db)
    with pytest.raises(Forbidden, match="may not do that") as refused:
        await checking.admit({**request("/v1/nps"), "method": "POST"}, TOKEN)
    assert refused.value.detail.startswith("No key gives access to this path, or not by this method; its scopes in sc")

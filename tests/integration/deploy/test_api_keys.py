"""API keys at all three services: what each scope opens, what no key opens, and `earshot keys` over their databases."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from prometheus_client import REGISTRY
from structlog.testing import capture_logs
from typer.testing import CliRunner, Result

from deploy.all_settings import AllSettings
from deploy.commands.keys import app as command
from deploy.databases import MIGRATIONS
from deploy.operations import api_keys
from services.dispatcher import main as dispatcher
from services.scoring import main as scoring
from services.trigger import main as trigger
from shared import migrations
from shared.clock import ManualClock
from shared.config import Settings
from shared.contract.api_keys import KeyScope
from shared.contract.vocabulary import KEY_PREFIX, Service
from shared.database import db, embedded
from shared.database.db import Database
from shared.web import routes
from shared.web.api_keys import refusals, verifier
from shared.web.api_keys.scopes import needed_scope, scopes_of
from tests.integration.scoring.stand import NOW

SCORING, TRIGGER, DISPATCHER = Service.SCORING, Service.TRIGGER, Service.DISPATCHER
NOWHERE = "postgresql://nobody@127.0.0.1:1/nowhere"
GUESSER, OTHER = "8.8.8.8", "9.9.9.9"


@dataclass(frozen=True, slots=True)
class Stand:
    """The apps of all services as clients of the internet reach them, on one set of databases."""

    apps: Mapping[Service, FastAPI]
    databases: Mapping[Service, Database]
    settings: Settings

    async def key(
        self, *scopes: KeyScope, lasting: timedelta | None = None, programs: Sequence[str] = ()
    ) -> tuple[dict[str, str], UUID]:
        """Create a key; return the header with it, and its id."""
        token, stored = await api_keys.create(self.settings, "test", scopes=scopes, lasting=lasting, programs=programs)
        return {"authorization": f"Bearer {token}"}, stored.id

    async def ask(
        self,
        service: Service,
        path: str,
        headers: Mapping[str, str],
        *,
        method: str = "GET",
        client: str = OTHER,
        auth: tuple[str, str] | None = None,
    ) -> httpx2.Response:
        transport = httpx2.ASGITransport(self.apps[service], raise_app_exceptions=False, client=(client, 1))
        async with httpx2.AsyncClient(transport=transport, base_url="https://earshot.example") as web:
            return await web.request(method, path, headers=headers, auth=auth)

    async def rows(self, service: Service, sql: str, *values: object) -> Sequence[db.Row]:
        async with self.databases[service].sessions.begin() as session:
            return await db.fetch(session, sql, *values)

    def requests(self, service: Service) -> Iterator[tuple[str, str]]:
        """Yield method and path of every route that is not served to everybody."""
        for route in iter_route_contexts(self.apps[service].routes):
            path = str(route.path).replace("{customer_id:path}", "c1").replace("{", "").replace("}", "")
            if path not in routes.without_ticket(service):
                yield from ((method, path) for method in sorted(route.methods or ["GET"]))


@pytest.fixture
async def stand(urls: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stand]:
    monkeypatch.setattr(verifier, "CACHE_S", 0.0)
    for service in Service:
        monkeypatch.setenv(f"EARSHOT_{service.upper()}_DATABASE_URL", urls[service])
    settings = AllSettings.from_environment(_env_file=None)
    async with AsyncExitStack() as resources:
        databases = {service: Database(urls[service], schema=service) for service in Service}
        for database in databases.values():
            resources.push_async_callback(database.close)
        clock = ManualClock(NOW)
        apps = {
            TRIGGER: trigger.build_app(settings.trigger, databases[TRIGGER], clock),
            DISPATCHER: dispatcher.build_app(settings.dispatcher, databases[DISPATCHER], clock),
            SCORING: scoring.build_app(settings.scoring, database=databases[SCORING], clock=clock),
        }
        yield Stand(apps, databases, Settings(_env_file=None))


async def earshot(*words: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, command, words)


def header(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def refused(service: Service, reason: str) -> float:
    labels = {"service": service, "reason": reason}
    return REGISTRY.get_sample_value("earshot_keys_refused_total", labels) or 0.0


def revision_before_keys(service: Service) -> str:
    (path,) = (MIGRATIONS[service] / "versions").glob("*_api_keys.py")
    return f"{int(path.name.partition('_')[0]) - 1:04}"


# --- what a key opens


@pytest.mark.parametrize("service", Service)
async def test_key_opens_the_routes_of_its_scope_and_every_other_key_is_told_which(
    stand: Stand, service: Service
) -> None:
    scopes = scopes_of(service)
    only = {scope: (await stand.key(scope))[0] for scope in scopes}
    others = {scope: (await stand.key(*(scopes - {scope})))[0] for scope in scopes}
    asked = [(method, path, needed_scope(service, method, path)) for method, path in stand.requests(service)]
    opened = [(method, path, scope) for method, path, scope in asked if scope]
    assert {scope for *_, scope in opened} == scopes
    for method, path, scope in opened:
        for each in (method, *(("HEAD", "OPTIONS") if method == "GET" else ())):
            allowed = await stand.ask(service, path, only[scope], method=each)
            assert allowed.status_code not in (401, 403, 500), (each, path)
            answer = await stand.ask(service, path, others[scope], method=each)
            assert answer.status_code == 403, (each, path)
        answer = await stand.ask(service, path, others[scope], method=method)
        assert f"This needs the scope {scope}; its scopes in {service} are " in answer.json()["detail"]


@pytest.mark.parametrize("service", Service)
async def test_no_key_opens_a_page(stand: Stand, service: Service) -> None:
    everything, _ = await stand.key(*KeyScope)
    pages = [(method, path) for method, path in stand.requests(service) if not needed_scope(service, method, path)]
    assert {"/", "/docs", "/openapi.json"} <= {path for _, path in pages}
    for method, path in pages:
        answer = await stand.ask(service, path, everything, method=method)
        assert answer.status_code == 403, (method, path)
        assert method == "HEAD" or answer.json()["title"] == "This key may not do that"
    for path in ("//v1/nps", "/V1/nps", "/v1", "/metricsx", "/v1/nps/../../docs", "/docs/../v1/nps"):
        assert (await stand.ask(service, path, everything, method="POST")).status_code == 403


async def test_one_key_works_at_each_service_that_it_has_scopes_of(stand: Stand) -> None:
    key, id_ = await stand.key(KeyScope.SCORES_READ, KeyScope.DECISIONS_READ, KeyScope.METRICS_READ)
    assert (await stand.ask(SCORING, "/v1/nps", key)).status_code == 200
    assert (await stand.ask(TRIGGER, "/v1/decisions", key)).status_code == 200
    for service in Service:
        assert "earshot_keys_refused_total" in (await stand.ask(service, "/metrics", key)).text
    kept = {
        service: (await stand.rows(service, "SELECT scopes, digest FROM api_keys WHERE id = $1", id_))[0]
        for service in Service
    }
    assert {service: set(row["scopes"]) for service, row in kept.items()} == {
        SCORING: {"scores:read", "metrics:read"},
        TRIGGER: {"decisions:read", "metrics:read"},
        DISPATCHER: {"metrics:read"},
    }
    assert len({row["digest"] for row in kept.values()}) == 1
    lacking = await stand.ask(TRIGGER, "/v1/programs", key)
    assert lacking.json()["detail"] == (
        "This needs the scope programs:read; its scopes in trigger are decisions:read, metrics:read."
    )


async def test_key_of_another_service_is_told_so(stand: Stand) -> None:
    key, id_ = await stand.key(KeyScope.SCORES_READ)
    before = refused(TRIGGER, "other_service")
    answer = await stand.ask(TRIGGER, "/v1/decisions", key)
    assert (answer.status_code, answer.json()["detail"]) == (
        403,
        "This needs the scope decisions:read; all scopes of this key are of scoring.",
    )
    assert refused(TRIGGER, "other_service") == before + 1
    assert not await stand.rows(TRIGGER, "SELECT FROM api_keys WHERE id = $1", id_)


async def test_scope_of_a_newer_version_does_no_harm(stand: Stand) -> None:
    key, id_ = await stand.key(KeyScope.SCORES_READ)
    await stand.rows(SCORING, "UPDATE api_keys SET scopes = scopes || '{moon:fly}'::text[] WHERE id = $1", id_)
    assert (await stand.ask(SCORING, "/v1/nps", key)).status_code == 200
    assert "moon:fly scores:read" in (await earshot("list")).output


# --- what is no valid key


@pytest.mark.parametrize(
    ("service", "path"), [(SCORING, "/v1/nps"), (TRIGGER, "/v1/decisions"), (DISPATCHER, "/v1/mailbox")]
)
async def test_expired_revoked_and_unknown_keys_are_refused_alike_and_counted_apart(
    stand: Stand, service: Service, path: str
) -> None:
    scope = needed_scope(service, "GET", path)
    assert scope is not None
    expired, ended_id = await stand.key(scope, lasting=timedelta(0))
    revoked, revoked_id = await stand.key(scope)
    assert (await stand.ask(service, path, revoked)).status_code == 200
    assert (await earshot("revoke", str(revoked_id))).output == f"{revoked_id} revoked\n"
    before = {reason: refused(service, reason) for reason in ("expired", "revoked", "unknown")}
    with capture_logs() as lines:
        answers = [await stand.ask(service, path, each) for each in (expired, revoked, header(f"{KEY_PREFIX}unknown"))]
    assert {(each.status_code, each.text) for each in answers} == {(401, answers[0].text)}
    assert answers[0].headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert {reason: refused(service, reason) - count for reason, count in before.items()} == dict.fromkeys(before, 1)
    assert [(line["reason"], line["prefix"], line["key"]) for line in lines if line["event"] == "key.refused"] == [
        ("expired", path, str(ended_id)),
        ("revoked", path, str(revoked_id)),
        ("unknown", path, None),
    ]
    assert KEY_PREFIX not in str(lines)


@pytest.mark.parametrize("service", Service)
async def test_key_is_read_from_the_header_alone(stand: Stand, service: Service) -> None:
    key, _ = await stand.key(*KeyScope)
    token = key["authorization"].removeprefix("Bearer ")
    path = {SCORING: "/v1/nps", TRIGGER: "/v1/decisions", DISPATCHER: "/v1/mailbox"}[service]
    assert (await stand.ask(service, path, key)).status_code == 200
    basic = base64.b64encode(f"key:{token}".encode()).decode()
    for headers, query in (
        ({}, f"?key={token}"),
        ({}, f"?access_token={token}"),
        ({"cookie": f"key={token}; authorization=Bearer {token}"}, ""),
        ({"x-api-key": token}, ""),
        ({"authorization": token}, ""),
        ({"authorization": f"Basic {basic}"}, ""),
    ):
        assert (await stand.ask(service, f"{path}{query}", headers)).status_code == 401


@pytest.mark.parametrize(
    "token",
    ["", "s_", "s_x", "dst_", "dstdst_x", "x" * 5000, "\u00e9", "a b", "' OR 1=1 --", "s_\x00", "sss__", "zzz_abc"],
)
async def test_malformed_key_is_an_unknown_one(stand: Stand, token: str) -> None:
    headers = {b"authorization": f"Bearer {KEY_PREFIX}{token}".encode()}
    answer = await stand.ask(SCORING, "/v1/nps", headers)  # type: ignore[arg-type]
    assert answer.status_code == 401


# --- guesses


async def test_guesses_are_slowed_and_keep_no_valid_key_out(stand: Stand) -> None:
    key, _ = await stand.key(KeyScope.SCORES_READ)
    before = refused(SCORING, "unknown")

    async def guess(client: str) -> int:
        token = header(f"{KEY_PREFIX}{uuid4().hex}")
        return (await stand.ask(SCORING, "/v1/nps", token, client=client)).status_code

    with capture_logs() as lines:
        statuses = [await guess(GUESSER) for _ in range(refusals.GUESSES + 5)]
    assert statuses == [401] * refusals.GUESSES + [429] * 5
    assert refused(SCORING, "unknown") == before + refusals.GUESSES + 5
    assert len([line for line in lines if line["event"] == "key.refused"]) == refusals.GUESSES
    assert await guess(OTHER) == 401
    at_once = await asyncio.gather(
        *(guess(GUESSER) for _ in range(50)),
        *((stand.ask(SCORING, "/v1/nps", key, client=client)) for client in (GUESSER, OTHER)),
    )
    assert set(at_once[:50]) == {429}
    assert [each.status_code for each in at_once[50:] if isinstance(each, httpx2.Response)] == [200, 200]
    slowed = await stand.ask(SCORING, "/v1/nps", header(f"{KEY_PREFIX}x"), client=GUESSER)
    assert int(slowed.headers["retry-after"]) in range(1, 11)


# --- the command


async def test_key_is_created_listed_and_revoked_in_the_databases_of_its_scopes(stand: Stand) -> None:
    made = await earshot("create", "bi", "--scope", "scores:read", "--scope", "decisions:read", "--days", "30")
    id_ = made.stderr.split("\t")[0]
    assert made.stderr.startswith(f"{id_}\tbi\tdecisions:read scores:read\tuntil 20")
    key = header(made.stdout.strip())
    assert made.stdout.startswith(f"{KEY_PREFIX}st_")
    assert (await stand.ask(SCORING, "/v1/nps", key)).status_code == 200
    assert [len(await stand.rows(service, "SELECT FROM api_keys")) for service in Service] == [1, 0, 1]
    assert made.stdout.strip() not in str(await stand.rows(SCORING, "SELECT k::text FROM api_keys AS k"))
    assert (await earshot("list")).output == f"{made.stderr.rstrip()}\tnever used\n"
    for _ in range(2):
        again = await earshot("revoke", id_)
        assert (again.exit_code, again.output) == (0, f"{id_} revoked\n")
    assert f"{id_}\tbi\tdecisions:read scores:read\trevoked 20" in (await earshot("list")).output
    assert (await stand.ask(SCORING, "/v1/nps", key)).status_code == 401
    unknown = await earshot("revoke", str(uuid4()))
    assert (unknown.exit_code, "no such key" in unknown.output) == (2, True)


async def test_unknown_scope_names_the_known_ones() -> None:
    said = await earshot("create", "bi", "--scope", "scores:write")
    assert said.exit_code == 2
    words = " ".join(said.output.replace("│", " ").split())
    assert all(f"'{scope}'" in words for scope in KeyScope)


@pytest.mark.parametrize("name", ["", " ", "a\tb", "a\nb", "a\0b", "\x1b[2J", "x" * 101])
async def test_name_that_would_break_the_list_is_refused(stand: Stand, name: str) -> None:
    said = await earshot("create", name)
    assert (said.exit_code, "printable characters" in said.output) == (2, True)
    assert not await stand.rows(TRIGGER, "SELECT FROM api_keys")


async def test_key_is_not_created_while_a_database_is_away(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARSHOT_SCORING_DATABASE_URL", NOWHERE)
    said = await earshot("create", "bi", "--scope", "scores:read", "--scope", "decisions:read")
    assert (said.exit_code, said.stdout, said.stderr.count("\n")) == (1, "", 1)
    assert said.stderr.startswith("earshot: scoring: PostgreSQL at ")
    assert said.stderr.endswith("the key was not created, try again\n")
    assert not await stand.rows(TRIGGER, "SELECT FROM api_keys")
    assert (await earshot("create", "shop")).exit_code == 0, "of trigger alone, so that scoring is not asked"


async def test_key_is_revoked_where_it_can_be_and_then_everywhere(
    stand: Stand, urls: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    key, id_ = await stand.key(KeyScope.SCORES_READ, KeyScope.DECISIONS_READ)
    monkeypatch.setenv("EARSHOT_SCORING_DATABASE_URL", NOWHERE)
    said = await earshot("revoke", str(id_))
    assert (said.exit_code, said.stdout, said.stderr.count("\n")) == (1, "", 1)
    assert said.stderr.startswith("earshot: scoring: PostgreSQL at ")
    assert said.stderr.endswith(f"; {id_} revoked in trigger; try again to revoke it there too\n")
    listed = await earshot("list")
    assert (listed.exit_code, f"{id_}\ttest\tdecisions:read\trevoked 20" in listed.stdout) == (1, True)
    assert listed.stderr.endswith("; its scopes are missing in this list\n")
    elsewhere = await earshot("revoke", str(uuid4()))
    assert (elsewhere.exit_code, "not found elsewhere" in elsewhere.stderr) == (1, True)
    monkeypatch.setenv("EARSHOT_SCORING_DATABASE_URL", urls[SCORING])
    assert (await earshot("list")).stdout.endswith(" in trigger, never expires in scoring\tnever used\n")
    assert (await stand.ask(SCORING, "/v1/nps", key)).status_code == 200
    assert (await earshot("revoke", str(id_))).output == f"{id_} revoked\n"
    assert (await stand.ask(SCORING, "/v1/nps", key)).status_code == 401


async def test_schema_that_is_not_migrated_is_named(
    stand: Stand, postgres: embedded.Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As between an upgrade of the code and that of the databases."""
    older = Database((await embedded.prepare(postgres, f"k{uuid4().hex[:12]}"))[SCORING], schema=SCORING, pool_size=1)
    await migrations.upgrade(older, MIGRATIONS[SCORING], to=revision_before_keys(SCORING))
    monkeypatch.setenv("EARSHOT_SCORING_DATABASE_URL", older.url.text)
    await older.close()
    key, id_ = await stand.key(KeyScope.DECISIONS_READ)
    said = await earshot("create", "bi", "--scope", "scores:read")
    reason = "scoring: it has no table of keys; run `earshot migrate scoring`"
    assert (said.exit_code, said.stderr) == (1, f"earshot: {reason}; the key was not created, try again\n")
    listed = await earshot("list")
    assert (listed.exit_code, str(id_) in listed.stdout, reason in listed.stderr) == (1, True, True)
    assert (await stand.ask(TRIGGER, "/v1/decisions", key)).status_code == 200


async def test_commit_that_fails_half_way_says_what_to_revoke(stand: Stand) -> None:
    """Both databases have accepted the key; trigger's has committed when scoring's fails."""
    await stand.rows(
        SCORING,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'away' USING ERRCODE = 'connection_failure'; END $$",
    )
    await stand.rows(
        SCORING,
        "CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON api_keys DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    said = await earshot("create", "bi", "--scope", "scores:read", "--scope", "decisions:read")
    (kept,) = await stand.rows(TRIGGER, "SELECT id FROM api_keys")
    assert (said.exit_code, said.stdout) == (1, "")
    assert said.stderr.startswith("earshot: scoring: PostgreSQL at ")
    assert f"revoke it with `earshot keys revoke {kept['id']}`, and create another" in said.stderr
    assert (await earshot("revoke", str(kept["id"]))).exit_code == 0


@pytest.mark.parametrize("service", [SCORING, DISPATCHER])
async def test_downgrade_takes_the_keys_of_a_service_and_leaves_those_of_the_others(
    stand: Stand, service: Service
) -> None:
    _, id_ = await stand.key(*KeyScope)
    async with migrations._alone(stand.databases[service]) as connection:
        await migrations._run(connection, MIGRATIONS[service], "downgrade", to=revision_before_keys(service))
    assert (await stand.rows(service, "SELECT to_regclass('api_keys') AS name"))[0]["name"] is None
    await migrations.upgrade(stand.databases[service], MIGRATIONS[service])
    left = [each for each in Service if await stand.rows(each, "SELECT FROM api_keys WHERE id = $1", id_)]
    assert left == [each for each in Service if each is not service]

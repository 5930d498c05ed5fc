"""Keys that are limited to programs: of the others they neither read nor change anything, at any route."""

from __future__ import annotations

import json
from dataclasses import dataclass

import httpx2
import pytest
from uuid_utils.compat import uuid7

from services.scoring.domain.calls import TaskKind
from shared.contract.api_keys import KeyScope, NewKey, digest
from shared.contract.events import Contact, ProgramRef, SurveyRequested
from shared.contract.vocabulary import Service
from shared.database import api_keys
from shared.web import routes
from shared.web.api_keys.scopes import is_limited, limitable, needed_scope
from tests.integration.deploy.test_api_keys import NOWHERE, SCORING, TRIGGER, Stand, earshot, stand
from tests.integration.scoring.stand import Scoring, call_for
from tests.integration.trigger.test_programs import apply

__all__ = ["stand"]  # the fixture

OWN, BANK = (ProgramRef(id=id_, version=1, title=id_.title()) for id_ in ("cafe", "bank"))
SECRET_PHONE = "+79160000099"
SECRETS = ("Secret words", SECRET_PHONE, "c-secret", "bank")
KEY = {"authorization": "Bearer esk_s_limited"}


@dataclass(frozen=True, slots=True)
class Two:
    """A survey that was answered and one with a call that waits, in the program of the key and in another."""

    answered: tuple[SurveyRequested, SurveyRequested]
    calls: tuple[str, str]
    answer_ids: tuple[str, str]


@pytest.fixture
async def two(scoring: Scoring) -> Two:
    """Store two programs and a key, with every scope that can be limited, of the first."""
    key = NewKey(uuid7(), "Cafe Calls", digest("esk_s_limited"), limitable(), None, frozenset({OWN.id}))
    async with scoring.database.sessions.begin() as session:
        await api_keys.add(session, key)
    answered, called = [], []
    for program, who, words in ((OWN, "c-own", "Open words"), (BANK, "c-secret", "Secret words")):
        phone = SECRET_PHONE if program is BANK else "+79160000011"
        contact = Contact(phone=phone)
        answered.append(await scoring.asked(program=program, customer_id=who, contact=contact))
        await scoring.score(answered[-1], 3, comment=words)
        call = call_for(await scoring.asked(program=program, customer_id=f"{who}-2", contact=contact), phone=phone)
        await scoring.receive(call)
        called.append(str(call.task_id))
    await scoring.tick()
    rows = await scoring.rows("SELECT invitation_id, answer_id FROM answers")
    ids = {row["invitation_id"]: str(row["answer_id"]) for row in rows}
    own, other = answered
    return Two((own, other), (called[0], called[1]), (ids[own.invitation_id], ids[other.invitation_id]))


@pytest.mark.parametrize("service", Service)
async def test_limited_key_is_refused_where_a_route_is_for_all_programs(stand: Stand, service: Service) -> None:
    await applied(stand, OWN.id)
    whole, _ = await stand.key(*KeyScope)
    limited, _ = await stand.key(*KeyScope, programs=[OWN.id])
    for method, path in stand.requests(service):
        if needed_scope(service, method, path) is None:
            continue
        answer = await stand.ask(service, path, limited, method=method)
        if is_limited(method, path):
            assert answer.status_code != 401, (method, path)
            assert answer.status_code != 403 or "program" in answer.text, (method, path)
        else:
            assert answer.status_code == 403, (method, path)
            assert "limited to programs" in answer.text, (method, path)
        assert (await stand.ask(service, path, whole, method=method)).status_code not in (401, 403)


async def test_no_route_gives_a_limited_key_anything_of_another_program(
    two: Two, client: httpx2.AsyncClient, stand: Stand
) -> None:
    ids = {"task_id": two.calls[1], "answer_id": two.answer_ids[1], "list_id": str(uuid7()), "day": "2025-01-01"}
    asked = 0
    for method, route in stand.requests(SCORING):
        prefix = routes.find(route)
        if prefix is None or not needed_scope(SCORING, method, route):
            continue
        path = route
        for name, value in ids.items():
            path = path.replace(f"/{name}", f"/{value}")
        body = {"operator": "Eve", "score": 9, "disposition": "do_not_call", "add": ["seen"], "calls": 10}
        for program in ("", "?program=bank", "?program=cafe", "?segment=store:Tverskaya"):
            answer = await client.request(method, f"{path}{program}", headers=KEY, json=body)
            leaked = [secret for secret in SECRETS if secret in answer.text.replace(program.strip("?"), "")]
            assert leaked == [], (method, path, program, answer.text)
            assert answer.status_code != 500, (method, path)
            asked += 1
    assert asked > 100


async def test_limited_key_takes_and_reports_calls_of_its_program_alone(
    two: Two, scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    async def send(path: str, method: str = "POST", **body: object) -> httpx2.Response:
        return await client.request(method, f"/v1/{path}", headers=KEY, json=body)

    assert (await send("desk/take", operator="Eve")).json()["task_id"] == two.calls[0]
    assert (await send("desk/take", operator="Mallory")).status_code == 204
    for what, said in (("answer", {"score": 9}), ("outcome", {"disposition": "do_not_call"})):
        assert (await send(f"desk/{two.calls[1]}/{what}", operator="Eve", **said)).status_code == 404
    await scoring.rows("UPDATE call_tasks SET leased_by = NULL, lease_until = NULL RETURNING 1")
    given = (await send(f"call-lists/{uuid7()}", "PUT", calls=10)).json()
    assert [call["task_id"] for call in given["calls"]] == [two.calls[0]]
    assert (await send(f"call-lists/{uuid7()}", "PUT", calls=10, program=BANK.id)).status_code == 403
    assert (await send(f"answers/{two.answer_ids[1]}/tags", add=["seen"])).status_code == 404
    assert (await send(f"answers/{two.answer_ids[0]}/tags", add=["seen"])).status_code == 200
    rows = await scoring.rows("SELECT kind, tries, leased_by FROM call_tasks WHERE task_id::text = $1", two.calls[1])
    assert rows == [{"kind": TaskKind.SURVEY, "tries": 0, "leased_by": None}]


async def test_list_shows_nothing_that_its_owner_sees_no_more(
    two: Two, scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    """As when a supervisor who took a list is limited to a program afterwards."""
    list_id = uuid7()
    assert len((await client.put(f"/v1/call-lists/{list_id}", json={"calls": 10})).json()["calls"]) == 2
    await scoring.rows("UPDATE call_lists SET owner_id = (SELECT id FROM api_keys) RETURNING 1")
    shown = (await client.get(f"/v1/call-lists/{list_id}", headers=KEY)).json()
    assert [call["task_id"] for call in shown["calls"]] == [two.calls[0]]
    file = await client.get(f"/v1/call-lists/export?list_id={list_id}", headers=KEY)
    assert (file.status_code, SECRET_PHONE in file.text, "+79160000011" in file.text) == (200, False, True)
    late = await client.post(
        f"/v1/call-lists/{list_id}/calls/{two.calls[1]}/outcome", headers=KEY, json={"disposition": "do_not_call"}
    )
    assert late.status_code == 404


@pytest.mark.usefixtures("two")
async def test_process_of_a_version_that_knows_no_limits_finds_no_scope_in_a_limited_key(scoring: Scoring) -> None:
    [row] = await scoring.rows("SELECT scopes FROM api_keys")
    assert set(row["scopes"]).isdisjoint(KeyScope)
    assert json.dumps(sorted(row["scopes"])).count("@cafe") == len(limitable())


async def applied(stand: Stand, *programs: str) -> None:
    for program in programs:
        await apply(stand.databases[TRIGGER], program)


async def test_command_refuses_a_program_that_there_is_not_and_names_those_that_there_are(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = ("--scope", "calls:work", "--program")
    refused = await earshot("create", "Shop", *limit, "nosuch")
    assert (refused.exit_code, refused.stderr) == (1, "earshot: there is no program nosuch; there are: none\n")
    await applied(stand, "cafe", "bar")
    refused = await earshot("create", "Shop", *limit, "Cafe", "--program", "bar", "--program", "nosuch")
    assert refused.stderr == "earshot: there is no program Cafe, nosuch; there are: bar, cafe\n"
    assert await stand.rows(SCORING, "SELECT FROM api_keys") == []
    known_by_answers = "INSERT INTO programs (id, version, document) VALUES ('closed', 1, '{}')"
    await stand.rows(SCORING, known_by_answers)
    assert (await earshot("create", "Shop", *limit, "closed")).exit_code == 0
    monkeypatch.setenv("EARSHOT_TRIGGER_DATABASE_URL", NOWHERE)
    away = await earshot("create", "Shop", *limit, "cafe")
    assert (away.exit_code, away.stderr.startswith("earshot: trigger: PostgreSQL at ")) == (1, True)
    assert away.stderr.endswith("; the key was not created\n")
    assert len(await stand.rows(SCORING, "SELECT FROM api_keys")) == 1


async def test_command_limits_a_key_and_refuses_scopes_that_are_for_all_programs(stand: Stand) -> None:
    await applied(stand, "cafe", "bar")
    made = await earshot("create", "Cafe Calls", "--scope", "calls:work", "--program", "cafe", "--program", "bar")
    assert "calls:work@bar calls:work@cafe" in made.output
    assert "calls:work@bar calls:work@cafe" in (await earshot("list")).output
    for wrong in (["--program", "cafe"], ["--scope", "calls:work", "--scope", "webhooks:manage", "--program", "cafe"]):
        refused = await earshot("create", "Shop", *wrong)
        assert (refused.exit_code, "cannot be limited to programs" in refused.output.replace("\n", " ")) == (2, True)
    assert (await earshot("create", "Shop", "--scope", "calls:work", "--program", " ")).exit_code == 2
    assert len((await earshot("list")).output.splitlines()) == 1
    assert [row["scopes"] for row in await stand.rows(SCORING, "SELECT scopes FROM api_keys")] == [
        ["calls:work@bar", "calls:work@cafe"]
    ]

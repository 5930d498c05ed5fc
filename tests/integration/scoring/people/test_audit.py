"""What scoring's audit log says about people, log-ins, settings, stores, calls and exports, and what it does not."""

from __future__ import annotations

import json

import httpx2
import pytest
from fastapi import FastAPI

from shared.contract.events import RespondentErased
from shared.contract.vocabulary import Role
from tests.audit import audit_rows, ended, everything_written
from tests.integration.scoring.people.conftest import PASSWORD, Open, enter, joined
from tests.integration.scoring.people.test_import import checked, stored
from tests.integration.scoring.people.test_people_page import admin, link_in, person_of
from tests.integration.scoring.stand import Scoring, call_for

__all__ = ["admin"]
REASON = "nothing of this may be found in the log"


async def test_changes_of_people_name_who_made_them_whom_and_which_roles(
    admin: httpx2.AsyncClient, scoring: Scoring
) -> None:
    await admin.post("/people", data={"login": "anna@shop.example", "name": "Anna Orlova", "role": ["manager"]})
    anna = await person_of(admin, "Anna Orlova")
    await admin.post(anna, data={"name": "Anna Petrova", "role": ["analyst", "operator"]})
    await admin.post(anna, data={"name": "Anna Petrova", "role": ["operator"], "email": "anna.petrova@shop.example"})
    await admin.post(f"{anna}/off")
    await admin.post(f"{anna}/on")
    subject = anna.removeprefix("/people/")
    sees = '"sees":"everything","sees_before":"everything"'
    changed, mailed = (
        f'{{"changed":["{what}"],"employees":[],"employees_before":[],"roles":{roles},"roles_before":{before},{sees}}}'
        for what, roles, before in (
            ("name", '["analyst","operator"]', '["manager"]'),
            ("email", '["operator"]', '["analyst","operator"]'),
        )
    )
    [joining, *made] = await ended(scoring.database)
    me = joining[1]
    assert joining == ("POST /join/{secret}", me, "{}", 303)
    assert made == [
        ("POST /people", subject, '{"employees":[],"roles":["manager"],"sees":"everything"}', 200),
        (
            "POST /people/{person_id}",
            subject,
            changed,
            303,
        ),
        ("POST /people/{person_id}", subject, mailed, 303),
        ("POST /people/{person_id}/off", subject, "{}", 303),
        ("POST /people/{person_id}/on", subject, "{}", 303),
    ]
    rows = await audit_rows(scoring.database)
    assert {(each.actor_kind, each.actor) for each in rows} == {("person", me)}
    written = await everything_written(scoring.database)
    assert not [word for word in ("anna", "Anna", "Orlova", "shop.example", PASSWORD) if word in written]


async def test_import_names_everybody_of_the_file_and_a_check_of_it_nobody(
    admin: httpx2.AsyncClient, scoring: Scoring
) -> None:
    content = b"login,name,roles\nanna,Anna,manager\noleg,Oleg,operator\nadmin,Admin Petrova,administrator supervisor\n"
    content = content.replace(b"administrator supervisor", b'"administrator, supervisor"')
    seen = (await checked(admin, content)).text
    assert "New: Anna (anna), manager, sees everything" in seen
    assert "administrator, supervisor, sees everything; before, administrator, saw everything" in seen
    await stored(admin, content)
    [_joined, check, import_] = await ended(scoring.database)
    assert check == ("POST /people/import", None, '{"stored":false}', 200)
    details = json.loads(import_[2])
    assert (import_[1], details["added"], details["changed"], details["stored"]) == (None, 2, 1, True)
    assert [(each["roles"], each["sees"], each["changed"]) for each in details["people"]] == [
        (["manager"], "everything", []),
        (["operator"], "everything", []),
        (["administrator", "supervisor"], "everything", []),
    ]


@pytest.mark.usefixtures("admin")
async def test_log_in_names_the_person_and_wrong_guesses_whose_login_they_were_at(
    opened: Open, scoring: Scoring, app: FastAPI
) -> None:
    async with opened() as other:
        await enter(other, "admin", "a wrong guess")
        await enter(other, "nobody@shop.example", "a wrong guess")
        await enter(other, "admin")
        for _ in range(12):
            await enter(other, "admin", "a wrong guess")
        await other.post("/account/log-out")
    await app.state.trail.write_counts()
    me = str((await audit_rows(scoring.database))[0].actor)
    found = await ended(scoring.database)
    assert found[1:3] == [
        ("POST /login", me, "{}", 303),
        ("POST /account/log-out", None, "{}", 303),
    ]
    assert found[3:] == [
        ("POST /login", me, '{"times":11}', 401),
        ("POST /login", None, '{"times":1}', 401),
        ("POST /login", me, '{"times":2}', 429),
    ]
    written = await everything_written(scoring.database)
    assert not [word for word in ("wrong guess", "nobody@", PASSWORD) if word in written]


async def test_settings_stores_and_exports_are_recorded_without_what_was_searched(
    admin: httpx2.AsyncClient, scoring: Scoring
) -> None:
    await admin.post("/people", data={"login": "boss", "name": "Boss", "role": [role.value for role in Role]})
    await admin.post("/stores/edit", data={"code": "77", "name": "Arbat", "manager": "Olga Petrova"})
    await admin.get("/stores/export")
    await admin.post("/stores/delete", data={"code": "77", "version": "wrong"})
    found = [(action, subject, status) for action, subject, _, status in await ended(scoring.database)][2:]
    assert found == [
        ("POST /stores/edit", "77", 303),
        ("GET /stores/export", None, 200),
        ("POST /stores/delete", None, 409),
    ]


async def test_answer_typed_at_the_desk_is_recorded_without_the_customer_and_the_words(
    opened: Open, scoring: Scoring
) -> None:
    request = await scoring.asked(customer_id="crm-77001")
    call = call_for(request)
    await scoring.receive(call)
    async with opened() as web:
        await joined(web, scoring, "olya", Role.OPERATOR, Role.ANALYST)
        await web.post("/desk/take", data={"task_id": str(call.task_id)})
        await web.post(f"/desk/{call.task_id}/answer", data={"score": "9", "comment": REASON})
        await web.get("/v1/answers", params={"customer": "olga@example.com", "comment": REASON})
        assert (await web.post("/target", data={"program": "after-purchase", "nps": "50"})).status_code == 303
    acts = [(action, subject, status) for action, subject, _, status in await ended(scoring.database)][1:]
    assert acts[:2] == [
        ("POST /desk/take", str(call.task_id), 303),
        ("POST /desk/{task_id}/answer", str(call.task_id), 303),
    ]
    assert acts[2][0] == "GET /v1/answers"
    assert acts[3] == ("POST /target", "after-purchase", 303)
    written = await everything_written(scoring.database)
    marks = ("crm-77001", "olga@example.com", "+7916", "Petrova", REASON, "score")
    assert not [word for word in marks if word in written]
    await scoring.receive(RespondentErased(respondent_id=request.respondent_id))
    assert await everything_written(scoring.database) == written


async def test_person_whose_role_does_not_allow_a_change_is_recorded(opened: Open, scoring: Scoring) -> None:
    async with opened() as web:
        await joined(web, scoring, "olya", Role.OPERATOR)
        assert (await web.post("/people", data={"login": "x"})).status_code == 403
    refused = (await audit_rows(scoring.database))[-1]
    assert (refused.stage, refused.actor_kind, refused.action, refused.status) == (
        "refused",
        "person",
        "POST /people",
        403,
    )
    assert json.loads(refused.details) == {}


async def test_link_of_the_first_password_is_not_written(admin: httpx2.AsyncClient, scoring: Scoring) -> None:
    added = await admin.post("/people", data={"login": "anna", "name": "Anna", "role": "manager"})
    secret = link_in(added.text).removeprefix("/join/")
    await admin.post(f"/join/{secret}", data={"password": PASSWORD, "again": PASSWORD})
    assert secret not in await everything_written(scoring.database)

"""The page of people and the command: add, change, turn off, and who administers."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from typer.testing import CliRunner

from deploy.cli import app as command
from services.scoring.domain.people.identity import Identity
from services.scoring.people import accounts
from services.scoring.people.identities import account_of
from shared.contract.vocabulary import Role
from tests.integration.scoring.people.conftest import PASSWORD, Open, enter, joined
from tests.integration.scoring.stand import Scoring
from tests.staff_pages import done_on, undo

Type = Callable[..., Any]
ROLES = ("--role", "operator", "--role", "manager")


@pytest.fixture
async def admin(web: httpx2.AsyncClient, scoring: Scoring) -> httpx2.AsyncClient:
    await joined(web, scoring, "admin", Role.ADMINISTRATOR)
    return web


def link_in(page: str) -> str:
    (link,) = re.findall(r'value="http://127.0.0.1:8000(/join/[^"]+)"', page)
    return str(link)


async def person_of(admin: httpx2.AsyncClient, name: str) -> str:
    (path,) = re.findall(rf'href="(/people/[^"]+)">{name}<', (await admin.get("/people")).text)
    return str(path)


async def test_administrator_adds_somebody_whose_link_is_shown_once(admin: httpx2.AsyncClient, opened: Open) -> None:
    added = await admin.post("/people", data={"login": "Anna@shop.example", "name": "Anna <Orlova>", "role": "manager"})
    assert (added.status_code, "Anna &lt;Orlova&gt;" in added.text, "<svg" in added.text) == (200, True, True)
    link = link_in(added.text)
    listed = (await admin.get("/people")).text
    assert "has not used a link yet" in listed
    assert link not in listed
    async with opened() as anna:
        await anna.post(link, data={"password": PASSWORD, "again": PASSWORD})
        assert (await anna.get("/")).status_code == 200
        assert (await enter(anna, "anna@SHOP.example")).status_code == 303
        assert 'href="/people"' not in (await anna.get("/")).text


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"login": "admin"}, "has this login already"),
        ({"login": "ADMIN"}, "has this login already"),
        ({"login": "two words"}, "no spaces"),
        ({"login": ""}, "1 to 100 characters"),
        ({"login": "x" * 101}, "1 to 100 characters"),
        ({"name": " "}, "1 to 100 characters"),
        ({"name": "a\u202eb"}, "1 to 100 characters"),
        ({"name": "admin PETROVA"}, "has this name already"),
        ({"name": "\u0410dmin P\u0435trov\u0430"}, "the name of admin looks the same"),
        ({"name": "AdminPetrova"}, "the name of admin looks the same"),
        ({"name": "Admin\u3164 Petrova"}, "the name of admin looks the same"),
        ({"name": "\u3164"}, "1 to 100 characters"),
        ({"role": []}, "choose at least one"),
        ({"role": ["astronaut"]}, "is no role"),
        ({"employees": "e-7, Anna"}, "Anna is no employee code"),
        ({"employees": " ".join(f"e-{number}" for number in range(21))}, "at most 20 employee codes"),
    ],
)
async def test_wrong_person_is_refused_with_the_form_as_it_was(
    admin: httpx2.AsyncClient, given: dict[str, Any], why: str
) -> None:
    form = {"login": "anna", "name": "Anna", "role": ["manager", "analyst"]} | given
    refused = await admin.post("/people", data=form)
    assert (refused.status_code, why in refused.text) == (422, True)
    assert len(re.findall('name="role"[^>]* checked', refused.text)) == len(
        [role for role in form["role"] if role in set(Role)]
    )


async def test_employee_codes_are_set_and_shown_and_kept_by_a_form_without_them(
    admin: httpx2.AsyncClient, scoring: Scoring
) -> None:
    form = {"login": "elena", "name": "Elena", "role": "employee"}
    await admin.post("/people", data=form | {"employees": "e-8; e-7"})
    person = await person_of(admin, "Elena")
    assert 'name="employees" value="e-7 e-8"' in (await admin.get(person)).text
    for sent, kept in (({}, ["e-7", "e-8"]), ({"employees": "0042"}, ["0042"]), ({"employees": ""}, [])):
        assert (await admin.post(person, data={"name": "Elena", "role": "employee"} | sent)).status_code == 303
        assert await scoring.rows("SELECT employees FROM people WHERE login = 'elena'") == [{"employees": kept}]
    details = await scoring.rows("SELECT details FROM audit_log WHERE stage = 'ended' ORDER BY number")
    changes = [
        (each["employees_before"], each["employees"])
        for row in details
        if "employees_before" in (each := json.loads(row["details"]))
    ]
    assert changes[1:] == [(["e-7", "e-8"], ["0042"]), (["0042"], [])]


async def test_list_says_what_an_employee_sees_and_who_is_a_sample(admin: httpx2.AsyncClient, opened: Open) -> None:
    await admin.post("/people", data={"login": "elena", "name": "Elena", "role": "employee"})
    await admin.post("/people", data={"login": "oleg", "name": "Oleg", "role": ["employee", "operator"]})
    async with opened() as sample:
        await sample.post("/login/sample", data={"role": "employee"})
        assert "by the codes e-1" not in (await sample.get("/mine")).text, "they are off by default"
    rows = re.findall(r"<tr><td><a [^>]*>([^<]*)</a></td>(.*?)</tr>", (await admin.get("/people")).text)
    shown = {name: re.sub(r"<[^>]*>", "|", row) for name, row in rows}
    assert "|own score|" in shown["Elena"]
    assert "|everything|" in shown["Oleg"]
    assert "has not used a link yet" in shown["Elena"]
    assert "sample person, whom everybody may become" in shown["Elena (employee)"]


async def test_new_link_replaces_the_one_before_and_the_password_when_it_is_used(
    admin: httpx2.AsyncClient, opened: Open
) -> None:
    added = await admin.post("/people", data={"login": "anna", "name": "Anna", "role": "operator"})
    person = await person_of(admin, "Anna")
    second = link_in((await admin.post(f"{person}/link")).text)
    async with opened() as anna:
        first = link_in(added.text)
        assert (await anna.post(first, data={"password": PASSWORD, "again": PASSWORD})).status_code == 410
        assert (await anna.post(second, data={"password": PASSWORD, "again": PASSWORD})).status_code == 303
        third = link_in((await admin.post(f"{person}/link")).text)
        assert (await anna.get("/desk")).status_code == 200
        new = "four other unrelated words"
        async with opened() as other:
            assert (await other.post(third, data={"password": new, "again": new})).status_code == 303
        assert (await anna.get("/desk")).status_code == 307
        assert (await enter(anna, "anna")).status_code == 401


async def test_whoever_is_turned_off_is_out_until_turned_on(
    admin: httpx2.AsyncClient, opened: Open, scoring: Scoring
) -> None:
    async with opened() as anna:
        await joined(anna, scoring, "anna", Role.OPERATOR)
        person = await person_of(admin, "Anna Petrova")
        link = link_in((await admin.post(f"{person}/link")).text)
        assert (await admin.post(f"{person}/off")).status_code == 303
        assert (await anna.get("/desk")).status_code == 307
        assert (await anna.get(link)).status_code == 410
        refused = await admin.post(f"{person}/link")
        assert (refused.status_code, "is turned off" in refused.text) == (422, True)
        assert (await admin.post(f"{person}/on")).status_code == 303
        assert (await enter(anna, "anna")).status_code == 303
        await admin.post(f"{person}/sessions/end")
        assert (await anna.get("/desk")).status_code == 307


async def test_change_of_a_person_is_undone_unless_somebody_changed_it_meanwhile(
    admin: httpx2.AsyncClient, opened: Open, scoring: Scoring
) -> None:
    async with opened() as anna:
        await joined(anna, scoring, "anna", Role.OPERATOR)
    path = await person_of(admin, "Anna Petrova")
    before = await scoring.rows("SELECT name, roles, email, off_at FROM people WHERE login = 'anna'")
    await admin.post(path, data={"name": "Anna Ivanova", "role": ["manager", "analyst"], "email": "a@b.example"})
    changed = (await admin.get(path)).text
    assert done_on(changed) == "You changed Anna Ivanova."
    await undo(admin, changed)
    assert await scoring.rows("SELECT name, roles, email, off_at FROM people WHERE login = 'anna'") == before
    assert (await undo(admin, changed)).status_code == 422
    await admin.post(f"{path}/off")
    turned_off = (await admin.get(path)).text
    await undo(admin, turned_off)
    assert await scoring.rows("SELECT name, roles, email, off_at FROM people WHERE login = 'anna'") == before
    await admin.post(path, data={"name": "Anna Petrova", "role": "administrator"})
    await admin.post(f"{path}/off")
    assert (await undo(admin, turned_off)).status_code == 422  # it would let in another role
    [anna_now] = await scoring.rows("SELECT off_at FROM people WHERE login = 'anna'")
    assert anna_now["off_at"] is not None


async def test_last_administrator_stays_one(admin: httpx2.AsyncClient, scoring: Scoring, opened: Open) -> None:
    own = await person_of(admin, "Admin Petrova")
    for refused in (
        await admin.post(f"{own}/off"),
        await admin.post(own, data={"name": "Admin Petrova", "role": "manager"}),
    ):
        assert (refused.status_code, "make somebody one first" in refused.text) == (422, True)
    async with opened() as second:
        await joined(second, scoring, "second", Role.ADMINISTRATOR)
        both = await asyncio.gather(
            admin.post(f"{await person_of(admin, 'Second Petrova')}/off"), second.post(f"{own}/off")
        )
    assert sorted(each.status_code for each in both) in ([303, 307], [303, 422])


@pytest.mark.parametrize("path", ["", "/link", "/off", "/on"])
async def test_person_that_does_not_exist_is_not_found(admin: httpx2.AsyncClient, path: str) -> None:
    nobody = f"/people/00000000-0000-7000-8000-000000000000{path}"
    assert (await admin.post(nobody, data={"name": "x", "role": "operator"})).status_code == 404
    assert (await admin.get("/people/x")).status_code == 404


async def test_operator_works_under_the_name_of_the_account(opened: Open, scoring: Scoring) -> None:
    async with opened() as anna:
        await joined(anna, scoring, "anna", Role.OPERATOR)
        desk = (await anna.get("/desk")).text
        assert "as Anna Petrova" in desk
        assert 'name="operator"' not in desk
        taken = await anna.post("/desk/take", data={"operator": "Somebody else"})
        assert "set-cookie" not in taken.headers


@pytest.fixture
def typed(urls: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Type:
    monkeypatch.setenv("EARSHOT_SCORING_DATABASE_URL", urls["scoring"])
    return lambda *words: CliRunner().invoke(command, ["people", *words])


async def test_people_are_added_from_a_shell(web: httpx2.AsyncClient, typed: Type) -> None:
    added = await asyncio.to_thread(
        typed, "add", "olga", "--role", "operator", "--role", "manager", "--name", "Olga P."
    )
    assert (added.exit_code, "once and for 3 days" in added.stderr) == (0, True)
    link = added.stdout.strip().removeprefix("http://127.0.0.1:8000")
    assert (await web.post(link, data={"password": PASSWORD, "again": PASSWORD})).status_code == 303
    again = await asyncio.to_thread(typed, "add", "OLGA", "--role", "operator")
    assert (again.exit_code, again.stderr) == (1, "earshot: somebody has this login already\n")
    listed = (await asyncio.to_thread(typed, "list")).stdout
    assert listed == "olga\tOlga P.\tmanager, operator\teverything\thas a password\n"
    assert (await asyncio.to_thread(typed, "reset", "nobody")).stderr.startswith("earshot: nobody has this login")
    reset = (await asyncio.to_thread(typed, "reset", "olga")).stdout.strip().removeprefix("http://127.0.0.1:8000")
    assert "Olga P., choose a password" in (await web.get(reset)).text
    assert (await asyncio.to_thread(typed, "off", "olga")).stdout == "olga is turned off\n"
    assert "turned off" in (await asyncio.to_thread(typed, "reset", "olga")).stderr
    assert (await asyncio.to_thread(typed, "on", "olga")).stdout == "olga is turned on\n"
    assert (await asyncio.to_thread(typed, "add", "a", "--role", "astronaut")).exit_code == 2


async def test_first_start_leaves_people_of_a_provider_alone(scoring: Scoring) -> None:
    """No link while one of them administers; until then a link for another person, whatever logins they took."""
    operator = Identity("https://sso.example", "1", "admin", "Administrator", frozenset([Role.OPERATOR]))
    async with scoring.database.sessions.begin() as session:
        await account_of(session, operator, provider="sso")
        made = await accounts.first_administrator(session)
        assert made is not None
        assert (made.person.login, made.person.name) == ("admin-2", "Administrator 2")
        await account_of(session, replace(operator, roles=frozenset([Role.ADMINISTRATOR])), provider="sso")
        assert await accounts.first_administrator(session) is None


async def test_first_start_makes_one_administrator_by_a_link(scoring: Scoring, web: httpx2.AsyncClient) -> None:
    async def first() -> str | None:
        async with scoring.database.sessions.begin() as session:
            made = await accounts.first_administrator(session)
        return made.url("") if made else None

    before, link = await first(), await first()
    assert before is not None
    assert link is not None
    assert (await web.get(before)).status_code == 410  # nobody can be shown the link of the start before
    assert (await web.post(link, data={"password": PASSWORD, "again": PASSWORD})).status_code == 303
    assert (await web.get("/people")).status_code == 200
    assert await first() is None

"""People from CSV files: a dry run first, bad lines with their reasons, and links that are shown once."""

from __future__ import annotations

import base64
import re
from typing import Any

import httpx2
import pytest

from services.scoring.domain.stores.store import Store
from services.scoring.files.people import roles_of
from services.scoring.repository.people import accounts
from services.scoring.repository.stores import listed
from shared.contract.vocabulary import Role
from tests.integration.scoring.people.conftest import PASSWORD, Open, joined
from tests.integration.scoring.stand import Scoring

FILE = "Логин;ФИО;Роль\nanna@shop.example;Анна Орлова;Управляющий, аналитик\noleg;Олег Иванов;оператор\n"
KEPT = re.compile(r'name="kept" value="([^"]*)"')


@pytest.fixture
async def admin(web: httpx2.AsyncClient, scoring: Scoring) -> httpx2.AsyncClient:
    await joined(web, scoring, "admin", Role.ADMINISTRATOR)
    return web


async def checked(admin: httpx2.AsyncClient, content: bytes) -> httpx2.Response:
    return await admin.post("/people/import", files={"file": ("people.csv", content, "text/csv")})


async def stored(admin: httpx2.AsyncClient, content: bytes, *, what: str = "all") -> str:
    form: dict[str, Any] = {"kept": (None, base64.b64encode(content).decode()), "store": (None, what)}
    return (await admin.post("/people/import", files=form)).text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1251", "utf-16"])
async def test_file_is_checked_first_and_then_stored_with_links(
    admin: httpx2.AsyncClient, opened: Open, encoding: str
) -> None:
    seen = await checked(admin, FILE.encode(encoding))
    assert ("Nothing is stored yet" in seen.text, "/join/" in seen.text) == (True, False)
    assert "anna@shop.example" not in (await admin.get("/people")).text
    (kept,) = KEPT.findall(seen.text)
    page = await stored(admin, base64.b64decode(kept))
    assert "Stored: 2 added, 0 changed." in page
    links = re.findall(r"http://127.0.0.1:8000(/join/[\w-]+)", page)
    assert len(links) == 2
    async with opened() as anna:
        assert (await anna.post(links[0], data={"password": PASSWORD, "again": PASSWORD})).status_code == 303
        assert (await anna.get("/")).status_code == 200
        assert "Анна Орлова" in (await anna.get("/account")).text


async def test_known_login_gets_the_name_and_the_roles_of_the_file_and_keeps_the_password(
    admin: httpx2.AsyncClient, opened: Open, scoring: Scoring
) -> None:
    async with opened() as olga:
        await joined(olga, scoring, "olga", Role.OPERATOR)
        page = await stored(admin, b"login,name,roles\nOLGA,Olga Smith,supervisor\nadmin,Admin Petrova,administrator\n")
        assert "Stored: 0 added, 1 changed." in page
        assert "/join/" not in page
        assert (await olga.get("/suspects")).status_code == 200
        again = await checked(admin, b"login,name,roles\nolga,Olga Smith,supervisor\n")
        assert "There is nothing to store" in again.text


async def test_employee_codes_are_imported_and_kept_by_a_blank_cell(
    admin: httpx2.AsyncClient, scoring: Scoring
) -> None:
    head = "логин;имя;роль;табельный номер\n"
    await stored(admin, f"{head}elena;Елена;сотрудник;0042\n".encode())
    assert "There is nothing to store" in (await checked(admin, f"{head}elena;Елена;сотрудник;\n".encode())).text
    assert "1 changed" in await stored(admin, f"{head}elena;Елена;сотрудник;0042, 0043\n".encode())
    assert await scoring.rows("SELECT roles, employees FROM people WHERE login = 'elena'") == [
        {"roles": ["employee"], "employees": ["0042", "0043"]}
    ]
    assert "Anna is no employee code" in (await checked(admin, f"{head}anna;Анна;оператор;Anna\n".encode())).text


BAD = """login,name,roles
,Nobody,operator
a b,Two words,operator
anna,Anna,
anna,Anna again,operator
boris,Boris,astronaut
carl,Admin Petrova,operator
admin,Admin Petrova,operator
dora,Dora,operator
dina,D\u043era,operator
"""


async def test_bad_lines_are_named_and_nothing_is_stored_unless_the_good_ones_are_asked_for(
    admin: httpx2.AsyncClient,
) -> None:
    seen = (await checked(admin, BAD.encode())).text
    told = dict(re.findall(r"<li>Line (\d+): ([^<]+)</li>", seen))
    assert {line: why.split(":")[0] for line, why in told.items()} == {
        "2": "a login has 1 to 100 characters and no spaces",
        "3": "a login has 1 to 100 characters and no spaces",
        "4": "somebody without a role sees no page",
        "5": "the login is in line 4, too",
        "6": f"astronaut is no role; roles are {', '.join(Role)}",
        "7": "admin has this name already",
        "8": "nobody else who can log in is an administrator",
        "10": "the name of dora looks the same, but for spaces or letters of another alphabet",
    }
    assert "because lines are bad" in await stored(admin, BAD.encode())
    assert "Dora" not in (await admin.get("/people")).text
    assert "Stored: 1 added, 0 changed." in await stored(admin, BAD.encode(), what="good")
    assert "Dora" in (await admin.get("/people")).text


SCOPED = """Логин;ФИО;Роль;Магазины;Регионы
kombo;Комбо;управляющий;Nevsky, right side;
blank;Пустая строка;управляющий;,;
vera;Вероника;управляющий;Арбат, N1;
boris;Борис;управляющий;;Moscow
gleb;Глеб;аналитик;;
bad;Плохая строка;управляющий;Юпитер;
"""


async def test_file_says_what_people_see_and_without_its_columns_everybody_keeps_it(
    admin: httpx2.AsyncClient, scoring: Scoring
) -> None:
    async with scoring.database.sessions.begin() as session:
        await listed.put(
            session, [Store("A1", "Arbat", ("Арбат",), "Moscow"), Store("N1", "Nevsky, right side", (), "North")]
        )
    seen = (await checked(admin, SCOPED.encode())).text
    assert "<li>Line 7: there is no store Юпитер" in seen
    assert "<li>Line 3: , is no name" in seen
    assert "<dt>See everything after it</dt><dd>1</dd>" in seen
    assert "Everything is seen by" in seen
    await stored(admin, SCOPED.encode(), what="good")

    async def scopes() -> dict[str, str]:
        async with scoring.database.sessions.begin() as session:
            return {person.login: person.scope.text for person in await accounts.load_all(session)}

    expected = {
        "kombo": "stores N1",
        "vera": "stores A1 and N1",
        "boris": "regions Moscow",
        "gleb": "everything",
        "admin": "everything",
    }
    assert await scopes() == expected
    await stored(admin, b"login,name,roles\nvera,Vera Again,manager\n")
    assert await scopes() == expected
    await stored(admin, b"login,name,roles,regions\nvera,Vera Again,manager,\n")
    assert await scopes() == expected
    await stored(admin, b"login,name,roles,stores\nvera,Vera Again,manager,\n")
    assert (await scopes())["vera"] == "everything"


@pytest.mark.parametrize("content", [b"", b"\x00\x01", b"login\n", b"name,roles\nx,y\n", b"\x1f\x8b", b"a" * 2_000_001])
async def test_what_is_no_list_of_people_is_refused(admin: httpx2.AsyncClient, content: bytes) -> None:
    refused = await checked(admin, content)
    assert (refused.status_code, "Nothing was stored. The file cannot be read" in refused.text) == (422, True)


async def test_four_hundred_people_come_from_one_file(admin: httpx2.AsyncClient) -> None:
    lines = "".join(f"person-{number},Person {number},operator\n" for number in range(400))
    page = await stored(admin, f"login,name,roles\n{lines}".encode())
    assert "Stored: 400 added, 0 changed." in page
    assert len(set(re.findall(r"/join/[\w-]+", page))) == 400


@pytest.mark.parametrize(
    ("cell", "roles"),
    [
        ("Operator", ["operator"]),
        ("privacy officer; Supervisor", ["privacy_officer", "supervisor"]),
        ("privacy_officer/МЕНЕДЖЕР", ["privacy_officer", "manager"]),
        ("Менеджер + Оператор", ["manager", "operator"]),
        (" , ", []),
        ("boss", ["boss"]),
    ],
)
def test_roles_are_read_in_english_and_russian(cell: str, roles: list[str]) -> None:
    assert roles_of(cell) == roles

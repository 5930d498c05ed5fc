# ruff: noqa: RUF001 - Russian texts
"""Reading files of other programs: encodings, separators, columns, lines that cannot be read, resumption."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.tables.layout import TableOptions
from shared.tables.opening import InvalidFile
from shared.tables.records import FileRecord, Position, inspect

TOO_LONG = b"x" * 2_500_000
RUSSIAN = "Дата;Сумма;Комментарий\r\n31.12.2025;1 234,50;Всё хорошо, спасибо\r\n01.01.2026;99,90;Нет\r\n"
GERMAN = "Größe;Straße\r\n1,5;Müllerstraße\r\n2,5;Königsallee\r\n"


def records(path: Path, text: bytes, **options: object) -> list[FileRecord]:
    path.write_bytes(text)
    return list(inspect(path, TableOptions(**options)).records(Position()))  # type: ignore[arg-type]


def cells(path: Path, text: bytes, **options: object) -> list[dict[str, str]]:
    found = records(path, text, **options)
    assert [one.problem for one in found if one.problem] == []
    return [dict(one.cells or {}) for one in found]


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8", RUSSIAN),
        ("utf-8-sig", RUSSIAN),
        ("utf-16", RUSSIAN),
        ("utf-16-le", RUSSIAN),
        ("utf-16-be", RUSSIAN),
        ("utf-32", RUSSIAN),
        ("cp1251", RUSSIAN),
        ("cp1251", "Имя,Оценка\nЁжик,9\nЯ,10\n"),
        ("cp1251", "name;score;comment\nAnn;9;Да\nBob;3;не\n"),
        ("cp1251", "Ім'я;Оцінка\nЇжак;9\n"),
        ("cp1252", GERMAN),
        ("cp1252", "prénom;note\nAndré;9\nZoë;10\nFrançois;3\n"),
        ("cp1252", "name;note\nÅsa Öberg;9\nJosé Núñez;10\n"),
        ("cp1252", "name;price\nAnn;10 €\n"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_encoding_is_detected(tmp_path: Path, encoding: str, text: str, packed: bool) -> None:  # noqa: FBT001 - a case
    raw = text.encode(encoding)
    separator = ";" if ";" in text else ","
    header, *rows = [line.split(separator) for line in text.splitlines()]
    assert cells(tmp_path / "a.csv", gzip.compress(raw) if packed else raw) == [
        dict(zip(header, row, strict=True)) for row in rows
    ]


def test_file_whose_first_letter_comes_late_is_detected_too(tmp_path: Path) -> None:
    text = "name;score\n" + "Ann;9\n" * 100_000 + "Жанна;3\n"
    assert cells(tmp_path / "a.csv", text.encode("cp1251"))[-1] == {"name": "Жанна", "score": "3"}


def test_stated_encoding_wins_and_a_wrong_one_is_refused(tmp_path: Path) -> None:
    text = "имя;оценка\nЖанна;3\n"
    for name in ("cp866", "koi8-r", "windows-1251", "UTF8"):
        assert cells(tmp_path / "a.csv", text.encode(name), encoding=name) == [{"имя": "Жанна", "оценка": "3"}]
    for name in ("punycode", "zlib", "rot13", "nonsense", "unicode_escape", "idna"):
        with pytest.raises(InvalidFile, match="no such encoding"):
            records(tmp_path / "a.csv", b"a\n1\n", encoding=name)


def test_line_that_is_not_in_the_encoding_of_the_file_is_refused_alone(tmp_path: Path) -> None:
    found = records(tmp_path / "a.csv", "a,b\né,1\nü,2\n".encode() + b"\xff,3\n4,5\n")
    assert [(one.line, one.problem) for one in found] == [(2, ""), (3, ""), (4, "not UTF-8"), (5, "")]
    found = records(tmp_path / "a.csv", "имя;n\nАнна;1\n".encode("cp1251") + b"\x98;2\n", encoding="cp1251")
    assert [one.problem for one in found] == ["", "not CP1251"]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separator_is_that_of_most_rows(tmp_path: Path, separator: str) -> None:
    rows = [["name, first", "score; 0-10"], ["Ann, B.", "9"], ["x|y;z", "1,5"], ["tab\tin it", "2"]]
    text = "\n".join(separator.join(f'"{cell}"' for cell in row) for row in rows)
    assert cells(tmp_path / "a.csv", text.encode()) == [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (b"\xef\xbb\xbfa;b\r\n1; 2 \r\n\r\n;3", [{"a": "1", "b": "2"}, {"b": "3"}]),
        (b"sep=;\na;b\n1,5;2\n", [{"a": "1,5", "b": "2"}]),
        (b'\xef\xbb\xbf"sep=\t"\r\na\tb\r\n1\t2', [{"a": "1", "b": "2"}]),
        (b"\n \n\na,b\n1,2\n", [{"a": "1", "b": "2"}]),
        (b"a;b;\n1;2;\n3;4;;;\n", [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]),
        (b"a,,b\n1,x,2\n", [{"a": "1", "column 2": "x", "b": "2"}]),
        (b"a,a,A\n1,2,3\n", [{"a": "1", "a (2)": "2", "A": "3"}]),
        (b"a;b\r1;2\r3;4\r", [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]),  # line ends of an old Mac
        (b'"a\nline";b\n1;"x\r\ny"\n', [{"a line": "1", "b": "x\r\ny"}]),
        (b"only\n1\n\n2\n", [{"only": "1"}, {"only": "2"}]),
        (b'a,b\n"=1+1",\'@x\n', [{"a": "=1+1", "b": "'@x"}]),
    ],
)
def test_forms_of_tables(tmp_path: Path, text: bytes, wanted: list[dict[str, str]]) -> None:
    assert cells(tmp_path / "a.csv", text) == wanted


def test_columns_are_found_by_their_names_whatever_the_case_and_spaces(tmp_path: Path) -> None:
    text = "ID;How likely are\u00a0you  to recommend us?;Kommentar\nr1;9;ok\n".encode()
    columns = {"external_id": ("id",), "customer_id": ("ID",), "score": ("how likely are you to recommend us?",)}
    found = cells(
        tmp_path / "a.csv", text, columns={**columns, "row": ("$line",), "note": ("Note",)}, optional={"note"}
    )
    assert found == [{"external_id": "r1", "customer_id": "r1", "score": "9", "Kommentar": "ok", "row": "2"}]
    with pytest.raises(InvalidFile, match="no column 'Score' or 'NPS'; there are ID, How likely"):
        records(tmp_path / "a.csv", text, columns={"score": ("Score", "NPS")})


def test_header_may_be_on_a_later_line(tmp_path: Path) -> None:
    text = "Продажи за декабрь\n\nДата;Сумма\n31.12.2025;1,5\n".encode("cp1251")
    found = records(tmp_path / "a.csv", text, header=3)
    assert [(one.line, one.cells) for one in found] == [(4, {"Дата": "31.12.2025", "Сумма": "1,5"})]


def test_what_is_found_out_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(RUSSIAN.encode("cp1251"))
    assert inspect(path).layout.describe() == "read as CP1251, separated by a semicolon, decimals with a comma"
    path.write_bytes(b"a,b\n1.5,2\n")
    assert inspect(path).layout.describe() == "read as UTF-8, separated by a comma, decimals with a point"


@pytest.mark.parametrize("header", [b"", b"\n", b" , \n", b";;;\n1;2;3;4\n"])
def test_file_without_names_of_columns_is_refused(tmp_path: Path, header: bytes) -> None:
    with pytest.raises(InvalidFile, match="the first line must name the columns"):
        records(tmp_path / "a.csv", header)


def test_name_that_must_be_unique_is_refused_twice(tmp_path: Path) -> None:
    for unique in (None, frozenset({"a"})):
        with pytest.raises(InvalidFile, match="each once: 'a' is there twice"):
            records(tmp_path / "a.csv", b"a,b,a\n", unique=unique)


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("a.xlsx", b"PK\x03\x04", "a name that ends in .csv"),
        ("a.txt", b"a,b", "a name that ends in .csv"),
        ("a.csv.zip", b"PK\x03\x04", "a name that ends in .csv"),
        ("a", b"", "a name that ends in .csv"),
        ("a.csv", b"PK\x03\x04rest", "a workbook"),
        ("a.csv", b"\xd0\xcf\x11\xe0rest", "an old Excel workbook"),
        ("a.csv.gz", gzip.compress(b"a,b\n1,2\n" * 1000, mtime=0)[:-20], "damaged or incomplete"),
        ("a.jsonl.gz", b"\x1f\x8bnonsense", "damaged or incomplete"),
    ],
)
def test_what_is_no_such_file_is_refused_at_once(tmp_path: Path, name: str, text: bytes, why: str) -> None:
    with pytest.raises(InvalidFile, match=why):
        records(tmp_path / name, text)


def test_invalid_rows_name_the_line(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    assert [(one.line, one.problem) for one in records(path, b"a,b\n1\n1,2,3\n\0,1\n1,2\n")] == [
        (2, "1 cells, the first line has 2 columns"),
        (3, "3 cells, the first line has 2 columns"),
        (4, "contains a NUL character"),
        (5, ""),
    ]
    (broken, *rest) = records(path, b'a,b\n"1"x,2\n3,4\n')
    assert broken.problem.startswith("not CSV: ")
    assert [one.cells for one in rest] == [{"a": "3", "b": "4"}]


@pytest.mark.parametrize("rows", [1, 50_000])
def test_quote_that_never_closes_costs_one_line(tmp_path: Path, rows: int) -> None:
    text = b'a;b\n1;2\n3;"Romashka\n' + b"5;6\n" * rows
    found = records(tmp_path / "a.csv", text)
    bad = [one for one in found if one.problem]
    assert [(one.line, one.problem) for one in bad] == [(3, "not CSV: a quote that opens in this line is not closed")]
    assert len(found) == rows + 2
    assert [one.line for one in found] == list(range(2, rows + 4))


def test_two_quotes_that_do_not_close_cost_their_lines_only(tmp_path: Path) -> None:
    found = records(tmp_path / "a.csv", b'a;b\n1;"OOO Romashka\n2;"OAO Zvezda\n5;6\n')
    assert [(one.line, bool(one.problem)) for one in found] == [(2, True), (3, True), (4, False)]


def test_line_that_never_ends_is_refused_and_the_rest_goes_on(tmp_path: Path) -> None:
    found = records(tmp_path / "a.jsonl", b"x" * 3_500_000 + b"\n{}\n")
    assert [(one.line, one.body, one.problem[:30]) for one in found] == [
        (1, b"", "the line has more than 1000000"),
        (2, b"{}", ""),
    ]
    found = records(tmp_path / "a.csv", b"a,b\n" + TOO_LONG + b"\n3,4\n")
    assert [(one.line, one.cells, one.problem) for one in found] == [
        (2, None, "the line has more than 1000000 bytes"),
        (3, {"a": "3", "b": "4"}, ""),
    ]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("encoding", ["utf-8", "cp1251", "utf-16"])
def test_reading_takes_little_memory_however_long_the_file(
    tmp_path: Path,
    encoding: str,
    packed: bool,  # noqa: FBT001 - a case
) -> None:
    path = tmp_path / "long.csv"
    raw = ("имя,b\n" + '1,"2\nпривет"\n' * 30_000).encode(encoding)
    path.write_bytes(gzip.compress(raw) if packed else raw)
    table = inspect(path)

    def peak(found: Iterator[FileRecord]) -> int:
        tracemalloc.start()
        number = sum(1 for _ in found)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert number == 30_000
        return most

    assert peak(table.records(Position())) < 800_000


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.jsonl", '{"a": 1}\n\n' + TOO_LONG.decode() + '\n{"a": 2}\r\n[\n' + TOO_LONG.decode() + '\n{"a": 3}'),
        (
            "a.csv",
            f'a;b\n1;"2\n3"\n{TOO_LONG.decode()};\n\n4;5;6\r\n"7"x;8\n"9";10\n1;"\n{TOO_LONG.decode()}\n11;12\n3;"x\n4;5',
        ),
    ],
)
def test_reading_goes_on_after_any_record_with_the_one_that_follows(
    tmp_path: Path,
    name: str,
    text: str,
    encoding: str,
    packed: bool,  # noqa: FBT001 - a case
) -> None:
    raw = text.encode(encoding)
    every = records(tmp_path / name, gzip.compress(raw) if packed else raw)
    assert sum(bool(one.problem) for one in every) >= 2
    table = inspect(tmp_path / name)
    for number, one in enumerate(every, 1):
        assert list(table.records(one.after)) == every[number:]

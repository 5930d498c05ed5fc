"""Reading files as records: invalid lines are reported by number, and reading can resume after any record."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.trigger.files.reading import FileRecord, InvalidFile, read_records
from services.trigger.repository.files import Position

TOO_LONG = b"x" * 2_500_000


def records(path: Path, text: bytes) -> list[FileRecord]:
    path.write_bytes(text)
    return list(read_records(path, Position()))


def test_strange_tables_name_the_line(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    assert [one.body for one in records(path, b"\xef\xbb\xbfa;b\r\n1; 2 \r\n\r\n;3")] == [
        b'{"a": "1", "b": "2"}',
        b'{"b": "3"}',
    ]
    assert [(one.line, one.problem) for one in records(path, b"a,b\n1\n1,2,3\n\xff,1\n1,2\n")] == [
        (2, "1 cells, the first line has 2 columns"),
        (3, "3 cells, the first line has 2 columns"),
        (4, "not UTF-8"),
        (5, ""),
    ]
    (broken, *rest) = records(path, b'a,b\n"1"x,2\n3,4\n')
    assert broken.problem.startswith("not CSV: ")
    assert [one.body for one in rest] == [b'{"a": "3", "b": "4"}']
    for header in (b"", b"a,a\n", b"\n"):
        with pytest.raises(InvalidFile, match="the first line must name the columns"):
            records(path, header)
    with pytest.raises(InvalidFile, match="a name that ends in"):
        records(tmp_path / "a.xlsx", b"")


def test_line_that_never_ends_is_refused_and_the_rest_goes_on(tmp_path: Path) -> None:
    found = records(tmp_path / "a.jsonl", b"x" * 3_500_000 + b"\n{}\n")
    assert [(one.line, one.body, one.problem[:30]) for one in found] == [
        (1, b"", "the line has more than 1000000"),
        (2, b"{}", ""),
    ]


def test_reading_takes_little_memory_however_long_the_file(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_text("a,b\n" + '1,"2\n3"\n' * 10_000)

    def peak(found: Iterator[FileRecord]) -> int:
        tracemalloc.start()
        number = sum(1 for _ in found)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert number == 10_000
        return most

    assert peak(read_records(path, Position())) < 500_000


def test_row_after_a_line_that_never_ends_is_read(tmp_path: Path) -> None:
    found = records(tmp_path / "a.csv", b"a,b\n" + TOO_LONG + b"\n3,4\n")
    assert [(one.line, one.body, one.problem) for one in found] == [
        (2, b"", "the line has more than 1000000 bytes"),
        (3, b'{"a": "3", "b": "4"}', ""),
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.jsonl", b'\xef\xbb\xbf{"a": 1}\n\n' + TOO_LONG + b'\n{"a": 2}\r\n[\n' + TOO_LONG + b'\n{"a": 3}'),
        (
            "a.csv",
            b'\xef\xbb\xbfa;b\n1;"2\n3"\n' + TOO_LONG + b';\n\n4;5;6\r\n"7"x;8\n"9";10\n' + TOO_LONG + b"\n11;12",
        ),
    ],
)
def test_reading_goes_on_after_any_record_with_the_one_that_follows(tmp_path: Path, name: str, text: bytes) -> None:
    every = records(tmp_path / name, text)
    assert sum(bool(one.problem) for one in every) >= 2
    for number, one in enumerate(every, 1):
        assert list(read_records(tmp_path / name, one.after)) == every[number:]

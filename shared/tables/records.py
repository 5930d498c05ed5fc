"""Reads CSV and JSON Lines files as records with line numbers, in constant memory; invalid lines are records too."""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

from shared.languages.current import gettext
from shared.tables.layout import LINE, Layout, TableOptions, encoding_of, layout_of
from shared.tables.opening import TABLES, open_as_utf8, readable, suffix_of

MAX_LINE = 1_000_000  # bytes, also of all lines of a record
_TOO_LONG = f"the line has more than {MAX_LINE} bytes"
_BOM = b"\xef\xbb\xbf"
_UNDECODED = re.compile("[\udc80-\udcff]")
_CHUNK = 1 << 20


class Position(NamedTuple):
    """The numbers of bytes and lines before a record, in the file as UTF-8."""

    offset: int = 0
    line: int = 0


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A line as bytes or a row as cells that are not blank, or the problem with it.

    `line` is its first line, `after` the position behind it.
    """

    line: int
    after: Position
    body: bytes = b""
    cells: Mapping[str, str] | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class RecordFile:
    """A file whose layout is known."""

    path: Path
    layout: Layout
    is_table: bool

    def records(self, start: Position) -> Iterator[FileRecord]:
        """Yield the records from a position on; raises InvalidFile."""
        with open_as_utf8(self.path, encoding=self.layout.encoding) as stream, readable(self.path):
            if self.is_table:
                first = max(start, Position(self.layout.offset, self.layout.line))
                yield from _rows(_Lines(stream, first), self.layout)
            else:
                yield from _json_lines(_Lines(stream, start))


def inspect(path: Path, options: TableOptions | None = None) -> RecordFile:
    """Find out how a file is written; raises InvalidFile."""
    options, is_table = options or TableOptions(), suffix_of(path) in TABLES
    layout = layout_of(path, options) if is_table else Layout(encoding_of(path, options))
    return RecordFile(path, layout, is_table)


class _LineTooLong(csv.Error):
    """The first line of a record has more than MAX_LINE bytes."""


class _RecordTooLong(csv.Error):
    """The lines of one record have more than MAX_LINE bytes, or one after its first line has."""


class _Line(NamedTuple):
    text: bytes
    after: Position
    cut: bool


@dataclass(slots=True)
class _Lines:
    """Iterates over the lines of a stream and counts bytes and lines; cuts lines longer than MAX_LINE.

    `given` are the lines since `begin`, so that `retreat` can give all but the first of them again.
    """

    stream: BinaryIO
    position: Position
    given: list[_Line] = field(default_factory=list, init=False)
    _again: deque[_Line] = field(default_factory=deque, init=False)
    _size: int = field(default=0, init=False)  # bytes given

    def __post_init__(self) -> None:
        _skip(self.stream, self.position.offset)

    def begin(self) -> None:
        self.given, self._size = [], 0

    def retreat(self) -> None:
        """Go back to the second line since `begin`."""
        if len(self.given) > 1:
            self.position = self.given[0].after
            self._again.extendleft(reversed(self.given[1:]))

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        line = self._again.popleft() if self._again else self._read()
        if not line.text:
            raise StopIteration
        self.position = line.after
        self.given.append(line)
        self._size += len(line.text)
        if line.cut and len(self.given) == 1:
            raise _LineTooLong
        if line.cut or self._size > MAX_LINE:
            raise _RecordTooLong
        return line.text

    def _read(self) -> _Line:
        text = self.stream.readline(MAX_LINE)
        size, cut, last = len(text), False, text
        while last and not last.endswith(b"\n"):
            last = self.stream.readline(MAX_LINE)
            size += len(last)
            cut = cut or bool(last)
        after = Position(self.position.offset + size, self.position.line + bool(text))
        if after.line == 1 and text:
            text = text.removeprefix(_BOM) or b"\n"
        return _Line(text, after, cut)


def _skip(stream: BinaryIO, offset: int) -> None:
    """Go to an offset, by reading where a stream cannot seek."""
    if stream.seekable():
        stream.seek(offset)
        return
    while offset and (read := stream.read(min(offset, _CHUNK))):
        offset -= len(read)


def _json_lines(lines: _Lines) -> Iterator[FileRecord]:
    while True:
        lines.begin()
        try:
            text = next(lines).strip()
        except StopIteration:
            return
        except _LineTooLong:
            yield FileRecord(lines.position.line, lines.position, problem=_TOO_LONG)
            continue
        if text:
            yield FileRecord(lines.position.line, lines.position, text)


def _rows(lines: _Lines, layout: Layout) -> Iterator[FileRecord]:
    rows = csv.reader(_decoded(lines), delimiter=layout.separator, strict=True)
    while True:
        lines.begin()
        line = lines.position.line + 1
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            problem = _problem(error, several=len(lines.given) > 1)
            lines.retreat()
            rows = csv.reader(_decoded(lines), delimiter=layout.separator, strict=True)
            yield FileRecord(line, lines.position, problem=problem)
            continue
        if any(map(str.strip, row)):
            yield _record(row, layout, line=line, after=lines.position)


def _decoded(lines: _Lines) -> Iterator[str]:
    for text in lines:
        yield text.decode(errors="surrogateescape")


def _problem(error: csv.Error, *, several: bool) -> str:
    """Say what is wrong; `several` lines were read as one record."""
    if isinstance(error, _LineTooLong):
        return _TOO_LONG
    text = str(error)
    if "unexpected end of data" in text or (several and (isinstance(error, _RecordTooLong) or "field limit" in text)):
        return gettext("not CSV: a quote that opens in this line is not closed")
    return gettext("not CSV: %(why)s", why=text)


def _record(row: Sequence[str], layout: Layout, *, line: int, after: Position) -> FileRecord:
    if len(row) != layout.width and (len(row) < layout.width or any(cell.strip() for cell in row[layout.width :])):
        return FileRecord(line, after, problem=_wrong_width(row, layout))
    problem = _unusable("".join(row), layout)
    if problem:
        return FileRecord(line, after, problem=problem)
    found = {name: text for place, name in layout.cells if (text := row[place].strip())}
    found |= dict.fromkeys(layout.line_fields, str(line))
    return FileRecord(line, after, cells=found)


def _wrong_width(row: Sequence[str], layout: Layout) -> str:
    return gettext("%(cells)s cells, the first line has %(columns)s columns", cells=len(row), columns=layout.width)


def _unusable(text: str, layout: Layout) -> str:
    if text.isascii():
        return gettext("contains a NUL character") if "\0" in text else ""
    if _UNDECODED.search(text):
        return gettext("not %(encoding)s", encoding="UTF-8")
    if "\N{REPLACEMENT CHARACTER}" in text and not layout.encoding.startswith("utf-8"):
        return gettext("not %(encoding)s", encoding=layout.encoding.upper())
    return gettext("contains a NUL character") if "\0" in text else ""


def with_line(record: FileRecord) -> FileRecord:
    """Add the line's number to a JSON object as `$line`, so that a mapping can use it."""
    if not record.body.startswith(b"{"):
        return record
    rest = record.body[1:].lstrip()
    comma = b"" if rest.startswith(b"}") else b","
    return FileRecord(record.line, record.after, b'{"%b":%d%b%b' % (LINE.encode(), record.line, comma, rest))

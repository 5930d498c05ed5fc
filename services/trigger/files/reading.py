"""Reads CSV and JSON-lines files as records with line numbers, in constant memory; invalid lines are records too."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from services.trigger.repository.files import Position
from shared.messaging.codec import MAX_BODY

SUFFIXES = (".csv", ".jsonl", ".ndjson")
_BOM = b"\xef\xbb\xbf"
_DELIMITERS = ",;\t|"


class InvalidFile(ValueError):
    """The whole file cannot be read; the text says why."""


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One record as JSON, or the problem with it; `line` is its first line, `after` the position behind it."""

    line: int
    after: Position
    body: bytes = b""
    problem: str = ""


def digest_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def read_records(path: Path, start: Position) -> Iterator[FileRecord]:
    """Yield the records from a position on; raises InvalidFile."""
    if path.suffix.lower() not in SUFFIXES:
        raise InvalidFile(f"{path}: expected a name that ends in {', '.join(SUFFIXES)}")
    with path.open("rb") as file:
        yield from _csv(path, file, start) if path.suffix.lower() == ".csv" else _json_lines(file, start)


@dataclass(slots=True)
class _Lines:
    """Iterates over the lines of a file and counts bytes and lines; cuts lines longer than MAX_BODY, see `overlong`."""

    file: IO[bytes]
    offset: int
    line: int
    too_long: bool = field(default=False, init=False)

    def __iter__(self) -> Iterator[bytes]:
        self.file.seek(self.offset)
        while text := self.file.readline(MAX_BODY):
            self.offset += len(text)
            self.line += 1
            while not text.endswith(b"\n") and (rest := self.file.readline(MAX_BODY)):
                self.offset += len(rest)
                self.too_long = True
                if rest.endswith(b"\n"):
                    break
            yield text.removeprefix(_BOM) if self.line == 1 else text

    @property
    def position(self) -> Position:
        return Position(self.offset, self.line)

    def overlong(self) -> bool:
        """Whether a line was too long since the last call."""
        was, self.too_long = self.too_long, False
        return was


def _json_lines(file: IO[bytes], start: Position) -> Iterator[FileRecord]:
    lines = _Lines(file, *start)
    for text in lines:
        if lines.overlong():
            yield FileRecord(lines.line, lines.position, problem=f"the line has more than {MAX_BODY} bytes")
        elif text.strip():
            yield FileRecord(lines.line, lines.position, text.strip())


def _csv(path: Path, file: IO[bytes], start: Position) -> Iterator[FileRecord]:
    lines = _Lines(file, 0, 0)
    header, delimiter = _header(path, lines)
    if start.offset:
        lines.offset, lines.line = start
    rows = csv.reader((text.decode(errors="replace") for text in lines), delimiter=delimiter, strict=True)
    while True:
        line, row, problem = lines.line + 1, list[str](), ""
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            problem = f"not CSV: {error}"
        if lines.overlong():
            problem = f"the line has more than {MAX_BODY} bytes"
        if problem:
            yield FileRecord(line, lines.position, problem=problem)
        elif any(cell.strip() for cell in row):
            yield _row(header, row, line=line, after=lines.position)


def _header(path: Path, lines: _Lines) -> tuple[Sequence[str], str]:
    first = next(iter(lines), b"").decode(errors="replace").strip("\r\n")
    delimiter = max(_DELIMITERS, key=first.count)
    try:
        names = [name.strip() for name in next(csv.reader([first], delimiter=delimiter), [])]
    except csv.Error as error:
        raise InvalidFile(f"{path}: the first line is not CSV: {error}") from None
    if not any(names) or len(set(names)) < len(names):
        raise InvalidFile(f"{path}: the first line must name the columns, each once")
    return names, delimiter


def _row(header: Sequence[str], row: Sequence[str], *, line: int, after: Position) -> FileRecord:
    if len(row) != len(header):
        return FileRecord(line, after, problem=f"{len(row)} cells, the first line has {len(header)} columns")
    if any("\ufffd" in cell for cell in row):
        return FileRecord(line, after, problem="not UTF-8")
    cells = {name: cell.strip() for name, cell in zip(header, row, strict=True) if cell.strip()}
    return FileRecord(line, after, json.dumps(cells).encode())


def event_of(cells: dict[str, Any], *, source: str) -> dict[str, Any]:
    """Build a CloudEvent from a row whose columns have the names of fields, such as `time` and `customer.email`.

    The default `type` is a purchase; the default `id` is made of the type and the order, service or customer.
    """
    attributes = {name: cells.pop(name, None) for name in ("id", "type", "time", "source", "subject")}
    type_ = attributes["type"] or "crm.purchase.completed"
    ref = cells.get("order.id") or cells.get("service.id") or cells.get("customer.id")
    return {
        "specversion": "1.0",
        **{name: value for name, value in attributes.items() if value is not None},
        "id": attributes["id"] or f"{type_}:{ref}",
        "source": attributes["source"] or source,
        "type": type_,
        "data": _nested(cells),
    }


def _nested(cells: dict[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for name, value in cells.items():
        *parents, last = name.split(".")
        place = nested
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                break
        else:
            place[last] = value
    return nested

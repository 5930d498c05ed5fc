"""Files of rows: CSV, XLSX, Parquet. Each takes rows as they come and keeps no more than a few of them in memory."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import xlsxwriter

Cell = str | int | float | bool | date | datetime | list[str] | None
EXCEL_ROWS = 1_048_576
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Format(StrEnum):
    CSV = "csv"
    XLSX = "xlsx"
    PARQUET = "parquet"


class NoParquet(Exception):
    """The library for Parquet is not installed; it is an extra."""


class CannotWrite(Exception):
    """There can be no file of that name; the text says why."""


class Sheet(Protocol):
    def write(self, rows: Sequence[Sequence[Cell]]) -> None: ...


def cell(value: object) -> Cell:
    """Turn what the database gives into what a cell can hold: objects as JSON, times in UTC."""
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    if value is None or isinstance(value, str | int | float | date | list):
        return value
    return str(value) if isinstance(value, UUID) else json.dumps(value, ensure_ascii=False)


def _in_one(value: Cell) -> Cell:
    """Write a list as import reads it."""
    return ";".join(value) if isinstance(value, list) else value


def make(path: Path, *, wanted: Path) -> None:
    """Make an empty file on the way to the one that is wanted; raises CannotWrite."""
    try:
        path.write_bytes(b"")
    except OSError as error:
        raise CannotWrite(f"{wanted} cannot be written: {error.strerror}") from error


@contextmanager
def opened(path: Path, kind: Format, columns: Mapping[str, type]) -> Iterator[Sheet]:
    """Write a file under another name, and give it its own once it is whole. Raises NoParquet, CannotWrite."""
    unfinished = path.with_name(path.name + ".part")
    make(unfinished, wanted=path)  # a workbook would find out after its last row
    try:
        with _KINDS[kind](unfinished, columns) as sheet:
            yield sheet
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


class _Csv:
    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def write(self, rows: Sequence[Sequence[Cell]]) -> None:
        self._writer.writerows([[_harmless(_in_one(each)) for each in row] for row in rows])


def _harmless(value: Cell) -> Cell:
    """Keep a spreadsheet from running what somebody wrote as a comment."""
    if isinstance(value, datetime):
        return value.isoformat()
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


@contextmanager
def _csv(path: Path, columns: Mapping[str, type]) -> Iterator[Sheet]:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        yield _Csv(writer)


class _Xlsx:
    """Rows of a workbook; beyond what one worksheet holds they go on in the next."""

    def __init__(self, book: Any, columns: Sequence[str]) -> None:
        self._book, self._columns = book, columns
        self._moment = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        self._day = book.add_format({"num_format": "yyyy-mm-dd"})
        self._begin()

    def _begin(self) -> None:
        self._sheet, self._row = self._book.add_worksheet(), 0
        self._write_row(self._columns)

    def write(self, rows: Sequence[Sequence[Cell]]) -> None:
        for row in rows:
            if self._row >= EXCEL_ROWS:
                self._begin()
            self._write_row(row)

    def _write_row(self, row: Sequence[Cell]) -> None:
        for column, value in enumerate(map(_in_one, row)):
            if isinstance(value, datetime):
                self._sheet.write_datetime(self._row, column, value.replace(tzinfo=None), self._moment)
            elif isinstance(value, date):
                self._sheet.write_datetime(self._row, column, value, self._day)
            elif value is not None:
                self._sheet.write(self._row, column, value)
        self._row += 1


@contextmanager
def _xlsx(path: Path, columns: Mapping[str, type]) -> Iterator[Sheet]:
    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(path, options) as book:
        yield _Xlsx(book, list(columns))


class _Parquet:
    def __init__(self, arrow: Any, writer: Any, schema: Any) -> None:
        self._arrow, self._writer, self._schema = arrow, writer, schema

    def write(self, rows: Sequence[Sequence[Cell]]) -> None:
        columns = [list(column) for column in zip(*rows, strict=True)]
        self._writer.write_table(
            self._arrow.Table.from_arrays(
                [self._arrow.array(values, kind) for values, kind in zip(columns, self._schema.types, strict=True)],
                schema=self._schema,
            )
        )


@contextmanager
def _parquet(path: Path, columns: Mapping[str, type]) -> Iterator[Sheet]:
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra, loaded where it is wanted
        from pyarrow import parquet  # noqa: PLC0415 - an extra, loaded where it is wanted
    except ImportError:
        raise NoParquet("Parquet wants an extra: pip install 'earshot[parquet]'") from None
    kinds = {
        str: pa.string(),
        int: pa.int64(),
        float: pa.float64(),
        bool: pa.bool_(),
        date: pa.date32(),
        list: pa.list_(pa.string()),
        datetime: pa.timestamp("us", tz="UTC"),
    }
    schema = pa.schema([(name, kinds[kind]) for name, kind in columns.items()])
    with parquet.ParquetWriter(path, schema) as writer:
        yield _Parquet(pa, writer, schema)


_KINDS = {Format.CSV: _csv, Format.XLSX: _xlsx, Format.PARQUET: _parquet}

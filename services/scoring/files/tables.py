"""Writes tables as CSV, XLSX or Parquet files without holding all rows in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import xlsxwriter

from shared.tables.writing import BOM, SpreadsheetWriter

Cell = str | int | float | bool | date | datetime | list[str] | None
EXCEL_ROWS = 1_048_576
MAX_WIDTH = 60  # of a worksheet column, in characters
_MOMENT = "yyyy-mm-dd hh:mm:ss"


class Format(StrEnum):
    CSV = "csv"
    XLSX = "xlsx"
    PARQUET = "parquet"


@dataclass(frozen=True, slots=True)
class Table:
    """A table name, and the Python type of the cells of each column by column name."""

    name: str
    columns: Mapping[str, type]


class ParquetMissing(Exception):
    """The optional library for Parquet is not installed."""


class CannotWrite(Exception):
    """The file cannot be created; the message has the operating system's reason."""


class Sheet(Protocol):
    def write(self, rows: Sequence[Sequence[Cell]]) -> None: ...


def cell(value: object) -> Cell:
    """Convert a database value to a cell: datetimes to UTC, UUIDs to text, and other objects to JSON text."""
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    if value is None or isinstance(value, str | int | float | date | list):
        return value
    return str(value) if isinstance(value, UUID) else json.dumps(value, ensure_ascii=False)


def _joined(value: Cell) -> Cell:
    """Join a list with semicolons, the separator that `earshot import answers` reads."""
    return ";".join(value) if isinstance(value, list) else value


def create_empty(path: Path, *, name: Path) -> None:
    """Create or empty the file at `path`; raises CannotWrite, whose message contains `name`."""
    try:
        path.write_bytes(b"")
    except OSError as error:
        raise CannotWrite(f"{name} cannot be written: {error.strerror}") from error


@contextmanager
def write_table(path: Path, kind: Format, table: Table) -> Iterator[Sheet]:
    """Write to `<path>.part` and rename it to `path` when complete; raises ParquetMissing or CannotWrite."""
    unfinished = path.with_name(path.name + ".part")
    create_empty(unfinished, name=path)  # a workbook opens its file only after the last row
    try:
        with _KINDS[kind](unfinished, table) as sheet:
            yield sheet
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


class _Csv:
    def __init__(self, writer: SpreadsheetWriter) -> None:
        self._writer = writer

    def write(self, rows: Sequence[Sequence[Cell]]) -> None:
        self._writer.write([_csv_cell(_joined(each)) for each in row] for row in rows)


def _csv_cell(value: Cell) -> Cell:
    return value.isoformat() if isinstance(value, datetime) else value


@contextmanager
def _csv(path: Path, table: Table) -> Iterator[Sheet]:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(BOM)
        writer = SpreadsheetWriter(file)
        writer.write([table.columns])
        yield _Csv(writer)


class _Xlsx:
    """Writes rows to a workbook, and starts another worksheet after `EXCEL_ROWS` rows."""

    def __init__(self, book: Any, table: Table) -> None:
        self._book, self._table = book, table
        self._bold = book.add_format({"bold": True})
        self._moment = book.add_format({"num_format": _MOMENT})
        self._day = book.add_format({"num_format": "yyyy-mm-dd"})
        self._widths = [0] * len(table.columns)
        self._add_worksheet()

    def _add_worksheet(self) -> None:
        before, name = len(self._book.worksheets()), self._table.name
        self._sheet, self._row = self._book.add_worksheet(f"{name} {before + 1}" if before else name), 0
        self._sheet.freeze_panes(1, 0)
        self._sheet.set_row(0, None, self._bold)
        self._write_row(list(self._table.columns))

    def write(self, rows: Sequence[Sequence[Cell]]) -> None:
        for row in rows:
            if self._row >= EXCEL_ROWS:
                self._add_worksheet()
            self._write_row(row)

    def _write_row(self, row: Sequence[Cell]) -> None:
        for column, value in enumerate(map(_joined, row)):
            if isinstance(value, datetime):
                self._sheet.write_datetime(self._row, column, value.replace(tzinfo=None), self._moment)
            elif isinstance(value, date):
                self._sheet.write_datetime(self._row, column, value, self._day)
            elif value is not None:
                self._sheet.write(self._row, column, value)
            self._widths[column] = max(self._widths[column], _width(value))
        self._row += 1

    def set_widths(self) -> None:
        """Set each column width to its longest value, at most `MAX_WIDTH`; call after all rows are written."""
        for sheet in self._book.worksheets():
            for column, width in enumerate(self._widths):
                sheet.set_column(column, column, min(width, MAX_WIDTH) + 2)


def _width(value: Cell) -> int:
    if isinstance(value, datetime):
        return len(_MOMENT)
    return 0 if value is None else len(str(value))


@contextmanager
def _xlsx(path: Path, table: Table) -> Iterator[Sheet]:
    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(path, options) as book:
        sheet = _Xlsx(book, table)
        yield sheet
        sheet.set_widths()


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
def _parquet(path: Path, table: Table) -> Iterator[Sheet]:
    try:
        import pyarrow as pa  # noqa: PLC0415 - optional, loaded where it is needed
        from pyarrow import parquet  # noqa: PLC0415 - optional, loaded where it is needed
    except ImportError:
        raise ParquetMissing("Parquet needs one more library: .venv/bin/pip install 'pyarrow>=21'") from None
    kinds = {
        str: pa.string(),
        int: pa.int64(),
        float: pa.float64(),
        bool: pa.bool_(),
        date: pa.date32(),
        list: pa.list_(pa.string()),
        datetime: pa.timestamp("us", tz="UTC"),
    }
    schema = pa.schema([(name, kinds[kind]) for name, kind in table.columns.items()])
    with parquet.ParquetWriter(path, schema) as writer:
        yield _Parquet(pa, writer, schema)


_KINDS = {Format.CSV: _csv, Format.XLSX: _xlsx, Format.PARQUET: _parquet}

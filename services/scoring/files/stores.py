"""Reads and writes CSV files of stores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO

from services.scoring.domain.stores.imports import BadLine, StoreRow
from services.scoring.domain.stores.store import FIELDS, MOST_STORES, Store
from services.scoring.domain.stores.texts import texts_of
from services.scoring.files.uploads import read_upload
from shared.languages.marking import mark
from shared.tables.layout import TableOptions
from shared.tables.records import FileRecord
from shared.tables.values import ROUNDED, is_rounded
from shared.tables.writing import BOM, SpreadsheetWriter, with_formulas

_HEADINGS: Mapping[str, Sequence[str]] = {  # whatever their case and spaces; the first that is there counts
    "code": ("code", "store code", "store_code", "id", "код", "код магазина", "код точки"),
    "name": ("name", "store name", "store_name", "store", "название", "название магазина", "наименование", "магазин"),
    "spellings": ("spellings", "other names", "aliases", "написания", "другие названия", "варианты названия"),
    "region": ("region", "регион", "область"),
    "time_zone": ("time_zone", "time zone", "zone", "часовой пояс", "зона"),
    "hours": ("hours", "opening hours", "opening_hours", "часы работы", "режим работы", "график работы", "часы"),
    "manager": ("manager", "store manager", "управляющий", "директор", "менеджер", "руководитель"),
    "deputy": ("deputy", "deputy manager", "заместитель", "зам"),
    "review_links": ("review_links", "review links", "reviews", "ссылки на отзывы", "отзывы"),
    "closed_since": ("closed_since", "closed since", "closed", "закрыт с", "закрыт", "дата закрытия"),
}
_OPTIONS = TableOptions(columns=_HEADINGS, optional=frozenset(FIELDS) - {"code"}, unique=None)


@dataclass(frozen=True, slots=True)
class StoreFile:
    """`layout` says how the file was read, `ignored` names the columns that are no fields of a store."""

    rows: Sequence[StoreRow]
    bad: Sequence[BadLine]
    layout: str
    ignored: Sequence[str]


def read(content: bytes) -> StoreFile:
    """Read a CSV file whatever its encoding and separator; raises InvalidFile."""
    file = read_upload(content, _OPTIONS, most=MOST_STORES, too_many=mark("has more than %(most)s stores"))
    fields = [name for name in FIELDS if name in file.names]
    problems = {record.line: _problem(record) for record in file.records}
    return StoreFile(
        [_row(record, fields) for record in file.records if not problems[record.line]],
        [BadLine(line, problem) for line, problem in problems.items() if problem],
        file.layout,
        [name for name in file.names if name not in FIELDS],
    )


def _problem(record: FileRecord) -> str:
    if record.problem or record.cells is None:
        return record.problem
    return f"code: {ROUNDED}" if is_rounded(record.cells.get("code", "")) else ""


def _row(record: FileRecord, fields: Iterable[str]) -> StoreRow:
    cells = record.cells or {}
    return StoreRow(record.line, {name: with_formulas(cells.get(name, "")) for name in fields})


def write(file: IO[str], stores: Iterable[Store]) -> None:
    """Write stores as `read` reads them; no cell is a formula to a spreadsheet."""
    file.write(BOM)
    writer = SpreadsheetWriter(file)
    writer.write([FIELDS])
    writer.write(texts_of(store).values() for store in stores)

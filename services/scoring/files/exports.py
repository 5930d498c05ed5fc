"""Exports answers and daily scores to files, reading each page of rows in a separate transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import asyncpg

from services.scoring.domain.dimensions import BucketKey
from services.scoring.files import tables
from services.scoring.files.tables import Cell, Format, Sheet, Table
from services.scoring.repository import listing
from services.scoring.repository.listing import AnswerFilter
from shared.database.session import Sessions

PAGE = 5000
SEGMENT = "segment."

Progress = Callable[[int, int], None]  # rows written so far, rows in total

_ANSWER_TYPES: dict[str, type] = {
    "program_version": int,
    "version": int,
    "score": int,
    "step": int,
    "reasons": list,
    "tags": list,
    "suspect": bool,
    "test": bool,
    "answered_at": datetime,
    "day": date,
}
_ANSWER_COLUMNS = [*(name for name in listing.ANSWER_COLUMNS.split(", ") if name != "segments"), "tags", "quote_name"]
_NPS_TEXTS = ("program", "dimension", "value")
_NPS_COLUMNS = [name for name in listing.NPS_COLUMNS.split(", ") if name != "by_score"]
_POINTS = ("nps", "interval_low", "interval_high")
_SCORES = [f"score_{score}" for score in range(11)]


async def answers(
    sessions: Sessions, answer_filter: AnswerFilter, path: Path, *, kind: Format, progress: Progress
) -> int:
    """Write one row per current answer, with a column per segment; returns the number of rows."""
    async with sessions.begin() as session:
        names = await listing.segment_names(session, answer_filter)
        total = await listing.count_answers(session, answer_filter)
    columns = {name: _ANSWER_TYPES.get(name, str) for name in _ANSWER_COLUMNS}
    columns |= {SEGMENT + name: str for name in names}
    pages = _pages(sessions, answer_filter, listing.answers, lambda row: row["answer_id"])
    with tables.write_table(path, kind, Table("answers", columns)) as sheet:
        return await _write(
            sheet, pages, lambda row: _answer(row, names), lambda rows: progress(rows, max(total, rows))
        )


def _answer(row: asyncpg.Record, names: Sequence[str]) -> list[Cell]:
    own = [tables.cell(row[name]) for name in _ANSWER_COLUMNS]
    return own + [row["segments"].get(name) for name in names]


async def nps(sessions: Sessions, answer_filter: AnswerFilter, path: Path, *, kind: Format, progress: Progress) -> int:
    """Write one row per program, dimension, value and day; returns the number of rows."""
    async with sessions.begin() as session:
        total = await listing.count_nps_days(session, answer_filter)
    columns = {name: str if name in _NPS_TEXTS else int for name in [*_NPS_COLUMNS, *_SCORES]}
    pages = _pages(sessions, answer_filter, listing.nps_days, lambda row: BucketKey(*row[:4]))
    with tables.write_table(path, kind, Table("nps", columns | {"day": date} | dict.fromkeys(_POINTS, float))) as sheet:
        return await _write(sheet, pages, _figures, lambda rows: progress(rows, max(total, rows)))


def _figures(row: asyncpg.Record) -> list[Cell]:
    own = [float(row[name]) if isinstance(row[name], Decimal) else row[name] for name in _NPS_COLUMNS]
    return [*own, *row["by_score"]]


async def _pages(
    sessions: Sessions,
    answer_filter: AnswerFilter,
    read: Callable[..., Awaitable[list[asyncpg.Record]]],
    key_of: Callable[[asyncpg.Record], object],
) -> AsyncIterator[list[asyncpg.Record]]:
    """Yield pages of up to `PAGE` rows by keyset pagination, each read in a separate transaction."""
    after = None
    while True:
        async with sessions.begin() as session:
            page = await read(session, answer_filter, after=after, limit=PAGE)
        if not page:
            return
        yield page
        after = key_of(page[-1])


async def _write(
    sheet: Sheet,
    pages: AsyncIterator[list[asyncpg.Record]],
    cells_of: Callable[[asyncpg.Record], list[Cell]],
    progress: Callable[[int], None],
) -> int:
    rows = 0
    async for page in pages:
        sheet.write([cells_of(row) for row in page])
        rows += len(page)
        progress(rows)
    return rows

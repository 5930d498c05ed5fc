"""Answers and daily figures as files: page after page in short transactions, so that nothing waits for an export."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import asyncpg

from services.scoring.domain.dimensions import BucketKey
from services.scoring.files import tables
from services.scoring.files.tables import Cell, Format, Table
from services.scoring.repository import listing
from services.scoring.repository.listing import AnswerFilter
from shared.database.db import Sessions

PAGE = 5000
SEGMENT = "segment."

Progress = Callable[[int, int], None]  # rows so far, of so many

_ANSWER_TYPES: dict[str, type] = {
    "program_version": int,
    "version": int,
    "score": int,
    "step": int,
    "reasons": list,
    "suspect": bool,
    "test": bool,
    "answered_at": datetime,
    "day": date,
}
_ANSWER_COLUMNS = [name for name in listing.ANSWER_COLUMNS.split(", ") if name != "segments"]
_NPS_TEXTS = ("program", "dimension", "value")
_NPS_COLUMNS = [name for name in listing.NPS_COLUMNS.split(", ") if name != "by_score"]
_SCORES = [f"score_{score}" for score in range(11)]


async def answers(sessions: Sessions, wanted: AnswerFilter, path: Path, *, kind: Format, progress: Progress) -> int:
    """Write one row per current answer, each segment in a column of its own; returns how many."""
    async with sessions.begin() as session:
        names = await listing.segment_names(session, wanted)
        total = await listing.count_answers(session, wanted)
    columns = {name: _ANSWER_TYPES.get(name, str) for name in _ANSWER_COLUMNS}
    columns |= {SEGMENT + name: str for name in names}
    rows = 0
    with tables.opened(path, kind, Table("answers", columns)) as sheet:
        async for page in _answer_pages(sessions, wanted):
            sheet.write([_answer(row, names) for row in page])
            rows += len(page)
            progress(rows, max(total, rows))
    return rows


async def _answer_pages(sessions: Sessions, wanted: AnswerFilter) -> AsyncIterator[list[asyncpg.Record]]:
    after = None
    while True:
        async with sessions.begin() as session:
            page = await listing.answers(session, wanted, after=after, limit=PAGE)
        if not page:
            return
        yield page
        after = page[-1]["answer_id"]


def _answer(row: asyncpg.Record, names: Sequence[str]) -> list[Cell]:
    own = [tables.cell(row[name]) for name in _ANSWER_COLUMNS]
    return own + [row["segments"].get(name) for name in names]


async def nps(sessions: Sessions, wanted: AnswerFilter, path: Path, *, kind: Format, progress: Progress) -> int:
    """Write one row per program, dimension, value and day; returns how many."""
    async with sessions.begin() as session:
        total = await listing.count_nps_days(session, wanted)
    columns = {name: str if name in _NPS_TEXTS else int for name in [*_NPS_COLUMNS, *_SCORES]}
    rows = 0
    table = Table("nps", columns | {"day": date, "nps": float})
    with tables.opened(path, kind, table) as sheet:
        async for page in _nps_pages(sessions, wanted):
            sheet.write([_figures(row) for row in page])
            rows += len(page)
            progress(rows, max(total, rows))
    return rows


async def _nps_pages(sessions: Sessions, wanted: AnswerFilter) -> AsyncIterator[list[asyncpg.Record]]:
    after = None
    while True:
        async with sessions.begin() as session:
            page = await listing.nps_days(session, wanted, after=after, limit=PAGE)
        if not page:
            return
        yield page
        after = BucketKey(*page[-1][:4])


def _figures(row: asyncpg.Record) -> list[Cell]:
    own = [float(row[name]) if isinstance(row[name], Decimal) else row[name] for name in _NPS_COLUMNS]
    return [*own, *row["by_score"]]

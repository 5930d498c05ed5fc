"""Writes comments to a CSV file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import IO

import asyncpg

from services.scoring.domain.stores.names import STORE, StoreNames
from shared.tables.writing import BOM, SpreadsheetWriter

_COLUMNS = (
    "answer_id",
    "answered_at",
    "program",
    "store",
    "score",
    "category",
    "comment",
    "tags",
    "quotable",
    "quote_name",
)


def write(file: IO[str], rows: Iterable[asyncpg.Record], stores: StoreNames) -> None:
    """Write a line for each answer; times are in UTC, several tags have `;` between them."""
    file.write(BOM)
    writer = SpreadsheetWriter(file)
    writer.write([_COLUMNS])
    for row in rows:
        written = {
            **row,
            "store": stores.shown(STORE, row["segments"].get(STORE, "")),
            "answered_at": row["answered_at"].isoformat(),
            "tags": ";".join(row["tags"]),
            "quotable": row["quote_name"] is not None,
        }
        writer.write([[written[name] for name in _COLUMNS]])

"""Writes CSV files for spreadsheets, in which no text is evaluated as a formula.

Source: OWASP, "CSV Injection". A spreadsheet of another region splits the same file at semicolons or tabs, so that a
formula may also begin inside a cell; and it reads full-width signs like those of ASCII.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from typing import IO, Any

BOM = "\N{BYTE ORDER MARK}"  # without it Excel reads a CSV file in the encoding of its region
_SIGNS = "=+@＝＋－＠-"  # noqa: RUF001 - full-width signs, which spreadsheets read as the others
_FIRST = re.compile(rf"[\t\r\n]|\s*[{_SIGNS}]")
_ESCAPED = re.compile(rf"([;,\t|\r\n]\"?\s*)'(?=[{_SIGNS}])")
_INSIDE = re.compile(rf"([;,\t|\r\n]\"?\s*)(?=[{_SIGNS}])")


def without_formulas(text: str) -> str:
    """Put an apostrophe before a text that is or holds a formula, and before each formula inside of it."""
    if not _FIRST.match(text) and not _INSIDE.search(text):
        return text
    return "'" + _INSIDE.sub(r"\1'", text)


def with_formulas(text: str) -> str:
    """Take away the apostrophes that `without_formulas` put in, so that a file that was exported is read as it was."""
    original = _ESCAPED.sub(r"\1", text.removeprefix("'"))
    return original if without_formulas(original) == text else text


class SpreadsheetWriter:
    """Writes rows to a CSV file; every cell is quoted."""

    def __init__(self, file: IO[str]) -> None:
        self._writer = csv.writer(file, quoting=csv.QUOTE_ALL)

    def write(self, rows: Iterable[Iterable[Any]]) -> None:
        self._writer.writerows([_cell(value) for value in row] for row in rows)


def _cell(value: Any) -> Any:
    return without_formulas(value) if isinstance(value, str) else value

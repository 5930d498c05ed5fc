"""What is known about a table before its rows are read: encoding, separator, names of the columns, decimal point."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from zoneinfo import ZoneInfo

from shared.languages.current import gettext
from shared.languages.marking import mark
from shared.tables import encodings
from shared.tables.opening import SAMPLE, InvalidFile, detect_encoding, open_as_utf8, readable
from shared.tables.values import DateOrder, DecimalPoint

LINE = "$line"  # the number of a record's first line, in a mapping of columns or of a file
SEPARATORS = ",;\t|"
_WITH_COMMA = mark("read as %(encoding)s, separated by %(separator)s, decimals with a comma")
_WITH_POINT = mark("read as %(encoding)s, separated by %(separator)s, decimals with a point")
_LOOKED_AT = 50  # records, to find the separator and the decimal point
_SEP = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
_COMMA_NUMBER = re.compile(r"[+-]?\d[\d.\s]*,\d{1,2}")
_POINT_NUMBER = re.compile(r"[+-]?\d[\d,\s]*\.\d{1,2}")


@dataclass(frozen=True, slots=True)
class TableOptions:
    """What a person says about a file; what is None is detected.

    `columns` has the names of columns by field, the first that is there counts; `optional` are the fields whose column
    may be missing. `unique` are names that may not occur twice; None: any. `header` is the line that names the columns.
    """

    encoding: str | None = None
    separator: str | None = None
    header: int | None = None
    zone: ZoneInfo | None = None
    dates: DateOrder | None = None
    decimals: DecimalPoint | None = None
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()
    unique: frozenset[str] | None = frozenset()


@dataclass(frozen=True, slots=True)
class Layout:
    """`cells` has (column, field or name) of each cell; `offset` and `line` are the position of the first row."""

    encoding: str
    separator: str = ","
    width: int = 0
    cells: Sequence[tuple[int, str]] = ()
    line_fields: Sequence[str] = ()
    decimals: DecimalPoint = "."
    offset: int = 0
    line: int = 0

    @property
    def names(self) -> Sequence[str]:
        return [*(name for _, name in self.cells), *self.line_fields]

    def describe(self) -> str:
        """Say how the file is read, for the report."""
        encoding = self.encoding.removesuffix("-sig").upper()
        if not self.width:
            return gettext("read as %(encoding)s", encoding=encoding)
        separators = {"\t": gettext("a tab"), ",": gettext("a comma"), ";": gettext("a semicolon")}
        separator = separators.get(self.separator, repr(self.separator))
        sentence = _WITH_COMMA if self.decimals == "," else _WITH_POINT
        return gettext(sentence, encoding=encoding, separator=separator)


def encoding_of(path: Path, options: TableOptions) -> str:
    """Return the encoding that was stated, else detect it; raises InvalidFile."""
    if options.encoding is None:
        return detect_encoding(path)
    try:
        return encodings.stated(options.encoding)
    except LookupError:
        known = ", ".join(encodings.STATABLE)
        raise InvalidFile(f"no such encoding as {options.encoding}; there are {known}") from None


def layout_of(path: Path, options: TableOptions) -> Layout:
    """Read the beginning of a table; raises InvalidFile."""
    encoding = encoding_of(path, options)
    with open_as_utf8(path, encoding=encoding) as stream, readable(path):
        sample = stream.read(SAMPLE)
    lines = io.BytesIO(sample).readlines()
    if len(sample) == SAMPLE and len(lines) > 1:  # the last one is cut
        lines.pop()
    text = [line.decode(errors="replace").removeprefix("\N{BYTE ORDER MARK}") for line in lines]
    start, separator = _start(text, options)
    separator = options.separator or separator or _separator(text[start:])
    header, used = _header(path, text[start:], separator)
    after = start + used
    cells, line_fields = _columns(path, header, options)
    return Layout(
        encoding=encoding,
        separator=separator,
        width=len(header),
        cells=cells,
        line_fields=line_fields,
        decimals=options.decimals or _decimals(_records(text[after:], separator)),
        offset=sum(map(len, lines[:after])),
        line=after,
    )


def _start(text: Sequence[str], options: TableOptions) -> tuple[int, str | None]:
    """Return the index of the header's line, and the separator if a line for Excel says it."""
    if options.header is not None:
        return options.header - 1, None
    first = next((number for number, line in enumerate(text) if line.strip()), 0)
    said = _SEP.fullmatch(text[first].strip("\r\n")) if text else None
    return (first, None) if said is None else (first + 1, said[1])


def _records(text: Sequence[str], separator: str) -> list[list[str]]:
    found: list[list[str]] = []
    try:
        for row in csv.reader(text, delimiter=separator):
            found.append(row)
            if len(found) == _LOOKED_AT:
                break
    except csv.Error:
        pass  # the reader of the rows says so, with the line
    return [row for row in found if any(cell.strip() for cell in row)]


def _separator(text: Sequence[str]) -> str:
    """Return the separator that divides most of the first rows into as many cells as the header."""

    def fit(separator: str) -> tuple[int, int]:
        header, *rows = _records(text, separator) or [[]]
        if len(header) < 2:
            return 0, 0
        return 1 + sum(len(row) == len(header) for row in rows), len(header)

    return max(SEPARATORS, key=fit)


def _header(path: Path, text: Sequence[str], separator: str) -> tuple[list[str], int]:
    """Return the names in the first record and the number of its lines."""
    reader = csv.reader(text, delimiter=separator, strict=True)
    try:
        names = next(reader, [])
    except csv.Error as error:
        text = gettext("the first line is not CSV: %(why)s", why=error)
        raise InvalidFile(f"{path}: {text}") from None
    if not any(name.strip() for name in names):
        text = gettext("the first line must name the columns")
        raise InvalidFile(f"{path}: {text}")
    return names, reader.line_num


def _columns(path: Path, header: Sequence[str], options: TableOptions) -> tuple[list[tuple[int, str]], list[str]]:
    """Return (column, field or name) of each cell, and the fields that get the number of the line."""
    names = _numbered(path, [" ".join(name.split()) for name in header], options.unique)
    cells: list[tuple[int, str]] = []
    for wanted, candidates in options.columns.items():
        if LINE in candidates:
            continue
        if (place := _place(names, candidates)) is not None:
            cells.append((place, wanted))
        elif wanted not in options.optional:
            listed = ", ".join(name[:60] for name in names[:30])
            wanted_names = gettext(" or ").join(map(repr, candidates))
            why = gettext("no column %(wanted)s; there are %(names)s", wanted=wanted_names, names=listed)
            raise InvalidFile(f"{path}: {why}")
    used = {place for place, _ in cells}
    rest = [(place, name) for place, name in enumerate(names) if place not in used and name not in options.columns]
    return cells + rest, [wanted for wanted, candidates in options.columns.items() if LINE in candidates]


def _numbered(path: Path, names: Sequence[str], unique: frozenset[str] | None) -> list[str]:
    """Name blank columns `column 3`, and the second column of a name `name (2)`; raises InvalidFile."""
    seen: Counter[str] = Counter()
    numbered = []
    for number, name in enumerate(names, 1):
        seen[name] += bool(name)
        if seen[name] > 1 and (unique is None or name in unique):
            text = mark("the first line must name the columns, each once: %(name)s is there twice")
            raise InvalidFile(f"{path}: {gettext(text, name=repr(name[:60]))}")
        again = f" ({seen[name]})" if seen[name] > 1 else ""
        numbered.append(name + again if name else f"column {number}")
    return numbered


def _place(names: Sequence[str], candidates: Sequence[str]) -> int | None:
    """Return the index of the first candidate that is a column: as it is written, else whatever the case and spaces."""
    for candidate in candidates:
        if candidate in names:
            return names.index(candidate)
    folded = [_folded(name) for name in names]
    wanted = next((_folded(each) for each in candidates if _folded(each) in folded), None)
    return None if wanted is None else folded.index(wanted)


def _folded(name: str) -> str:
    return "".join(name.split()).casefold()


def _decimals(rows: Sequence[Sequence[str]]) -> DecimalPoint:
    """Return the decimal point of the first rows: a comma if numbers are written with one and none with a point."""
    cells = [cell.strip() for row in rows for cell in row]
    comma = any(_COMMA_NUMBER.fullmatch(cell) for cell in cells)
    return "," if comma and not any(_POINT_NUMBER.fullmatch(cell) for cell in cells) else "."

"""Reads CSV files that somebody uploads, whatever their encoding and separator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from shared.languages.current import gettext
from shared.tables.layout import TableOptions
from shared.tables.opening import InvalidFile
from shared.tables.records import FileRecord, Position, inspect

MOST_BYTES = 2_000_000


@dataclass(frozen=True, slots=True)
class Upload:
    """`names` are the columns of the file, by their names in the options where these know them; `layout` is a text."""

    records: Sequence[FileRecord]
    names: Sequence[str]
    layout: str


def read_upload(content: bytes, options: TableOptions, *, most: int, too_many: str) -> Upload:
    """Read at most `most` records, with the text `too_many` for a file with more; raises InvalidFile."""
    if len(content) > MOST_BYTES:
        raise InvalidFile(gettext("has more than %(most)s bytes", most=MOST_BYTES))
    if content.startswith(b"\x1f\x8b"):
        raise InvalidFile(gettext("is compressed: unpack it"))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "upload.csv"
        path.write_bytes(content)
        try:
            file = inspect(path, options)
            records = list(islice(file.records(Position()), most + 1))
        except InvalidFile as error:
            raise InvalidFile(str(error).removeprefix(f"{path}: ")) from None
    if len(records) > most:
        raise InvalidFile(gettext(too_many, most=most))
    return Upload(records, file.layout.names, file.layout.describe())

"""Opens a file of text in any encoding, also compressed, as a stream of UTF-8 with line ends that are line feeds."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from shared.languages.current import gettext
from shared.languages.marking import mark
from shared.tables import encodings

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

TABLES = (".csv", ".tsv")
JSON_LINES = (".jsonl", ".ndjson")
SUFFIXES = (*TABLES, *JSON_LINES)
SAMPLE = 1 << 18
_CHUNK = 1 << 16
_COMPRESSED = b"\x1f\x8b"
_FOREIGN = {
    b"PK\x03\x04": mark("a workbook or archive: save it as CSV, or unpack it"),
    b"\xd0\xcf\x11\xe0": mark("an old Excel workbook: save it as CSV"),
    b"%PDF": mark("a PDF document"),
    b"PAR1": mark("a Parquet file: convert it to CSV"),
}


class InvalidFile(ValueError):
    """The whole file cannot be read; the text says why."""


def suffix_of(path: Path) -> str:
    """Return the ending that says what a file holds, without `.gz`; raises InvalidFile if it is none of SUFFIXES."""
    name = path.name.lower().removesuffix(".gz")
    suffix = next((each for each in SUFFIXES if name.endswith(each)), None)
    if suffix is None:
        raise InvalidFile(f"{path}: expected a name that ends in {', '.join(SUFFIXES)}, also with .gz")
    return suffix


def is_readable(path: Path) -> bool:
    """Whether the name of a file ends as that of a file that can be read."""
    try:
        return bool(suffix_of(path))
    except InvalidFile:
        return False


@contextmanager
def open_as_utf8(path: Path, *, encoding: str) -> Iterator[BinaryIO]:
    """Open a file as UTF-8; one that is UTF-8 is read as it is, and may be sought in. Raises InvalidFile."""
    with _open_bytes(path) as file, readable(path):
        mac = _has_mac_line_ends(file.read(_CHUNK), encoding)
        file.seek(0)
        if encoding in ("utf-8", "utf-8-sig", "ascii") and not mac:
            yield file
        else:
            yield cast("BinaryIO", io.BufferedReader(_AsUtf8(file, encoding, mac=mac)))


def detect_encoding(path: Path) -> str:
    """Read the whole file once, unless its encoding is clear before; raises InvalidFile."""
    with _open_bytes(path) as file, readable(path):
        return encodings.detect(iter(lambda: file.read(_CHUNK), b""))


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn the errors of a compressed file into InvalidFile."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        text = gettext("the compressed file is damaged or incomplete: %(why)s", why=error)
        raise InvalidFile(f"{path}: {text}") from None


@contextmanager
def _open_bytes(path: Path) -> Iterator[BinaryIO]:
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(0)
        for magic, what in _FOREIGN.items():
            if start.startswith(magic):
                text = gettext("is %(what)s", what=gettext(what))
                raise InvalidFile(f"{path}: {text}")
        if not start.startswith(_COMPRESSED):
            yield file
            return
        with gzip.open(file) as unpacked:
            yield cast("BinaryIO", unpacked)


def _has_mac_line_ends(sample: bytes, encoding: str) -> bool:
    text = sample.decode(encoding, errors="ignore")
    return "\r" in text and "\n" not in text


class _AsUtf8(io.RawIOBase):
    """Decodes a stream while it is read; a byte that the encoding does not have becomes U+FFFD."""

    def __init__(self, inner: BinaryIO, encoding: str, *, mac: bool) -> None:
        self._inner, self._mac = inner, mac
        self._decoder = codecs.getincrementaldecoder(encoding)("replace")
        self._ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        while not self._ready:
            chunk = self._inner.read(_CHUNK)
            text = self._decoder.decode(chunk, final=not chunk)
            self._ready = (text.replace("\r", "\n") if self._mac else text).encode("utf-8", "replace")
            if not chunk:
                break
        view = memoryview(buffer).cast("B")
        given, self._ready = self._ready[: len(view)], self._ready[len(view) :]
        view[: len(given)] = given
        return len(given)

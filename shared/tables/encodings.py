"""Detects the encoding of a text file: UTF-8, UTF-16, UTF-32, Windows-1251 or Windows-1252."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark is the beginning of this one
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
STATABLE = (
    "utf-8",
    "utf-16",
    "utf-16-le",
    "utf-16-be",
    "utf-32",
    "cp1250",
    "cp1251",
    "cp1252",
    "cp1253",
    "cp1254",
    "cp1255",
    "cp1256",
    "cp1257",
    "cp1258",
    "cp437",
    "cp850",
    "cp852",
    "cp855",
    "cp866",
    "koi8-r",
    "koi8-u",
    "mac-roman",
    "mac-cyrillic",
    "latin-1",
    "iso8859-2",
    "iso8859-5",
    "iso8859-9",
    "iso8859-15",
    "ascii",
    "shift_jis",
    "cp932",
    "euc_jp",
    "gb18030",
    "gbk",
    "big5",
    "euc_kr",
    "cp949",
)
UTF8 = "utf-8"
_HIGH = rb"\xc0-\xff\xa1\xa2\xa3\xa5\xa8\xaa\xaf\xb2\xb3\xb4\xb8\xba\xbf"  # the Cyrillic letters of Windows-1251
_WITH_LATIN = re.compile(rb"[A-Za-z][%b]+|[%b]+(?=[A-Za-z])" % (_HIGH, _HIGH))
_ALL_HIGH = re.compile(rb"[%b]" % _HIGH)
_NOT_UTF8 = re.compile("[\udc80-\udcff]")
_SURE = 1000  # bytes that are not UTF-8, after which the rest of a file is not looked at


def stated(name: str) -> str:
    """Return Python's name of an encoding that a person named, such as `windows-1251`; raises LookupError."""
    wanted = codecs.lookup(name).name
    if wanted not in {codecs.lookup(known).name for known in STATABLE}:
        raise LookupError(name)
    return "utf-8-sig" if wanted == UTF8 else wanted


def detect(chunks: Iterable[bytes]) -> str:
    """Detect the encoding of a file given in chunks: its byte order mark, the pattern of UTF-16, UTF-8, or Windows'.

    Where most of the bytes above 127 are UTF-8, the file is; its other lines are for the reader to refuse.
    """
    rest = iter(chunks)
    first = next(rest, b"")
    for mark, name in _MARKS:
        if first.startswith(mark):
            return name
    return _utf16(first) or _eight_bits(first, rest)


def _utf16(sample: bytes) -> str | None:
    """Return UTF-16 without a mark: line ends, digits and separators have a zero byte beside them."""
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if max(even, odd) * 10 < max(len(sample) // 2, 1) or min(even, odd) * 10 > max(even, odd):
        return None
    name = "utf-16-le" if odd > even else "utf-16-be"
    ends = sample.decode(name, errors="ignore").count("\n")
    return name if ends * 2 >= sample.count(b"\n") else None


@dataclass(slots=True)
class _Counts:
    valid: int = 0  # characters of several bytes in UTF-8
    invalid: int = 0  # bytes that are not UTF-8
    latin: int = 0  # letters beside an ASCII letter, if this is an encoding of one byte
    letters: int = 0


def _eight_bits(first: bytes, rest: Iterator[bytes]) -> str:
    decoder = codecs.getincrementaldecoder(UTF8)("surrogateescape")
    counts, chunk = _Counts(), first
    while chunk:
        _count(counts, chunk, decoder.decode(chunk))
        if counts.invalid > _SURE and counts.invalid > counts.valid:
            break
        chunk = next(rest, b"")
    else:
        _count(counts, b"", decoder.decode(b"", final=True))
    if counts.valid >= counts.invalid:
        return UTF8
    return "cp1252" if counts.latin * 2 >= counts.letters else "cp1251"


def _count(counts: _Counts, chunk: bytes, text: str) -> None:
    if not text.isascii():
        invalid = len(_NOT_UTF8.findall(text))
        counts.invalid += invalid
        counts.valid += sum(character > "\x7f" for character in text) - invalid
    if not chunk.isascii():
        counts.letters += len(_ALL_HIGH.findall(chunk))
        counts.latin += sum(len(_ALL_HIGH.findall(found)) for found in _WITH_LATIN.findall(chunk))

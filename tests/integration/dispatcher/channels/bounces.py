"""Bounces in the formats of several mail servers (`mails/*.eml`), and damaged ones."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from tests.corpora import damaged

REPORTS = (
    "postfix",
    "exim",
    "exchange",
    "gmail",
    "yandex",
    "qmail",
    "abuse",
)  # reports of a failed mail, and a complaint
OTHERS = ("delayed", "read", "vacation", "forwarded")
_TEXTS = {path.stem: path.read_text(encoding="utf-8") for path in (Path(__file__).parent / "mails").glob("*.eml")}


def mail(shape: str, reference: str, *, own: int = 0) -> bytes:
    """Make a mail about a message of ours; `own` makes it differ from the others."""
    return _TEXTS[shape].replace("{reference}", reference).replace("{own}", str(own)).replace("\n", "\r\n").encode()


def broken(reference: str, chance: random.Random) -> bytes:
    """Make a mail and damage it: deep nesting, invalid headers, charsets, encodings, or changed bytes."""
    text = mail(chance.choice(REPORTS + OTHERS), reference, own=chance.randrange(10**9))
    match chance.randrange(8):
        case 0:
            text = _nested(text, chance)
        case 1:
            place = text.find(b"\r\n", chance.randrange(len(text)))
            text = text[:place] + b"\r\n" + chance.choice(_HEADERS) + text[place:]
        case 2:
            text = text.replace(b"charset=", b"charset=" + chance.choice(_CHARSETS))
        case 3:
            encoding = chance.choice((b"base64", b"uuencode", b"quoted-printable", b"x-gzip", b"\xff"))
            text = text.replace(b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: " + encoding + b"\r\n\r\n")
        case _:
            pass
    return damaged(text, chance)


def _nested(text: bytes, chance: random.Random) -> bytes:
    depth = chance.choice((3, 30, 90, 300, 1000))
    if chance.random() < 0.5:
        return b"Content-Type: message/rfc822\r\n\r\n" * depth + text
    return b"".join(_opened(depth)) + text


def _opened(depth: int) -> Iterator[bytes]:
    for number in range(depth):
        yield b'Content-Type: multipart/mixed; boundary="n%d"\r\n\r\n--n%d\r\n' % (number, number)


_CHARSETS = (
    b"punycode",
    b"idna",
    b"utf-7",
    b"x-unknown",
    b"\0",
    b"rot13",
    b"hex",
    b"unicode_escape",
    b"utf-16",
    b"undefined",
)
_HEADERS = (
    b"Message-ID: <a\0b@c>",
    b"Message-ID: <" + b"x" * 9000 + b">",
    b"Message-ID:",
    b"Status: \0",
    b"Status: 5." + b"1" * 4000 + b".1",
    b"Action: failed\r\nAction: delivered",
    b"Content-Type: multipart/report; report-type*0*=utf-8''%00; report-type*1=delivery-status",
    b"Content-Type: multipart/report; report-type*999999999=a; boundary*=''%ff",
    b"Content-Type: message/delivery-status",
    b'Content-Type: multipart/mixed; boundary=""',
    b"References: " + b"<a@b> " * 3000,
    b"X: " + b"y" * 100_000,
    b" folded",
    b"From MAILER-DAEMON",
    b"\xff\xfe: \xff",
)

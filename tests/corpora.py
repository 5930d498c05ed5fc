"""What comes from outside, damaged by chance from a seed: `EARSHOT_TEST_FUZZ` says how many of a kind."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator, Sequence
from typing import Any

SIZE = int(os.environ.get("EARSHOT_TEST_FUZZ", "5000"))
SEED = int(os.environ.get("EARSHOT_TEST_SEED", "12"))

STRANGE: tuple[Any, ...] = (
    *("", " ", "\0", "a\0b", "\ud800", "\udfff\ud800", "\u202e", "\uffff", "\u0663", "x" * 300, "x" * 5000, "%00"),
    *("0", "-0", "--5", "+", "1e999999", "NaN", "Infinity", "9" * 30, "9" * 5000, "0x10", "1_000", "null", "{}"),
    *("2026-13-01", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "\r\nBcc: a@b.example", "https://["),
    *(0, -1, 2**31, 2**63, -(2**63) - 1, 10**300, 1e308, -1e308, 5e-324, 0.1, True, False, None),
    *([], {}, [[]], [None], {"": ""}, {"id": None}, {"\0": "\0"}, ["\ud800"], [{"id": []}]),
)


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Name every place in a document."""
    yield path
    inside = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for name, inner in inside:
        yield from places(inner, (*path, name))


def replaced(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    copy = dict(document) if isinstance(document, dict) else list(document)
    copy[path[0]] = replaced(copy[path[0]], path[1:], value)
    return copy


def changed(document: Any, chance: random.Random, pool: Sequence[Any] = STRANGE) -> Any:
    """Put one to three strange values somewhere into a document."""
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        path = chance.choice(list(places(document)))
        value = chance.choice(pool)
        for _ in range(chance.choice((0, 0, 0, 0, 1, 40))):
            value = chance.choice(([value], {"id": value}))
        document = replaced(document, path, value)
    return document


def written(document: Any, chance: random.Random) -> bytes:
    """Write JSON, sometimes damaged."""
    text = json.dumps(document).encode()
    return damaged(text, chance) if chance.random() < 0.2 else text


def damaged(text: bytes, chance: random.Random) -> bytes:
    """Flip, cut, repeat or insert bytes; a change adds 2 MB at most."""
    for _ in range(chance.choice((1, 1, 2, 5))):
        place = chance.randrange(len(text) + 1)
        end = min(len(text), place + chance.choice((1, 3, 20, 200)))
        match chance.randrange(6):
            case 0:
                text = text[:place] + bytes((chance.randrange(256),)) + text[place + 1 :]
            case 1:
                text = text[:place]
            case 2:
                text = text[:place] + text[end:]
            case 3:
                text = text[:end] + text[place:]
            case 4:
                text = text[:place] + chance.choice(INSERTED) + text[place:]
            case _:
                text = text.replace(chance.choice(SWAPPED), chance.choice(INSERTED), chance.choice((1, 3, 100)))
    return text


INSERTED = (
    *(b"\0", b"\\u0000", b"\\ud800", b"\xff\xfe", b"\xed\xa0\x80", b"[" * 2000, b'{"a":' * 2000, b"x" * 20_000),
    *(b"\r\n", b"\r\n\r\n", b"\n", b"=?utf-8?b?////?=", b"=?punycode?q?a=00?=", b"=?x-none?q?a?=", b";", b'"', b"--"),
    b"1" * 5000,
)
SWAPPED = (b"\r\n", b":", b'"', b"=", b"utf-8", b"{", b"}", b",", b"0", b"5", b"boundary", b"base64", b"; ", b"--")

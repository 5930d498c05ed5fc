"""Rows of the outbox and of the log in PostgreSQL: one message, or up to MOST messages of a topic packed together.

What messages of a topic have in common is most of them, so that some of them together take a fraction of the bytes. A
packed row has their number in `packed`, no key of its own, and as its `body`, compressed with LZ4 after four bytes of
the size: of each message the lengths of key, headers and body, and then these.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from struct import Struct
from typing import Any, NamedTuple, Protocol

import cramjam
import msgspec

from shared.messaging.transport import Message

MOST = 64  # ids of the log have this increment, so that each message of a packed row has an id
_MOST_BYTES = 1 << 18

_LENGTHS = Struct("<3I")
_headers = msgspec.json.Decoder(dict[str, str])


class StoredRow(Protocol):
    def __getitem__(self, column: str, /) -> Any: ...


class MessageRow(NamedTuple):
    """`packed` is how many messages `body` has; None: it is the body of one."""

    topic: str
    key: str
    headers: str
    body: bytes
    packed: int | None


def rows_of(messages: Iterable[Message], *, pack: bool) -> list[MessageRow]:
    """Return the rows for these messages; with `pack`, those of a topic are in order, and topics one after another."""
    if not pack:
        return [_row(message) for message in messages]
    by_topic = sorted(messages, key=attrgetter("topic"))
    return [
        _row(chunk[0]) if len(chunk) == 1 else _packed_row(topic, chunk)
        for topic, group in groupby(by_topic, key=attrgetter("topic"))
        for chunk in _chunks(group)
    ]


def messages_of(topic: str, row: StoredRow, *, last: int | None = None) -> list[Message]:
    """Return the messages of a row with `key`, `headers`, `body` and `packed`; `last` is the id of its last message."""
    if row["packed"] is None:
        position = "" if last is None else f"{topic}/0/{last}"
        return [Message(topic, row["key"], row["body"], msgspec.json.decode(row["headers"]), position)]
    packed = list(_unpacked(bytes(cramjam.lz4.decompress_block(row["body"]))))
    if last is None:
        return [Message(topic, key, body, headers) for key, headers, body in packed]
    first = last - len(packed) + 1
    return [
        Message(topic, key, body, headers, f"{topic}/0/{id_}") for id_, (key, headers, body) in enumerate(packed, first)
    ]


def _unpacked(block: bytes) -> Iterator[tuple[str, dict[str, str], bytes]]:
    """Yield key, headers and body of each message."""
    at = 0
    while at < len(block):
        key, headers, body = _LENGTHS.unpack_from(block, at)
        start = at + _LENGTHS.size + key
        at = start + headers + body
        yield (
            block[start - key : start].decode(),
            _headers.decode(block[start : start + headers]),
            block[at - body : at],
        )


def _row(message: Message) -> MessageRow:
    headers = msgspec.json.encode(message.headers).decode()
    return MessageRow(message.topic, message.key, headers, message.body, None)


def _packed_row(topic: str, messages: Sequence[Message]) -> MessageRow:
    parts = list[bytes]()
    for message in messages:
        key, headers = message.key.encode(), msgspec.json.encode(message.headers)
        parts += (_LENGTHS.pack(len(key), len(headers), len(message.body)), key, headers, message.body)
    return MessageRow(topic, "", "", bytes(cramjam.lz4.compress_block(b"".join(parts))), len(messages))


def _chunks(messages: Iterable[Message]) -> Iterator[list[Message]]:
    """Divide messages into as many as a packed row may have."""
    chunk, size = list[Message](), 0
    for message in messages:
        if chunk and (len(chunk) == MOST or size + len(message.body) > _MOST_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(message)
        size += len(message.body)
    if chunk:
        yield chunk

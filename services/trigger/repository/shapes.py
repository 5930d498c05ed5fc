"""Shapes of trails and details: what many rows have in common is stored once, found by its digest."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from services.trigger.domain import shapes
from shared.database import db
from shared.database.session import Session
from shared.ids import id_from

_JSON = msgspec.json.Encoder()

_ADD = """INSERT INTO shapes (digest, document) SELECT * FROM unnest($1::uuid[], $2::jsonb[])
ON CONFLICT (digest) DO NOTHING"""


class Shaped(NamedTuple):
    """A document as it is stored: the digest and the JSON of its shape, and the JSON of its values."""

    digest: UUID
    shape: bytes
    values: str | None


def shaped(document: Mapping[str, Any], *, own: Collection[str], without: Collection[str] = ()) -> Shaped:
    shape, values = shapes.split(document, own=own, without=without)
    encoded = _JSON.encode(shape)
    return Shaped(_digest(encoded), encoded, _JSON.encode(values).decode() if values else None)


async def add(session: Session, documents: Collection[Shaped]) -> None:
    """Store the shapes that are not stored yet."""
    found = {each.digest: each.shape for each in documents}
    if found:
        digests = sorted(found)  # in one order in every transaction, to avoid deadlocks
        await db.fetch(session, _ADD, digests, [found[digest].decode() for digest in digests])


@lru_cache(maxsize=4096)
def _digest(shape: bytes) -> UUID:
    return id_from(hashlib.blake2b(shape, digest_size=16).digest())

"""UUIDs of version 7, RFC 9562: they begin with the milliseconds at which they were made, by the machine's clock."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import uuid_utils
from asyncpg.pgproto import pgproto

_VERSION_AND_VARIANT = 7 << 76 | 2 << 62


def new_id() -> UUID:
    """Make an id, as the driver's own kind of UUID, which costs a third of the standard library's."""
    return pgproto.UUID(uuid_utils.uuid7().bytes)


def id_from(sixteen: bytes) -> UUID:
    """Return the UUID of these 16 bytes."""
    return pgproto.UUID(sixteen)


def made_at(id_: UUID) -> datetime:
    return datetime.fromtimestamp((id_.int >> 80) / 1000, UTC)


def first_id(at: datetime) -> UUID:
    """Return the least id made at this time."""
    return UUID(int=int(at.timestamp() * 1000) << 80 | _VERSION_AND_VARIANT)

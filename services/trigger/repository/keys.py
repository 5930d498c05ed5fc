"""API keys, stored as digests; times are machine time."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from services.trigger.domain.keys import ApiKey, KeyScope
from shared.database import db

_COLUMNS = "id, name, scopes, created_at, expires_at, revoked_at"

_ADD = f"""INSERT INTO api_keys (id, name, digest, scopes, expires_at)
VALUES ($1, $2, $3, $4::text[], clock_timestamp() + $5::interval) RETURNING {_COLUMNS}"""  # noqa: S608 - constants of this file

_VALID = f"""SELECT {_COLUMNS} FROM api_keys WHERE digest = $1 AND revoked_at IS NULL
AND (expires_at IS NULL OR expires_at > clock_timestamp())"""  # noqa: S608 - constants of this file

_ALL = f"SELECT {_COLUMNS} FROM api_keys ORDER BY id"  # noqa: S608 - constants of this file

_REVOKE = "UPDATE api_keys SET revoked_at = clock_timestamp() WHERE id = $1 AND revoked_at IS NULL RETURNING id"


async def add(
    session: AsyncSession, name: str, *, digest: bytes, scopes: Collection[KeyScope], lasting: timedelta | None
) -> ApiKey:
    """Store a key that expires after `lasting`, None: never."""
    (row,) = await db.fetch(session, _ADD, uuid7(), name, digest, [str(scope) for scope in scopes], lasting)
    return _key(row)


async def find_valid(session: AsyncSession, digest: bytes) -> ApiKey | None:
    rows = await db.fetch(session, _VALID, digest)
    return _key(rows[0]) if rows else None


async def load_all(session: AsyncSession) -> list[ApiKey]:
    return [_key(row) for row in await db.fetch(session, _ALL)]


async def revoke(session: AsyncSession, id_: UUID) -> bool:
    """Revoke a key; return False if there is none or it was revoked before."""
    return bool(await db.fetch(session, _REVOKE, id_))


def _key(row: db.Row) -> ApiKey:
    return ApiKey(**{**row, "scopes": frozenset(map(KeyScope, row["scopes"]))})

"""The table of API keys, which every service has: keys as digests, with the scopes of this service; machine time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa

from shared.contract.api_keys import ApiKey, KeyState, NewKey
from shared.database import db
from shared.database.session import Session

_COLUMNS = """id, name, scopes, created_at, expires_at, revoked_at, used_at,
    CASE WHEN revoked_at IS NOT NULL THEN 'revoked' WHEN expires_at <= clock_timestamp() THEN 'expired' ELSE 'valid' END
    AS state"""

_ADD = f"""INSERT INTO api_keys (id, name, digest, scopes, expires_at)
VALUES ($1, $2, $3, $4::text[], clock_timestamp() + $5::interval) RETURNING {_COLUMNS}"""  # noqa: S608 - constants of this file

_FIND = f"SELECT {_COLUMNS} FROM api_keys WHERE digest = $1"  # noqa: S608 - constants of this file

_ALL = f"SELECT {_COLUMNS} FROM api_keys ORDER BY id"  # noqa: S608 - constants of this file

_REVOKE = """WITH revoked AS (
    UPDATE api_keys SET revoked_at = clock_timestamp() WHERE id = $1 AND revoked_at IS NULL RETURNING id
) SELECT EXISTS (SELECT FROM revoked) AS new FROM api_keys WHERE id = $1"""

_USE = """UPDATE api_keys k SET used_at = u.at FROM unnest($1::uuid[], $2::timestamptz[]) AS u (id, at)
WHERE k.id = u.id AND (k.used_at IS NULL OR k.used_at < u.at)"""


def api_keys_table(metadata: sa.MetaData) -> sa.Table:
    moment = sa.DateTime(timezone=True)
    return sa.Table(
        "api_keys",
        metadata,
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("scopes", sa.ARRAY(sa.Text), nullable=False),
        sa.Column("created_at", moment, nullable=False, server_default=sa.func.now()),
        sa.Column("expires_at", moment),
        sa.Column("revoked_at", moment),
        sa.Column("used_at", moment),
    )


async def add(session: Session, key: NewKey) -> ApiKey:
    (row,) = await db.fetch(session, _ADD, key.id, key.name, key.digest, key.stored_scopes, key.lasting)
    return _key(row)


async def find(session: Session, digest: bytes) -> ApiKey | None:
    """Return the key with this digest in any state."""
    rows = await db.fetch(session, _FIND, digest)
    return _key(rows[0]) if rows else None


async def load_all(session: Session) -> list[ApiKey]:
    return [_key(row) for row in await db.fetch(session, _ALL)]


async def revoke(session: Session, id_: UUID) -> bool | None:
    """Revoke a key; return False if it was revoked before, None if there is none."""
    rows = await db.fetch(session, _REVOKE, id_)
    return bool(rows[0]["new"]) if rows else None


async def store_uses(session: Session, uses: Mapping[UUID, datetime]) -> None:
    """Store when keys were used last; a later time that is stored stays."""
    keys = sorted(uses)  # one order, or writers deadlock
    await db.fetch(session, _USE, keys, [uses[key] for key in keys])


def _key(row: db.Row) -> ApiKey:
    return ApiKey(**{**row, "scopes": frozenset(row["scopes"]), "state": KeyState(row["state"])})

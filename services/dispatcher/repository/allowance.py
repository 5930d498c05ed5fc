"""How many messages were sent on a business day, UTC, by account or country, over all processes."""

from __future__ import annotations

from datetime import UTC, datetime

from shared.database import db
from shared.database.session import Session

_TAKE = """INSERT INTO allowance AS a (account, day, used) VALUES ($1, $2, $3)
ON CONFLICT (account, day) DO UPDATE SET used = a.used + excluded.used RETURNING used"""
_GIVE_BACK = "UPDATE allowance SET used = used - $3 WHERE account = $1 AND day = $2"


async def take(session: Session, account: str, now: datetime, *, wanted: int, ceiling: int) -> int:
    """Take what is left under the ceiling, at most `wanted`, and return how many. Locks the row until the commit."""
    used = (await db.fetch(session, _TAKE, account, now.astimezone(UTC).date(), wanted))[0]["used"]
    over = min(wanted, max(0, used - ceiling))
    await give_back(session, account, now, over)
    return int(wanted - over)


async def give_back(session: Session, account: str, now: datetime, unused: int) -> None:
    if unused:
        await db.fetch(session, _GIVE_BACK, account, now.astimezone(UTC).date(), unused)

"""From when on a service writes compact rows, which the version before cannot read.

The table `compact_rows` has one row. The migration that adds it sets the time: at once in a new installation, after a
day in one that has rows, because processes of the version before may run meanwhile. Rows of either form are read.
"""

from __future__ import annotations

from shared.database import db
from shared.database.session import Session

COMPACT = "(SELECT since <= clock_timestamp() FROM compact_rows)"  # a scalar for other statements
_KEY = "compact_rows"


async def are_on(session: Session) -> bool:
    """Return whether to write compact rows; asked once in a session."""
    if _KEY not in session.info:
        session.info[_KEY] = (await db.fetch(session, f"SELECT {COMPACT}"))[0][0]
    return bool(session.info[_KEY])

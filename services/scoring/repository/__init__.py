"""All SQL of scoring, one module per kind of row. Functions take the session first and never commit.

To avoid deadlocks, all transactions lock in this order: API keys, call lists, requests (an advisory lock),
invitations by id, dimension values, call tasks by id, rows of `progress` by invitation, rows of `buckets` by key, rows
of `invited` by key.
"""

from __future__ import annotations

from datetime import datetime

from shared.database import db
from shared.database.session import Session

_WORK_LEFT = """SELECT (SELECT count(*) FROM buckets WHERE revision > published_revision)
+ (SELECT count(*) FROM invited WHERE revision > published_revision)
+ (SELECT count(*) FROM uncounted)
+ (SELECT count(*) FROM call_tasks WHERE state = 'open' AND (expires_at <= $1 OR due_until <= $1)) AS left"""


async def work_left(session: Session, now: datetime) -> int:
    """Count unpublished series, uncounted journeys, and open call tasks that are expired or overdue at `now`."""
    rows = await db.fetch(session, _WORK_LEFT, now)
    return int(rows[0]["left"])

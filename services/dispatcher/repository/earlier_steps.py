"""Steps that a version before planned in `steps`; this goes with that table, in a later release."""

from __future__ import annotations

from shared.database import db
from shared.database.session import Session

# the rows stay as `unknown`, so that a dispatcher of the version before neither performs them nor takes the invitation
# for one that reached nobody
_ADOPT = """WITH planned AS MATERIALIZED (
    SELECT * FROM steps WHERE state = 'planned' LIMIT $1 FOR UPDATE SKIP LOCKED
), lost AS MATERIALIZED (
    SELECT * FROM steps WHERE leased_until < clock_timestamp() LIMIT $1 FOR UPDATE SKIP LOCKED
), taken AS (
    SELECT * FROM planned UNION ALL SELECT * FROM lost
), moved AS (
    UPDATE steps s SET state = 'unknown', reason = 'moved', token = NULL, leased_until = NULL
    FROM taken t WHERE s.invitation_id = t.invitation_id AND s.step = t.step
), adopted AS (
    INSERT INTO due (invitation_id, step, channel, tries, account, due_at, reason)
    SELECT t.invitation_id, t.step, t.channel, t.tries, t.account, t.due_at, t.reason FROM taken t
    WHERE t.state <> 'in_flight' AND (SELECT i.state = 'open' FROM invitations i WHERE i.id = t.invitation_id)
    ON CONFLICT DO NOTHING
), in_flight AS (
    INSERT INTO held (invitation_id, step, channel, tries, account, due_at, token, leased_until, revision, in_flight)
    SELECT invitation_id, step, channel, tries, account, due_at, token, leased_until, 0, true FROM taken
    WHERE state = 'in_flight' ON CONFLICT DO NOTHING
)
SELECT count(*) FROM taken"""


async def adopt(session: Session, *, limit: int) -> int:
    """Take over steps that are planned, and those whose sender was lost; return how many."""
    return int((await db.fetch(session, _ADOPT, limit))[0][0])

"""Lists of calls for outside call centres: each reserves its calls for one centre until it expires."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from services.scoring.domain.call_lists import CallList, ListedCall, ListedState, ListRequest
from services.scoring.domain.calling.operators import Operator
from services.scoring.repository.calling import calls
from services.scoring.repository.calling.calls import HELD, SEEN
from shared.contract.staff_scope import WHOLE, StaffScope
from shared.contract.vocabulary import Service
from shared.database import db
from shared.database.isolated import isolated
from shared.database.session import Session

KEPT = timedelta(days=30)  # after a list has expired, to read it and for reports that come late

# The lock makes a revocation wait for transactions of the key, so that no list is made after it.
_KEY = """SELECT name FROM api_keys WHERE id = $1 AND revoked_at IS NULL
AND (expires_at IS NULL OR expires_at > clock_timestamp()) FOR SHARE"""


async def key_name(session: Session, key_id: UUID) -> str | None:
    """Return the name of a key that is valid at this moment, and keep it from being revoked in this transaction."""
    rows = await db.fetch(session, _KEY, key_id)
    return rows[0]["name"] if rows else None


_COLUMNS = "id, owner_id, centre, expires_at, expires_at <= clock_timestamp() AS expired"
_ADD = f"""INSERT INTO call_lists (id, owner_id, centre, expires_at)
VALUES ($1, $2, $3, clock_timestamp() + $4::interval) ON CONFLICT DO NOTHING RETURNING {_COLUMNS}"""  # noqa: S608 - constants only


async def add(session: Session, request: ListRequest, *, owner_id: UUID, centre: str) -> CallList | None:
    """Store a list without calls; None if there is one with this id."""
    rows = await db.fetch(session, _ADD, request.id, owner_id, centre, request.lasting)
    return CallList(**rows[0]) if rows else None


_LOAD = f"SELECT {_COLUMNS} FROM call_lists WHERE id = $1"  # noqa: S608 - constants only


async def load(session: Session, list_id: UUID) -> CallList | None:
    rows = await db.fetch(session, _LOAD, list_id)
    return CallList(**rows[0]) if rows else None


_NOT_ANSWERED = "NOT EXISTS (SELECT FROM answers a WHERE a.invitation_id = t.invitation_id AND NOT a.suspect)"
_RESERVE = f"""WITH next AS (SELECT t.task_id FROM call_tasks t JOIN invitations i ON i.id = t.invitation_id
WHERE t.state = 'open' AND t.kind = 'survey' AND t.due_at <= $1 AND t.due_until > $1 AND t.expires_at > $1
AND i.state = 'open' AND t.phone <> '' AND (t.lease_until IS NULL OR t.lease_until < clock_timestamp())
AND ($2::text IS NULL OR i.program = $2) AND {SEEN.format("$7", "$8")} AND {_NOT_ANSWERED}
ORDER BY t.appointed DESC, t.priority DESC, t.due_at, t.task_id LIMIT $3 FOR UPDATE OF t SKIP LOCKED),
reserved AS (UPDATE call_tasks t SET leased_by = $4, leased_by_id = $9, lease_until = $5, taken_at = $1,
taken_from = NULL
FROM next WHERE t.task_id = next.task_id)
INSERT INTO listed_calls (list_id, task_id) SELECT $6, task_id FROM next"""  # noqa: S608 - constants only


async def reserve(  # noqa: PLR0913 - of what, and for whom
    session: Session,
    made: CallList,
    request: ListRequest,
    *,
    centre: Operator,
    now: datetime,
    scope: StaffScope = WHOLE,
) -> None:
    """Reserve the calls of the scope that are due and that nobody has for a list, in the order of the call desk.

    Calls that customers asked for are left to the company's own desk.
    """
    asked = now, request.program, request.most, made.centre, made.expires_at, made.id
    arguments = *asked, *scope.arguments, centre.id
    await db.fetch(session, _RESERVE, *arguments)


# A call is reserved for a list while its lease is that of the list; both have the centre's name of that time.
_OF_LIST = "t.leased_by = l.centre AND t.lease_until = l.expires_at"
_CALLS = f"""SELECT t.*, {HELD}, i.program, least(t.due_until, t.expires_at) AS until,
CASE WHEN EXISTS (SELECT FROM answers a WHERE a.invitation_id = t.invitation_id AND NOT a.suspect
AND a.operator IS NULL) THEN 'answered' WHEN t.state <> 'open' OR i.state <> 'open' OR t.expires_at <= $2 THEN 'ended'
WHEN {_OF_LIST} AND l.expires_at > clock_timestamp() AND t.due_at <= $2 AND t.due_until > $2 THEN 'to_call'
ELSE 'returned' END AS listed
FROM listed_calls c JOIN call_lists l ON l.id = c.list_id JOIN call_tasks t ON t.task_id = c.task_id
JOIN invitations i ON i.id = t.invitation_id
WHERE c.list_id = $1 AND ($3::uuid IS NULL OR c.task_id = $3) AND {SEEN.format("$4", "$5")}
ORDER BY t.appointed DESC, t.priority DESC, t.due_at, t.task_id"""  # noqa: S608 - constants only


async def listed(
    session: Session,
    list_id: UUID,
    *,
    now: datetime,
    task_id: UUID | None = None,
    scope: StaffScope = WHOLE,
) -> list[ListedCall]:
    """Return the calls of a list that are in the scope, or one of them.

    A row of another release that cannot be read is left out.
    """
    found: list[ListedCall] = []
    for row in await db.fetch(session, _CALLS, list_id, now, task_id, *scope.arguments):
        with isolated("listed_call", service=Service.SCORING, task_id=str(row["task_id"])):
            found.append(ListedCall(calls.of_row(row), row["program"], row["until"], ListedState(row["listed"])))
    return found


_END = f"""WITH ended AS (SELECT id, centre, expires_at FROM call_lists l WHERE l.expires_at > clock_timestamp()
AND {{}} FOR UPDATE OF l),
marked AS (UPDATE call_lists c SET expires_at = clock_timestamp() FROM ended WHERE c.id = ended.id),
held AS (SELECT t.task_id FROM ended l JOIN listed_calls c ON c.list_id = l.id
JOIN call_tasks t ON t.task_id = c.task_id WHERE {_OF_LIST} ORDER BY t.task_id FOR UPDATE OF t)
UPDATE call_tasks t SET leased_by = NULL, leased_by_id = NULL, lease_until = NULL FROM held
WHERE t.task_id = held.task_id
RETURNING t.task_id"""  # noqa: S608 - constants only
_END_ONE = _END.format("l.id = $1")
_END_WITHOUT_KEY = _END.format(
    "EXISTS (SELECT FROM api_keys k WHERE k.id = l.owner_id AND (k.revoked_at IS NOT NULL OR k.expires_at <= "
    "clock_timestamp()))"
)


async def end(session: Session, list_id: UUID) -> int:
    """End a list and return how many calls it gave back to the desk."""
    return len(await db.fetch(session, _END_ONE, list_id))


async def end_without_key(session: Session) -> int:
    """End the lists whose key is revoked or expired, and return how many calls they gave back to the desk."""
    return len(await db.fetch(session, _END_WITHOUT_KEY))


_DELETE = "DELETE FROM call_lists WHERE expires_at < clock_timestamp() - $1::interval RETURNING id"


async def delete_old(session: Session) -> int:
    """Delete lists that expired long ago, and return how many."""
    return len(await db.fetch(session, _DELETE, KEPT))

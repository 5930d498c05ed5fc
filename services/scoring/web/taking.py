"""Takes a call of the desk for who sent a request."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct

from services.scoring.domain.calling.operators import Operator
from services.scoring.domain.calls import CallTask
from services.scoring.domain.invitations import Invitation
from services.scoring.repository import invitations
from services.scoring.repository.calling import call_queue, calls
from services.scoring.web.scopes import spoken_languages
from shared.database.session import Sessions
from shared.web.staff.tickets import staff_scope

MOST_PASSED_OVER = 100


class TakenCall(Struct, frozen=True):
    task: CallTask
    invitation: Invitation


class NoCall(Struct, frozen=True):
    """No call was taken; `unreadable` is how many were due that this release cannot read."""

    unreadable: int


async def take_call(
    sessions: Sessions, operator: Operator, *, now: datetime, lease: timedelta, task_id: UUID | None = None
) -> TakenCall | NoCall:
    """Lease the call with `task_id`, or the next one without it.

    A call that cannot be read, such as one written by another release, is logged and passed over. It stays as it was.
    """
    passed: list[UUID] = []
    while len(passed) < MOST_PASSED_OVER:
        async with sessions() as session:
            rows = await call_queue.take(
                session,
                operator,
                now=now,
                lease=lease,
                task_id=task_id,
                scope=staff_scope.get(),
                languages=await spoken_languages(session),
                besides=passed,
            )
            for task in calls.of_rows(rows):
                known = await invitations.load_readable(session, [task.invitation_id])
                if task.invitation_id in known:
                    await session.commit()
                    return TakenCall(task, known[task.invitation_id])
        if not rows:
            break
        passed.append(rows[0]["task_id"])
    return NoCall(len(passed))

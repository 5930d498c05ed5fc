"""JSON of the lists of calls for outside call centres."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, Field

from services.scoring.api.answer_schemas import TaskOut
from services.scoring.domain.call_lists import CallList, ListedCall, ListedState
from shared.contract.events import Id
from shared.contract.vocabulary import CallOutcome
from shared.web.strict_input import StrictInput

MOST_CALLS = 1000
MOST_HOURS = 72


class CallListIn(StrictInput):
    """How many calls are wanted, for how many hours, and of which program; without one, of any."""

    calls: Annotated[int, Field(strict=True, ge=1, le=MOST_CALLS)] = 1
    hours: Annotated[int, Field(strict=True, ge=1, le=MOST_HOURS)] = 4
    program: Id | None = None


class GivenCall(TaskOut):
    """A call to make before `until`, when the contact hours or the survey end."""

    program: str
    until: datetime


class GivenCalls(BaseModel):
    """The calls of a list that are to be made; the list holds them until `expires_at`."""

    list_id: UUID
    expires_at: datetime
    calls: list[GivenCall]


class ListedCallOut(BaseModel):
    """What is to be done about a call: `to_call`, or not to call and why.

    `answered`: the customer answered without a call. `ended`: nobody is to call, `outcome` says why. `returned`: it
    was reported or given back, and may be called again from the desk or another list.
    """

    task_id: UUID
    state: ListedState
    outcome: CallOutcome | None
    until: datetime


class CallListOut(BaseModel):
    list_id: UUID
    expires_at: datetime
    expired: bool
    calls: list[ListedCallOut]

    @classmethod
    def of(cls, given: CallList, listed: Iterable[ListedCall]) -> Self:
        calls = [
            ListedCallOut(task_id=each.task.task_id, state=each.state, outcome=each.task.outcome, until=each.until)
            for each in listed
        ]
        return cls(list_id=given.id, expires_at=given.expires_at, expired=given.expired, calls=calls)

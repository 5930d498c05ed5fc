"""The JSON API with which outside call centres take calls and report what became of them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from io import StringIO
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response

from services.scoring.answers.writer import Writer
from services.scoring.api.answer_schemas import CallAnswer, CallResult, DeskAnswerOut, DeskOutcomeOut
from services.scoring.api.answers import record_answer, record_outcome
from services.scoring.api.call_list_schemas import CallListIn, CallListOut, GivenCall, GivenCalls
from services.scoring.domain.call_lists import CallList, ListedCall, ListedState, ListRequest
from services.scoring.domain.calling.operators import Operator
from services.scoring.repository import invitations
from services.scoring.repository.calling import call_lists
from services.scoring.web.operators import acting_operator
from services.scoring.web.scopes import refuse_hidden
from shared.clock import Clock
from shared.database.session import Session, Sessions
from shared.tables.writing import BOM, SpreadsheetWriter
from shared.web import strict_input
from shared.web.api_keys.refusals import not_valid
from shared.web.audit.acts import note
from shared.web.problems import Conflict, Gone, NotFound
from shared.web.staff.tickets import signed_in, staff_scope
from shared.web.strict_input import SingleValued

_COLUMNS = [field.serialization_alias or name for name, field in GivenCall.model_fields.items()]


@dataclass(frozen=True, slots=True)
class CallListsApi:
    """Each request asks the database for its key, so that a key that is revoked reaches no call any more."""

    sessions: Sessions
    writer: Writer
    clock: Clock

    def router(self) -> APIRouter:
        router = APIRouter(
            prefix="/v1/call-lists",
            tags=["desk"],
            dependencies=[Depends(SingleValued()), Depends(strict_input.refuse_unknown)],
        )
        router.add_api_route("/export", self.export, methods=["GET"], response_class=Response)
        router.add_api_route("/{list_id}", self.make, methods=["PUT"])
        router.add_api_route("/{list_id}", self.show, methods=["GET"])
        router.add_api_route("/{list_id}", self.end, methods=["DELETE"], status_code=HTTPStatus.NO_CONTENT)
        router.add_api_route("/{list_id}/calls/{task_id}/answer", self.answer, methods=["POST"])
        router.add_api_route("/{list_id}/calls/{task_id}/outcome", self.outcome, methods=["POST"])
        return router

    async def make(self, list_id: UUID, body: CallListIn, request: Request) -> GivenCalls:
        """Reserve the next calls under an id of your own; the same id again returns the same list."""
        refuse_hidden(body.program)
        asked = ListRequest(list_id, body.calls, timedelta(hours=body.hours), body.program)
        now = self.clock.now()
        async with self.sessions.begin() as session:
            owner_id, centre = await _owner(session, request)
            made = await call_lists.add(session, asked, owner_id=owner_id, centre=centre.name)
            if made is not None:
                await call_lists.reserve(session, made, asked, centre=centre, now=now, scope=staff_scope.get())
            else:
                made = await call_lists.load(session, list_id)
            if made is None or made.owner_id != owner_id:
                raise Conflict("This id is taken", "Choose another id for the list, such as a random UUID.")
            calls = await self._to_call(session, made, now=now)
        return GivenCalls(list_id=made.id, expires_at=made.expires_at, calls=calls)

    async def show(self, list_id: UUID, request: Request) -> CallListOut:
        """Read which calls of a list are to be made, and why others are not: who answered meanwhile, and what ended."""
        async with self._list(list_id, request) as (session, given):
            listed = await call_lists.listed(session, list_id, now=self.clock.now(), scope=staff_scope.get())
        return CallListOut.of(given, listed)

    async def export(self, list_id: UUID, request: Request) -> Response:
        """Read the calls of a list that are to be made as CSV, until the list expires."""
        note(list_id)
        async with self._list(list_id, request) as (session, given):
            if given.expired:
                raise Gone("The list has expired", "Its calls went back to the desk: take a new list.")
            calls = await self._to_call(session, given, now=self.clock.now())
        text = StringIO()
        text.write(BOM)
        rows = [each.model_dump(mode="json", by_alias=True) for each in calls]
        SpreadsheetWriter(text).write([_COLUMNS, *([_cell(row[name]) for name in _COLUMNS] for row in rows)])
        headers = {"content-disposition": 'attachment; filename="calls.csv"'}
        return Response(text.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)

    async def end(self, list_id: UUID, request: Request) -> Response:
        """Give the calls of a list that are not made back to the desk."""
        async with self._list(list_id, request) as (session, _):
            await call_lists.end(session, list_id)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def answer(self, list_id: UUID, task_id: UUID, body: CallAnswer, request: Request) -> DeskAnswerOut:
        """Record what the respondent said and close the call; an answer that the customer gave themselves stands."""
        centre, call = await self._call(list_id, task_id, request)
        if call.state is ListedState.ANSWERED:
            raise Conflict("The customer has answered", "Their own answer stands: do not call.")
        return await record_answer(self.sessions, self.writer, call.task, body, operator=centre, at=self.clock.now())

    async def outcome(self, list_id: UUID, task_id: UUID, body: CallResult, request: Request) -> DeskOutcomeOut:
        """Record a call that gave no answer; `do_not_call` and `wrong_number` also count after the list has expired."""
        centre, call = await self._call(list_id, task_id, request)
        now = self.clock.now()
        return await record_outcome(self.sessions, call.task, body, operator=centre, now=now, was_given=True)

    async def _to_call(self, session: Session, given: CallList, *, now: datetime) -> list[GivenCall]:
        """Return the calls of a list that are still to be made, each with what its caller reads.

        A call whose survey cannot be read, such as one written by another release, is logged and left out.
        """
        listed = await call_lists.listed(session, given.id, now=now, scope=staff_scope.get())
        due = [each for each in listed if each.state is ListedState.TO_CALL]
        surveys = await invitations.load_readable(session, [each.task.invitation_id for each in due])
        return [
            GivenCall.of(each.task, survey, operator=given.centre, now=now, program=each.program, until=each.until)
            for each in due
            if (survey := surveys.get(each.task.invitation_id))
        ]

    async def _call(self, list_id: UUID, task_id: UUID, request: Request) -> tuple[Operator, ListedCall]:
        """Return the centre, and a call of its list."""
        note(task_id)
        async with self._list(list_id, request) as (session, given):
            now, scope = self.clock.now(), staff_scope.get()
            found = await call_lists.listed(session, list_id, now=now, task_id=task_id, scope=scope)
        if not found:
            raise NotFound("No such call in this list")
        return acting_operator(request, given.centre), found[0]

    @asynccontextmanager
    async def _list(self, list_id: UUID, request: Request) -> AsyncIterator[tuple[Session, CallList]]:
        """Open a transaction and load a list of who sends a request; raises Unauthorized or NotFound."""
        async with self.sessions.begin() as session:
            owner_id, _ = await _owner(session, request)
            given = await call_lists.load(session, list_id)
            if given is None or given.owner_id != owner_id:
                raise NotFound("No such list")
            yield session, given


def _cell(value: Any) -> Any:
    """Return a value as a cell of a table: reasons and questions as JSON."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value


async def _owner(session: Session, request: Request) -> tuple[UUID, Operator]:
    """Return the id of the key or person that sends a request, and whom its calls are of.

    Raises Unauthorized for a key that has ended.
    """
    ticket = signed_in.get()
    if ticket is not None:
        return ticket.person, acting_operator(request, ticket.name)
    name = await call_lists.key_name(session, request.state.key)
    if name is None:
        raise not_valid()
    return request.state.key, acting_operator(request, name)

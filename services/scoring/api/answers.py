"""The JSON API of answers and of the call desk."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

import asyncpg
from fastapi import APIRouter, Depends, Query, Request, Response

from services.scoring.answers.calls import CallReport, LeaseLost, report_call
from services.scoring.answers.record import Recorded
from services.scoring.answers.tagging import change_tags
from services.scoring.answers.writer import Writer
from services.scoring.api.answer_schemas import (
    AnswerOut,
    AnswersPage,
    CallAnswer,
    CallResult,
    DeskAnswer,
    DeskAnswerOut,
    DeskOutcome,
    DeskOutcomeOut,
    TagChange,
    TagsOut,
    Take,
    TaskOut,
)
from services.scoring.domain.answers import Entry, Refusal
from services.scoring.domain.calling.operators import Operator
from services.scoring.domain.calls import CallTask, TaskKind
from services.scoring.domain.comments.tags import InvalidTag, tag_of
from services.scoring.domain.invitations import Invitation
from services.scoring.repository import invitations, listing
from services.scoring.repository.calling import calls
from services.scoring.repository.comments import search
from services.scoring.repository.stores import listed
from services.scoring.web.operators import acting_operator
from services.scoring.web.score_queries import AnswersQuery, answer_id_of, cursor_of
from services.scoring.web.taking import NoCall, take_call
from shared.clock import Clock
from shared.contract.address_keys import AddressKeys
from shared.contract.vocabulary import CallDisposition, Service, category_of
from shared.database.isolated import isolated
from shared.database.session import Sessions
from shared.web.audit.acts import note
from shared.web.problems import INVALID_REQUEST, Conflict, Gone, NotFound, Unprocessable
from shared.web.staff.tickets import staff_scope
from shared.web.strict_input import SingleValued

_LEASE_LOST = "Another operator has taken it, its lease has expired, or it was closed: take the next call."


@dataclass(frozen=True, slots=True)
class AnswersApi:
    sessions: Sessions
    writer: Writer
    clock: Clock
    lease: timedelta
    address_keys: AddressKeys

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/v1")
        once = [Depends(SingleValued(several=frozenset({"segment"})))]
        router.add_api_route("/answers", self.answers, methods=["GET"], tags=["score"], dependencies=once)
        router.add_api_route("/answers/{answer_id}/tags", self.change_tags, methods=["POST"], tags=["score"])
        router.add_api_route(
            "/desk/take", self.take, methods=["POST"], tags=["desk"], response_model=TaskOut, responses={204: {}}
        )
        router.add_api_route("/desk/{task_id}/answer", self.answer, methods=["POST"], tags=["desk"])
        router.add_api_route("/desk/{task_id}/outcome", self.outcome, methods=["POST"], tags=["desk"])
        return router

    async def answers(
        self,
        query: Annotated[AnswersQuery, Query()],
    ) -> AnswersPage:
        """Read current answers in the order they were first given; `after` is the `next` of the previous page."""
        async with self.sessions.begin() as session:
            if query.words is not None and not await search.has_words(session, query.words):
                raise Unprocessable(INVALID_REQUEST, "`words` has no word, or only words as common as `the`.")
            names = await listed.names(session)
            wanted = replace(query.filter(self.address_keys), stores=names, scope=staff_scope.get())
            rows = await listing.answers(session, wanted, after=answer_id_of(query.after), limit=query.limit)
        last = cursor_of(rows[-1]["answer_id"]) if len(rows) == query.limit else None
        return AnswersPage(answers=_readable(rows), next=last)

    async def change_tags(self, answer_id: UUID, body: TagChange) -> TagsOut:
        """Give tags to an answer with a comment and take tags away; returns all it has."""
        try:
            add, remove = [tag_of(tag) for tag in body.add], [tag.lower() for tag in body.remove]
            async with self.sessions.begin() as session:
                tags = await change_tags(session, answer_id, add=add, remove=remove, scope=staff_scope.get())
        except InvalidTag as error:
            raise Unprocessable(INVALID_REQUEST, str(error)) from None
        if tags is None:
            raise NotFound("No such comment")
        return TagsOut(tags=tags)

    async def take(self, body: Take, request: Request) -> TaskOut | Response:
        """Lease the next call; 204 when none is due, or the operator pauses at the desk."""
        operator, now = acting_operator(request, body.operator), self.clock.now()
        taken = await take_call(self.sessions, operator, now=now, lease=self.lease)
        if isinstance(taken, NoCall):
            return Response(status_code=HTTPStatus.NO_CONTENT)
        note(taken.task.task_id)
        return TaskOut.of(taken.task, taken.invitation, operator=operator.name, now=now)

    async def answer(self, task_id: UUID, body: DeskAnswer, request: Request) -> DeskAnswerOut:
        """Record what the respondent said and close the call."""
        task, operator = await self._load(task_id), acting_operator(request, body.operator)
        return await record_answer(self.sessions, self.writer, task, body, operator=operator, at=self.clock.now())

    async def outcome(self, task_id: UUID, body: DeskOutcome, request: Request) -> DeskOutcomeOut:
        """Record a call that gave no answer."""
        task, operator = await self._load(task_id), acting_operator(request, body.operator)
        return await record_outcome(self.sessions, task, body, operator=operator, now=self.clock.now())

    async def _load(self, task_id: UUID) -> CallTask:
        async with self.sessions.begin() as session:
            task = await calls.load(session, task_id, scope=staff_scope.get())
        if task is None:
            raise NotFound("No such call")
        return task


async def record_answer(  # noqa: PLR0913 - an answer, and by whom
    sessions: Sessions, writer: Writer, task: CallTask, said: CallAnswer, *, operator: Operator, at: datetime
) -> DeskAnswerOut:
    """Record what a respondent said in a call and close the call; raises a Problem if it is refused."""
    if task.kind is TaskKind.CALLBACK and (said.extra or said.reasons):
        detail = "The customer asked for this call, which asks for no reasons and no answers to questions."
        raise Unprocessable(INVALID_REQUEST, f"`{'extra' if said.extra else 'reasons'}`: {detail}")
    if said.extra or said.reasons:
        async with sessions.begin() as session:
            known = await invitations.load(session, [task.invitation_id])
        _refuse_unasked(known.get(task.invitation_id), said)
    entry = Entry(
        task.invitation_id,
        at,
        said.score,
        reasons=tuple(said.reasons) or None,
        comment=said.comment or None,
        extra=said.extra,
        step=task.step,
        task_id=task.task_id,
        operator=operator,
    )
    result = await writer.record(entry)
    if not isinstance(result, Recorded):
        raise refused(result)
    answer = result.answer
    return DeskAnswerOut(
        task_id=task.task_id,
        invitation_id=task.invitation_id,
        answer_id=answer.answer_id,
        version=answer.version,
        score=answer.score,
        category=category_of(answer.score),
    )


def _refuse_unasked(invitation: Invitation | None, said: CallAnswer) -> None:
    """Raise Unprocessable for reasons and answers to questions that the call does not have, or does not offer."""
    if invitation is None:
        return
    for reason in said.reasons:
        if reason not in invitation.content.all_reasons:
            raise Unprocessable(INVALID_REQUEST, f"`reasons`: this call offers no reason `{reason}`.")
    for question, text in said.extra.items():
        if not invitation.content.takes(question, text):
            detail = f"`extra`: this call has no question `{question}`, or none that offers this answer."
            raise Unprocessable(INVALID_REQUEST, detail)


async def record_outcome(  # noqa: PLR0913 - a report, and by whom
    sessions: Sessions, task: CallTask, said: CallResult, *, operator: Operator, now: datetime, was_given: bool = False
) -> DeskOutcomeOut:
    """Record a call that gave no answer; raises a Problem if it is refused. `was_given` is that of `CallReport`."""
    if said.disposition is CallDisposition.ANSWERED and task.kind is TaskKind.SURVEY:
        raise Unprocessable(INVALID_REQUEST, "Send an answer to /answer.")
    later = timedelta(minutes=said.minutes)
    report = CallReport(task.task_id, operator, said.disposition, later, was_given=was_given)
    try:
        async with sessions.begin() as session:
            after = await report_call(session, report, now=now)
    except LeaseLost:
        raise refused(Refusal.LEASE_LOST) from None
    due_at = after.due_at if after.open else None
    return DeskOutcomeOut(task_id=task.task_id, open=after.open, outcome=after.outcome, due_at=due_at)


def refused(refusal: Refusal) -> Exception:
    if refusal is Refusal.LEASE_LOST:
        return Conflict("This call is not yours", _LEASE_LOST)
    if refusal is Refusal.UNKNOWN:
        return NotFound("No such invitation", "Its request has not arrived yet: try again in a few seconds.")
    return Gone("Answers are no longer accepted", "The survey was withdrawn or is over.")


def _readable(rows: Iterable[asyncpg.Record]) -> list[AnswerOut]:
    """Return answers; one that cannot be read, such as one written by another release, is logged and left out."""
    found: list[AnswerOut] = []
    for row in rows:
        event = {"source": row["event_source"], "id": row["event_id"], "subject": row["event_subject"]}
        with isolated("stored_answer", service=Service.SCORING, answer_id=str(row["answer_id"])):
            found.append(AnswerOut.model_validate({**row, "event": event if row["event_id"] else None}))
    return found

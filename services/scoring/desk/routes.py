"""Routes of the call desk, where operators take calls and report answers and outcomes in HTML forms."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from services.scoring.answers.calls import CallReport, LeaseLost, report_call
from services.scoring.answers.record import Recorded
from services.scoring.answers.writer import Writer
from services.scoring.desk.forms import COOKIE, comment_of, delay_of, entry_of, name_of, operator_of, task_id_of
from services.scoring.desk.page import DELAYS, NOTICES, OUTCOMES, call_values, outcome_notice, queue_line
from services.scoring.domain.answer_form import MAX_TEXT, score_of
from services.scoring.domain.answers import Refusal
from services.scoring.domain.calls import CallTask, TaskKind
from services.scoring.domain.invitations import Invitation
from services.scoring.repository import call_queue, calls, invitations
from services.scoring.web import forms, rendering
from shared.clock import Clock
from shared.contract.vocabulary import CallDisposition
from shared.database.db import Sessions
from shared.languages import formats
from shared.languages.current import gettext
from shared.web.audit.acts import note
from shared.web.problems import Unprocessable
from shared.web.staff.menu import StaffPages
from shared.web.staff.tickets import person_name, staff_scope
from shared.zones import time_zone


@dataclass(frozen=True, slots=True)
class Desk:
    sessions: Sessions
    writer: Writer
    clock: Clock
    staff_pages: StaffPages
    lease: timedelta

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/desk", include_in_schema=False)
        router.add_api_route("", self.show, methods=["GET"])
        router.add_api_route("/take", self.take, methods=["POST"])
        router.add_api_route("/{task_id}", self.show_call, methods=["GET"])
        router.add_api_route("/{task_id}/answer", self.answer, methods=["POST"])
        router.add_api_route("/{task_id}/outcome", self.outcome, methods=["POST"])
        return router

    async def show(self, request: Request) -> Response:
        return await self._page(request)

    async def show_call(self, request: Request, task_id: UUID) -> Response:
        async with self.sessions.begin() as session:
            task = await calls.load(session, task_id, scope=staff_scope.get())
            known = await invitations.load(session, [task.invitation_id]) if task else {}
        invitation = known.get(task.invitation_id) if task else None
        if task is None or invitation is None or task.held_by is None or task.held_by != operator_of(request):
            return _to_desk("taken")
        return await self._page(request, task, invitation)

    async def take(self, request: Request) -> Response:
        form = await forms.read(request)
        operator = person_name() or name_of(form.get("operator")) or operator_of(request)
        if not operator:
            return _to_desk("name")
        chosen = task_id_of(form.get("task_id"))
        async with self.sessions.begin() as session:
            task = await call_queue.take(
                session,
                operator,
                now=self.clock.now(),
                lease=self.lease,
                task_id=chosen,
                scope=staff_scope.get(),
            )
        note(task.task_id if task else None)
        response = _to_desk("taken" if chosen else "none") if task is None else _to(f"/desk/{task.task_id}")
        if person_name() is None:
            secure = self.staff_pages.dashboard.startswith("https://")
            response.set_cookie(
                COOKIE, quote(operator), max_age=86400 * 30, httponly=True, samesite="strict", secure=secure
            )
        return response

    async def answer(self, request: Request, task_id: UUID) -> Response:
        form = await forms.read(request)
        sent = form.get("score")
        score = score_of(sent) if isinstance(sent, str) else None
        comment = comment_of(form)
        if score is None and not comment:
            return _to(f"/desk/{task_id}?said=score")
        async with self.sessions.begin() as session:
            task = await calls.load(session, task_id, scope=staff_scope.get())
        if task is None:
            return _to_desk("lost")
        if score is None or len(comment) > MAX_TEXT:
            return await self._again(request, task, comment, said="score" if score is None else "long")
        entry = entry_of(form, task, score, operator=operator_of(request), at=self.clock.now())
        result = await self.writer.record(entry)
        if isinstance(result, Recorded) or await self._was_saved(task_id, operator_of(request)):
            return _to_desk("answered")
        return _to_desk("lost" if result is Refusal.LEASE_LOST else "over")

    async def _again(self, request: Request, task: CallTask, comment: str, *, said: str) -> Response:
        """Respond 422 with the call and the comment as it was written."""
        async with self.sessions.begin() as session:
            invitation = (await invitations.load(session, [task.invitation_id])).get(task.invitation_id)
        if task.held_by is None or task.held_by != operator_of(request):
            return _to_desk("lost")
        response = await self._page(request, task, invitation, written=comment, said=said)
        response.status_code = Unprocessable.status
        return response

    async def _was_saved(self, task_id: UUID, operator: str) -> bool:
        """Return whether this operator already answered the task, as when the form is submitted twice."""
        async with self.sessions.begin() as session:
            return await call_queue.answered_by(session, task_id) == operator

    async def outcome(self, request: Request, task_id: UUID) -> Response:
        form = await forms.read(request)
        now = self.clock.now()
        async with self.sessions.begin() as session:
            task = await calls.load(session, task_id, scope=staff_scope.get())
        if task is None:
            return _to_desk("lost")
        try:
            disposition = CallDisposition(str(form.get("disposition")))
            later = delay_of(form, task, now)
        except (ValueError, OverflowError):
            return _to(f"/desk/{task_id}?said=when")
        if disposition is CallDisposition.ANSWERED and task.kind is TaskKind.SURVEY:
            return _to(f"/desk/{task_id}?said=score")
        call = CallReport(task_id, operator_of(request), disposition, later)
        try:
            async with self.sessions.begin() as session:
                after = await report_call(session, call, now=now)
        except LeaseLost:
            return _to_desk("lost")
        moved = disposition is CallDisposition.CALL_LATER and after.due_at > now + later
        return _to(f"/desk?noted={disposition}&task={task_id}{'&moved=1' if moved else ''}")

    async def _page(
        self,
        request: Request,
        task: CallTask | None = None,
        invitation: Invitation | None = None,
        *,
        written: str = "",
        said: str = "",
    ) -> Response:
        operator, query, now = operator_of(request), request.query_params, self.clock.now()
        async with self.sessions.begin() as session:
            due, counts = await call_queue.queue(session, operator, now=now, scope=staff_scope.get())
            noted_id = task_id_of(query.get("task"))
            noted = await calls.load(session, noted_id, scope=staff_scope.get()) if noted_id else None
            today = formats.local(now).replace(hour=0, minute=0, second=0, microsecond=0)
            made = await call_queue.made_since(session, operator, today)
        return rendering.page(
            "desk.html",
            operator=operator,
            notice=outcome_notice(noted, query, now) if noted else _notice(said or query.get("said", "")),
            queue=[queue_line(each, operator, now) for each in due],
            counts=counts,
            next_due=counts["next_due"] and rendering.moment(counts["next_due"], time_zone("UTC"), now=now),
            call=call_values(task, invitation, now) if task and invitation else None,
            written=written,
            made=made,
            lease=int(self.lease.total_seconds() // 60),
            outcomes=OUTCOMES if task is not None and task.kind is TaskKind.CALLBACK else OUTCOMES[1:],
            delays=DELAYS,
            pages=self.staff_pages,
        )


def _notice(said: str) -> str | None:
    return gettext(NOTICES[said]) if said in NOTICES else None


def _to(path: str) -> RedirectResponse:
    return RedirectResponse(path, status_code=303)


def _to_desk(notice: str) -> RedirectResponse:
    return _to(f"/desk?said={notice}")

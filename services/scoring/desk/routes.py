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
from services.scoring.desk import keys as desk_keys
from services.scoring.desk.forms import (
    COOKIE,
    MAX_NOTE,
    Typed,
    delay_of,
    entry_of,
    id_of,
    name_of,
    operator_at_desk,
    typed_in,
)
from services.scoring.desk.page import (
    DELAYS,
    LABELS,
    NOTICES,
    OUTCOMES,
    SURE,
    call_values,
    count_shown,
    done_notice,
    is_of,
    lost_values,
    queue_line,
    saved_in,
    there,
)
from services.scoring.desk.practice import PRACTICE, practice_call
from services.scoring.domain.answers import Refusal
from services.scoring.domain.calling.operators import Operator
from services.scoring.domain.calls import CallTask, TaskKind
from services.scoring.domain.invitations import Invitation
from services.scoring.repository import invitations, programs
from services.scoring.repository.calling import call_queue, calls, pauses
from services.scoring.web import forms, rendering
from services.scoring.web.scopes import spoken_languages
from services.scoring.web.taking import NoCall, TakenCall, take_call
from shared.clock import Clock
from shared.contract.vocabulary import CallDisposition
from shared.database.session import Session, Sessions
from shared.languages import formats
from shared.languages.current import current, gettext, language_name
from shared.web.audit.acts import note, note_unchanged
from shared.web.audit.trail import actor_of
from shared.web.problems import Conflict, Unprocessable
from shared.web.staff.menu import StaffPages
from shared.web.staff.tickets import person_name, signed_in, staff_scope
from shared.zones import current_zone


@dataclass(frozen=True, slots=True)
class Desk:
    sessions: Sessions
    writer: Writer
    clock: Clock
    staff_pages: StaffPages
    lease: timedelta
    call_link: str

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/desk", include_in_schema=False)
        router.add_api_route("", self.show, methods=["GET"])
        router.add_api_route("/take", self.take, methods=["POST"])
        router.add_api_route("/pause", self.pause, methods=["POST"])
        router.add_api_route("/resume", self.resume, methods=["POST"])
        router.add_api_route("/{task_id}", self.show_call, methods=["GET"])
        router.add_api_route("/{task_id}/answer", self.answer, methods=["POST"])
        router.add_api_route("/{task_id}/outcome", self.outcome, methods=["POST"])
        router.add_api_route("/{task_id}/keep", self.keep, methods=["POST"])
        return router

    async def show(self, request: Request) -> Response:
        return await self._page(request)

    async def show_call(self, request: Request, task_id: UUID) -> Response:
        task, invitation = await self._load(task_id)
        if task is None or not is_of(task, operator_at_desk(request)):
            return _to_desk("no_practice" if task_id == PRACTICE else "taken")
        if invitation is None:
            return _to_desk("unreadable")
        return await self._page(request, task, invitation, typed=saved_in(task, invitation))

    async def take(self, request: Request) -> Response:
        form = await forms.read(request)
        operator = operator_at_desk(request, name_of(form.get("operator")))
        if not operator.name:
            return _to_desk("name")
        chosen = id_of(form.get("task_id"))
        taken = await take_call(self.sessions, operator, now=self.clock.now(), lease=self.lease, task_id=chosen)
        if isinstance(taken, TakenCall):
            note(taken.task.task_id)
            response = _to(f"/desk/{taken.task.task_id}")
        else:
            response = _to_desk(await self._why_none(taken, operator, chosen))
        if person_name() is None:
            secure = self.staff_pages.dashboard.startswith("https://")
            response.set_cookie(
                COOKIE, quote(operator.name), max_age=86400 * 30, httponly=True, samesite="strict", secure=secure
            )
        return response

    async def _why_none(self, found: NoCall, operator: Operator, chosen: UUID | None) -> str:
        """Return which notice says why no call was taken."""
        if found.unreadable:
            return "unreadable"
        async with self.sessions.begin() as session:
            paused_at = await pauses.paused_since(session, operator)
        return "paused" if paused_at else "taken" if chosen else "none"

    async def pause(self, request: Request) -> Response:
        """Begin a pause, in which `take` gives no call; one that has begun goes on."""
        operator = operator_at_desk(request)
        if not operator.name:
            return _to_desk("name")
        async with self.sessions.begin() as session:
            if not await pauses.start(session, operator, now=self.clock.now()):
                note_unchanged()
        return _to("/desk")

    async def resume(self, request: Request) -> Response:
        async with self.sessions.begin() as session:
            if not await pauses.end(session, operator_at_desk(request), now=self.clock.now()):
                note_unchanged()
        return _to("/desk")

    async def answer(self, request: Request, task_id: UUID) -> Response:
        form = await forms.read(request)
        typed, operator = typed_in(form), operator_at_desk(request)
        task, invitation = await self._load(task_id)
        if task is None or invitation is None:
            return await self._not_saved(request, task_id, typed, said="lost")
        if typed.score is None or typed.too_long:
            said = "score" if typed.score is None else "long"
            return await self._page(request, task, invitation, typed=typed, said=said, status=Unprocessable.status)
        if task_id == PRACTICE:
            return _practised()
        entry = entry_of(typed, task, operator=operator, at=self.clock.now(), whole="whole" in form)
        result = await self.writer.record(entry)
        if isinstance(result, Recorded):
            return _to(f"/desk?said=answered&task={task_id}")
        return await self._not_saved(request, task_id, typed, said="lost" if result is Refusal.LEASE_LOST else "over")

    async def outcome(self, request: Request, task_id: UUID) -> Response:
        form = await forms.read(request)
        now, typed, operator = self.clock.now(), typed_in(form), operator_at_desk(request)
        task, invitation = await self._load(task_id)
        if task is None or invitation is None:
            return await self._not_saved(request, task_id, typed, said="lost")
        try:
            disposition = CallDisposition(str(form.get("disposition")))
            later = delay_of(form, task, now) if disposition is CallDisposition.CALL_LATER else timedelta()
        except (ValueError, OverflowError):
            return await self._page(request, task, invitation, typed=typed, said="when", status=Unprocessable.status)
        drops_answer = typed.has_answer and "lost" not in request.query_params and is_of(task, operator)
        if drops_answer or len(typed.note) > MAX_NOTE:
            said, asked = ("typed", disposition) if drops_answer else ("long_note", "")
            status = Unprocessable.status
            return await self._page(request, task, invitation, typed=typed, said=said, asked=asked, status=status)
        lacks_score = disposition is CallDisposition.ANSWERED and task.kind is TaskKind.SURVEY
        if lacks_score or task_id == PRACTICE:
            return _to(f"/desk/{task_id}?said=score") if lacks_score else _practised()
        call = CallReport(task_id, operator, disposition, later, typed.note)
        try:
            async with self.sessions.begin() as session:
                after = await report_call(session, call, now=now)
        except LeaseLost:
            return await self._not_saved(request, task_id, typed, said="lost")
        moved = disposition is CallDisposition.CALL_LATER and after.due_at > now + later
        return _to(f"/desk?noted={disposition}&task={task_id}{'&moved=1' if moved else ''}")

    async def keep(self, request: Request, task_id: UUID) -> dict[str, object]:
        """Renew the reservation of a call whose page is open; returns whether it holds, who has it, the time there.

        A call that the operator no longer sees is given back.
        """
        operator, now, scope = operator_at_desk(request), self.clock.now(), staff_scope.get()
        async with self.sessions.begin() as session:
            if task_id == PRACTICE:
                made_up = await self._made_up(session)
                return {"held": True, "holder": None, "there": made_up and there(made_up[0], now)}
            task = await calls.load(session, task_id, scope=scope)
            held = task is not None and await calls.keep(session, task_id, operator, lease=self.lease)
            if task is None:
                await calls.give_back_unseen(
                    session, operator.ids, scope=scope, of=actor_of(request.scope, signed_in.get())
                )
        holder = task.held_by.name if task and task.held_by else None
        return {"held": held, "holder": holder, "there": task and there(task, now)}

    async def _load(self, task_id: UUID) -> tuple[CallTask | None, Invitation | None]:
        scope = staff_scope.get()
        async with self.sessions.begin() as session:
            if task_id == PRACTICE:
                return await self._made_up(session) or (None, None)
            task = await calls.load(session, task_id, scope=scope)
            known = await invitations.load_readable(session, [task.invitation_id]) if task else {}
        return task, known.get(task.invitation_id) if task else None

    async def _made_up(self, session: Session) -> tuple[CallTask, Invitation] | None:
        """Make up a call to practise with, in the languages in which the person takes calls: first that of the page."""
        own, page = await spoken_languages(session), current.get().locale.language
        languages = [page] if own is None else sorted(own, key=lambda language: language != page)
        within, now = staff_scope.get().arguments[0], self.clock.now()
        return await practice_call(session, within=within, languages=languages, now=now)

    async def _not_saved(self, request: Request, task_id: UUID, typed: Typed, *, said: str) -> Response:
        """Respond 409 with what was typed, so that it can be copied, and with who has the call."""
        task, invitation = await self._load(task_id)
        said = said if task is None or invitation else "unreadable"
        return await self._page(request, task, invitation, typed=typed, said=said, status=Conflict.status)

    async def _page(  # noqa: PLR0913 - the parts of the page
        self,
        request: Request,
        task: CallTask | None = None,
        invitation: Invitation | None = None,
        *,
        typed: Typed | None = None,
        said: str = "",
        asked: str = "",
        status: int = 200,
    ) -> Response:
        operator, query, now, scope = (
            operator_at_desk(request),
            request.query_params,
            self.clock.now(),
            staff_scope.get(),
        )
        async with self.sessions.begin() as session:
            spoken = await spoken_languages(session)
            due, counts = await call_queue.queue(session, operator, now=now, scope=scope, languages=spoken)
            unspoken = await call_queue.unspoken(session, now=now, scope=scope)
            reasons = await call_queue.reasons(session, due)
            before = await calls.attempts(session, task.task_id) if task else []
            today = formats.local(now).replace(hour=0, minute=0, second=0, microsecond=0)
            made = await call_queue.made_since(session, operator, today)
            stopped = await programs.stopped(session, within=scope.arguments[0])
            paused_at = await pauses.paused_since(session, operator)
        done, answered = await self._load(id_) if (id_ := id_of(query.get("task"))) else (None, None)
        shown = (
            call_values(task, invitation, before, operator=operator, link=self.call_link, now=now)
            if task and invitation and is_of(task, operator)
            else None
        )
        return rendering.page(
            "desk.html",
            status=status,
            operator=operator,
            notice=_notice(said or query.get("said", "")) or done_notice(done, answered, query, operator, now),
            done=done,
            may_correct=done is not None and operator.is_(done.answered_by),
            queue=[queue_line(each, operator, now, reason=reasons.get(each.task_id, "")) for each in due],
            counts=counts,
            due=count_shown(counts["due"]),
            later=counts["later"] and count_shown(counts["later"]),
            next_due=counts["next_due"] and rendering.moment(counts["next_due"], current_zone.get(), now=now),
            call=shown,
            lost=lost_values(task, invitation, typed) if typed and not shown else None,
            typed=typed or Typed(),
            made=made,
            paused=paused_at and rendering.moment(paused_at, current_zone.get(), now=now),
            lease=int(self.lease.total_seconds() // 60),
            outcomes=OUTCOMES if task is not None and task.kind is TaskKind.CALLBACK else OUTCOMES[1:],
            sure=SURE,
            labels=LABELS,
            asked=asked,
            practice=PRACTICE,
            delays=DELAYS,
            keys=desk_keys.chosen(request),
            stopped=stopped,
            unspoken=[f"{language_name(language)} ({number})" for language, number in unspoken.items()],
            pages=self.staff_pages,
        )


def _practised() -> RedirectResponse:
    return _to(f"/desk?said=practised&task={PRACTICE}")


def _notice(said: str) -> str | None:
    return gettext(NOTICES[said]) if said in NOTICES else None


def _to(path: str) -> RedirectResponse:
    return RedirectResponse(path, status_code=303)


def _to_desk(notice: str) -> RedirectResponse:
    return _to(f"/desk?said={notice}")

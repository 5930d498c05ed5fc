"""The call desk for people: plain forms, a key for everything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any
from urllib.parse import quote, unquote
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from starlette.datastructures import FormData

from services.scoring.answers.calls import CallReport, LeaseLost, report_call
from services.scoring.answers.record import Recorded
from services.scoring.answers.writer import Writer
from services.scoring.domain.answer_form import MAX_TEXT, clean, score_of
from services.scoring.domain.answers import Entry, Refusal
from services.scoring.domain.calls import CallTask, TaskKind, masked
from services.scoring.domain.invitations import Invitation
from services.scoring.domain.phone_numbers import readable
from services.scoring.repository import call_queue, calls, invitations
from services.scoring.web import forms, rendering, texts
from shared.clock import Clock
from shared.contract.vocabulary import CallDisposition, Category, category_of
from shared.database.db import Sessions
from shared.web.menu import StaffPages
from shared.zones import time_zone

COOKIE = "operator"
MIN_LATER, MAX_LATER = timedelta(minutes=4), timedelta(days=14)
OUTCOMES = [
    (CallDisposition.ANSWERED, "Talked", "K"),
    (CallDisposition.NO_ANSWER, "No answer", "A"),
    (CallDisposition.BUSY, "Busy", "B"),
    (CallDisposition.MACHINE, "Machine", "M"),
    (CallDisposition.REFUSED, "Refused", "R"),
    (CallDisposition.WRONG_NUMBER, "Wrong number", "W"),
    (CallDisposition.DO_NOT_CALL, "Do not call again", "D"),
]
LABELS = {value.value: label.lower() for value, label, _ in OUTCOMES} | {CallDisposition.CALL_LATER.value: "call later"}
DELAYS = [(15, "in 15 minutes"), (60, "in 1 hour"), (180, "in 3 hours"), (1440, "tomorrow"), (4320, "in 3 days")]
NOTICES = {
    "answered": "Saved. The call is closed.",
    "none": "Nobody is due at the moment.",
    "taken": "This call is with another operator, or it is not due any more. Take the next one.",
    "lost": "This was not saved: the time for it is over, or the call was closed. Take the next one.",
    "over": "This was not saved: the survey was withdrawn or is over.",
    "score": "This was not saved: choose a score from 0 to 10.",
    "when": "This was not saved: choose a time from five minutes to two weeks ahead.",
    "name": "Say who you are first.",
}


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
            task = await calls.load(session, task_id)
            known = await invitations.load(session, [task.invitation_id]) if task else {}
        invitation = known.get(task.invitation_id) if task else None
        if task is None or invitation is None or task.held_by is None or task.held_by != _operator(request):
            return _to_desk("taken")
        return await self._page(request, task, invitation)

    async def take(self, request: Request) -> Response:
        form = await forms.read(request)
        operator = _name(form.get("operator")) or _operator(request)
        if not operator:
            return _to_desk("name")
        wanted = _task_id(form.get("task_id"))
        async with self.sessions.begin() as session:
            task = await call_queue.take(session, operator, now=self.clock.now(), lease=self.lease, task_id=wanted)
        response = _to_desk("taken" if wanted else "none") if task is None else _to(f"/desk/{task.task_id}")
        response.set_cookie(COOKIE, quote(operator), max_age=86400 * 30, httponly=True, samesite="strict")
        return response

    async def answer(self, request: Request, task_id: UUID) -> Response:
        form = await forms.read(request)
        sent = form.get("score")
        score = score_of(sent) if isinstance(sent, str) else None
        if score is None:
            return _to(f"/desk/{task_id}?said=score")
        async with self.sessions.begin() as session:
            task = await calls.load(session, task_id)
        if task is None:
            return _to_desk("lost")
        comment = form.get("comment")
        result = await self.writer.record(
            Entry(
                task.invitation_id,
                self.clock.now(),
                score,
                reasons=_ticked(form, score) or None,
                comment=clean(comment)[:MAX_TEXT] if isinstance(comment, str) and comment else None,
                step=task.step,
                task_id=task_id,
                operator=_operator(request),
            )
        )
        if isinstance(result, Recorded) or await self._saved_before(task_id, _operator(request)):
            return _to_desk("answered")
        return _to_desk("lost" if result is Refusal.LEASE_LOST else "over")

    async def _saved_before(self, task_id: UUID, operator: str) -> bool:
        """Say whether this operator's answer is there: a button may be pressed twice."""
        async with self.sessions.begin() as session:
            return await call_queue.answered_by(session, task_id) == operator

    async def outcome(self, request: Request, task_id: UUID) -> Response:
        form = await forms.read(request)
        now = self.clock.now()
        async with self.sessions.begin() as session:
            task = await calls.load(session, task_id)
        if task is None:
            return _to_desk("lost")
        try:
            disposition = CallDisposition(str(form.get("disposition")))
            later = _later(form, task, now)
        except (ValueError, OverflowError):
            return _to(f"/desk/{task_id}?said=when")
        if disposition is CallDisposition.ANSWERED and task.kind is TaskKind.SURVEY:
            return _to(f"/desk/{task_id}?said=score")
        said = CallReport(task_id, _operator(request), disposition, later)
        try:
            async with self.sessions.begin() as session:
                after = await report_call(session, said, now=now)
        except LeaseLost:
            return _to_desk("lost")
        moved = disposition is CallDisposition.CALL_LATER and after.due_at > now + later
        return _to(f"/desk?noted={disposition}&task={task_id}{'&moved=1' if moved else ''}")

    async def _page(
        self, request: Request, task: CallTask | None = None, invitation: Invitation | None = None
    ) -> Response:
        operator, asked, now = _operator(request), request.query_params, self.clock.now()
        async with self.sessions.begin() as session:
            due, counts = await call_queue.queue(session, operator, now=now)
            noted = await calls.load(session, noted_id) if (noted_id := _task_id(asked.get("task"))) else None
            made = await call_queue.made_since(
                session, operator, now.replace(hour=0, minute=0, second=0, microsecond=0)
            )
        return rendering.page(
            "desk.html",
            operator=operator,
            notice=_noted(noted, asked, now) if noted else NOTICES.get(asked.get("said", "")),
            queue=[_line(each, operator, now) for each in due],
            counts=counts,
            next_due=counts["next_due"] and rendering.moment(counts["next_due"], "UTC", now=now),
            call=_call(task, invitation, now) if task and invitation else None,
            made=made,
            lease=int(self.lease.total_seconds() // 60),
            outcomes=OUTCOMES if task is not None and task.kind is TaskKind.CALLBACK else OUTCOMES[1:],
            delays=DELAYS,
            pages=self.staff_pages,
        )


def _noted(task: CallTask, asked: Mapping[str, str], now: datetime) -> str | None:
    """Say how a try ended and what follows from it."""
    label = LABELS.get(asked.get("noted", ""))
    return label and f"Noted: {label}. {_follows(task, now, moved='moved' in asked)}"


def _follows(task: CallTask, now: datetime, *, moved: bool) -> str:
    if not task.open:
        return "The call is closed."
    if task.due_at >= task.expires_at:
        return "The time for this call is over before then: it does not come back."
    back = f"comes back {rendering.moment(task.due_at, task.time_zone, now=now)} their time."
    return f"It is moved into the hours they may be called in: it {back}" if moved else f"The call {back}"


def _line(task: CallTask, operator: str, now: datetime) -> dict[str, Any]:
    return {
        "task_id": task.task_id,
        "name": _short(task.name) or "No name",
        "phone": masked(task.phone),
        "there": f"{now.astimezone(time_zone(task.time_zone)):%H:%M}",
        "try": task.tries + 1,
        "callback": task.kind is TaskKind.CALLBACK,
        "appointment": f"{task.due_at.astimezone(time_zone(task.time_zone)):%H:%M}" if task.appointed else "",
        "mine": task.held_by is not None and task.held_by == operator,
    }


def _short(name: str) -> str:
    """Keep the first name and one letter of the last."""
    first, _, rest = name.strip().partition(" ")
    return f"{first} {rest.strip()[:1]}." if rest.strip() else first


def _call(task: CallTask, invitation: Invitation, now: datetime) -> dict[str, Any]:
    here = now.astimezone(time_zone(task.time_zone))
    return {
        "task": task,
        "invitation": invitation,
        "phone": readable(task.phone),
        "name": _short(task.name),
        "place": task.time_zone.rpartition("/")[2].replace("_", " "),
        "there": f"{here:%H:%M}",
        "earliest": f"{here + timedelta(minutes=5):%Y-%m-%dT%H:%M}",
        "latest": f"{here + MAX_LATER:%Y-%m-%dT%H:%M}",
        "try": task.tries + 1,
        "tries": max(task.max_attempts, task.tries + 1),
        "callback": task.kind is TaskKind.CALLBACK,
        "about": texts.about(invitation, now=now),
        "script": _script(task, invitation, now),
        "reasons": invitation.content.all_reasons,
        "lists": {field: list(scores) for field, scores in groupby(range(11), _field)},
    }


def _field(score: int) -> str:
    """Name the list of reasons this score is asked about: the same reason may say something else in the other."""
    return "reasons.promoter" if category_of(score) is Category.PROMOTER else "reasons.other"


def _ticked(form: FormData, score: int) -> tuple[str, ...]:
    return tuple(reason for reason in form.getlist(_field(score)) if isinstance(reason, str))


def _script(task: CallTask, invitation: Invitation, now: datetime) -> tuple[str, str, str]:
    """What to say: before the question, the question, after it. A script of its own begins as it likes."""
    words = texts.LANGUAGES[texts.language_of(invitation.locale)]
    brand, question = invitation.content.brand.name, invitation.content.question
    if task.kind is TaskKind.CALLBACK:
        return words["hello_back"].format(brand=brand), "", ""
    before, asked, after = task.script.partition(question)
    hello = words["hello"].format(brand=brand, about=texts.about(invitation, now=now))
    return before if before.strip() else f"{hello} ", asked or question, after


def _later(form: FormData, task: CallTask, now: datetime) -> timedelta:
    """Read in how long to call again: minutes, or a time of the respondent's own clock. Raises ValueError."""
    at = form.get("at")
    if isinstance(at, str) and at:
        later = datetime.fromisoformat(at).replace(tzinfo=time_zone(task.time_zone)) - now
    else:
        later = timedelta(minutes=int(str(form.get("minutes", "60"))))
    if not MIN_LATER <= later <= MAX_LATER:
        raise ValueError("neither too soon nor too late")
    return later


def _operator(request: Request) -> str:
    return _name(unquote(request.cookies.get(COOKIE, "")))


def _task_id(value: object) -> UUID | None:
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _name(value: object) -> str:
    return clean(value).strip()[:100] if isinstance(value, str) else ""


def _to(path: str) -> RedirectResponse:
    return RedirectResponse(path, status_code=303)


def _to_desk(notice: str) -> RedirectResponse:
    return _to(f"/desk?said={notice}")

"""The answer page: a GET shows, only a POST records; it works without JavaScript."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from fastapi import Request, Response
from msgspec.structs import replace
from starlette.background import BackgroundTask

from services.scoring.answer_page import responses
from services.scoring.answer_page.page_views import Views
from services.scoring.answer_page.rate_limits import Limits
from services.scoring.answer_page.responses import SCORE, Link
from services.scoring.answers.record import Recorded, Submission, opt_out
from services.scoring.answers.writer import Writer
from services.scoring.domain import phone_numbers
from services.scoring.domain.answers import Entry, Refusal
from services.scoring.domain.bot_detection import MAX_USER_AGENT, MOMENT, View, Visit, device_of, is_crawler
from services.scoring.domain.calls import BestTime, Callback
from services.scoring.domain.invitations import Invitation, InvitationState
from services.scoring.repository import callbacks
from services.scoring.repository.invitations import LinkVisit, ResolvedLink
from services.scoring.web import forms
from shared.clock import Clock
from shared.database.db import Sessions
from shared.database.group_commit import GroupCommitter
from shared.web.app import PlainRoute
from shared.web.links import fingerprint

log = structlog.get_logger()

MAX_TEXT = 4000


class InvalidForm(ValueError):
    """What was sent is not an answer: show what to do."""


Door = GroupCommitter[LinkVisit, ResolvedLink | None]


@dataclass(frozen=True, slots=True)
class AnswerPages:
    sessions: Sessions
    door: Door
    writer: Writer
    clock: Clock
    views: Views
    limits: Limits

    def routes(self) -> list[PlainRoute]:
        return [
            PlainRoute("/s/{link}", self.show, methods=["GET"]),
            PlainRoute("/s/{link}", self.save, methods=["POST"]),
            PlainRoute("/s/{link}/stop", self.ask_to_stop, methods=["GET"]),
            PlainRoute("/s/{link}/stop", self.stop, methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        found, now = await self._open(request), self.clock.now()
        if isinstance(found, Response):
            return found
        opened, invitation = found[0], found[1].invitation
        if (closed := responses.closed(request, invitation, now)) is not None:
            return closed
        asked_for = await self._asked_for(invitation)
        response = responses.open_page(request.query_params, opened, invitation, now, asked_for=asked_for)
        response.background = BackgroundTask(self.views.note, invitation.id, _view(request, opened, now))
        return response

    async def save(self, request: Request) -> Response:
        opened, now = _link(request), self.clock.now()
        if wait := self.limits.wait(request, opened.token):
            return responses.busy(request, wait)
        read = _reader(request, await _fields(request), opened, now)
        submitted = await self.writer.submit(Submission(LinkVisit(fingerprint(opened.token), now), read))
        if submitted is None or submitted.invitation.state is InvitationState.ERASED:
            return responses.unknown(request, opened)
        invitation, entry, result = submitted.invitation, submitted.entry, submitted.result
        if entry is None or result is Refusal.NO_SCORE:
            return responses.invalid(request, opened, invitation)
        if result is Refusal.NO_NUMBER:
            asked_for = await self._asked_for(invitation)
            return responses.ask_number(request, opened, invitation, entry, asked_for=asked_for)
        if isinstance(result, Recorded):
            return self._saved(opened, invitation, entry, result)
        return responses.closed(request, invitation, now) or responses.withdrawn(request, invitation)

    async def ask_to_stop(self, request: Request) -> Response:
        found = await self._open(request)
        if isinstance(found, Response):
            return found
        opened, invitation = found[0], found[1].invitation
        return responses.form("stop.html", invitation, opened, now=self.clock.now(), sure=False)

    async def stop(self, request: Request) -> Response:
        found, now = await self._open(request), self.clock.now()
        if isinstance(found, Response):
            return found
        opened, invitation = found[0], found[1].invitation
        fields = await _fields(request)
        visit = _visit(_user_agent(request), fields, found[1], now)
        if "sure" not in dict(fields) and _looks_automatic(visit, invitation, now):
            return responses.form("stop.html", invitation, opened, now=now, sure=True)
        async with self.sessions.begin() as session:
            await opt_out(session, invitation, now=now)
        return responses.stopped(invitation)

    async def _open(self, request: Request) -> tuple[Link, ResolvedLink] | Response:
        """Find whose link it is; whatever is no link, is not known yet or was erased gets the same answer."""
        opened = _link(request)
        if wait := self.limits.wait(request, opened.token):
            return responses.busy(request, wait)
        found = await self.door.do(LinkVisit(fingerprint(opened.token), self.clock.now()))
        if found is None or found.invitation.state is InvitationState.ERASED:
            return responses.unknown(request, opened)
        return opened, found

    async def _asked_for(self, invitation: Invitation) -> Callback | None:
        if invitation.heard is None or not invitation.heard.callback_wanted:
            return None
        async with self.sessions.begin() as session:
            return await callbacks.asked_for(session, invitation.id)

    def _saved(self, opened: Link, invitation: Invitation, entry: Entry, result: Recorded) -> Response:
        """Lead on; a person who was taken for a machine sees what they said all the same."""
        response = Response(status_code=303, headers={"location": opened.path + _next(entry, result)})
        if result.suspected:
            log.info("answer.suspected", invitation_id=str(invitation.id), reason=result.suspected)
            seen = View(opened.step, "POST", entry.score, automatic=True, at=entry.at)
            response.background = BackgroundTask(self.views.note, invitation.id, seen)
        return response


def _next(entry: Entry, result: Recorded) -> str:
    """Say what to show; where an earlier answer stands instead, that and what was sent, to be sent again."""
    if result.suspected and result.answer.counts:
        return "" if entry.score is None else f"?score={entry.score}"
    if entry.reasons is not None:
        return "?done=1"
    return "?saved=1" if result.suspected else ""


def _link(request: Request) -> Link:
    return Link.of(request.path_params["link"])


def _reader(
    request: Request, fields: list[tuple[str, str]], opened: Link, now: datetime
) -> Callable[[ResolvedLink], Entry | None]:
    def read(found: ResolvedLink) -> Entry | None:
        try:
            said = _entry(fields, found.invitation, step=opened.step, now=now)
        except InvalidForm:
            return None
        return replace(said, device=device, visit=_visit(user_agent, fields, found, now))

    user_agent = _user_agent(request)
    device = device_of(user_agent, mobile=request.headers.get("sec-ch-ua-mobile", ""))
    return read


def _visit(user_agent: str, fields: list[tuple[str, str]], found: ResolvedLink, now: datetime) -> Visit:
    form = dict(fields)
    return Visit(
        crawler=is_crawler(user_agent),
        trapped="trap" in form,
        browser=user_agent.startswith("Mozilla/"),
        dwell=_dwell(form.get("shown", ""), now),
        links=found.links,
        soon=found.soon,
    )


def _user_agent(request: Request) -> str:
    return request.headers.get("user-agent", "")[:MAX_USER_AGENT]


def _dwell(shown: str, now: datetime) -> timedelta | None:
    """Read when the form was shown; None when it does not say, and whoever forges it is no mail scanner."""
    return now - datetime.fromtimestamp(int(shown) / 1000, UTC) if re.fullmatch("[0-9]{1,14}", shown) else None


def _looks_automatic(visit: Visit, invitation: Invitation, now: datetime) -> bool:
    answer = invitation.answer
    just_suspected = answer is not None and answer.suspect and answer.answered_at > now - MOMENT
    return just_suspected or visit.suspicion(()) is not None


def _view(request: Request, opened: Link, now: datetime) -> View:
    asked = request.query_params.get("score", "")
    score = int(asked) if SCORE.fullmatch(asked) else None
    automatic = request.method == "HEAD" or is_crawler(_user_agent(request))
    return View(opened.step, request.method, score, automatic, now)


async def _fields(request: Request) -> list[tuple[str, str]]:
    form = await forms.read(request)
    return [(name, value) for name, value in form.multi_items() if isinstance(value, str)]


def _entry(fields: list[tuple[str, str]], invitation: Invitation, *, step: int, now: datetime) -> Entry:
    """Read a form; raises InvalidForm. A form without a comment field is the first page's: the score alone."""
    last = dict(fields)
    score = last.get("score")
    if score is not None and not SCORE.fullmatch(score):
        raise InvalidForm
    chosen = None if score is None else int(score)
    if "comment" not in last:
        return Entry(invitation.id, now, chosen, step=step)
    callback = _callback(last, invitation) if "best_time" in last and invitation.content.call_back else None
    return Entry(
        invitation.id,
        now,
        chosen,
        reasons=tuple(value for name, value in fields if name == "reasons"),
        comment=_text(last["comment"]),
        extra={name.removeprefix("extra."): _text(value) for name, value in fields if name.startswith("extra.")},
        step=step,
        callback=callback,
    )


def _callback(last: Mapping[str, str], invitation: Invitation) -> Callback:
    """Read whether to call back, and where. Who typed a number wants to be called: the box is easily overlooked."""
    written = last.get("phone", "").strip()
    if "callback" not in last and not written:
        return Callback(wanted=False)
    best_time = last["best_time"]
    if best_time not in set(BestTime):
        raise InvalidForm
    phone = phone_numbers.given(written, locale=invitation.locale)
    return Callback(
        wanted=True,
        phone=written if phone is None else phone,
        best_time=BestTime(best_time),
        dialable=phone is not None,
    )


def _text(value: str) -> str:
    if len(value) > MAX_TEXT:
        raise InvalidForm
    return forms.clean(value)

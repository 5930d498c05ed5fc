"""Routes of the answer page: GET shows the survey, POST records an answer or an opt-out, without JavaScript."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import structlog
from fastapi import Request, Response
from starlette.background import BackgroundTask

from services.scoring.answer_page import quotes, responses
from services.scoring.answer_page.page_views import PageViewWriter
from services.scoring.answer_page.quotes import NothingToQuote
from services.scoring.answer_page.rate_limits import RateLimits
from services.scoring.answer_page.responses import Link
from services.scoring.answers.record import Recorded, opt_out
from services.scoring.answers.writer import Writer
from services.scoring.domain.answer_form import Submission, bot_signals, refused_form, score_of
from services.scoring.domain.answers import Entry, Refusal
from services.scoring.domain.bot_detection import (
    MAX_USER_AGENT,
    SCORE_RUN_WINDOW,
    BotSignals,
    PageView,
    ScannerWindows,
    device_of,
    is_crawler,
    is_prefetch,
)
from services.scoring.domain.calls import Callback
from services.scoring.domain.comments.quotes import InvalidQuoteName, has_quotable_words
from services.scoring.domain.invitations import (
    Invitation,
    InvitationState,
    LinkVisit,
    ResolvedLink,
    may_request_review,
)
from services.scoring.repository import invitations
from services.scoring.repository.calling import callbacks
from services.scoring.repository.comments import quotes as consents
from services.scoring.web import forms
from shared.clock import Clock
from shared.database.group_commit import GroupCommitter
from shared.database.session import Sessions
from shared.web.app import PlainRoute
from shared.web.links import TOKEN_LENGTH, fingerprint, unsubscribe_url
from shared.web.qr import qr_svg

log = structlog.get_logger()

_TOKEN = re.compile(rf"[A-Za-z0-9_-]{{{TOKEN_LENGTH}}}")

LinkResolver = GroupCommitter[LinkVisit, ResolvedLink | None]


@dataclass(frozen=True, slots=True)
class AnswerPages:
    sessions: Sessions
    resolver: LinkResolver
    writer: Writer
    clock: Clock
    page_views: PageViewWriter
    limits: RateLimits
    windows: ScannerWindows
    public_url: str
    unsubscribe_url: str
    link_secrets: Mapping[str, str]

    def routes(self) -> list[PlainRoute]:
        return [
            PlainRoute("/s/{link}", self.show, methods=["GET"]),
            PlainRoute("/s/{link}", self.save, methods=["POST"]),
            PlainRoute("/s/{link}/quote", self.quote, methods=["POST"]),
            PlainRoute("/s/{link}/qr.svg", self.qr_picture, methods=["GET"]),
            PlainRoute("/s/{link}/stop", self.ask_to_stop, methods=["GET"]),
            PlainRoute("/s/{link}/stop", self.stop, methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        found, now = await self._open(request), self.clock.now()
        if isinstance(found, Response):
            return found
        opened, invitation = found[0], found[1].invitation
        quote_name = await self._quote_name(invitation)
        if (closed := responses.closed(request, invitation, now, quote_name=quote_name)) is not None:
            return closed
        if responses.says_stopped(request.query_params, invitation):
            return self._stopped(opened, invitation)
        open_callback, review = await self._open_callback(invitation), await self._review_url(invitation, request)
        response = responses.open_page(
            request.query_params,
            opened,
            invitation,
            now,
            open_callback=open_callback,
            review=review,
            quote_name=quote_name,
        )
        response.background = BackgroundTask(self.page_views.add, invitation.id, _view(request, opened, now))
        return response

    async def save(self, request: Request) -> Response:
        opened, now = _link(request), self.clock.now()
        if wait := self.limits.wait(request, opened.token):
            return responses.busy(request, wait)
        submission = _submission(request, await _fields(request), opened, now)
        submitted = await self.writer.submit(submission)
        if submitted is None or submitted.invitation.state is InvitationState.ERASED:
            return responses.unknown(request, opened)
        invitation, entry, result = submitted.invitation, submitted.entry, submitted.result
        if entry is None or result is Refusal.NO_SCORE:
            return responses.invalid(request, opened, invitation, refused_form(submission.fields), now=now)
        if result is Refusal.NO_NUMBER:
            open_callback = await self._open_callback(invitation)
            return responses.ask_number(request, opened, invitation, entry, open_callback=open_callback)
        if isinstance(result, Recorded):
            return self._saved(opened, invitation, entry, result)
        return responses.closed(request, invitation, now) or responses.withdrawn(request, invitation)

    async def quote(self, request: Request) -> Response:
        """Store whether and by what name the comment may be quoted; a survey that is over lets it only be withdrawn."""
        found, now = await self._open(request), self.clock.now()
        if isinstance(found, Response):
            return found
        opened, invitation = found[0], found[1].invitation
        form = dict(await _fields(request))
        try:
            async with self.sessions.begin() as session:
                await quotes.change(session, invitation.id, form, at=now)
        except InvalidQuoteName:
            return responses.refused_quote(opened, invitation, form, now=now)
        except NothingToQuote:
            return responses.nothing_to_quote(request, opened, invitation, now=now)
        return Response(status_code=303, headers={"location": f"{opened.path}?done=1&quoted=1#quote"})

    async def qr_picture(self, request: Request) -> Response:
        """Return the QR code of a link, also of an unknown one: nothing is looked up."""
        opened = _link(request)
        if wait := self.limits.wait(request, opened.token):
            return responses.busy(request, wait)
        if not _TOKEN.fullmatch(opened.token):
            return responses.unknown(request, opened)
        return Response(qr_svg(self.public_url + opened.path), media_type="image/svg+xml")

    async def ask_to_stop(self, request: Request) -> Response:
        found = await self._open(request)
        if isinstance(found, Response):
            return found
        opened, invitation = found[0], found[1].invitation
        if invitation.opted_out:
            return self._stopped(opened, invitation)
        return responses.form("stop.html", invitation, opened, now=self.clock.now(), confirm=False)

    async def stop(self, request: Request) -> Response:
        found, now = await self._open(request), self.clock.now()
        if isinstance(found, Response):
            return found
        opened, invitation = found[0], found[1].invitation
        form = dict(await _fields(request))
        signals = bot_signals(form, found[1], user_agent=_user_agent(request), at=now, windows=self.windows)
        if "sure" not in form and _looks_automatic(signals, invitation, now):
            return responses.form("stop.html", invitation, opened, now=now, confirm=True)
        async with self.sessions.begin() as session:
            await opt_out(session, invitation, now=now)
        return self._stopped(opened, invitation)

    def _stopped(self, opened: Link, invitation: Invitation) -> Response:
        """Say that the respondent opted out, and lead to the page of dispatcher where that is taken back."""
        url = unsubscribe_url(self.unsubscribe_url, self.link_secrets, opened.token, invitation.id)
        return responses.stopped(opened, invitation, take_back=url and f"{url}?again=1")

    async def _open(self, request: Request) -> tuple[Link, ResolvedLink] | Response:
        """Resolve the link of a request; return a 429 response, or the same 404 for unknown and erased links."""
        opened = _link(request)
        if wait := self.limits.wait(request, opened.token):
            return responses.busy(request, wait)
        found = await self.resolver.do(LinkVisit(fingerprint(opened.token), self.clock.now()))
        if found is None or found.invitation.state is InvitationState.ERASED:
            return responses.unknown(request, opened)
        return opened, found

    async def _open_callback(self, invitation: Invitation) -> Callback | None:
        if invitation.genuine_answer is None or not invitation.genuine_answer.callback_wanted:
            return None
        async with self.sessions.begin() as session:
            return await callbacks.open_callback(session, invitation.id)

    async def _quote_name(self, invitation: Invitation) -> str | None:
        """Return the name to quote the respondent by, None if the comment may not be quoted or there is none."""
        if not has_quotable_words(invitation) or invitation.answer is None:
            return None
        async with self.sessions.begin() as session:
            return await consents.name(session, invitation.answer.answer_id)

    async def _review_url(self, invitation: Invitation, request: Request) -> str | None:
        """Return where to ask a promoter for a review; only customers who allow offers are asked."""
        url = responses.review_url(invitation) if "done" in request.query_params else None
        if url is None or invitation.answer is None:
            return None
        async with self.sessions.begin() as session:
            allowed = await invitations.offers(session, invitation.id)
        return url if may_request_review(allowed, over=invitation.answer.channel) else None

    def _saved(self, opened: Link, invitation: Invitation, entry: Entry, result: Recorded) -> Response:
        """Redirect to the next page, also after a suspect entry, because a person may have sent it."""
        response = Response(status_code=303, headers={"location": opened.path + _next(entry, result)})
        if result.suspected:
            log.info("answer.suspected", invitation_id=str(invitation.id), reason=result.suspected)
            view = PageView(opened.step, "POST", entry.score, automatic=True, at=entry.at)
            response.background = BackgroundTask(self.page_views.add, invitation.id, view)
        return response


def _next(entry: Entry, result: Recorded) -> str:
    """Return the query of the next page; when a suspect entry left a genuine answer current, it has the sent score."""
    if result.suspected and result.answer.counts:
        return "" if entry.score is None else f"?score={entry.score}"
    if entry.reasons is not None:
        return "?done=1"
    return "?saved=1" if result.suspected else ""


def _link(request: Request) -> Link:
    return Link.of(request.path_params["link"])


def _submission(request: Request, fields: list[tuple[str, str]], opened: Link, now: datetime) -> Submission:
    user_agent = _user_agent(request)
    return Submission(
        fingerprint(opened.token),
        now,
        step=opened.step,
        fields=fields,
        user_agent=user_agent,
        device=device_of(user_agent, mobile=request.headers.get("sec-ch-ua-mobile", "")),
    )


def _user_agent(request: Request) -> str:
    return request.headers.get("user-agent", "")[:MAX_USER_AGENT]


def _looks_automatic(signals: BotSignals, invitation: Invitation, now: datetime) -> bool:
    answer = invitation.answer
    just_suspected = answer is not None and answer.suspect and answer.answered_at > now - SCORE_RUN_WINDOW
    return just_suspected or signals.suspicion(()) is not None


def _view(request: Request, opened: Link, now: datetime) -> PageView:
    score = score_of(request.query_params.get("score", ""))
    automatic = request.method == "HEAD" or is_crawler(_user_agent(request)) or is_prefetch(request.headers)
    return PageView(opened.step, request.method, score, automatic, now)


async def _fields(request: Request) -> list[tuple[str, str]]:
    form = await forms.read(request)
    return [(name, value) for name, value in form.multi_items() if isinstance(value, str)]

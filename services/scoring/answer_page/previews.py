"""Previews of what a program shows and says to respondents, for staff: the same templates, with a sample.

Nothing is stored: the forms lead to a page that says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated
from urllib.parse import quote, urlencode
from uuid import uuid4

from fastapi import APIRouter, Query, Response
from fastapi import Path as PathParameter
from fastapi.responses import HTMLResponse
from msgspec.structs import replace

from services.scoring.answer_page import responses
from services.scoring.answer_page.responses import Link
from services.scoring.domain.invitations import Answer, Invitation
from services.scoring.repository import programs
from services.scoring.web import rendering, texts
from services.scoring.web.call_scripts import survey_script
from shared.clock import Clock
from shared.contract.events import SurveyRequested
from shared.contract.samples import NoSample, sample_of_program
from shared.contract.vocabulary import AnswerMode
from shared.database.session import Sessions
from shared.languages.current import current, gettext
from shared.languages.marking import mark
from shared.locales import direction, language_tag
from shared.web.links import SAMPLE_KEY
from shared.web.problems import NotFound
from shared.web.staff.tickets import person_name


class PreviewedPage(StrEnum):
    QUESTION = "question"
    AFTER_PROMOTER = "after_promoter"
    AFTER_PASSIVE = "after_passive"
    AFTER_DETRACTOR = "after_detractor"
    PROMOTER = "promoter"
    PASSIVE = "passive"
    DETRACTOR = "detractor"
    CALL = "call"


_REASONS = {PreviewedPage.AFTER_PROMOTER: 9, PreviewedPage.AFTER_PASSIVE: 7, PreviewedPage.AFTER_DETRACTOR: 3}
_THANKS = {PreviewedPage.PROMOTER: 9, PreviewedPage.PASSIVE: 7, PreviewedPage.DETRACTOR: 3}
_ProgramId = Annotated[str, PathParameter(max_length=200)]


@dataclass(frozen=True, slots=True)
class AnswerPagePreviews:
    sessions: Sessions
    clock: Clock

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/previews", include_in_schema=False, default_response_class=HTMLResponse)
        router.add_api_route("/{program_id}", self.show, methods=["GET"])
        router.add_api_route("/{program_id}/{locale}/pressed", self.pressed, methods=["GET"])
        router.add_api_route("/{program_id}/{locale}/pressed/stop", self.pressed, methods=["GET"])
        return router

    async def show(
        self,
        program_id: _ProgramId,
        locale: Annotated[str, Query(max_length=40)],
        what: PreviewedPage = PreviewedPage.QUESTION,
    ) -> Response:
        """Show what a respondent would see or hear: the question, what follows a score, the thanks, or the call."""
        now = self.clock.now()
        async with self.sessions() as session:
            document = await programs.document(session, program_id)
        try:
            request = sample_of_program(document or {}, locale=locale, link_key=SAMPLE_KEY, when=now)
        except NoSample:
            raise NotFound(mark("No such program, or it does not have this language")) from None
        invitation = _invitation(request, score=(_REASONS | _THANKS).get(what))
        if what is PreviewedPage.CALL:
            return _call(invitation, now=now)
        query = {"done": "1"} if what in _THANKS else {}
        link = Link(f"/previews/{quote(program_id, safe='')}/{quote(locale, safe='')}/pressed", "", 0, method="get")
        review = responses.review_url(invitation)
        return responses.open_page(query, link, invitation, now, open_callback=None, review=review)

    async def pressed(self, program_id: _ProgramId, locale: Annotated[str, PathParameter(max_length=40)]) -> Response:
        """Say that a button or a link of a preview does nothing, and lead back to the question."""
        return responses.page(
            "notice.html",
            None,
            language=texts.language_of(current.get().code),
            heading=gettext("This is a preview"),
            text=gettext("Nothing was sent or changed. A customer would go on from here."),
            back=f"/previews/{quote(program_id, safe='')}?{urlencode({'locale': locale})}",
        )


def _call(invitation: Invitation, *, now: datetime) -> Response:
    return rendering.page(
        "script.html",
        language=language_tag(invitation.locale),
        direction=direction(invitation.locale),
        script=survey_script(invitation, "", operator=person_name() or "Maria", now=now),
    )


def _invitation(request: SurveyRequested, *, score: int | None) -> Invitation:
    invitation = Invitation.of(request, program_zone=request.time_zone, dimensions={})
    if score is None:
        return invitation
    answer = Answer(
        answer_id=uuid4(),
        version=1,
        score=score,
        reasons=(),
        comment=None,
        extra={},
        mode=AnswerMode.SELF,
        step=1,
        channel=None,
        suspect=False,
        answered_at=request.send_at,
        first_day=invitation.invited_day,
    )
    return replace(invitation, answer=answer)

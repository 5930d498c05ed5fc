"""Previews of the answer page of a program, for staff: the same templates, with a sample; nothing is stored."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated
from uuid import uuid4

from fastapi import APIRouter, Query, Response
from fastapi import Path as PathParameter
from fastapi.responses import HTMLResponse
from msgspec.structs import replace

from services.scoring.answer_page import responses
from services.scoring.answer_page.responses import Link
from services.scoring.domain.invitations import Answer, Invitation
from services.scoring.repository import programs
from shared.clock import Clock
from shared.contract.events import SurveyRequested
from shared.contract.samples import NoSample, sample_of_program
from shared.contract.vocabulary import AnswerMode
from shared.database.db import Sessions
from shared.languages.marking import mark
from shared.web.problems import NotFound

_PREVIEW = Link("#", "", 0)  # a form of a preview leads nowhere


class PreviewedPage(StrEnum):
    QUESTION = "question"
    PROMOTER = "promoter"
    PASSIVE = "passive"
    DETRACTOR = "detractor"


_SCORES = {PreviewedPage.PROMOTER: 9, PreviewedPage.PASSIVE: 7, PreviewedPage.DETRACTOR: 3}


@dataclass(frozen=True, slots=True)
class AnswerPagePreviews:
    sessions: Sessions
    clock: Clock

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/previews", include_in_schema=False, default_response_class=HTMLResponse)
        router.add_api_route("/{program_id}", self.show, methods=["GET"])
        return router

    async def show(
        self,
        program_id: Annotated[str, PathParameter(max_length=200)],
        locale: Annotated[str, Query(max_length=40)],
        what: PreviewedPage = PreviewedPage.QUESTION,
    ) -> Response:
        """Show the question, or the thanks to one of the three groups, as a respondent would see it."""
        now = self.clock.now()
        async with self.sessions() as session:
            document = await programs.document(session, program_id)
        try:
            request = sample_of_program(document or {}, locale=locale, link_key="sample", when=now)
        except NoSample:
            raise NotFound(mark("No such program, or it does not have this language")) from None
        invitation = _invitation(request, score=_SCORES.get(what))
        query = {"done": "1"} if what in _SCORES else {}
        review = responses.review_url(invitation)
        response = responses.open_page(query, _PREVIEW, invitation, now, open_callback=None, review=review)
        response.headers.append("content-security-policy", "sandbox")  # its form sends nothing
        return response


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

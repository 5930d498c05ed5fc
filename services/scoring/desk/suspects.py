"""Routes to list suspect answers and to confirm one, so that it counts in the scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated
from uuid import UUID

import asyncpg
from fastapi import APIRouter, Form, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel

from services.scoring.answers.record import Recorded
from services.scoring.answers.writer import Writer
from services.scoring.domain.answers import Entry
from services.scoring.domain.bot_detection import Suspicion
from services.scoring.repository import answers
from services.scoring.repository.people import accounts
from services.scoring.web import rendering
from shared.clock import Clock
from shared.database.session import Session, Sessions
from shared.languages.current import gettext, lookup
from shared.languages.marking import mark
from shared.web.audit.acts import note_unchanged
from shared.web.audit.last_acts import SHOWN, LastAct, newest_acts
from shared.web.problems import Conflict, NotFound
from shared.web.staff.done_acts import REPLACES, refuse_changed, require_act, tell
from shared.web.staff.menu import StaffPages
from shared.web.staff.tickets import staff_scope
from shared.zones import current_zone

_PAGE = "/suspects"
LIMIT = 200
WHY: Mapping[str, str] = {
    Suspicion.CRAWLER: mark("sent by a known crawler"),
    Suspicion.TRAP: mark("an invisible button was pressed"),
    Suspicion.NO_PAGE: mark("sent without the page being shown"),
    Suspicion.INSTANT: mark("sent faster than anybody reads the page"),
    Suspicion.EVERY_LINK: mark("sent while several links of its message were opened"),
    Suspicion.SEVERAL_SCORES: mark("several different scores within half a minute"),
}
_DECISIONS = {
    "POST /suspects/{answer_id}/confirm": mark("counted"),
    "POST /v1/answers/{answer_id}/confirm": mark("counted"),
    "POST /suspects/{answer_id}/doubt": mark("not counted any more"),
}
_MOST_DECISIONS = 50  # that are looked through for those that the person may see


@dataclass(frozen=True, slots=True)
class Suspects:
    sessions: Sessions
    writer: Writer
    clock: Clock
    staff_pages: StaffPages

    def router(self) -> APIRouter:
        router = APIRouter()
        router.add_api_route("/suspects", self.show, methods=["GET"], include_in_schema=False)
        router.add_api_route(
            "/suspects/{answer_id}/confirm", self.confirm_and_return, methods=["POST"], include_in_schema=False
        )
        router.add_api_route("/suspects/{answer_id}/doubt", self.doubt, methods=["POST"], include_in_schema=False)
        router.add_api_route("/v1/answers/{answer_id}/confirm", self.confirm, methods=["POST"], tags=["score"])
        return router

    async def show(self) -> Response:
        async with self.sessions.begin() as session:
            found = await answers.suspects(session, limit=LIMIT, scope=staff_scope.get())
            latest = await _latest(session)
        now = self.clock.now()
        lines = [
            {**row, "at": rendering.moment(row["answered_at"], current_zone.get(), now=now), "why": _why(row)}
            for row in map(dict, found)
        ]
        return rendering.page("suspects.html", lines=lines, limit=LIMIT, latest=latest, pages=self.staff_pages)

    async def confirm_and_return(self, answer_id: UUID) -> Response:
        result = await self._record(answer_id, confirms=True)
        said = gettext("You let the answer %(score)s count.", score=result.answer.score)
        if result.new:
            fields = {REPLACES: result.answer.version}
            tell(said, page=_PAGE, undo=_undoing(answer_id), fields=fields)
        else:
            tell(gettext("The answer counted before."), page=_PAGE)
        return RedirectResponse(_PAGE, status_code=303)

    async def doubt(self, answer_id: UUID, replaces: Annotated[int, Form(ge=1)]) -> Response:
        """Let an answer not count that this person has just confirmed; refused if it was amended meanwhile."""
        require_act(_undoing(answer_id), {REPLACES: replaces})
        result = await self._record(answer_id, doubts=replaces)
        refuse_changed(expected=str(replaces), stored=str(result.answer.version - result.new))
        tell(gettext("Undone: the answer %(score)s does not count.", score=result.answer.score), page=_PAGE)
        return RedirectResponse(_PAGE, status_code=303)

    async def confirm(self, answer_id: UUID) -> ConfirmedOut:
        """Confirm a suspect answer, so that it counts; an answer that already counts is returned unchanged."""
        answer = (await self._record(answer_id, confirms=True)).answer
        return ConfirmedOut(answer_id=answer_id, version=answer.version, suspect=answer.suspect)

    async def _record(self, answer_id: UUID, *, confirms: bool = False, doubts: int = 0) -> Recorded:
        async with self.sessions.begin() as session:
            invitation_id = await answers.invitation_of(session, answer_id, scope=staff_scope.get())
        if invitation_id is None:
            raise NotFound(mark("No such answer"))
        entry = Entry(invitation_id, self.clock.now(), confirms=confirms, doubts=doubts)
        result = await self.writer.record(entry)
        if not isinstance(result, Recorded):
            raise Conflict(mark("This answer cannot be confirmed"), mark("Its survey was withdrawn."))
        if not result.new:
            note_unchanged()
        return result


def _undoing(answer_id: UUID) -> str:
    return f"{_PAGE}/{answer_id}/doubt"


async def _latest(session: Session) -> list[LastAct]:
    """Return the newest decisions on answers that the person may see."""
    decided = await newest_acts(session, _DECISIONS, names=accounts.names, limit=_MOST_DECISIONS)
    known = await answers.some(session, [UUID(act.subject) for act in decided], scope=staff_scope.get())
    shown = [(act, known[id_]) for act in decided if (id_ := UUID(act.subject)) in known]
    return [replace(act, about=_about(row)) for act, row in shown][:SHOWN]


def _about(row: asyncpg.Record) -> str:
    return ", ".join(filter(None, (gettext("%(score)s of 10", score=row["score"]), row["program_title"], row["store"])))


def _why(row: dict[str, str | None]) -> str:
    why = WHY.get(row["suspicion"] or "")
    return lookup(why) if why else gettext("not known")


class ConfirmedOut(BaseModel):
    answer_id: UUID
    version: int
    suspect: bool

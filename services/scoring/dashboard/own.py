"""The page `/mine`: an employee's own score, by the codes that the account has."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from fastapi import APIRouter, Response

from services.scoring.domain.employees import FEWEST_ANSWERS, with_enough_answers
from services.scoring.domain.periods import Days, full_months_before
from services.scoring.domain.score import Figure, Tally
from services.scoring.domain.slices import Slice
from services.scoring.repository import programs
from services.scoring.repository.people import accounts
from services.scoring.repository.scores import figures
from services.scoring.repository.stores import listed
from services.scoring.web import rendering
from shared.clock import Clock
from shared.contract.vocabulary import EMPLOYEE
from shared.database.session import Session, Sessions
from shared.web.staff.menu import StaffPages
from shared.web.staff.tickets import signed_in, staff_scope
from shared.zones import local_day

MONTHS = 3  # whole ones: a score that changed with each answer would tell the answer


@dataclass(frozen=True, slots=True)
class OwnScore:
    """The score in one program; `figure` is None for too few answers."""

    program: str
    days: Days
    figure: Figure | None


@dataclass(frozen=True, slots=True)
class OwnScores:
    """`counted` says whether scores are counted per employee."""

    sessions: Sessions
    clock: Clock
    staff_pages: StaffPages
    counted: bool

    def router(self) -> APIRouter:
        router = APIRouter(include_in_schema=False)
        router.add_api_route("/mine", self.show, methods=["GET"])
        return router

    async def show(self) -> Response:
        """Show the score of who is signed in, and nobody else's."""
        ticket = signed_in.get()
        async with self.sessions.begin() as session:
            person = await accounts.by_id(session, ticket.person) if ticket is not None else None
            codes = person.employees if person is not None else frozenset[str]()
            scores = await self._read(session, codes) if self.counted else []
        return rendering.page(
            "mine.html", pages=self.staff_pages, counted=self.counted, codes=codes, scores=scores, few=FEWEST_ANSWERS
        )

    async def _read(self, session: Session, codes: Collection[str]) -> list[OwnScore]:
        """Read the score in each program that has answers; the account's scope bounds it, if it has one."""
        scope, names, scores = staff_scope.get(), await listed.names(session), list[OwnScore]()
        for program, used in (await programs.programs_by_use(session)).items():
            days = full_months_before(local_day(self.clock.now(), used.zone), MONTHS)
            asked = [
                Slice(program, days.first, days.last, (EMPLOYEE, code), stores=names, within=scope.stores)
                for code in (codes if scope.covers_program(program) else ())
            ]
            whole = Figure(tally=sum([(await figures.whole(session, each)).tally for each in asked], Tally()))
            if whole.tally.n:
                scores.append(OwnScore(used.title, days, next(iter(with_enough_answers([whole])), None)))
        return scores

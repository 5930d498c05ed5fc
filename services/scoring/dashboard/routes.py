"""The dashboard's page: the score of a program and how far it can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Response

from services.scoring.dashboard import charts, export, query, rows
from services.scoring.dashboard.query import DashboardData, DashboardQuery
from services.scoring.domain.score import FEW, FEWEST_OF_A_POINT
from services.scoring.repository.scores.comments import MOST_SCANNED
from services.scoring.web import rendering
from services.scoring.web.scopes import sees_employees
from shared.clock import Clock
from shared.database.session import Sessions
from shared.web.staff.menu import StaffPages


@dataclass(frozen=True, slots=True)
class Dashboard:
    """Shows scores per employee only if they are counted (`employees`), and only to who sees them."""

    sessions: Sessions
    clock: Clock
    staff_pages: StaffPages
    employees: bool = False

    def router(self) -> APIRouter:
        router = APIRouter(include_in_schema=False)
        router.add_api_route("/", self.show, methods=["GET"])
        router.add_api_route("/export", self.export, methods=["GET"])
        return router

    async def show(self, asked: Annotated[DashboardQuery, Query()]) -> Response:
        page = rows.of(await self._read(asked))
        drawn = charts.svg(page)
        return rendering.page(
            "dashboard.html",
            page=page,
            score=page.score,
            charts=drawn,
            link=asked.link,
            pages=self.staff_pages,
            few=FEW,
            of_a_point=FEWEST_OF_A_POINT,
            scanned=MOST_SCANNED,
        )

    async def export(self, asked: Annotated[DashboardQuery, Query()]) -> Response:
        """Return the figures of the view as CSV, without comments."""
        text = export.write(await self._read(asked))
        headers = {"content-disposition": 'attachment; filename="figures.csv"'}
        return Response(text, media_type="text/csv; charset=utf-8", headers=headers)

    async def _read(self, asked: DashboardQuery) -> DashboardData:
        employees = sees_employees(counted=self.employees)
        async with self.sessions.begin() as session:
            return await query.read(session, asked, now=self.clock.now(), employees=employees)

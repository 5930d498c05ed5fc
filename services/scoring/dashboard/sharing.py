"""Links to the figures of a view: made and revoked by staff, opened without a log-in, for SHARED_FOR.

The page behind a link has no comments and no names of people. It ends with the person who made the link, with a scope
that no longer covers what was shared, and when it is revoked.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated
from urllib.parse import parse_qsl
from uuid import UUID

from fastapi import APIRouter, Form, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from uuid_utils.compat import uuid7

from services.scoring.dashboard import charts, query, rows
from services.scoring.dashboard.query import DashboardData, DashboardQuery
from services.scoring.domain.score import FEW, FEWEST_OF_A_POINT
from services.scoring.domain.slices import split_segment
from services.scoring.repository import programs
from services.scoring.repository.people import accounts, revisions, shared_views
from services.scoring.repository.people.shared_views import SharedView
from services.scoring.web import rendering
from shared.clock import Clock
from shared.contract.staff_scope import StaffScope
from shared.contract.vocabulary import EMPLOYEE
from shared.database.session import Session, Sessions
from shared.languages.current import gettext
from shared.languages.marking import mark
from shared.web import routes
from shared.web.audit.acts import note
from shared.web.problems import Conflict, NotFound, Unprocessable
from shared.web.staff.done_acts import tell
from shared.web.staff.menu import StaffPages
from shared.web.staff.tickets import signed_in, staff_scope

SHARED_FOR = timedelta(days=30)
PAGE, SHARED = "/shares", "/shared"
MOST_LISTED = 500
_PERSONAL = {"group": None, "reason": None, "comments": None}  # parts of a view that show answers of single people


class ShareForm(BaseModel):
    """`view` is the query of the dashboard's address."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    view: Annotated[str, Field(max_length=2000)] = ""


@dataclass(frozen=True, slots=True)
class Sharing:
    """`origin` is where respondents reach this service, and so do those who have a link."""

    sessions: Sessions
    clock: Clock
    staff_pages: StaffPages
    origin: str

    def router(self) -> APIRouter:
        router = APIRouter(include_in_schema=False)
        router.add_api_route(PAGE, self.listed, methods=["GET"])
        router.add_api_route(PAGE, self.share, methods=["POST"])
        router.add_api_route(f"{PAGE}/{{share_id}}/revoke", self.revoke, methods=["POST"])
        router.add_api_route(f"{SHARED}/{{secret}}", self.show, methods=["GET"])
        return router

    async def listed(self) -> Response:
        """List the links that work, of all that the person sees."""
        return await self._page()

    async def share(self, form: Annotated[ShareForm, Form()]) -> Response:
        """Make a link and show it, once: only its digest is stored."""
        ticket, asked = signed_in.get(), _query(form.view)
        if ticket is None or ticket.session is None:
            raise Conflict(mark("Only people share views"), mark("Log in with an account of your own."))
        if (segment := split_segment(asked.segment)) and segment[0] == EMPLOYEE:
            raise Conflict(
                mark("Figures of single employees are not shared"),
                mark("Go back, choose everybody or another dimension, and share that."),
            )
        secret = secrets.token_urlsafe(32)
        async with self.sessions.begin() as session:
            data = await query.read(session, asked, now=self.clock.now())
            if data.program is None:
                raise NotFound(mark("There is nothing to share yet"))
            frozen = {"program": data.program, "from": data.days.first, "to": data.days.last}
            view = asked.link(**frozen, **_PERSONAL)[2:]
            now = datetime.now(UTC)
            stores = staff_scope.get().stores
            made = SharedView(uuid7(), ticket.person, ticket.name, view, data.program, stores, now, now + SHARED_FOR)
            await shared_views.add(session, made, digest=_digest(secret), lasts=SHARED_FOR)
        note(made.id)
        return await self._page(link=f"{self.origin}{SHARED}/{secret}")

    async def revoke(self, share_id: UUID) -> Response:
        """End a link; one of something that the person does not see is not found."""
        async with self.sessions.begin() as session:
            seen = {each.id for each in await self._seen(session)}
            if share_id not in seen or not await shared_views.revoke(session, share_id):
                raise NotFound(mark("No such link"))
        note(share_id)
        tell(gettext("You revoked the link: it shows nothing any more."), page=PAGE)
        return RedirectResponse(PAGE, HTTPStatus.SEE_OTHER)

    async def show(self, secret: str) -> Response:
        """Show the figures of a view to whoever has its link."""
        async with self.sessions.begin() as session:
            view = await shared_views.find(session, _digest(secret))
            scope = await _scope_of_sharer(session, view) if view else None
            if view is None or scope is None:
                return rendering.page("shared_ended.html", status=HTTPStatus.NOT_FOUND)
            data = await self._read(session, view, scope)
        page = rows.of(data)
        return rendering.page(
            "shared.html",
            page=page,
            score=page.score,
            charts=charts.svg(page),
            until=view.expires_at,
            few=FEW,
            of_a_point=FEWEST_OF_A_POINT,
        )

    async def _read(self, session: Session, view: SharedView, scope: StaffScope) -> DashboardData:
        """Read what was shared: of the stores it was shared of, even where the sharer sees more today."""
        within = view.stores if view.stores is not None else scope.stores
        token = staff_scope.set(StaffScope(frozenset((view.program,)), within))
        try:
            return await query.read(session, _query(view.view), now=self.clock.now())
        finally:
            staff_scope.reset(token)

    async def _page(self, *, link: str = "") -> Response:
        async with self.sessions.begin() as session:
            seen, titles = await self._seen(session), await programs.titles(session)
        return rendering.page(
            "shares.html",
            pages=self.staff_pages,
            shares=[(each, _query(each.view)) for each in seen],
            titles=titles,
            link=link,
            days=SHARED_FOR.days,
        )

    async def _seen(self, session: Session) -> list[SharedView]:
        found = await shared_views.open_ones(session, limit=MOST_LISTED)
        return [each for each in found if each.is_within(staff_scope.get())]


async def _scope_of_sharer(session: Session, view: SharedView) -> StaffScope | None:
    """Return what the person who made the link sees today; None if that is less than was shared, or nothing."""
    person = await accounts.by_id(session, view.person)
    scope = await revisions.scope_of(session, view.person)
    dashboard = routes.find("/")
    if person is None or scope is None or dashboard is None or person.is_off:
        return None
    return scope if view.is_within(scope) and dashboard.reads & person.roles else None


def _query(view: str) -> DashboardQuery:
    """Read the query of a dashboard's address; raises Unprocessable."""
    try:
        return DashboardQuery.model_validate(dict(parse_qsl(view)))
    except (ValidationError, ValueError):
        raise Unprocessable(mark("This is no view of the dashboard")) from None


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()

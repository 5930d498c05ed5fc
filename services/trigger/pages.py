"""The page of decisions, rendered on the server; it needs no JavaScript."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse

from services.trigger.domain.deciding.explanations import TITLES, format_facts, title
from services.trigger.repository import decisions
from services.trigger.schemas import DecisionView
from shared.config import StaffPages
from shared.contract.vocabulary import respondent_id
from shared.database.db import Sessions
from shared.web.templates import template_environment

_SHOWN = 50
_environment = template_environment(Path(__file__).parent / "templates")
_Search = Annotated[str, Query(max_length=200)]


def decision_pages(sessions: Sessions, staff_pages: StaffPages) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/decisions")
    async def show(customer: _Search = "", event: _Search = "") -> HTMLResponse:
        """Show the newest decisions, of a customer or about an event."""
        who, which = customer.strip(), event.strip()
        async with sessions() as session:
            found = await decisions.search(
                session, respondent_id=respondent_id(who) if who else None, event_id=which or None, limit=_SHOWN
            )
        page = _environment.get_template("decisions.html")
        views = [DecisionView.of(stored) for stored in found]
        return HTMLResponse(
            page.render(
                decisions=views,
                titles=TITLES,
                title=title,
                format_facts=format_facts,
                customer=who,
                event=which,
                pages=staff_pages,
                searched=bool(who or which),
            )
        )

    return router

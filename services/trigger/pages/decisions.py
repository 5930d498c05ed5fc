"""The page of decisions, rendered on the server; it needs no JavaScript."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse

from services.trigger.domain.deciding.explanations import (
    CHECKS,
    OUTCOMES,
    TITLES,
    format_facts,
    title,
)
from services.trigger.handlers.identities import search_ids
from services.trigger.pages.rendering import page
from services.trigger.repository import decisions, programs, touchpoints
from services.trigger.schemas import DecisionView
from shared.contract.address_keys import AddressKeys
from shared.contract.event_words import event_in_words
from shared.database.session import Sessions
from shared.web.staff.menu import StaffPages

_SHOWN = 50
_Search = Annotated[str, Query(max_length=200)]


@dataclass(frozen=True, slots=True)
class DecisionPages:
    sessions: Sessions
    keys: AddressKeys
    staff_pages: StaffPages

    def router(self) -> APIRouter:
        router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
        router.add_api_route("/decisions", self.show, methods=["GET"])
        return router

    async def show(self, customer: _Search = "", event: _Search = "") -> HTMLResponse:
        """Show the newest decisions, all or those about a customer or an event."""
        customer, event = customer.strip(), event.strip()
        async with self.sessions() as session:
            ids = await search_ids(session, customer, None, keys=self.keys) if customer else None
            found = await decisions.search(session, respondents=ids, event_id=event or None, limit=_SHOWN)
            known_as, names = await touchpoints.known_as(session, found), await programs.titles(session)
        return page(
            "decisions.html",
            decisions=[DecisionView.of(stored) for stored in found],
            titles=TITLES,
            checks=CHECKS,
            outcomes=OUTCOMES,
            in_words=event_in_words,
            known_as=known_as,
            names=names,
            title=title,
            format_facts=format_facts,
            customer=customer,
            event=event,
            pages=self.staff_pages,
            searched=bool(customer or event),
        )

"""The pages on which a privacy officer finds a customer, and erases one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from services.trigger.handlers import customers, erasing
from services.trigger.handlers.customers import FoundCustomer
from services.trigger.handlers.intake import EventIntake
from services.trigger.schemas import KEPT_AFTER_ERASURE
from shared.contract.vocabulary import Service, split_respondent_id
from shared.languages.marking import mark
from shared.web import routes
from shared.web.audit.acts import note
from shared.web.customers.held_data import ERASED_AT
from shared.web.customers.pages import IDS, LONGEST, MOST_IDS, CustomerPages, Ids, check_chosen
from shared.web.problems import NotFound
from shared.web.staff.menu import StaffPages
from shared.web.strict_input import SingleValued, refuse_unknown
from shared.web.templates import template_environment

_environment = template_environment(Path(__file__).parents[1] / "templates", styles="customers", lstrip_blocks=True)
_HELD = {
    Service.TRIGGER: mark("Customer and decisions"),
    Service.DISPATCHER: mark("Messages"),
    Service.SCORING: mark("Answers and calls"),
}


@dataclass(frozen=True, slots=True)
class CustomerSearch:
    intake: EventIntake
    staff_pages: StaffPages

    def router(self) -> APIRouter:
        checks = [Depends(SingleValued(several=frozenset({IDS}))), Depends(refuse_unknown)]
        router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
        router.add_api_route("/customers", self.search, methods=["GET"], dependencies=checks)
        router.add_api_route("/customers/erase", self.ask, methods=["GET"], dependencies=checks)
        router.add_api_route("/customers/erase", self.erase, methods=["POST"])
        router.add_api_route("/customers/erased", self.receipt, methods=["GET"], dependencies=checks)
        pages = CustomerPages(Service.TRIGGER, self.intake.sessions, self.staff_pages, customers.read_held)
        router.include_router(pages.router())
        return router

    async def search(self, find: Annotated[str, Query(max_length=LONGEST)] = "") -> HTMLResponse:
        """Show who is meant by an id, an address, a telephone number or an order, and who shares an address."""
        typed = find.strip()
        async with self.intake.sessions() as session:
            found = await customers.find(session, typed, settings=self.intake.settings) if typed else []
        return self._page("customers.html", typed=typed, found=found, action=routes.customer_page(Service.TRIGGER))

    async def ask(self, ids: Ids) -> HTMLResponse:
        """Say who it is about and what an erasure does, before it is done."""
        return self._page("customer_erase.html", meant=await self._meant(ids), kept=KEPT_AFTER_ERASURE)

    async def erase(self, request: Request) -> RedirectResponse:
        async with request.form(max_files=0, max_fields=MOST_IDS + 1) as form:
            given = (text for name, text in form.multi_items() if name == IDS and isinstance(text, str))
            ids = list(dict.fromkeys(given))
        await self._meant(ids)
        decided = await erasing.erase(self.intake, [split_respondent_id(each) for each in ids])
        note(decided[0].event_id, ids=len(ids))
        query = urlencode([(IDS, each) for each in ids])
        return RedirectResponse(f"/customers/erased?{query}", HTTPStatus.SEE_OTHER)

    async def receipt(self, ids: Ids) -> HTMLResponse:
        """Say when each service erased these customers, and what was done at places outside."""
        check_chosen(ids)
        ids = list(dict.fromkeys(ids))
        async with self.intake.sessions() as session:
            done = await customers.erasures(session, ids)
        shown = {"ids": ids, "done": done, "services": _HELD, "erased_at": ERASED_AT}
        return self._page("customer_erased.html", kept=KEPT_AFTER_ERASURE, **shown)

    async def _meant(self, ids: Sequence[str]) -> list[FoundCustomer]:
        """Return the customers that are chosen; raises Unprocessable, and NotFound if one of them is not known."""
        check_chosen(ids)
        async with self.intake.sessions() as session:
            known = await customers.known(session, ids)
        if len(known) < len(set(ids)):
            raise NotFound(
                mark("No such customer"), mark("Nothing is stored under one of these ids: find the customer again.")
            )
        return known

    def _page(self, template: str, **values: object) -> HTMLResponse:
        return HTMLResponse(_environment.get_template(template).render(pages=self.staff_pages, **values))

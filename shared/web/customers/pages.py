"""The page of a customer, and the same as JSON: each service has one of what it holds.

On one origin a script puts the pages of the other services into trigger's; without it they are links.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode

import msgspec
from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import HTMLResponse

from shared.contract.vocabulary import Service
from shared.database.session import Sessions
from shared.languages.marking import mark
from shared.web import routes
from shared.web.audit.acts import note
from shared.web.customers.held_data import ERASED_AT, HeldData, Kind, ReadHeld
from shared.web.problems import Unprocessable
from shared.web.staff.menu import StaffPages
from shared.web.strict_input import SingleValued, refuse_unknown
from shared.web.templates import template_environment

MOST_IDS, LONGEST = 50, 400
SHOWN = 500  # entries of each kind on a page; an export has all of them
IDS = "id"
_TITLES = {
    Service.TRIGGER: mark("What was decided"),
    Service.DISPATCHER: mark("What was sent"),
    Service.SCORING: mark("What was answered"),
}
_KINDS = {
    Kind.ANSWER: mark("answer"),
    Kind.CALL: mark("call"),
    Kind.CONTACT: mark("contact"),
    Kind.DECISION: mark("decision"),
    Kind.MESSAGE: mark("message"),
    Kind.OPT_OUT: mark("opt-out"),
    Kind.PAGE: mark("page"),
    Kind.REPLY: mark("reply"),
    Kind.SUPPRESSION: mark("suppression"),
    Kind.SURVEY: mark("survey"),
}
_environment = template_environment(Path(__file__).parent / "templates", styles="customers", lstrip_blocks=True)
Ids = Annotated[list[str], Query(alias=IDS, default_factory=list)]


def check_chosen(ids: Sequence[str]) -> None:
    """Raise Unprocessable unless so many ids are chosen as are shown on one page."""
    if len(ids) > MOST_IDS:
        raise Unprocessable(mark("Too many customers at once"), mark("Go back and tick at most 50."))
    if not ids or not all(0 < len(id_.strip()) <= LONGEST for id_ in ids):
        raise Unprocessable(mark("Nobody is chosen"), mark("Go back and tick those who are meant."))


@dataclass(frozen=True, slots=True)
class CustomerPages:
    service: Service
    sessions: Sessions
    staff_pages: StaffPages
    read: ReadHeld

    def router(self) -> APIRouter:
        checks = [Depends(SingleValued(several=frozenset({IDS}))), Depends(refuse_unknown)]
        router = APIRouter(dependencies=checks)
        router.add_api_route(routes.customer_page(self.service), self.show, methods=["GET"], include_in_schema=False)
        router.add_api_route(routes.customer_api(self.service), self.export, methods=["GET"], tags=["customers"])
        return router

    async def show(self, ids: Ids) -> HTMLResponse:
        ids = list(dict.fromkeys(ids))
        held = await self._read(ids, most=SHOWN)
        query = urlencode([(IDS, each) for each in ids])
        others = [each for each in Service if each is not self.service] if self.service is Service.TRIGGER else []
        page = _environment.get_template("customer.html").render(
            pages=self.staff_pages,
            title=_TITLES[self.service],
            ids=ids,
            query=query,
            facts=held.facts,
            entries=held.in_order[::-1],
            places=held.places,
            others={_TITLES[each]: self.staff_pages.url(f"{routes.customer_page(each)}?{query}") for each in others},
            exports={_TITLES[each]: self.staff_pages.url(f"{routes.customer_api(each)}?{query}") for each in Service},
            may_erase=self.service is Service.TRIGGER and self.staff_pages.may_write("/customers"),
            whole=self.staff_pages.url(f"{routes.customer_page(Service.TRIGGER)}?{query}"),
            kinds=_KINDS,
            erased_at=ERASED_AT,
            most=SHOWN,
        )
        return HTMLResponse(page)

    async def export(self, ids: Ids) -> Response:
        """Export everything that the service holds about a customer who has these ids."""
        held = await self._read(ids, most=None)
        headers = {"content-disposition": f'attachment; filename="customer-{self.service}.json"'}
        content = msgspec.json.encode({"service": self.service, "ids": ids, "at": datetime.now(UTC), **_document(held)})
        return Response(content, media_type="application/json", headers=headers)

    async def _read(self, ids: Sequence[str], *, most: int | None) -> HeldData:
        check_chosen(ids)
        note(respondent=ids[0], ids=len(ids))
        async with self.sessions.begin() as session:
            return await self.read(session, ids, most)


def _document(held: HeldData) -> Mapping[str, object]:
    return {
        "facts": [fact.data for fact in held.facts],
        "entries": [{"at": each.at, "kind": each.kind, "text": each.text, "data": each.data} for each in held.in_order],
        "places": held.places,
    }

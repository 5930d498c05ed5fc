"""The staff page of suppressions: who is not contacted, why, and a button to release one."""

from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Query
from fastapi.responses import HTMLResponse, RedirectResponse

from services.dispatcher import schemas
from services.dispatcher.handlers import apply_receipts
from services.dispatcher.pages.rendering import page
from services.dispatcher.repository import suppressions
from services.dispatcher.repository.programs import states
from services.dispatcher.schemas import masked
from shared.clock import Clock
from shared.contract.address_keys import AddressKeys
from shared.contract.events import RespondentReleased, Suppression
from shared.contract.suppression_words import REASONS
from shared.database import staff
from shared.database.audit import search
from shared.database.session import Session, Sessions
from shared.languages.current import gettext
from shared.languages.marking import mark
from shared.web.audit.acts import note_unchanged
from shared.web.audit.last_acts import newest_acts
from shared.web.problems import Conflict, Unprocessable
from shared.web.staff.done_acts import require_act, tell
from shared.web.staff.menu import StaffPages
from shared.web.staff.tickets import InvalidTicket, TicketSigner

_SHOWN = 100
_PAGE, _SEALED = "/suppressions", "sealed"
_RESTORE = f"{_PAGE}/restore"
_LIFTED = mark("You lifted the suppression: this customer and the address may be asked again.")
_RESTORED = mark("Undone: the suppression holds again, and this customer is not contacted.")
_NOT_FOUND = mark("Nothing was lifted: there is no such suppression any more.")
_DONE = {
    "POST /suppressions/{suppression_id}/release": mark("a suppression was lifted"),
    "POST /suppressions/restore": mark("a lifted suppression was put back"),
    "DELETE /v1/suppressions/{suppression_id}": mark("a suppression was lifted"),
    "earshot suppressions release": mark("a suppression was lifted"),
    "earshot suppressions import": mark("a file of suppressions was imported"),
}


@dataclass(frozen=True, slots=True)
class SuppressionPages:
    sessions: Sessions
    clock: Clock
    staff_pages: StaffPages
    address_keys: AddressKeys
    signer: TicketSigner

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/suppressions", include_in_schema=False, default_response_class=HTMLResponse)
        router.add_api_route("", self.newest, methods=["GET"])
        router.add_api_route("/restore", self.restore, methods=["POST"])
        router.add_api_route("/{suppression_id}/release", self.release, methods=["POST"])
        return router

    async def newest(self, customer: Annotated[str, Query(max_length=200)] = "") -> str:
        async with self.sessions.begin() as session:
            return await self._page(session, customer.strip())

    async def release(self, suppression_id: UUID) -> str:
        """Release one suppression; a repeated request finds none, and the page says so."""
        async with self.sessions.begin() as session:
            lifted = await apply_receipts.release(session, suppression_id, now=self.clock.now())
            if lifted is None:
                note_unchanged()
                tell(gettext(_NOT_FOUND), page=_PAGE)
            else:
                tell(gettext(_LIFTED), page=_PAGE, undo=_RESTORE, fields={_SEALED: self._sealed(lifted)})
            return await self._page(session, "")

    def _sealed(self, lifted: RespondentReleased) -> str:
        """Return a lifted suppression for a form, which must not show whose it was."""
        return self.signer.seal(lifted.model_dump_json(exclude_defaults=True))

    async def restore(self, sealed: Annotated[str, Form(max_length=10_000)]) -> RedirectResponse:
        """Store a suppression again that this person has just lifted; a longer one stored meanwhile stays."""
        require_act(_RESTORE, {_SEALED: sealed})
        try:
            lifted = Suppression.model_validate_json(self.signer.unseal(sealed))
        except InvalidTicket:
            raise Unprocessable(mark("The form cannot be read"), mark("Lift the suppression and undo that.")) from None
        async with self.sessions.begin() as session:
            if not await search.customers(session, [lifted.respondent_id]):  # an erasure deletes who it was
                raise Conflict(mark("Nothing was undone"), mark("This customer was erased meanwhile."))
            await apply_receipts.restore(session, lifted, now=self.clock.now())
        tell(gettext(_RESTORED), page=_PAGE)
        return RedirectResponse(_PAGE, HTTPStatus.SEE_OTHER)

    async def _page(self, session: Session, customer: str) -> str:
        known = self.address_keys.respondents_like(customer) if customer else None
        fingerprints = self.address_keys.matching_like(customer) if customer else ()
        found = await suppressions.newest(
            session, respondents=known, reason=None, limit=_SHOWN, fingerprints=fingerprints
        )
        titles = await states.titles(session)
        latest = await newest_acts(session, _DONE, names=staff.names)
        return page(
            "suppressions.html",
            pages=self.staff_pages,
            customer=customer,
            titles=titles,
            suppressions=[schemas.suppressed(each) for each in found],
            reasons=REASONS,
            latest=[replace(act, about=masked(act.about) or "") for act in latest],
        )

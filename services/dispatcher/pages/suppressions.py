"""The staff page of suppressions: who is not contacted, why, and a button to release one."""

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse
from sqlalchemy.ext.asyncio import AsyncSession

from services.dispatcher import schemas
from services.dispatcher.handlers import apply_receipts
from services.dispatcher.pages.rendering import page
from services.dispatcher.repository import suppressions
from shared.clock import Clock
from shared.contract.address_keys import AddressKeys
from shared.contract.vocabulary import SuppressionReason
from shared.database.db import Sessions
from shared.languages.current import gettext
from shared.languages.marking import mark
from shared.web.staff.menu import StaffPages

_SHOWN = 100
_LIFTED = mark("The suppression is lifted: this customer and the address may be asked again.")
_NOT_FOUND = mark("Nothing was lifted: there is no such suppression any more.")
REASONS = {
    SuppressionReason.OPT_OUT: mark("opted out of surveys"),
    SuppressionReason.STOP: mark("replied STOP"),
    SuppressionReason.COMPLAINT: mark("reported a mail as spam"),
    SuppressionReason.HARD_BOUNCE: mark("no such address"),
    SuppressionReason.SOFT_BOUNCE: mark("three soft bounces within 30 days"),
    SuppressionReason.BLOCKED: mark("the provider blocks this address"),
    SuppressionReason.DO_NOT_CALL: mark("asked not to be called"),
    SuppressionReason.WRONG_NUMBER: mark("somebody else's number"),
}


@dataclass(frozen=True, slots=True)
class SuppressionPages:
    sessions: Sessions
    clock: Clock
    staff_pages: StaffPages
    address_keys: AddressKeys

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/suppressions", include_in_schema=False, default_response_class=HTMLResponse)
        router.add_api_route("", self.newest, methods=["GET"])
        router.add_api_route("/{suppression_id}/release", self.release, methods=["POST"])
        return router

    async def newest(self, customer: Annotated[str, Query(max_length=200)] = "") -> str:
        async with self.sessions.begin() as session:
            return await self._page(session, customer.strip())

    async def release(self, suppression_id: UUID) -> str:
        """Release one suppression; a repeated request finds none, and the page says so."""
        async with self.sessions.begin() as session:
            lifted = await apply_receipts.release(session, suppression_id, now=self.clock.now())
            return await self._page(session, "", result=gettext(_LIFTED if lifted else _NOT_FOUND))

    async def _page(self, session: AsyncSession, customer: str, *, result: str = "") -> str:
        known = self.address_keys.respondents_like(customer) if customer else None
        fingerprints = self.address_keys.matching_like(customer) if customer else ()
        found = await suppressions.newest(
            session, respondents=known, reason=None, limit=_SHOWN, fingerprints=fingerprints
        )
        return page(
            "suppressions.html",
            pages=self.staff_pages,
            customer=customer,
            suppressions=[schemas.suppressed(each) for each in found],
            reasons=REASONS,
            result=result,
        )

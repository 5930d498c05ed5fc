"""Whom we write to no more: for staff to look at, and to lift."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from fastapi.responses import HTMLResponse
from sqlalchemy.ext.asyncio import AsyncSession

from services.dispatcher import schemas
from services.dispatcher.handlers import apply_receipts
from services.dispatcher.pages.rendering import page
from services.dispatcher.repository import suppressions
from shared.clock import Clock
from shared.config import StaffPages
from shared.contract.vocabulary import SuppressionReason, respondent_id
from shared.database.db import Sessions
from shared.web import problems
from shared.web.app import committing


def router(sessions: Sessions, clock: Clock) -> APIRouter:
    routes = APIRouter(prefix="/v1/suppressions")
    transaction = Annotated[AsyncSession, Depends(committing(sessions), scope="function")]

    @routes.get("")
    async def newest(
        session: transaction,
        respondent: Annotated[str | None, Query(max_length=200, description="A customer id.")] = None,
        reason: SuppressionReason | None = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> schemas.SuppressionList:
        """List suppressions, newest first."""
        known = respondent_id(respondent) if respondent else None
        found = await suppressions.newest(session, respondent=known, reason=reason, limit=limit)
        return schemas.SuppressionList(suppressions=[schemas.suppressed(each) for each in found])

    @routes.delete("/{suppression_id}", status_code=HTTPStatus.NO_CONTENT)
    async def release(suppression_id: UUID, session: transaction) -> None:
        """Lift one suppression: this respondent may be asked again, and everybody is told so."""
        if not await apply_receipts.release(session, suppression_id, now=clock.now()):
            raise problems.NotFound("No such suppression")

    return routes


def page_router(sessions: Sessions, clock: Clock, staff_pages: StaffPages) -> APIRouter:
    routes = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
    transaction = Annotated[AsyncSession, Depends(committing(sessions), scope="function")]

    @routes.get("/suppressions")
    async def shown(session: transaction, customer: Annotated[str, Query(max_length=200)] = "") -> str:
        return await _page(session, customer.strip(), staff_pages)

    @routes.post("/suppressions/{suppression_id}/release")
    async def release(suppression_id: UUID, session: transaction) -> str:
        """Lift one; pressed twice, the second finds it lifted."""
        await apply_receipts.release(session, suppression_id, now=clock.now())
        return await _page(session, "", staff_pages, told="It is lifted: this customer may be asked again.")

    return routes


async def _page(session: AsyncSession, customer: str, staff_pages: StaffPages, *, told: str = "") -> str:
    known = respondent_id(customer) if customer else None
    found = await suppressions.newest(session, respondent=known, reason=None, limit=_SHOWN)
    return page(
        "suppressions.html",
        pages=staff_pages,
        customer=customer,
        suppressions=[schemas.suppressed(each) for each in found],
        reasons=_REASONS,
        told=told,
    )


_SHOWN = 100
_REASONS = {
    SuppressionReason.OPT_OUT: "asked not to be asked",
    SuppressionReason.STOP: "replied STOP",
    SuppressionReason.COMPLAINT: "reported a mail as spam",
    SuppressionReason.HARD_BOUNCE: "no such address",
    SuppressionReason.SOFT_BOUNCE: "three messages in a month were not taken",
    SuppressionReason.BLOCKED: "the provider takes nothing for this address",
    SuppressionReason.DO_NOT_CALL: "asked not to be called",
    SuppressionReason.WRONG_NUMBER: "somebody else's number",
}

"""Why was this customer asked, or not? And forgetting them."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import ValidationError
from uuid_utils.compat import uuid7

from services.trigger.handlers.events import checked
from services.trigger.handlers.intake import INVALID, EventIntake
from services.trigger.repository import decisions
from services.trigger.schemas import Decided, Decisions, DecisionView
from shared.contract.cloudevents import Event
from shared.contract.events import CustomerErased, CustomerRef
from shared.contract.vocabulary import Service, respondent_id
from shared.messaging.codec import InvalidEvent, explain
from shared.web import problems


def respondents_router(intake: EventIntake) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["respondents"])

    @router.get("/decisions")
    async def get_decisions(
        customer: Annotated[str | None, Query(max_length=200)] = None,
        event: Annotated[str | None, Query(max_length=200)] = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> Decisions:
        """Answer "why?" for a customer or an event, newest first."""
        async with intake.sessions() as session:
            found = await decisions.search(
                session,
                respondent_id=None if customer is None else respondent_id(customer),
                event_id=event,
                limit=limit,
            )
        return Decisions(decisions=[DecisionView.of(stored) for stored in found])

    @router.post("/respondents/{customer_id:path}/erase", status_code=HTTPStatus.ACCEPTED)
    async def erase_respondent(customer_id: str) -> Decided:
        """Forget a customer here and downstream, as `crm.customer.erased` does."""
        return Decided.of(await intake.decide_one(_erasure(customer_id, intake)))

    return router


def _erasure(customer_id: str, intake: EventIntake) -> Event[CustomerErased]:
    try:
        payload = CustomerErased(customer=CustomerRef(id=customer_id))
        event = Event(str(uuid7()), Service.TRIGGER.source, intake.clock.now(), payload)
        checked(event)
    except ValidationError as error:
        raise problems.Unprocessable(INVALID, explain(error)) from None
    except InvalidEvent as error:
        raise problems.Unprocessable(INVALID, str(error)) from None
    return event

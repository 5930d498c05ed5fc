"""Erases customers: one event for each id, as `crm.customer.erased` from a CRM."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from pydantic import ValidationError
from uuid_utils.compat import uuid7

from services.trigger.domain.deciding.stored_decision import StoredDecision
from services.trigger.handlers.events import check_crm_event
from services.trigger.handlers.intake import INVALID, EventIntake
from shared.contract.cloudevents import Event
from shared.contract.events import CustomerErased, CustomerRef
from shared.contract.vocabulary import Service
from shared.messaging.codec import InvalidEvent, describe_errors
from shared.web import problems


async def erase(intake: EventIntake, people: Sequence[tuple[str, str | None]]) -> list[StoredDecision]:
    """Erase customers, each an id and its namespace, here and through events in the other services.

    Returns a decision for each. Raises Unprocessable, and then erases nobody.
    """
    erasures = [_erasure(intake, *each) for each in people]
    return await asyncio.gather(*map(intake.decide_one, erasures))


def _erasure(intake: EventIntake, customer_id: str, namespace: str | None) -> Event[CustomerErased]:
    try:
        payload = CustomerErased(customer=CustomerRef(id=customer_id, namespace=namespace))
        event = Event(str(uuid7()), Service.TRIGGER.source, intake.clock.now(), payload)
        check_crm_event(event)
    except ValidationError as error:
        raise problems.Unprocessable(INVALID, describe_errors(error)) from None
    except InvalidEvent as error:
        raise problems.Unprocessable(INVALID, str(error)) from None
    return event

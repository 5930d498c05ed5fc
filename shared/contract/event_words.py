"""What an event of a customer is about, in words for pages."""

from __future__ import annotations

from collections.abc import Mapping

from shared.languages.current import lookup
from shared.languages.marking import mark

EVENTS: Mapping[str, str] = {
    "crm.purchase.completed": mark("purchase"),
    "crm.service.completed": mark("service"),
    "crm.order.delivered": mark("delivery"),
    "crm.purchase.cancelled": mark("cancellation of the purchase"),
    "crm.service.reopened": mark("reopened service"),
    "crm.customer.updated": mark("new details of the customer"),
    "crm.customer.erased": mark("erasure of the customer"),
    "survey.answered": mark("answer"),
    "answer.amended": mark("changed answer"),
    "cadence.due": mark("regular survey"),
}


def event_in_words(event_type: str, subject: str | None = None) -> str:
    """Say what an event is and which order, service or answer it is about, such as `purchase 45595`."""
    return " ".join([lookup(EVENTS.get(event_type, event_type)), *([subject] if subject else [])])

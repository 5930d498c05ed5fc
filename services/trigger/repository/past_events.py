"""Loads past events and respondents for a simulation, as far as they are stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import asyncpg
from msgspec.structs import replace

from services.trigger.domain.respondents import Respondent
from services.trigger.domain.touchpoints import TouchpointKey, TriggerPayload, touchpoint_key
from services.trigger.repository import respondents, touchpoints
from shared.contract.cloudevents import Event
from shared.contract.events import BY_TYPE, CrmPayload, PurchaseCancelled, PurchaseCompleted
from shared.contract.vocabulary import split_respondent_id
from shared.database import db
from shared.database.session import Session

_EVENTS = """SELECT d.source, d.event_id, e.type, d.event_time, d.respondent_id, d.subject AS ref,
    t.details, t.own_values, (SELECT document FROM shapes WHERE digest = t.shape) AS document
FROM decisions AS d LEFT JOIN shapes AS s ON s.digest = d.shape
CROSS JOIN LATERAL (SELECT coalesce(s.document->>'type', d.type) AS type) AS e
LEFT JOIN touchpoints AS t ON t.respondent_id = d.respondent_id AND t.ref = d.subject
    AND t.kind = CASE WHEN e.type LIKE 'crm.service.%' THEN 'service' ELSE 'order' END
WHERE d.event_time >= $1 AND e.type = ANY($2::text[]) ORDER BY d.event_time, d.id"""

_KINDS = {
    "crm.purchase.completed": "order",
    "crm.order.delivered": "order",
    "crm.purchase.cancelled": "order",
    "crm.service.completed": "service",
    "crm.service.reopened": "service",
}


async def events_since(session: Session, since: datetime) -> list[Event[TriggerPayload]]:
    """Load the purchases, services, deliveries and reversals since a time, oldest first."""
    rows = await db.fetch(session, _EVENTS, since, list(_KINDS))
    return [_event(row) for row in rows]


async def respondents_at(
    session: Session, since: datetime, events: list[Event[TriggerPayload]]
) -> Mapping[str, Respondent]:
    """Load all respondents without their purchases and contacts since a time; addresses and consent are today's."""
    cancelled = {key: event.time for event, key in _orders(events) if event.type == PurchaseCancelled.type}
    bought = Counter(
        key.respondent_id
        for event, key in _orders(events)
        if event.type == PurchaseCompleted.type and (key not in cancelled or cancelled[key] < event.time)
    )
    return {
        known.id: replace(
            known,
            purchases=max(known.purchases - bought[known.id], 0),
            last_contacts={
                cause: {program: at for program, at in by_program.items() if at < since}
                for cause, by_program in known.last_contacts.items()
            },
        )
        for known in await respondents.load_all(session)
    }


def _orders(events: Iterable[Event[TriggerPayload]]) -> Iterator[tuple[Event[TriggerPayload], TouchpointKey]]:
    return ((event, key) for event in events if (key := touchpoint_key(event.payload, event.payload.key)) is not None)


def _event(row: asyncpg.Record) -> Event[TriggerPayload]:
    model = BY_TYPE[row["type"]]
    details: dict[str, Any] = (touchpoints.details_in(row) or {}) if row["type"].endswith(".completed") else {}
    customer_id, namespace = split_respondent_id(row["respondent_id"])
    customer = {"id": customer_id, "namespace": namespace}
    fields = {_KINDS[row["type"]]: {"id": row["ref"]}, **details, "customer": customer}
    payload = model.model_validate(fields)
    assert isinstance(payload, CrmPayload)
    return Event(row["event_id"], row["source"], row["event_time"], payload)

"""Adds events to the outbox and to the webhook deliveries, in the transaction that changes the answers."""

from __future__ import annotations

from collections.abc import Sequence

from services.scoring.repository import webhooks
from shared.contract.cloudevents import Event
from shared.contract.events import Payload
from shared.database import db
from shared.database.session import Session
from shared.messaging import codec, outbox


async def publish(session: Session, events: Sequence[Event[Payload]]) -> None:
    """Write events to the outbox and queue their webhook deliveries."""
    await db.write(session, *publish_statements(events))


def publish_statements(events: Sequence[Event[Payload]]) -> tuple[db.Write | None, db.Write | None]:
    """Return the statements for the outbox and for webhook deliveries, to execute in this order."""
    added = outbox.add_statement([codec.encode(event) for event in events])
    return added, added and webhooks.ENQUEUE_STATEMENT

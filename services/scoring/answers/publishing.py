"""What leaves scoring: to the event log, and to the webhooks that want it, if and only if the change commits."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from services.scoring.repository import webhooks
from shared.contract.cloudevents import Event
from shared.contract.events import Payload
from shared.database import db
from shared.messaging import codec, outbox


async def publish(session: AsyncSession, events: Sequence[Event[Payload]]) -> None:
    """Write events beside the change they tell of."""
    await db.write(session, *publishing(events))


def publishing(events: Sequence[Event[Payload]]) -> tuple[db.Write | None, db.Write | None]:
    """Say how to write them."""
    added = outbox.add_statement([codec.encode(event) for event in events])
    return added, added and webhooks.ENQUEUEING

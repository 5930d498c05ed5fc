"""Deduplication of events from our own topics: ids that a group has handled are stored for 30 days."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from shared.contract.cloudevents import Event
from shared.contract.events import Payload
from shared.database import db


def inbox_table(metadata: sa.MetaData) -> sa.Table:
    return sa.Table(
        "inbox",
        metadata,
        sa.Column("group_name", sa.Text, primary_key=True),
        sa.Column("event_id", sa.Text, primary_key=True),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    )


_REMEMBER = """INSERT INTO inbox (group_name, event_id) SELECT $1, unnest($2::text[])
ON CONFLICT DO NOTHING RETURNING event_id"""


async def unseen(session: AsyncSession, group: str, events: Sequence[Event[Payload]]) -> list[Event[Payload]]:
    """Store the ids of these events and return, in order, the events that this group has not handled yet."""
    first = {event.id: event for event in reversed(events)}
    rows = await db.fetch(session, _REMEMBER, group, sorted(first))
    new = {row["event_id"] for row in rows}
    return [event for event in events if event.id in new and first[event.id] is event]


async def delete_old(session: AsyncSession) -> None:
    """Delete ids stored more than 30 days ago; topics keep messages for 7 days, so those events cannot come again."""
    await db.fetch(session, "DELETE FROM inbox WHERE seen_at < clock_timestamp() - interval '30 days'")

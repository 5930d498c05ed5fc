"""Deduplication of events from our own topics: ids that a group has handled are stored for 30 days."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from shared.contract.cloudevents import Event
from shared.contract.events import Payload
from shared.database import db
from shared.database.session import Session
from shared.ids import first_id


def inbox_table(metadata: sa.MetaData) -> sa.Table:
    return sa.Table(
        "inbox",
        metadata,
        sa.Column("group_name", sa.Text, primary_key=True),
        sa.Column("event_id", sa.Text, primary_key=True),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    )


KEPT = timedelta(days=30)
_CLOCKS_APART = timedelta(days=1)  # an id may be made by a clock that is ahead
_REMEMBER = """INSERT INTO inbox (group_name, event_id) SELECT $1, unnest($2::text[])
ON CONFLICT DO NOTHING RETURNING event_id"""


async def unseen(session: Session, group: str, events: Sequence[Event[Payload]]) -> list[Event[Payload]]:
    """Store the ids of these events and return, in order, the events that this group has not handled yet."""
    first = {event.id: event for event in reversed(events)}
    rows = await db.fetch(session, _REMEMBER, group, sorted(first))
    new = {row["event_id"] for row in rows}
    return [event for event in events if event.id in new and first[event.id] is event]


# ids of our own events are UUIDv7, which begin with the time they were made, and they are stored after that: old rows
# are in two ranges of the primary key, and the rows between them are not read
_FORGET = """DELETE FROM inbox
WHERE group_name = $1 AND seen_at < clock_timestamp() - $2::interval AND (event_id < $3 OR event_id > $4)"""


async def delete_old(session: Session, group: str, *, now: datetime) -> None:
    """Delete ids that this group stored more than KEPT ago; topics keep messages for 7 days, so none comes again."""
    await db.fetch(session, _FORGET, group, KEPT, str(first_id(now - KEPT)), str(first_id(now + _CLOCKS_APART)))

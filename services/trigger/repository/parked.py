"""Events of shops nobody could handle, as far as an erasure is concerned."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from shared.contract.topics import CRM_EVENTS
from shared.contract.vocabulary import respondent_id
from shared.database import db
from shared.messaging import parking


async def forget(session: AsyncSession, respondents: Collection[str]) -> None:
    """Forget what is parked of these; what is no JSON names nobody and goes after 30 days."""
    if not respondents:
        return
    rows = await db.fetch(session, "SELECT id, body FROM parked WHERE topic = $1", CRM_EVENTS.name)
    await parking.delete(session, [row["id"] for row in rows if customer_of(row["body"]) in respondents])


def customer_of(body: bytes) -> str | None:
    """Say whose event this is, whatever else is wrong with it; in binary mode the body is the customer's part."""
    try:
        document: Any = msgspec.json.decode(body)
        return respondent_id(str(document.get("data", document)["customer"]["id"]))
    except (msgspec.MsgspecError, ValueError, RecursionError, AttributeError, KeyError, TypeError):
        return None

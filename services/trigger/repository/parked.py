"""Deletes the parked events of erased respondents."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from shared.contract.topics import CRM_EVENTS
from shared.contract.vocabulary import respondent_id
from shared.database import db
from shared.messaging import parking


async def delete(session: AsyncSession, respondents: Collection[str]) -> None:
    """Delete the parked events of these respondents; one that is not JSON cannot be matched and expires in 30 days."""
    if not respondents:
        return
    rows = await db.fetch(session, "SELECT id, body FROM parked WHERE topic = $1", CRM_EVENTS.name)
    await parking.delete(session, [row["id"] for row in rows if respondent_of(row["body"]) in respondents])


def respondent_of(body: bytes) -> str | None:
    """Return the respondent's id from a body that may be invalid, else None; in binary mode the body is the data."""
    try:
        document: Any = msgspec.json.decode(body)
        return respondent_id(str(document.get("data", document)["customer"]["id"]))
    except (msgspec.MsgspecError, ValueError, RecursionError, AttributeError, KeyError, TypeError):
        return None

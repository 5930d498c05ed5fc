"""Consents to be quoted: given with a name or without, and withdrawn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from services.scoring.domain.comments.quotes import QuotedAnswer
from shared.contract.events import ProgramRef
from shared.database import db
from shared.database.session import Session

_NAME = "SELECT name FROM quotes WHERE answer_id = $1 AND withdrawn_at IS NULL"
_PUT = """INSERT INTO quotes (answer_id, name, wording, given_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (answer_id) DO UPDATE SET name = excluded.name, wording = excluded.wording, given_at = excluded.given_at,
withdrawn_at = NULL"""
_WITHDRAW = "UPDATE quotes SET withdrawn_at = $2, name = '' WHERE answer_id = $1 AND withdrawn_at IS NULL"


async def name(session: Session, answer_id: UUID) -> str | None:
    """Return the name to quote an answer by, "" for none; None without a consent that stands."""
    return next((row["name"] for row in await db.fetch(session, _NAME, answer_id)), None)


_NAMES = "SELECT answer_id, name FROM quotes WHERE answer_id = ANY($1::uuid[]) AND withdrawn_at IS NULL"


async def names(session: Session, answer_ids: Sequence[UUID]) -> dict[UUID, str]:
    """Return the names to quote answers by, "" for none, of those with a consent that stands."""
    return {row["answer_id"]: row["name"] for row in await db.fetch(session, _NAMES, list(answer_ids))}


_QUOTABLE = """SELECT q.answer_id, i.id, i.respondent_id, i.customer_id, i.program, i.program_version, i.program_title,
i.asked_id IS NOT NULL AS anonymous
FROM quotes q JOIN answers a USING (answer_id) JOIN invitation_details i ON i.id = a.invitation_id
WHERE a.invitation_id = ANY($1::uuid[]) AND q.withdrawn_at IS NULL AND NOT a.suspect"""


async def quotable(session: Session, invitation_ids: Iterable[UUID]) -> dict[UUID, QuotedAnswer]:
    """Return the answers of invitations that may be quoted, by the ids of their invitations."""
    return {
        row["id"]: QuotedAnswer(
            row["respondent_id"],
            row["answer_id"] if row["anonymous"] else row["id"],
            row["customer_id"],
            row["answer_id"],
            ProgramRef(id=row["program"], version=row["program_version"], title=row["program_title"]),
        )
        for row in await db.fetch(session, _QUOTABLE, list(invitation_ids))
    }


async def put(session: Session, answer_id: UUID, quote_name: str, *, wording: str, at: datetime) -> None:
    """Store the consent, with the words by which it was asked for."""
    await db.fetch(session, _PUT, answer_id, quote_name, wording, at)


async def withdraw(session: Session, answer_id: UUID, *, at: datetime) -> None:
    """End the consent and forget the name; without one, nothing changes."""
    await db.fetch(session, _WITHDRAW, answer_id, at)

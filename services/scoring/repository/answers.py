"""Answers and their versions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from services.scoring.domain.answers import Answer, Entry, Invitation
from shared import db

_COLUMNS = "answer_id, version, score, reasons, comment, extra, mode, step, channel, suspect, answered_at, device"
_TYPES = (
    "uuid",
    "int",
    "smallint",
    "jsonb",
    "text",
    "jsonb",
    "text",
    "int",
    "text",
    "boolean",
    "timestamptz",
    "text",
)
_UNNEST = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(_TYPES, 1))
_SET = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS.split(", "))
_KEEP_VERSIONS = f"""INSERT INTO answer_versions ({_COLUMNS}, operator) SELECT * FROM unnest({_UNNEST},
${len(_TYPES) + 1}::text[])"""  # noqa: S608 - column names only
_KEEP_CURRENT = f"""INSERT INTO answers ({_COLUMNS}, invitation_id, first_day) SELECT * FROM unnest({_UNNEST},
${len(_TYPES) + 1}::uuid[], ${len(_TYPES) + 2}::date[]) ON CONFLICT (invitation_id) DO UPDATE SET {_SET}"""  # noqa: S608 - column names only


@dataclass(frozen=True, slots=True)
class Version:
    """A new version of an answer with what it replaces."""

    invitation: Invitation
    entry: Entry
    before: Answer | None
    after: Answer


async def keep(session: AsyncSession, versions: Sequence[Version]) -> None:
    """Store versions, and of each invitation the last of them as the current answer."""
    if not versions:
        return
    await db.fetch(
        session, _KEEP_VERSIONS, *_columns([v.after for v in versions]), [v.entry.operator for v in versions]
    )
    last = list({v.invitation.id: v.after for v in versions}.items())
    await db.fetch(
        session,
        _KEEP_CURRENT,
        *_columns([answer for _, answer in last]),
        [invitation_id for invitation_id, _ in last],
        [answer.first_day for _, answer in last],
    )


def _columns(answers: Sequence[Answer]) -> list[list[Any]]:
    rows = [
        (
            answer.answer_id,
            answer.version,
            answer.score,
            json.dumps(answer.reasons),
            answer.comment,
            json.dumps(dict(answer.extra)),
            answer.mode,
            answer.step,
            answer.channel,
            answer.suspect,
            answer.answered_at,
            answer.device,
        )
        for answer in answers
    ]
    return [list(column) for column in zip(*rows, strict=True)]


_PAGE = """SELECT a.*, i.program, i.program_version, i.segments
FROM answers a JOIN invitations i ON i.id = a.invitation_id
WHERE ($1::text IS NULL OR i.program = $1) AND ($2::uuid IS NULL OR a.answer_id > $2) ORDER BY a.answer_id LIMIT $3"""


async def page(session: AsyncSession, *, program: str | None, after: UUID | None, limit: int) -> list[asyncpg.Record]:
    """Current answers in the order they were first given."""
    return await db.fetch(session, _PAGE, program, after, limit)

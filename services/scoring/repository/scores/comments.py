"""The newest answers of a slice, with comment and reasons."""

from __future__ import annotations

from dataclasses import dataclass, replace

import asyncpg

from services.scoring.domain.slices import Slice
from services.scoring.repository.scores import figures
from services.scoring.repository.scores.counting import ANSWER_DIMENSIONS, Arguments, in_segment
from shared.database import db
from shared.database.session import Session

MOST_SCANNED = 10_000
_GROUPS = {"promoter": (9, 10), "passive": (7, 8), "detractor": (0, 6)}
_COLUMNS = """a.answer_id, a.score, a.reasons, a.comment, a.mode, a.channel, a.suspect, a.callback_wanted,
a.answered_at, i.segments, i.program_zone,
(SELECT document->'reasons' FROM contents WHERE digest = i.content) AS texts"""
# for many invitations an index on the time gives the newest answers; for few, all of them are read and sorted
_BY_TIME = """SELECT {columns} FROM (SELECT * FROM answers a WHERE {answers} ORDER BY a.answered_at DESC LIMIT {most}) a
JOIN LATERAL (SELECT * FROM invitation_details i WHERE i.id = a.invitation_id AND {invitations} OFFSET 0) i ON true
ORDER BY a.answered_at DESC LIMIT {limit}"""
_BY_INVITATION = """SELECT {columns} FROM invitation_details i JOIN answers a ON a.invitation_id = i.id
WHERE {invitations} AND {answers} ORDER BY a.answered_at DESC LIMIT {limit}"""


@dataclass(frozen=True, slots=True)
class CommentFilter:
    """Only answers of one group or with one reason; None is no limit."""

    group: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Comments:
    """Newest first; when not `complete`, only the newest MOST_SCANNED answers of the period were searched."""

    rows: list[asyncpg.Record]
    complete: bool


async def latest(session: Session, selected: Slice, only: CommentFilter, *, with_empty: bool, limit: int) -> Comments:
    """Read the newest answers of a slice; those without a comment are left out unless `with_empty`."""
    segment = selected.segment if selected.segment and selected.segment[0] not in ANSWER_DIMENSIONS else None
    ever = Slice(selected.program, segment=segment, stores=selected.stores, within=selected.within)
    total = await figures.whole(session, ever)
    few = max(total.invited, total.tally.n) <= MOST_SCANNED
    arguments = Arguments(selected.days)
    rows = await db.fetch(
        session,
        (_BY_INVITATION if few else _BY_TIME).format(
            columns=_COLUMNS,
            answers=_answers(selected, only, arguments, with_empty=with_empty),
            invitations="i.program = $1 AND i.counted" + in_segment(replace(selected, segment=segment), arguments),
            most=MOST_SCANNED,
            limit=arguments.add(limit),
        ),
        *arguments,
    )
    return Comments(rows, complete=few or len(rows) == limit)


def _answers(selected: Slice, only: CommentFilter, arguments: Arguments, *, with_empty: bool) -> str:
    conditions = ["a.first_day BETWEEN $2 AND $3"]
    if not with_empty:
        conditions.append("a.comment IS NOT NULL")  # a partial index has this condition
    if only.group:
        low, high = _GROUPS[only.group]
        conditions.append(f"a.score BETWEEN {low} AND {high}")
    if only.reason:
        conditions.append(f"a.reasons ? {arguments.add(only.reason)}")
    by_answer = selected.segment is not None and selected.segment[0] in ANSWER_DIMENSIONS
    return " AND ".join(conditions) + (in_segment(replace(selected, within=None), arguments) if by_answer else "")

"""Answers and their versions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from uuid import UUID

import asyncpg
import msgspec

from services.scoring.domain.answers import AnswerVersion
from services.scoring.domain.bot_detection import Device
from services.scoring.domain.invitations import Answer
from shared.contract.staff_scope import StaffScope
from shared.contract.vocabulary import AnswerMode, ChannelKind
from shared.database import db
from shared.database.compact_rows import COMPACT
from shared.database.session import Session

RECENT = 50
_TYPES = {
    "answer_id": "uuid",
    "version": "int",
    "score": "smallint",
    "reasons": "jsonb",
    "extra": "jsonb",
    "mode": "text",
    "step": "int",
    "channel": "text",
    "suspect": "boolean",
    "answered_at": "timestamptz",
    "first_day": "date",
    "device": "text",
    "callback_wanted": "boolean",
}
_COLUMNS = ", ".join([*_TYPES, "comment"])
_STORED = f"{_COLUMNS}, operator, suspicion"
_CURRENT = f"{_STORED}, operator_id"
_SET = ", ".join(f"{name} = excluded.{name}" for name in _CURRENT.split(", "))
# versions are one JSON text, because the driver encodes arrays value by value; comments are an array, because not every
# comment can be written as JSON. The first version goes to `answer_versions` when there is a second.
_ADD = f"""new AS (SELECT * FROM ROWS FROM (
json_to_recordset($1::json) AS ({", ".join(f"{name} {kind}" for name, kind in _TYPES.items())}),
unnest($2::text[], $3::uuid[], $4::text[], $5::uuid[], $6::text[], $7::boolean[]))
AS n ({_COLUMNS}, invitation_id, operator, operator_id, suspicion, last)),
kept AS (INSERT INTO answer_versions ({_STORED}) SELECT {_STORED} FROM new
WHERE NOT (version = 1 AND last AND {COMPACT})),
first AS (INSERT INTO answer_versions ({_STORED}) SELECT a.* FROM new n CROSS JOIN LATERAL
(SELECT {_STORED} FROM answers WHERE invitation_id = n.invitation_id AND version = 1 OFFSET 0) a
WHERE n.version > 1 ON CONFLICT DO NOTHING),
pending AS (INSERT INTO uncounted (invitation_id) SELECT invitation_id FROM new WHERE last),
stood AS (INSERT INTO answers ({_CURRENT}, invitation_id) SELECT {_CURRENT}, invitation_id FROM new WHERE last
ON CONFLICT (invitation_id) DO UPDATE SET {_SET})"""  # noqa: S608 - column names only


def add_statement(versions: Sequence[AnswerVersion]) -> db.Write | None:
    """Return the statement that stores versions, the last of each invitation as its answer; None without versions."""
    if not versions:
        return None
    last = {version.invitation.id: version for version in versions}
    operators = [version.entry.operator for version in versions]
    columns = (
        msgspec.json.encode([{name: getattr(v.after, name) for name in _TYPES} for v in versions]).decode(),
        [version.after.comment for version in versions],
        [version.invitation.id for version in versions],
        [by.name if by else None for by in operators],
        [by.id if by else None for by in operators],
        [version.suspicion for version in versions],
        [version is last[version.invitation.id] for version in versions],
    )
    return db.Write(_ADD, columns)


_VERSIONS = f"""SELECT v.* FROM unnest($1::uuid[]) AS a (answer_id) CROSS JOIN LATERAL
(SELECT {_COLUMNS} FROM answer_versions WHERE answer_id = a.answer_id ORDER BY version DESC LIMIT {RECENT}) v
ORDER BY v.version"""  # noqa: S608 - column names only


async def versions(session: Session, current: Mapping[UUID, Answer]) -> defaultdict[UUID, list[Answer]]:
    """Load the latest versions of answers, at most RECENT of each, oldest first; keys are invitation ids."""
    found: defaultdict[UUID, list[Answer]] = defaultdict(list)
    found.update({invitation_id: [answer] for invitation_id, answer in current.items() if answer.version == 1})
    if about := {answer.answer_id: each for each, answer in current.items() if answer.version > 1}:
        for row in await db.fetch(session, _VERSIONS, list(about)):
            found[about[row["answer_id"]]].append(of_row(row))
    return found


def of_row(row: asyncpg.Record) -> Answer:
    return Answer(
        answer_id=row["answer_id"],
        version=row["version"],
        score=row["score"],
        reasons=tuple(row["reasons"]),
        comment=row["comment"],
        extra=row["extra"],
        mode=AnswerMode(row["mode"]),
        step=row["step"],
        channel=ChannelKind(row["channel"]) if row["channel"] else None,
        suspect=row["suspect"],
        answered_at=row["answered_at"],
        first_day=row["first_day"],
        device=Device(row["device"]) if row["device"] else None,
        callback_wanted=row["callback_wanted"],
    )


_SUSPECTS = """SELECT a.answer_id, a.score, a.answered_at, coalesce(v.suspicion, a.suspicion) AS suspicion,
i.program_zone, i.program_title, i.segments->>'store' AS store
FROM answers a JOIN invitation_details i ON i.id = a.invitation_id
LEFT JOIN answer_versions v ON v.answer_id = a.answer_id AND v.version = a.version
WHERE a.suspect AND i.state = 'open' AND ($2::text[] IS NULL OR i.program = ANY($2))
AND ($3::text[] IS NULL OR i.segments->>'store' = ANY($3)) ORDER BY a.answered_at DESC LIMIT $1"""
_SOME = """SELECT a.answer_id, a.score, i.program_title, i.segments->>'store' AS store
FROM answers a JOIN invitation_details i ON i.id = a.invitation_id WHERE a.answer_id = ANY($1)
AND ($2::text[] IS NULL OR i.program = ANY($2)) AND ($3::text[] IS NULL OR i.segments->>'store' = ANY($3))"""
_INVITATION = """SELECT a.invitation_id, i.program, i.segments->>'store' AS store
FROM answers a JOIN invitation_details i ON i.id = a.invitation_id WHERE a.answer_id = $1"""


async def suspects(session: Session, *, limit: int, scope: StaffScope) -> list[asyncpg.Record]:
    """Load the newest suspect answers with their suspicion."""
    return await db.fetch(session, _SUSPECTS, limit, *scope.arguments)


async def some(session: Session, ids: Sequence[UUID], *, scope: StaffScope) -> dict[UUID, asyncpg.Record]:
    """Load score, program and store of answers, by id, as far as they may be seen."""
    return {row["answer_id"]: row for row in await db.fetch(session, _SOME, ids, *scope.arguments)}


async def invitation_of(session: Session, answer_id: UUID, *, scope: StaffScope) -> UUID | None:
    """Return the invitation of an answer, None where there is none that may be seen."""
    rows = await db.fetch(session, _INVITATION, answer_id)
    return next((row["invitation_id"] for row in rows if scope.covers(row["program"], row["store"])), None)

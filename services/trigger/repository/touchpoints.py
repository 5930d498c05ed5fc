"""Touchpoints, each with the event it was decided by and the state of its survey."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.trigger import models
from services.trigger.domain import shapes as shaping
from services.trigger.domain.touchpoints import TouchpointKey, TouchpointKind, TouchpointRecord, TouchpointState
from services.trigger.repository import new_rows, shapes
from shared.database import db

_JSON = msgspec.json.Encoder()

# the values of details that differ from touchpoint to touchpoint
_OWN = frozenset(("number", "amount", "attributes"))

_FIND = """SELECT t.*, (SELECT document FROM shapes WHERE digest = t.shape) AS document
FROM unnest($1::text[], $2::text[], $3::text[]) AS wanted (respondent_id, kind, ref)
JOIN touchpoints AS t USING (respondent_id, kind, ref)"""

_COLUMNS = tuple(column.name for column in models.touchpoints.columns)
_WITH_REF = ("order", "service")  # their `id` is the touchpoint's `ref`

_SAVE = f"""UPDATE touchpoints AS t SET source = new.source, event_id = new.event_id,
invitation_id = new.invitation_id, program_id = new.program_id, state = new.state,
reversed_at = new.reversed_at, delivered_at = new.delivered_at, details = new.details, shape = new.shape,
own_values = new.own_values
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::uuid[], $7::text[], $8::text[],
$9::timestamptz[], $10::timestamptz[], $11::jsonb[], $12::uuid[], $13::jsonb[]) AS new ({", ".join(_COLUMNS)})
WHERE (t.respondent_id, t.kind, t.ref) = (new.respondent_id, new.kind, new.ref)"""  # noqa: S608 - constants of this file

_SET_STATES = """UPDATE touchpoints SET state = new.state
FROM unnest($1::uuid[], $2::text[]) AS new (invitation_id, state)
WHERE touchpoints.invitation_id = new.invitation_id AND touchpoints.state <> 'answered'"""

_PROGRAMS = "SELECT invitation_id, program_id FROM touchpoints WHERE invitation_id = ANY($1::uuid[])"

_DELETE_DETAILS = """UPDATE touchpoints SET details = NULL, shape = NULL, own_values = NULL
WHERE respondent_id = ANY($1::text[]) AND (details IS NOT NULL OR shape IS NOT NULL)"""


async def find(session: AsyncSession, keys: Collection[TouchpointKey]) -> dict[TouchpointKey, TouchpointRecord]:
    if not keys:
        return {}
    columns = zip(*((key.respondent_id, key.kind, key.ref) for key in keys), strict=True)
    found = (
        TouchpointRecord(
            TouchpointKey(row["respondent_id"], TouchpointKind(row["kind"]), row["ref"]),
            source=row["source"],
            event_id=row["event_id"],
            invitation_id=row["invitation_id"],
            program_id=row["program_id"],
            state=row["state"] and TouchpointState(row["state"]),
            reversed_at=row["reversed_at"],
            delivered_at=row["delivered_at"],
            details=details_in(row),
        )
        for row in await db.fetch(session, _FIND, *columns)
    )
    return {touchpoint.key: touchpoint for touchpoint in found}


async def add(session: AsyncSession, touchpoints: Sequence[TouchpointRecord]) -> None:
    """Insert new touchpoints; raises Raced."""
    in_order = sorted(touchpoints, key=_invitation)  # so that pages of the index become full
    await new_rows.add(session, "touchpoints", _COLUMNS, await _rows(session, in_order))


async def save(session: AsyncSession, touchpoints: Sequence[TouchpointRecord]) -> None:
    if touchpoints:
        await db.fetch(session, _SAVE, *zip(*await _rows(session, touchpoints), strict=True))


async def _rows(session: AsyncSession, touchpoints: Sequence[TouchpointRecord]) -> list[tuple[Any, ...]]:
    """Store the shapes of the details, and return the rows."""
    shaped = {t.key: shapes.shaped(_without_ref(t.details), own=_OWN) for t in touchpoints if t.details is not None}
    await shapes.add(session, shaped.values())
    return [
        (
            *t.key,
            t.source,
            t.event_id,
            t.invitation_id,
            t.program_id,
            t.state,
            t.reversed_at,
            t.delivered_at,
            None,
            shaped[t.key].digest if t.key in shaped else None,
            shaped[t.key].values if t.key in shaped else None,
        )
        for t in touchpoints
    ]


def _invitation(touchpoint: TouchpointRecord) -> int:
    return touchpoint.invitation_id.int if touchpoint.invitation_id else 0


def details_in(row: db.Row) -> dict[str, Any] | None:
    """Return the details in a row with `details`, `document`, `own_values` and `ref`."""
    if row["document"] is None:
        return cast("dict[str, Any] | None", row["details"])
    details = cast("dict[str, Any]", shaping.joined(row["document"], row["own_values"] or ()))
    return {name: {**part, "id": row["ref"]} if name in _WITH_REF else part for name, part in details.items()}


def _without_ref(details: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: {field: value for field, value in part.items() if field != "id"} if name in _WITH_REF else part
        for name, part in details.items()
    }


async def set_states(session: AsyncSession, states: Mapping[UUID, TouchpointState]) -> None:
    """Set the survey states of the touchpoints of these invitations; an answered one stays answered."""
    if states:
        await db.fetch(session, _SET_STATES, list(states), list(states.values()))


async def programs_of(session: AsyncSession, invitations: Collection[UUID]) -> dict[UUID, str]:
    """Return the program id of each of these invitations."""
    rows = await db.fetch(session, _PROGRAMS, list(invitations)) if invitations else []
    return {row["invitation_id"]: row["program_id"] for row in rows}


async def delete_details(session: AsyncSession, respondents: Collection[str]) -> None:
    await db.fetch(session, _DELETE_DETAILS, list(respondents))

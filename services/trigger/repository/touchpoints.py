"""Touchpoints, each with the event it was decided by and the state of its survey."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, cast
from uuid import UUID

import msgspec

from services.trigger import models
from services.trigger.domain import shapes as shaping
from services.trigger.domain.deciding.stored_decision import StoredDecision
from services.trigger.domain.touchpoints import (
    InvitationKey,
    TouchpointKey,
    TouchpointKind,
    TouchpointRecord,
    TouchpointState,
    key_of_purchase,
    known_number,
    number_of,
)
from services.trigger.repository import new_rows, shapes
from shared.database import compact_rows, db
from shared.database.session import Session

_JSON = msgspec.json.Encoder()

# the values of details that differ from touchpoint to touchpoint
_OWN = frozenset(("number", "amount", "attributes"))

# the event, the invitation and the program of a compact row; with the limit, it is looked up row by row
_DECISION = """LEFT JOIN LATERAL (
    SELECT d.source, d.event_id, d.invitation_id, CASE WHEN d.invitation_id IS NOT NULL THEN coalesce(
        d.program_id, (SELECT document->>'program_id' FROM shapes WHERE digest = d.shape)) END AS program_id
    FROM decisions AS d WHERE d.id = t.decision_id LIMIT 1
) AS d ON true"""

_FIND = f"""SELECT t.respondent_id, t.kind, t.ref, coalesce(t.source, d.source) AS source,
    coalesce(t.event_id, d.event_id) AS event_id, coalesce(t.invitation_id, d.invitation_id) AS invitation_id,
    coalesce(t.program_id, d.program_id) AS program_id, t.state, t.reversed_at, t.delivered_at, t.details,
    t.own_values, (SELECT document FROM shapes WHERE digest = t.shape) AS document
FROM unnest($1::text[], $2::text[], $3::text[]) AS wanted (respondent_id, kind, ref)
JOIN touchpoints AS t USING (respondent_id, kind, ref) {_DECISION}"""  # noqa: S608 - constants of this file

_COLUMNS = tuple(column.name for column in models.touchpoints.columns)
_NOTHING = (None, None, None, None)
_WITH_REF = ("order", "service")  # their `id` is the touchpoint's `ref`
_REF = ("id",)  # nothing else in a shape of details is called so

_SAVE = f"""UPDATE touchpoints AS t SET source = new.source, event_id = new.event_id,
invitation_id = new.invitation_id, program_id = new.program_id, state = new.state,
reversed_at = new.reversed_at, delivered_at = new.delivered_at, details = new.details, shape = new.shape,
own_values = new.own_values, decision_id = new.decision_id, number = new.number
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::uuid[], $7::text[], $8::text[],
$9::timestamptz[], $10::timestamptz[], $11::jsonb[], $12::uuid[], $13::jsonb[], $14::uuid[], $15::text[])
AS new ({", ".join(_COLUMNS)})
WHERE (t.respondent_id, t.kind, t.ref) = (new.respondent_id, new.kind, new.ref)"""  # noqa: S608 - constants of this file

_SET_STATES = """UPDATE touchpoints AS t SET state = new.state
FROM unnest($1::text[], $2::uuid[], $3::text[]) AS new (respondent_id, invitation_id, state)
WHERE t.respondent_id = new.respondent_id AND t.state <> 'answered' AND new.invitation_id
    = coalesce(t.invitation_id, (SELECT d.invitation_id FROM decisions AS d WHERE d.id = t.decision_id))"""

_PROGRAMS = f"""SELECT wanted.invitation_id, coalesce(t.program_id, d.program_id) AS program_id
FROM unnest($1::text[], $2::uuid[]) AS wanted (respondent_id, invitation_id)
JOIN touchpoints AS t ON t.respondent_id = wanted.respondent_id {_DECISION}
WHERE coalesce(t.invitation_id, d.invitation_id) = wanted.invitation_id"""  # noqa: S608 - constants of this file

_DELETE_DETAILS = """UPDATE touchpoints SET details = NULL, shape = NULL, own_values = NULL, number = NULL
WHERE respondent_id = ANY($1::text[]) AND (details IS NOT NULL OR shape IS NOT NULL)"""


async def find(session: Session, keys: Collection[TouchpointKey]) -> dict[TouchpointKey, TouchpointRecord]:
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


async def known_as(session: Session, decisions: Sequence[StoredDecision]) -> dict[UUID, str | None]:
    """Return by the ids of decisions what people call the order or service that each is about, else its subject."""
    keys = {each.id: key_of_purchase(each.type, each.respondent_id, each.subject) for each in decisions}
    found = await find(session, {key for key in keys.values() if key is not None})
    numbers = {id_: known_number(found[key].details) for id_, key in keys.items() if key in found}
    return {each.id: numbers.get(each.id) or each.subject for each in decisions}


async def add(
    session: Session, touchpoints: Sequence[TouchpointRecord], decisions: Iterable[StoredDecision] = ()
) -> None:
    """Insert new touchpoints; `decisions` are those that are stored with them. Raises Raced."""
    if touchpoints:
        in_order = sorted(touchpoints, key=lambda touchpoint: new_rows.place_of(touchpoint.key.respondent_id))
        await new_rows.add(session, "touchpoints", _COLUMNS, await _rows(session, in_order, decisions))


async def save(
    session: Session, touchpoints: Sequence[TouchpointRecord], decisions: Iterable[StoredDecision] = ()
) -> None:
    if touchpoints:
        await db.fetch(session, _SAVE, *zip(*await _rows(session, touchpoints, decisions), strict=True))


async def _rows(
    session: Session, touchpoints: Sequence[TouchpointRecord], decisions: Iterable[StoredDecision]
) -> list[tuple[Any, ...]]:
    """Store the shapes of the details, and return the rows."""
    compact = await compact_rows.are_on(session)
    by_event = {(each.source, each.event_id): each for each in decisions} if compact else {}
    shaped = [None if t.details is None else shapes.shaped(t.details, own=_OWN, without=_REF) for t in touchpoints]
    await shapes.add(session, [each for each in shaped if each])
    return [
        (
            *t.key,
            *(_NOTHING if decision_id else (t.source, t.event_id, t.invitation_id, t.program_id)),
            t.state,
            t.reversed_at,
            t.delivered_at,
            None,
            *((details.digest, details.values) if details else (None, None)),
            decision_id,
            number if (number := number_of(t.details)) != t.key.ref else None,
        )
        for t, details in zip(touchpoints, shaped, strict=True)
        for decision_id in (_decision_of(t, by_event),)
    ]


def _decision_of(t: TouchpointRecord, by_event: Mapping[tuple[str, str], StoredDecision]) -> UUID | None:
    """Return the decision that has all that the touchpoint repeats; None if the touchpoint has something else."""
    decision = by_event.get((t.source or "", t.event_id or ""))
    if decision is None or decision.invitation_id != t.invitation_id:
        return None
    program_id = decision.program_id if decision.invitation_id else None
    return decision.id if program_id == t.program_id else None


def details_in(row: db.Row) -> dict[str, Any] | None:
    """Return the details in a row with `details`, `document`, `own_values` and `ref`."""
    if row["document"] is None:
        return cast("dict[str, Any] | None", row["details"])
    details = cast("dict[str, Any]", shaping.joined(row["document"], row["own_values"] or ()))
    return {name: {**part, "id": row["ref"]} if name in _WITH_REF else part for name, part in details.items()}


async def set_states(session: Session, states: Mapping[InvitationKey, TouchpointState]) -> None:
    """Set the survey states of the touchpoints of these invitations; an answered one stays answered."""
    if states:
        await db.fetch(session, _SET_STATES, *zip(*states, strict=True), list(states.values()))


async def programs_of(session: Session, invitations: Collection[InvitationKey]) -> dict[UUID, str]:
    """Return the program id of each of these invitations."""
    rows = await db.fetch(session, _PROGRAMS, *zip(*invitations, strict=True)) if invitations else []
    return {row["invitation_id"]: row["program_id"] for row in rows}


async def delete_details(session: Session, respondents: Collection[str]) -> None:
    await db.fetch(session, _DELETE_DETAILS, list(respondents))

"""Revisions of people: every change that others have to hear of is a new one, told by an event.

A revision is machine time in milliseconds, so that it grows also after a restored backup.
"""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from services.scoring.domain.people.person import CALL_ROLES
from services.scoring.domain.people.scope import NOTHING, PersonScope
from services.scoring.repository.calling import calls
from services.scoring.repository.stores import listed
from shared.contract import cloudevents
from shared.contract.events import StaffChanged
from shared.contract.staff_scope import StaffScope
from shared.contract.vocabulary import Service
from shared.database import db
from shared.database.audit.rows import Actor, ActorKind
from shared.database.session import Session
from shared.messaging import outbox

_SCOPE = "programs, stores, regions"
_REVISE = f"""UPDATE people
SET revision = greatest(revision + 1, (extract(epoch FROM clock_timestamp()) * 1000)::bigint)
WHERE {{which}} RETURNING id, revision, roles, off_at, {_SCOPE}"""  # noqa: S608 - constants only
_ONE = _REVISE.format(which="id = $1")
_OF_STORES = _REVISE.format(which="stores <> '{}' OR regions <> '{}'")
_FIND = f"SELECT {_SCOPE} FROM people WHERE id = $1"  # noqa: S608 - column names only


async def revise(session: Session, person: UUID) -> int:
    """Make all tickets of a person outdated, and tell everybody what the person sees; returns the new revision.

    Calls that the person has and may not see are given back.
    """
    rows = await db.fetch(session, _ONE, person)
    await _publish(session, rows)
    return rows[0]["revision"] if rows else 0


async def revise_by_stores(session: Session) -> None:
    """Tell what everybody sees whose scope names stores or regions, after a change of the list of stores."""
    await _publish(session, await db.fetch(session, _OF_STORES))


async def scope_of(session: Session, person: UUID) -> StaffScope | None:
    """Return what a person sees, None if there is no such person."""
    rows = await db.fetch(session, _FIND, person)
    return (await _resolved(session, rows))[0] if rows else None


async def _publish(session: Session, rows: list[db.Row]) -> None:
    scopes = await _resolved(session, rows)
    for row, scope in zip(rows, scopes, strict=True):
        takes_calls = row["off_at"] is None and not frozenset(CALL_ROLES).isdisjoint(row["roles"])
        seen, of = scope if takes_calls else NOTHING, Actor(ActorKind.PERSON, str(row["id"]))
        await calls.give_back_unseen(session, [row["id"]], scope=seen, of=of)
    now = datetime.now(UTC)
    changes = [_event(row, scope) for row, scope in zip(rows, scopes, strict=True)]
    await outbox.add(session, [cloudevents.new(each, service=Service.SCORING, at=now) for each in changes])


async def _resolved(session: Session, rows: list[db.Row]) -> list[StaffScope]:
    scopes = [PersonScope(*(frozenset(row[name]) for name in _SCOPE.split(", "))) for row in rows]
    needs_list = any(scope.stores or scope.regions for scope in scopes)
    stores = (await listed.read(session)).values() if needs_list else ()
    return [scope.resolve(stores) for scope in scopes]


def _event(row: db.Row, scope: StaffScope) -> StaffChanged:
    programs, stores = scope.arguments
    return StaffChanged(person_id=row["id"], revision=row["revision"], programs=programs, stores=stores)

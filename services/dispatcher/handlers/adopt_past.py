"""Restores from the log what a database restored from a backup lacks of the dispatcher's own events.

The events are on the log already, so nothing is published again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from services.dispatcher.domain import chain
from services.dispatcher.domain.steps import LedgerEntry, PlannedStep, state_after
from services.dispatcher.domain.suppressions import key_of
from services.dispatcher.repository import addresses, attempts, chains, invitations, ledger, steps, suppressions
from shared.contract.cloudevents import Event
from shared.contract.events import ContactAttempted, InvitationClosed, Payload, RespondentReleased, RespondentSuppressed
from shared.contract.vocabulary import InvitationOutcome
from shared.database import db
from shared.database.session import Session


async def adopt(session: Session, events: Sequence[Event[Payload]], *, now: datetime) -> None:
    """Store the attempts, outcomes and suppressions of these events that the database lacks; change no others."""
    payloads = [event.payload for event in events]
    attempted = _latest_revisions([each for each in payloads if isinstance(each, ContactAttempted)])
    outcomes = {each.invitation_id: each.outcome for each in payloads if isinstance(each, InvitationClosed)}
    locked = await invitations.lock(session, {*outcomes, *(each.invitation_id for each in attempted)})
    missing = await ledger.lacking(session, {each.attempt_id: each.invitation_id for each in attempted})
    lacking = [each for each in attempted if each.attempt_id in missing]
    await _adopt_attempts(session, [each for each in lacking if each.invitation_id in locked])
    await _close(session, {each: outcome for each, outcome in outcomes.items() if each in locked}, now=now)
    # a request that is gone may be received again and must not be sent again; an answer to it still counts
    exhausted = dict.fromkeys((each.invitation_id for each in lacking), InvitationOutcome.EXHAUSTED)
    gone = {each: outcome for each, outcome in (exhausted | outcomes).items() if each not in locked}
    await invitations.remember_early(session, gone, at=now)
    await _adopt_suppressions(session, payloads, now=now)


def _latest_revisions(attempted: Sequence[ContactAttempted]) -> list[ContactAttempted]:
    """Keep the highest revision of each attempt, in the order in which the attempts were made."""
    latest: dict[UUID, ContactAttempted] = {}
    for each in attempted:
        known = latest.get(each.attempt_id)
        if known is None or known.revision < each.revision:
            latest[each.attempt_id] = each
    return list(latest.values())


async def _adopt_attempts(session: Session, attempted: Sequence[ContactAttempted]) -> None:
    if not attempted:
        return
    tries = await ledger.tries(session, {each.invitation_id for each in attempted})
    entries: list[LedgerEntry] = []
    for each in attempted:
        key = each.invitation_id, each.step
        tries[key] = tries.get(key, 0) + 1
        entries.append(LedgerEntry(each, tries[key]))
    await db.write(session, attempts.add_statement(entries))
    await steps.end_adopted(session, {(each.invitation_id, each.step) for each in attempted})
    await _continue_chains(session, {each.invitation_id: each for each in attempted})


async def _continue_chains(session: Session, last: Mapping[UUID, ContactAttempted]) -> None:
    found = await chains.read(session, last)
    planned = {}
    for invitation, steps_ in found.items():
        ended = last[invitation]
        next_one = chain.follow(steps_, ended.step, state_after(ended.state), was_due=ended.at, now=ended.at)
        if isinstance(next_one, PlannedStep):
            planned[invitation] = next_one
    await db.write(session, steps.plan_statement(planned))


async def _close(session: Session, outcomes: dict[UUID, InvitationOutcome], *, now: datetime) -> None:
    closed = {row["id"] for row in await invitations.close(session, outcomes, at=now)}
    await steps.stop(session, closed)


async def _adopt_suppressions(session: Session, payloads: Sequence[Payload], *, now: datetime) -> None:
    last = {key_of(each): each for each in payloads if isinstance(each, RespondentSuppressed | RespondentReleased)}
    suppressed = {key: each for key, each in last.items() if isinstance(each, RespondentSuppressed)}
    await suppressions.add(session, list(suppressed.values()), at=now)
    await addresses.bind_known(
        session,
        [
            (key, address)
            for key, each in suppressed.items()
            for address in each.addresses or ([each.address] if each.address else [])
        ],
    )
    await suppressions.lift(session, [key for key, each in last.items() if isinstance(each, RespondentReleased)])

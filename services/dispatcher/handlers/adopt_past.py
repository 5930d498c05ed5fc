"""Takes back from the log what a database that was set back to an older copy has lost of our own past.

What is in the log was told already: nothing is published again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.dispatcher.domain import chain
from services.dispatcher.domain.receipts import STEP_STATES
from services.dispatcher.domain.steps import LedgerEntry, PlannedStep, StepState
from services.dispatcher.domain.suppressions import key_of
from services.dispatcher.repository import attempts, invitations, ledger, steps, suppressions
from shared.contract.cloudevents import Event
from shared.contract.events import ContactAttempted, InvitationClosed, Payload, RespondentReleased, RespondentSuppressed
from shared.contract.vocabulary import InvitationOutcome
from shared.database import db


async def adopt(session: AsyncSession, events: Sequence[Event[Payload]], *, now: datetime) -> None:
    """Adopt what these events of ours tell and the ledger lacks; what it has stays as it is."""
    told = [event.payload for event in events]
    tried = _newest([each for each in told if isinstance(each, ContactAttempted)])
    ended = {each.invitation_id: each.outcome for each in told if isinstance(each, InvitationClosed)}
    here = await invitations.lock(session, {*ended, *(each.invitation_id for each in tried)})
    missed = await ledger.lacking(session, {each.attempt_id: each.invitation_id for each in tried})
    lacking = [each for each in tried if each.attempt_id in missed]
    await _adopt_attempts(session, [each for each in lacking if each.invitation_id in here])
    await _close(session, {each: outcome for each, outcome in ended.items() if each in here}, now=now)
    # whose request is gone may come again, and must not be asked again; an answer still counts
    asked = dict.fromkeys((each.invitation_id for each in lacking), InvitationOutcome.EXHAUSTED)
    gone = {each: outcome for each, outcome in (asked | ended).items() if each not in here}
    await invitations.remember_early(session, gone, at=now)
    await _adopt_suppressions(session, told, now=now)


def _newest(told: Sequence[ContactAttempted]) -> list[ContactAttempted]:
    """Leave one of each attempt, its highest revision, in the order they were made."""
    highest: dict[UUID, ContactAttempted] = {}
    for each in told:
        known = highest.get(each.attempt_id)
        if known is None or known.revision < each.revision:
            highest[each.attempt_id] = each
    return list(highest.values())


async def _adopt_attempts(session: AsyncSession, made: Sequence[ContactAttempted]) -> None:
    if not made:
        return
    tries = await ledger.tries(session, {each.invitation_id for each in made})
    entries: list[LedgerEntry] = []
    ends: dict[tuple[UUID, int], tuple[ContactAttempted, StepState, int]] = {}
    for each in made:
        key = each.invitation_id, each.step
        tries[key] = tries.get(key, 0) + 1
        entries.append(LedgerEntry(each, tries[key]))
        ends[key] = each, STEP_STATES.get(each.state) or StepState(each.state.value), tries[key]
    await db.write(session, attempts.add_statement(entries))
    await ledger.end_steps(session, ends)
    last = {each.invitation_id: each for each in made}
    chains = await steps.chains(session, last)
    following = {each: chain.follow(chains[each], tried.step, now=tried.at) for each, tried in last.items()}
    planned = {each: step for each, step in following.items() if isinstance(step, PlannedStep)}
    await db.write(session, steps.plan_statement(planned))


async def _close(session: AsyncSession, outcomes: dict[UUID, InvitationOutcome], *, now: datetime) -> None:
    closed = {row["id"] for row in await invitations.close(session, outcomes, at=now)}
    await steps.stop(session, {each: outcomes[each] for each in closed})


async def _adopt_suppressions(session: AsyncSession, told: Sequence[Payload], *, now: datetime) -> None:
    last = {key_of(each): each for each in told if isinstance(each, RespondentSuppressed | RespondentReleased)}
    await suppressions.add(session, [each for each in last.values() if isinstance(each, RespondentSuppressed)], at=now)
    await suppressions.lift(session, [key for key, each in last.items() if isinstance(each, RespondentReleased)])

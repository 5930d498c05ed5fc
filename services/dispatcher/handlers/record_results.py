"""What became of steps somebody held: ledger, next step and events in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from services.dispatcher.domain import chain
from services.dispatcher.domain.receipts import Receipt, Reference, learned_from_refusal
from services.dispatcher.domain.steps import (
    FINISHED,
    FinishedStep,
    LedgerEntry,
    PlannedStep,
    StepResult,
    StepState,
)
from services.dispatcher.handlers import close_invitations
from services.dispatcher.repository import attempts, invitations, mailbox, receipts, steps
from shared.contract.events import ContactAttempted, Payload
from shared.contract.vocabulary import InvitationOutcome
from shared.database import db


async def record(session: AsyncSession, done: Sequence[FinishedStep], *, now: datetime) -> list[FinishedStep]:
    """Record what is still ours and let each chain go on; return what was recorded."""
    if not done:
        return []
    here = await invitations.lock(session, {each.end.held.invitation_id for each in done})
    done = [_not_again(each) if not here[each.end.held.invitation_id].is_open else each for each in done]
    ours = await steps.end(session, [each.end for each in done])
    recorded = [each for each in done if each.end.held.key in ours]
    finished = [each for each in recorded if each.end.state in FINISHED]
    await mailbox.keep(session, [each.kept for each in finished if each.kept], at=now)
    await receipts.add(session, _lessons(finished))
    going_on = [each.end for each in finished if here[each.end.held.invitation_id].is_open]
    planned, closing = await _followed(session, going_on, now=now)
    ledger = [_entry(each, here[each.end.held.invitation_id].respondent_id, now=now) for each in finished]
    told: list[Payload] = [*(entry.event for entry in ledger), *(each.call for each in finished if each.call)]
    await db.write(
        session,
        attempts.add_statement(ledger),
        close_invitations.publishing(told, now=now),
        steps.plan_statement(planned),
    )
    await close_invitations.close(session, closing, now=now)
    return recorded


def _not_again(done: FinishedStep) -> FinishedStep:
    """A step that would be tried again ends with its invitation, closed while it was in flight."""
    if done.end.state is not StepState.PLANNED:
        return done
    return replace(done, end=replace(done.end, state=StepState.SKIPPED, reason="closed", due_at=None))


def _lessons(finished: Sequence[FinishedStep]) -> list[Receipt]:
    """What refusals at the door teach about the address is applied as a receipt of them."""
    found = []
    for end in (each.end for each in finished):
        kind = learned_from_refusal(end.reason) if end.state is StepState.REFUSED else None
        if kind is not None:
            reference = Reference(*end.held.key)
            key = f"{reference}:refused"
            found.append(Receipt(end.account or "none", key, kind, end.held.channel, end.reason, reference))
    return found


def _entry(done: FinishedStep, respondent_id: str, *, now: datetime) -> LedgerEntry:
    end, state = done.end, done.end.state.attempt
    assert state is not None
    attempt = ContactAttempted(
        respondent_id=respondent_id,
        invitation_id=end.held.invitation_id,
        attempt_id=uuid7(),
        revision=1,
        step=end.held.step,
        channel=end.held.channel,
        provider=end.account or "none",
        state=state,
        reason=end.reason,
        at=now,
    )
    return LedgerEntry(attempt, end.tries, done.message_id, done.bill)


async def _followed(
    session: AsyncSession, ended: Sequence[StepResult], *, now: datetime
) -> tuple[dict[UUID, PlannedStep], dict[UUID, InvitationOutcome]]:
    """Say which chains go on with which step, and which are through with which outcome."""
    chains = await steps.chains(session, {end.held.invitation_id for end in ended})
    planned: dict[UUID, PlannedStep] = {}
    closing: dict[UUID, InvitationOutcome] = {}
    for end in ended:
        invitation = end.held.invitation_id
        following = chain.follow(chains[invitation], end.held.step, now=now)
        if isinstance(following, PlannedStep):
            planned[invitation] = following
        elif following is not None:
            closing[invitation] = following
    return planned, closing


async def give_up_lost(
    session: AsyncSession, *, now: datetime, limit: int = close_invitations.BATCH
) -> list[FinishedStep]:
    """Turn steps whose sender never came back into `unknown`; the next step is their retry."""
    lost = await steps.lost_in_flight(session, limit=limit)
    return await record(
        session,
        [
            FinishedStep(
                StepResult(held, StepState.UNKNOWN, tries=held.tries + 1, account=held.account, reason="sender_lost")
            )
            for held in lost
        ],
        now=now,
    )

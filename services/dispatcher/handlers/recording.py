"""What became of steps somebody held: ledger, next step and events in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from services.dispatcher import domain
from services.dispatcher.domain import Bill, Outgoing, StepState
from services.dispatcher.handlers import ending
from services.dispatcher.receipts import Receipt, Reference, learned_from_refusal
from services.dispatcher.repository import attempts, invitations, mailbox, receipts, steps
from services.dispatcher.repository.attempts import Entry
from services.dispatcher.repository.steps import End
from shared import db
from shared.events import CallRequested, ContactAttempted, Payload
from shared.vocabulary import InvitationOutcome


class Done(msgspec.Struct, frozen=True):
    """The end of a held step with what it leaves behind: a message for the mailbox, a task for the desk."""

    end: End
    message_id: str | None = None
    bill: Bill | None = None
    kept: Outgoing | None = None
    call: CallRequested | None = None


async def record(session: AsyncSession, done: Sequence[Done], *, now: datetime) -> list[Done]:
    """Record what is still ours and let each chain go on; return what was recorded."""
    if not done:
        return []
    here = await invitations.lock(session, {each.end.held.invitation_id for each in done})
    done = [_not_again(each) if not here[each.end.held.invitation_id].is_open else each for each in done]
    ours = await steps.end(session, [each.end for each in done])
    recorded = [each for each in done if each.end.held.key in ours]
    finished = [each for each in recorded if each.end.state in domain.FINISHED]
    await mailbox.keep(session, [each.kept for each in finished if each.kept], at=now)
    await receipts.add(session, _lessons(finished))
    going_on = [each.end for each in finished if here[each.end.held.invitation_id].is_open]
    planned, closing = await _followed(session, going_on, now=now)
    ledger = [_entry(each, here[each.end.held.invitation_id].respondent_id, now=now) for each in finished]
    told: list[Payload] = [*(entry.event for entry in ledger), *(each.call for each in finished if each.call)]
    await db.write(session, attempts.adding(ledger), ending.publishing(told, now=now), steps.planning(planned))
    await ending.close(session, closing, now=now)
    return recorded


def _not_again(done: Done) -> Done:
    """A step that would be tried again ends with its invitation, closed while it was in flight."""
    if done.end.state is not StepState.PLANNED:
        return done
    return replace(done, end=replace(done.end, state=StepState.SKIPPED, reason="closed", due_at=None))


def _lessons(finished: Sequence[Done]) -> list[Receipt]:
    """What refusals at the door teach about the address is applied as a receipt of them."""
    found = []
    for end in (each.end for each in finished):
        kind = learned_from_refusal(end.reason) if end.state is StepState.REFUSED else None
        if kind is not None:
            reference = Reference(*end.held.key)
            key = f"{reference}:refused"
            found.append(Receipt(end.account or "none", key, kind, end.held.channel, end.reason, reference))
    return found


def _entry(done: Done, respondent_id: str, *, now: datetime) -> Entry:
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
    return Entry(attempt, end.tries, done.message_id, done.bill)


async def _followed(
    session: AsyncSession, ended: Sequence[End], *, now: datetime
) -> tuple[dict[UUID, domain.Planned], dict[UUID, InvitationOutcome]]:
    """Say which chains go on with which step, and which are through with which outcome."""
    chains = await steps.chains(session, {end.held.invitation_id for end in ended})
    planned: dict[UUID, domain.Planned] = {}
    closing: dict[UUID, InvitationOutcome] = {}
    for end in ended:
        invitation = end.held.invitation_id
        following = domain.follow(chains[invitation], end.held.step, now=now)
        if isinstance(following, domain.Planned):
            planned[invitation] = following
        elif following is not None:
            closing[invitation] = following
    return planned, closing


async def give_up_lost(session: AsyncSession, *, now: datetime, limit: int = ending.BATCH) -> list[Done]:
    """Turn steps whose sender never came back into `unknown`; the next step is their retry."""
    lost = await steps.lost_in_flight(session, limit=limit)
    return await record(
        session,
        [
            Done(End(held, StepState.UNKNOWN, tries=held.tries + 1, account=held.account, reason="sender_lost"))
            for held in lost
        ],
        now=now,
    )

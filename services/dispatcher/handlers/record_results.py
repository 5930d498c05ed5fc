"""Records the results of steps: writes the ledger, plans the next step of each chain and publishes the events."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from msgspec.structs import replace
from uuid_utils.compat import uuid7

from services.dispatcher.domain import chain
from services.dispatcher.domain.receipts import Receipt, Reference, kind_of_refusal
from services.dispatcher.domain.steps import (
    FINISHED,
    NO_PROVIDER,
    FinishedStep,
    LeasedStep,
    LedgerEntry,
    PlannedStep,
    StepResult,
    StepState,
)
from services.dispatcher.handlers import close_invitations
from services.dispatcher.repository import attempts, chains, invitations, mailbox, receipts, steps
from shared.contract.events import ContactAttempted, Payload, SurveyRequested
from shared.contract.vocabulary import AttemptState, InvitationOutcome
from shared.database import db
from shared.database.session import Session

SHOP = "shop"  # the provider of a link that the shop shows itself


class _Continuation(NamedTuple):
    """What follows the steps that ended: the next planned step, or the outcome, by invitation."""

    planned: dict[UUID, PlannedStep]
    outcomes: dict[UUID, InvitationOutcome]


async def record(session: Session, given: Sequence[FinishedStep], *, now: datetime) -> list[FinishedStep]:
    """Record the steps whose lease is still held, and continue each chain; return what was recorded."""
    if not given:
        return []
    locked = await invitations.lock(session, {each.result.leased.invitation_id for each in given})
    open_ones = {id_ for id_, invitation in locked.items() if invitation.is_open}
    given = [each if each.result.leased.invitation_id in open_ones else _without_retry(each) for each in given]
    held = await steps.end(session, [each.result for each in given])
    recorded = [each for each in given if each.result.leased.key in held]
    finished = [each for each in recorded if each.result.state in FINISHED]
    await mailbox.keep(session, [each.for_mailbox for each in finished if each.for_mailbox], at=now)
    await receipts.add(session, _refusal_receipts(finished))
    following = await _following(session, [each.result for each in finished], open_ones, now=now)
    ledger = [_entry(each, locked[each.result.leased.invitation_id].respondent_id, now=now) for each in finished]
    await _write(session, ledger, finished, following, now=now)
    await close_invitations.close(session, following.outcomes, now=now)
    return recorded


def _without_retry(finished: FinishedStep) -> FinishedStep:
    """Skip a step instead of trying it again: its invitation was closed while it was in flight."""
    if finished.result.state is not StepState.PLANNED:
        return finished
    return replace(finished, result=replace(finished.result, state=StepState.SKIPPED, reason="closed", due_at=None))


def _refusal_receipts(finished: Sequence[FinishedStep]) -> list[Receipt]:
    """Make receipts of refusals that say something about the address; they are applied like those of a provider."""
    found = []
    for result in (each.result for each in finished):
        kind = kind_of_refusal(result.reason) if result.state is StepState.REFUSED else None
        if kind is not None:
            reference = Reference(*result.leased.key)
            provider, channel = result.account or NO_PROVIDER, result.leased.channel
            found.append(Receipt(provider, f"{reference}:refused", kind, channel, result.reason, reference))
    return found


async def _following(
    session: Session, results: Sequence[StepResult], open_ones: Collection[UUID], *, now: datetime
) -> _Continuation:
    ended = {each.leased.invitation_id: each for each in results if each.leased.invitation_id in open_ones}
    following = _Continuation({}, {})
    for invitation, steps_ in (await chains.read(session, ended)).items():
        leased = ended[invitation].leased
        next_one = chain.follow(steps_, leased.step, ended[invitation].state, was_due=leased.due_at, now=now)
        if isinstance(next_one, PlannedStep):
            following.planned[invitation] = next_one
        elif next_one is not None:
            following.outcomes[invitation] = next_one
    return following


async def _write(
    session: Session,
    ledger: Sequence[LedgerEntry],
    finished: Sequence[FinishedStep],
    following: _Continuation,
    *,
    now: datetime,
) -> None:
    events: list[Payload] = [*(entry.event for entry in ledger), *(each.call for each in finished if each.call)]
    await db.write(
        session,
        attempts.add_statement(ledger),
        await close_invitations.publish_statement(session, events, now=now),
        steps.plan_statement(following.planned),
    )


def _entry(finished: FinishedStep, respondent_id: str, *, now: datetime) -> LedgerEntry:
    result, state = finished.result, finished.result.state.attempt
    assert state is not None
    attempt = ContactAttempted(
        respondent_id=respondent_id,
        invitation_id=result.leased.invitation_id,
        attempt_id=uuid7(),
        revision=1,
        step=result.leased.step,
        channel=result.leased.channel,
        provider=result.account or NO_PROVIDER,
        state=state,
        reason=result.reason,
        at=now,
    )
    return LedgerEntry(attempt, result.tries, finished.message_id, finished.bill)


async def record_shown_links(session: Session, requests: Sequence[SurveyRequested], *, now: datetime) -> None:
    """Write the steps `link` of new invitations to the ledger: the shop got the link with the decision."""
    shown = [
        ContactAttempted(
            respondent_id=request.respondent_id,
            invitation_id=request.invitation_id,
            attempt_id=uuid7(),
            revision=1,
            step=step.step,
            channel=step.channel,
            provider=SHOP,
            state=AttemptState.SENT,
            at=now,
        )
        for request in requests
        for step in request.plan
        if not step.channel.contacts
    ]
    ledger = attempts.add_statement([LedgerEntry(each, 1) for each in shown])
    await db.write(session, ledger, await close_invitations.publish_statement(session, shown, now=now))


async def give_up_lost(session: Session, *, now: datetime, limit: int = close_invitations.BATCH) -> list[FinishedStep]:
    """End steps whose lease ended in flight, as `unknown`: they are not sent again, and their chain continues."""
    lost = await steps.lost_in_flight(session, limit=limit)
    return await record(session, [_lost(leased) for leased in lost], now=now)


def _lost(leased: LeasedStep) -> FinishedStep:
    return FinishedStep(
        StepResult(leased, StepState.UNKNOWN, tries=leased.tries + 1, account=leased.account, reason="sender_lost")
    )

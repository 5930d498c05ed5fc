"""Applies receipts to attempts, chains and suppressions; one batch in one transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from services.dispatcher.domain import chain
from services.dispatcher.domain.addresses import NewSuppression
from services.dispatcher.domain.invitations import LockedInvitation
from services.dispatcher.domain.receipt_effects import (
    MatchedReceipt,
    advances,
    deciding_receipts,
    suppression_of,
    without_older_replies,
)
from services.dispatcher.domain.receipts import (
    REFUSING,
    SOFT_BOUNCES,
    SOFT_WITHIN,
    Receipt,
    ReceiptKind,
    brought_forward,
    suppression_for,
)
from services.dispatcher.handlers import close_invitations
from services.dispatcher.repository import addresses, chains, invitations, receipts, steps, suppressions
from shared.contract.address_keys import AddressKeys
from shared.contract.events import ContactAttempted, RespondentReleased, Suppression
from shared.contract.vocabulary import InvitationOutcome, SuppressionReason
from shared.database.session import Session
from shared.web.audit.acts import note, note_unchanged

BATCH = 500


async def apply(
    session: Session, *, address_keys: AddressKeys, now: datetime, among: Collection[UUID] | None = None
) -> int:
    """Apply due receipts whose message is known, only those of `among` if given; return how many were due.

    Receipts without a known message are due again later.
    """
    due = await receipts.take_due(session, limit=BATCH, among=among)
    if not due:
        return 0
    matched = await receipts.matched(session, due, address_keys=address_keys)
    applied = without_older_replies(matched)
    suppressed = {
        each.respondent_id for each in applied if suppression_for(each.receipt.kind, soft_bounces=SOFT_BOUNCES)
    }
    if suppressed:
        await invitations.let_requests_finish(session)
    same = await addresses.open_with_addresses_of(session, suppressed) if suppressed else set()
    locked = await invitations.lock(
        session,
        same | {each.invitation_id for each in applied if each.invitation_id},
        open_of={each.respondent_id for each in applied},
    )
    await _advance(session, applied, locked, now=now)
    await _suppress(session, applied, now=now)
    await _decline(session, applied, now=now)
    await _release(session, applied, now=now)
    known = {each.id for each in matched}
    await receipts.put_away(session, known, unmatched=due.keys() - known)
    return len(due)


async def _advance(
    session: Session,
    applied: Sequence[MatchedReceipt],
    locked: Mapping[UUID, LockedInvitation],
    *,
    now: datetime,
) -> None:
    deciding = deciding_receipts(applied)
    advanced = await receipts.advance(session, advances(deciding))
    events = [_attempted(row, locked[row["invitation_id"]].respondent_id, now=now) for row in advanced]
    await close_invitations.publish(session, events, now=now)
    await _continue_chains(session, {row["id"]: row for row in advanced}, deciding, locked, now=now)


def _attempted(row: asyncpg.Record, respondent_id: str, *, now: datetime) -> ContactAttempted:
    names = ("invitation_id", "revision", "step", "channel", "provider", "state", "reason")
    return ContactAttempted(
        respondent_id=respondent_id, attempt_id=row["id"], at=now, **{name: row[name] for name in names}
    )


async def _continue_chains(
    session: Session,
    advanced: Mapping[UUID, asyncpg.Record],
    deciding: Mapping[UUID, Receipt],
    locked: Mapping[UUID, LockedInvitation],
    *,
    now: datetime,
) -> None:
    """Continue at once the chains whose last step reached nobody."""
    kinds = {(row["invitation_id"], row["step"]): deciding[attempt].kind for attempt, row in advanced.items()}
    found = await chains.read(session, {invitation for invitation, _ in kinds if locked[invitation].is_open})
    earlier = {
        invitation: next_one
        for (invitation, step), kind in kinds.items()
        if (next_one := brought_forward(found.get(invitation, []), kind, step, now=now)) is not None
    }
    await steps.bring_forward(session, earlier)
    undeliverable = [invitation for invitation, each in found.items() if chain.is_undeliverable(each)]
    await close_invitations.close(session, dict.fromkeys(undeliverable, InvitationOutcome.UNDELIVERABLE), now=now)


async def _suppress(session: Session, applied: Sequence[MatchedReceipt], *, now: datetime) -> None:
    soft = {each.respondent_id for each in applied if each.receipt.kind is ReceiptKind.SOFT_BOUNCE}
    counted = await receipts.soft_bounces(session, soft, since=now - SOFT_WITHIN) if soft else {}
    rules = [
        (each, rule)
        for each in applied
        if (rule := suppression_for(each.receipt.kind, soft_bounces=counted.get(each.sender, 0)))
    ]
    if not rules:
        return
    of_address = [
        (each.invitation_id, each.receipt.channel)
        for each, rule in rules
        if rule.of_address and each.invitation_id is not None
    ]
    known = await receipts.addresses(session, of_address) if of_address else {}
    found = [suppression_of(each, rule, known, now=now) for each, rule in rules]
    await close_invitations.suppress(session, found, now=now)


async def _decline(session: Session, applied: Collection[MatchedReceipt], *, now: datetime) -> None:
    """Close the open surveys that a respondent got over the channel of a complaint or STOP: the call is not made."""
    if senders := {each.sender for each in applied if each.receipt.kind in REFUSING}:
        declined = await receipts.surveyed(session, senders)
        await close_invitations.close(session, dict.fromkeys(declined, InvitationOutcome.DECLINED), now=now)


async def _release(session: Session, applied: Collection[MatchedReceipt], *, now: datetime) -> None:
    starts = {each.sender for each in applied if each.receipt.kind is ReceiptKind.START}
    for channel in {channel for _, channel in starts}:
        respondents = {respondent for respondent, wanted in starts if wanted is channel}
        lifted = await suppressions.release(session, respondents, channel=channel, reason=SuppressionReason.STOP)
        await close_invitations.publish(session, lifted, now=now)


async def release(session: Session, suppression_id: UUID, *, now: datetime) -> RespondentReleased | None:
    """Lift one suppression by hand and publish that; return what was lifted, None when there is no such one."""
    lifted = await suppressions.remove(session, suppression_id)
    for each in lifted:
        note(respondent=each.respondent_id)
    await close_invitations.publish(session, lifted, now=now)
    return lifted[0] if lifted else None


async def restore(session: Session, suppression: Suppression, *, now: datetime) -> None:
    """Store a suppression again that was lifted by hand, with the addresses that it bound, and publish that."""
    note(respondent=suppression.respondent_id)
    if not await close_invitations.suppress(session, [NewSuppression(suppression)], now=now):
        note_unchanged()


async def lift_opt_outs(session: Session, respondent_id: str, *, now: datetime) -> bool:
    """Lift the opt-outs of a respondent, who takes them back, and publish that; returns False when there is none."""
    lifted = await suppressions.release(session, [respondent_id], reason=SuppressionReason.OPT_OUT)
    await close_invitations.publish(session, lifted, now=now)
    return bool(lifted)


async def release_expired(session: Session, *, now: datetime) -> int:
    """Lift suppressions that have expired and publish that; return how many."""
    lifted = await suppressions.release_expired(session, now=now, limit=BATCH)
    await close_invitations.publish(session, lifted, now=now)
    return len(lifted)

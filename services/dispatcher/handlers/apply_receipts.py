"""What receipts make of attempts, chains and suppressions; one batch, one transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from services.dispatcher.domain import chain
from services.dispatcher.domain.invitations import LockedInvitation
from services.dispatcher.domain.receipts import (
    SOFT_WITHIN,
    STEP_STATES,
    AttemptAdvance,
    MatchedReceipt,
    Receipt,
    ReceiptKind,
    SuppressionRule,
    brought_forward,
    furthest,
    reason_of,
    state_of,
    suppression_for,
)
from services.dispatcher.handlers import close_invitations
from services.dispatcher.repository import invitations, receipts, steps, suppressions
from shared.contract.events import ContactAttempted, Suppression
from shared.contract.vocabulary import AttemptState, ChannelKind, InvitationOutcome, SuppressionReason

BATCH = 500


async def apply(session: AsyncSession, *, now: datetime, among: Collection[UUID] | None = None) -> int:
    """Apply receipts whose message is known; return how many were looked at. The rest is looked at again later."""
    due = await receipts.take_due(session, limit=BATCH, among=among)
    if not due:
        return 0
    about = await receipts.matched(session, due)
    matched, found = {each.id for each in about}, _last_words(about)
    if any(suppression_for(each.receipt.kind, soft_bounces=1_000) for each in found):
        await invitations.let_requests_finish(session)
    here = await invitations.lock(
        session,
        {each.invitation_id for each in found if each.invitation_id},
        open_of={each.respondent_id for each in found},
    )
    await _advance(session, found, here, now=now)
    await _silence(session, found, now=now)
    await _release(session, found, now=now)
    await receipts.put_away(session, matched, unmatched=due.keys() - matched)
    return len(due)


_SAID = (ReceiptKind.STOP, ReceiptKind.START)


def _last_words(found: Sequence[MatchedReceipt]) -> list[MatchedReceipt]:
    """Of what a respondent said over a channel only the last counts; receipts' ids are in the order they came."""
    last: dict[tuple[str, ChannelKind], UUID] = {}
    for each in found:
        if each.receipt.kind in _SAID:
            who = each.respondent_id, each.receipt.channel
            last[who] = max(each.id, last.get(who, each.id))
    return [
        each
        for each in found
        if each.receipt.kind not in _SAID or last[each.respondent_id, each.receipt.channel] == each.id
    ]


async def _advance(
    session: AsyncSession, found: Sequence[MatchedReceipt], here: Mapping[UUID, LockedInvitation], *, now: datetime
) -> None:
    by_attempt: dict[UUID, list[Receipt]] = {}
    for each in found:
        if each.attempt_id is not None:
            by_attempt.setdefault(each.attempt_id, []).append(each.receipt)
    deciding = {attempt: receipt for attempt, told in by_attempt.items() if (receipt := furthest(told)) is not None}
    moves = [
        AttemptAdvance(attempt, state, reason_of(receipt))
        for attempt, receipt in deciding.items()
        if (state := state_of(receipt.kind)) is not None
    ]
    moved = await receipts.advance(session, moves)
    told = [_attempted(row, here[row["invitation_id"]].respondent_id, now=now) for row in moved]
    await close_invitations.publish(session, told, now=now)
    await _correct(session, {row["id"]: row for row in moved}, deciding, here, now=now)


def _attempted(row: asyncpg.Record, respondent_id: str, *, now: datetime) -> ContactAttempted:
    names = ("invitation_id", "revision", "step", "channel", "provider", "state", "reason")
    return ContactAttempted(
        respondent_id=respondent_id, attempt_id=row["id"], at=now, **{name: row[name] for name in names}
    )


async def _correct(
    session: AsyncSession,
    moved: Mapping[UUID, asyncpg.Record],
    deciding: Mapping[UUID, Receipt],
    here: Mapping[UUID, LockedInvitation],
    *,
    now: datetime,
) -> None:
    """Let the steps follow their attempts, and the chain go on at once where one turns out to have reached nobody."""
    kinds = {(row["invitation_id"], row["step"]): deciding[attempt].kind for attempt, row in moved.items()}
    ends = {
        (row["invitation_id"], row["step"]): (STEP_STATES[AttemptState(row["state"])], row["reason"])
        for row in moved.values()
    }
    await receipts.correct_steps(session, ends)
    open_ones = {invitation for invitation, _ in kinds if here[invitation].is_open}
    chains = await steps.chains(session, open_ones)
    due = {
        (invitation, next_one.number): next_one.due_at
        for (invitation, step), kind in kinds.items()
        if (next_one := brought_forward(chains.get(invitation, []), kind, step, now=now)) is not None
    }
    await receipts.bring_forward(session, due)
    dead = [invitation for invitation, steps in chains.items() if chain.is_undeliverable(steps)]
    await close_invitations.close(session, dict.fromkeys(dead, InvitationOutcome.UNDELIVERABLE), now=now)


async def _silence(session: AsyncSession, found: Sequence[MatchedReceipt], *, now: datetime) -> None:
    soft = {each.respondent_id for each in found if each.receipt.kind is ReceiptKind.SOFT_BOUNCE}
    counted = await receipts.soft_bounces(session, soft, since=now - SOFT_WITHIN) if soft else {}
    silences = [
        (each, silence)
        for each in found
        if (
            silence := suppression_for(
                each.receipt.kind, soft_bounces=counted.get((each.respondent_id, each.receipt.channel), 0)
            )
        )
    ]
    if not silences:
        return
    bound = [
        (each.invitation_id, each.receipt.channel)
        for each, silence in silences
        if silence.of_address and each.invitation_id is not None
    ]
    addresses = await receipts.addresses(session, bound) if bound else {}
    wanted = [_suppression(each, silence, addresses, now=now) for each, silence in silences]
    await close_invitations.suppress(session, wanted, now=now)


def _suppression(
    matched: MatchedReceipt,
    silence: SuppressionRule,
    addresses: Mapping[tuple[UUID, ChannelKind], bytes | None],
    *,
    now: datetime,
) -> Suppression:
    address = None
    if silence.of_address and matched.invitation_id is not None:
        address = addresses.get((matched.invitation_id, matched.receipt.channel))
    return Suppression(
        respondent_id=matched.respondent_id,
        channel=matched.receipt.channel,
        reason=silence.reason,
        until=now + silence.lasts if silence.lasts else None,
        address=address.hex() if address else None,
    )


async def _release(session: AsyncSession, found: Collection[MatchedReceipt], *, now: datetime) -> None:
    again = {(each.respondent_id, each.receipt.channel) for each in found if each.receipt.kind is ReceiptKind.START}
    for channel in {channel for _, channel in again}:
        respondents = {respondent for respondent, wanted in again if wanted is channel}
        lifted = await suppressions.release(session, respondents, channel=channel, reason=SuppressionReason.STOP)
        await close_invitations.publish(session, lifted, now=now)


async def release(session: AsyncSession, suppression_id: UUID, *, now: datetime) -> bool:
    """Lift one suppression by hand, and say so; False when there is none."""
    lifted = await suppressions.remove(session, suppression_id)
    await close_invitations.publish(session, lifted, now=now)
    return bool(lifted)


async def release_expired(session: AsyncSession, *, now: datetime) -> int:
    """Lift suppressions whose time is over, and say so; return how many they were."""
    lifted = await suppressions.release_expired(session, now=now, limit=BATCH)
    await close_invitations.publish(session, lifted, now=now)
    return len(lifted)

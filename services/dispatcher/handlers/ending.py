"""How invitations end, and what ends with them. Callers have locked their rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.dispatcher import domain
from services.dispatcher.repository import invitations, steps, suppressions
from shared import cloudevents, outbox
from shared.events import CallWithdrawn, InvitationClosed, Payload, RespondentSuppressed, Suppression
from shared.vocabulary import InvitationOutcome, Service, SuppressionReason

BATCH = 500


async def publish(session: AsyncSession, payloads: Sequence[Payload], *, now: datetime) -> None:
    events = [cloudevents.new(payload, service=Service.DISPATCHER, at=now) for payload in payloads]
    await outbox.add(session, events)


async def close(session: AsyncSession, outcomes: Mapping[UUID, InvitationOutcome], *, now: datetime) -> None:
    """Close locked invitations: what is not in flight stops, an open call is recalled, the outcome is published."""
    if not outcomes:
        return
    closed = {row["id"]: row["respondent_id"] for row in await invitations.close(session, outcomes, at=now)}
    await steps.stop(session, {invitation: outcomes[invitation] for invitation in closed})
    recalled = await steps.recall_calls(session, closed)
    told: list[Payload] = [
        InvitationClosed(respondent_id=respondent, invitation_id=invitation, outcome=outcomes[invitation], at=now)
        for invitation, respondent in closed.items()
    ]
    told += [
        CallWithdrawn(
            respondent_id=closed[invitation], invitation_id=invitation, task_id=task, reason=outcomes[invitation]
        )
        for invitation, task in recalled
    ]
    await publish(session, told, now=now)


async def close_or_remember(
    session: AsyncSession, outcomes: Mapping[UUID, InvitationOutcome], *, now: datetime
) -> None:
    """Close invitations that are here; keep the end of those whose request is still on its way."""
    if await invitations.known(session, outcomes) != outcomes.keys():
        await invitations.let_requests_finish(session)
    here = await invitations.lock(session, outcomes)
    early = {invitation: outcome for invitation, outcome in outcomes.items() if invitation not in here}
    if early:
        await invitations.remember_early(session, early, at=now)
    await close(session, {invitation: outcomes[invitation] for invitation in here}, now=now)


async def suppress(session: AsyncSession, found: Sequence[Suppression], *, now: datetime) -> None:
    """Store and publish suppressions; one for everything ends the respondent's open invitations.

    The others only have their due steps looked at again: another channel may still be allowed.
    """
    open_ones = await invitations.lock(session, open_of={each.respondent_id for each in found})
    wanted = [RespondentSuppressed(**each.model_dump()) for each in found]
    await publish(session, await suppressions.add(session, wanted, at=now), now=now)
    ended = {each.respondent_id for each in found if each.channel is None and each.program is None}
    await close(
        session,
        {row.id: InvitationOutcome.DECLINED for row in open_ones.values() if row.respondent_id in ended},
        now=now,
    )
    await steps.take_leases_away(session, open_ones)


async def expire(session: AsyncSession, *, now: datetime, limit: int = BATCH) -> int:
    """Close invitations past their end; return how many there were."""
    due = await invitations.expired(session, now=now, limit=limit)
    here = await invitations.lock(session, due)
    chains = await steps.chains(session, here)
    outcomes = {invitation: domain.outcome_at_expiry(chains.get(invitation, [])) for invitation in here}
    await close(session, outcomes, now=now)
    return len(due)


async def opt_out(session: AsyncSession, respondent_id: str, *, now: datetime) -> None:
    """Ask this respondent nothing any more, over any channel, for ever."""
    opted_out = Suppression(respondent_id=respondent_id, reason=SuppressionReason.OPT_OUT)
    await suppress(session, [opted_out], now=now)


async def withdraw_respondents(session: AsyncSession, respondents: Collection[str], *, now: datetime) -> None:
    open_ones = await invitations.lock(session, open_of=respondents)
    await close(session, dict.fromkeys(open_ones, InvitationOutcome.WITHDRAWN), now=now)

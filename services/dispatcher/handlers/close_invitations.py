"""Closes invitations, and stops or recalls what belongs to them. Callers have locked the invitations' rows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from services.dispatcher.domain.addresses import (
    NewSuppression,
    respondents_of,
)
from services.dispatcher.domain.chain import after_call, outcome_at_expiry
from services.dispatcher.domain.invitations import LockedInvitation
from services.dispatcher.domain.suppressions import SuppressionKey, key_of
from services.dispatcher.repository import addresses, chains, invitations, open_calls, steps, suppressions
from shared.contract import cloudevents
from shared.contract.events import (
    CallWithdrawn,
    InvitationClosed,
    Payload,
    RespondentSuppressed,
    Suppression,
    SurveyWithdrawn,
)
from shared.contract.vocabulary import CallOutcome, ChannelKind, InvitationOutcome, Service, SuppressionReason
from shared.database import db
from shared.database.session import Session
from shared.messaging import outbox

BATCH = 500


async def publish(session: Session, payloads: Sequence[Payload], *, now: datetime) -> None:
    await db.write(session, await publish_statement(session, payloads, now=now))


async def publish_statement(session: Session, payloads: Sequence[Payload], *, now: datetime) -> db.Write | None:
    """Return the statement that stores events, to be run in the transaction of the change they describe."""
    events = [cloudevents.new(payload, service=Service.DISPATCHER, at=now) for payload in payloads]
    return await outbox.packed_statement(session, events)


async def close(session: Session, outcomes: Mapping[UUID, InvitationOutcome], *, now: datetime) -> None:
    """Close locked invitations: stop steps that are not in flight, recall open calls, publish the outcome."""
    if not outcomes:
        return
    closed = {row["id"]: row["respondent_id"] for row in await invitations.close(session, outcomes, at=now)}
    await steps.stop(session, closed)
    events = [
        InvitationClosed(respondent_id=respondent, invitation_id=invitation, outcome=outcomes[invitation], at=now)
        for invitation, respondent in closed.items()
    ]
    await publish(session, events, now=now)
    await recall(session, closed, reasons=outcomes, now=now)


async def recall(
    session: Session, respondents: Mapping[UUID, str], *, reasons: Mapping[UUID, str], now: datetime
) -> None:
    """Recall the open calls of locked invitations from the desk.

    `respondents` and `reasons` have the ids of the same invitations as keys.
    """
    recalled = await open_calls.recall(session, respondents)
    events = [
        CallWithdrawn(
            respondent_id=respondents[invitation], invitation_id=invitation, task_id=task, reason=reasons[invitation]
        )
        for invitation, task in recalled
    ]
    await publish(session, events, now=now)


async def end_call(session: Session, invitation_id: UUID, *, reason: str, now: datetime) -> None:
    """Recall an open call whose CRM task was done without an answer; close the invitation if no step is left."""
    locked = await invitations.lock(session, [invitation_id])
    respondents = {id_: row.respondent_id for id_, row in locked.items() if row.is_open}
    await recall(session, respondents, reasons=dict.fromkeys(respondents, reason), now=now)
    found = await chains.read(session, respondents)
    outcomes = {id_: after_call(CallOutcome.UNREACHABLE, chain) for id_, chain in found.items()}
    await close(session, {id_: outcome for id_, outcome in outcomes.items() if outcome is not None}, now=now)


async def recall_where(
    session: Session,
    locked: Iterable[LockedInvitation],
    forbids: Callable[[LockedInvitation], bool],
    *,
    now: datetime,
) -> None:
    """Recall the calls of those locked invitations for which `forbids` is true: the respondent does not want them."""
    unwanted = {each.id: each.respondent_id for each in locked if forbids(each)}
    await recall(session, unwanted, reasons=dict.fromkeys(unwanted, "unwanted"), now=now)


async def close_or_remember(session: Session, outcomes: Mapping[UUID, InvitationOutcome], *, now: datetime) -> None:
    """Close known invitations; remember the outcome of the others, whose request has not been received yet."""
    locked = await invitations.lock(session, outcomes)
    early = {invitation: outcome for invitation, outcome in outcomes.items() if invitation not in locked}
    if early:
        await invitations.remember_early(session, early, at=now)
    await close(session, {invitation: outcomes[invitation] for invitation in locked}, now=now)


async def suppress(session: Session, found: Sequence[NewSuppression], *, now: datetime) -> list[RespondentSuppressed]:
    """Store and publish suppressions, and return those that are new.

    They apply to the open invitations of the respondents, and to those of others with their addresses. One for all
    channels ends the invitations. The others recall unwanted calls, and leased steps are checked again: another
    channel may still be allowed.
    """
    given = {bytes.fromhex(address) for each in found for address in each.suppression.addresses}
    respondents = respondents_of(found)
    same = await addresses.open_with_addresses_of(session, respondents, given=given)
    open_ones = await invitations.lock(session, same, open_of=respondents)
    wanted = [RespondentSuppressed(**each.suppression.model_dump()) for each in found]
    added = {key_of(each): each for each in await suppressions.add(session, wanted, at=now)}
    bound = await addresses.bind(session, found)
    with_new = {key_of(each): each for each in wanted if key_of(each) in bound.with_new}
    new = list((with_new | added).values())
    await publish(session, [_with_addresses(each, bound.by_key) for each in new], now=now)
    of_addresses = addresses.with_addresses(found, bound.by_key)
    addressed = {each.id: each for each in await addresses.addressed(session, open_ones)}
    own = {
        (each.suppression.respondent_id, each.suppression.program) for each in found if each.suppression.channel is None
    }
    ended = [
        row.id
        for row in open_ones.values()
        if _is_among(row, own) or any(each.ends(addressed[row.id]) for each in of_addresses if row.id in addressed)
    ]
    await close(session, dict.fromkeys(ended, InvitationOutcome.DECLINED), now=now)
    calls = {
        (each.suppression.respondent_id, each.suppression.program)
        for each in found
        if each.suppression.channel in (None, ChannelKind.CALL)
    }
    to_bound = {
        id_ for id_, invitation in addressed.items() if any(each.forbids_call(invitation) for each in of_addresses)
    }
    await recall_where(session, open_ones.values(), lambda row: row.id in to_bound or _is_among(row, calls), now=now)
    await invitations.check_again(session, open_ones)
    return new


def _with_addresses(
    suppressed: RespondentSuppressed, bound: Mapping[SuppressionKey, Collection[bytes]]
) -> RespondentSuppressed:
    if suppressed.reason is SuppressionReason.SOFT_BOUNCE:  # it holds for nobody else
        return suppressed
    fingerprints = sorted(each.hex() for each in bound.get(key_of(suppressed), ()))
    return suppressed.model_copy(update={"addresses": fingerprints})


def _is_among(row: LockedInvitation, wanted: Collection[tuple[str, str | None]]) -> bool:
    """Whether a respondent is suppressed in all programs or in that of the invitation."""
    return (row.respondent_id, None) in wanted or (row.respondent_id, row.program) in wanted


async def expire(session: Session, *, now: datetime, limit: int = BATCH) -> int:
    """Close invitations past their expiry; return how many there were."""
    due = await invitations.expired(session, now=now, limit=limit)
    locked = await invitations.lock(session, due)
    found = await chains.read(session, locked)
    outcomes = {invitation: outcome_at_expiry(chain) for invitation, chain in found.items()}
    await close(session, {**dict.fromkeys(locked, InvitationOutcome.EXPIRED), **outcomes}, now=now)
    return len(due)


async def opt_out(
    session: Session,
    respondent_id: str,
    *,
    now: datetime,
    channel: ChannelKind | None = None,
    program: str | None = None,
) -> None:
    """Suppress a respondent and their addresses after an opt-out: everywhere, for a channel, or for a program."""
    await invitations.let_requests_finish(session)  # a request not committed yet would neither be closed nor checked
    opted_out = Suppression(
        respondent_id=respondent_id, channel=channel, program=program, reason=SuppressionReason.OPT_OUT
    )
    await suppress(session, [NewSuppression(opted_out)], now=now)


async def withdraw(session: Session, ids: Collection[UUID], *, reason: str, now: datetime) -> None:
    """Withdraw those of these invitations that are open, and publish that; delete what is planned of all of them."""
    locked = await invitations.lock(session, ids)
    open_ones = {id_: row.respondent_id for id_, row in locked.items() if row.is_open}
    events = [
        SurveyWithdrawn(respondent_id=respondent, invitation_id=id_, reason=reason)
        for id_, respondent in open_ones.items()
    ]
    await publish(session, events, now=now)
    await close(session, dict.fromkeys(open_ones, InvitationOutcome.WITHDRAWN), now=now)
    await steps.stop(session, ids)


async def recall_calls(session: Session, ids: Collection[UUID], *, reason: str, now: datetime) -> None:
    """Recall the open calls of these invitations."""
    locked = await invitations.lock(session, ids)
    respondents = {id_: row.respondent_id for id_, row in locked.items()}
    await recall(session, respondents, reasons=dict.fromkeys(respondents, reason), now=now)


async def withdraw_respondents(session: Session, respondents: Collection[str], *, now: datetime) -> None:
    open_ones = await invitations.lock(session, open_of=respondents)
    await close(session, dict.fromkeys(open_ones, InvitationOutcome.WITHDRAWN), now=now)

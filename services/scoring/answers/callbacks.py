"""Callbacks: calls that answers request, change and withdraw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from uuid_utils.compat import uuid7

from services.scoring.domain.calls import (
    CALLBACK_LIFETIME,
    Callback,
    CallbackRequest,
    next_slot,
)
from services.scoring.domain.invitations import Answer, Invitation
from services.scoring.repository.calling import callbacks
from shared.database.session import Session
from shared.zones import time_zone


@dataclass(frozen=True, slots=True)
class CallbackChange:
    """Whether a callback was wanted before and after an entry; `callback` has the entry's number and best time."""

    invitation: Invitation
    before: bool
    after: bool
    callback: Callback | None
    at: datetime


def callback_change(
    invitation: Invitation, after: Answer, callback: Callback | None, *, at: datetime
) -> CallbackChange:
    """Compare the answers before and after an entry; a suspect answer never requests a callback."""
    before = invitation.genuine_answer is not None and invitation.genuine_answer.callback_wanted
    return CallbackChange(invitation, before, after.counts and after.callback_wanted, callback, at)


async def apply(session: Session, changes: Sequence[CallbackChange]) -> None:
    """Add, change and withdraw callback tasks; the last of several changes of one invitation is applied.

    What was held back while the answer looked automatic is due as soon as the answer counts.
    """
    first = {each.invitation.id: each.before for each in reversed(changes)}
    last = {each.invitation.id: each for each in changes}
    await callbacks.withdraw(session, [invitation_id for invitation_id, each in last.items() if not each.after])
    wanted = {invitation_id: each for invitation_id, each in last.items() if each.after}
    new = [invitation_id for invitation_id in wanted if not first[invitation_id]]
    held = await callbacks.take_held(session, new) if new else {}
    requests = [
        _request(each, each.callback or held.get(invitation_id), newly=not first[invitation_id])
        for invitation_id, each in wanted.items()
        if each.callback or not first[invitation_id]
    ]
    await callbacks.upsert(session, requests)


async def hold(session: Session, changes: Sequence[CallbackChange]) -> None:
    """Hold back the callbacks of answers that look automatic: nobody is called before somebody confirms the answer."""
    latest = {each.invitation.id: each for each in changes}
    await callbacks.hold(session, [_request(each, each.callback, newly=True) for each in latest.values()])


def _request(change: CallbackChange, callback: Callback | None, *, newly: bool) -> CallbackRequest:
    callback = callback or Callback(wanted=True)
    expires_at = change.at + CALLBACK_LIFETIME
    hours = callback.best_time.hours
    slot = next_slot(change.at, hours=hours, zone=time_zone(change.invitation.time_zone), expires_at=expires_at)
    return CallbackRequest(uuid7(), change.invitation, callback.phone, hours, slot, expires_at, newly)

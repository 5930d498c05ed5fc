"""Periodic jobs about receipts: apply them, ask providers and mailboxes for them, lift expired suppressions."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import UUID

import structlog

from services.dispatcher.channels.feedback import incoming
from services.dispatcher.channels.feedback.imap import BounceMail, BounceMailbox, MailboxUnavailable
from services.dispatcher.channels.feedback.incoming import IncomingMail
from services.dispatcher.channels.sms import Inquiry
from services.dispatcher.domain.receipts import Receipt, Reference
from services.dispatcher.handlers import apply_receipts
from services.dispatcher.repository import receipts, replies
from shared import metrics
from shared.clock import Clock
from shared.contract.address_keys import AddressKeys
from shared.contract.events import SurveyRequested
from shared.contract.vocabulary import Service
from shared.database.db import Row, is_transient
from shared.database.isolated import bisect_failures, isolated, report_refused
from shared.database.session import Session, Sessions
from shared.ids import made_at
from shared.web import links
from shared.web.links import Purpose, UnknownLinkKey

log = structlog.get_logger()

_INQUIRIES_AT_ONCE = 20
_MAILS_AT_ONCE = 50
REPLIES_KEPT = timedelta(days=90)
_SETTLED = timedelta(minutes=10)  # after this time a provider that does not know a message has not accepted it


class MailNotGivenOut(Exception):
    """The IMAP server refuses to give out a mail; it stays in the mailbox for a person to look at."""


class StatusProvider(Protocol):
    """An account that can be asked for the status of a message."""

    async def ask(self, inquiry: Inquiry) -> Receipt | None: ...


async def apply_due(sessions: Sessions, clock: Clock, *, address_keys: AddressKeys) -> int:
    """Apply due receipts; return how many were due.

    A receipt that fails with an error is logged and not tried again; it stays stored as long as receipts are kept.
    """
    try:
        async with sessions.begin() as session:
            return await apply_receipts.apply(session, address_keys=address_keys, now=clock.now())
    except Exception as error:
        if is_transient(error):
            raise
        return await _apply_isolated(sessions, clock, address_keys)


async def _apply_isolated(sessions: Sessions, clock: Clock, address_keys: AddressKeys) -> int:
    async def apply(ids: Sequence[UUID]) -> Sequence[None]:
        async with sessions.begin() as session:
            await apply_receipts.apply(session, address_keys=address_keys, now=clock.now(), among=ids)
        return [None] * len(ids)

    async with sessions.begin() as session:
        ids = await receipts.due(session, limit=apply_receipts.BATCH)
    refused = {
        id_: error for id_, error in zip(ids, await bisect_failures(ids, apply), strict=True) if error is not None
    }
    for id_, error in refused.items():
        report_refused("receipt", error, service=Service.DISPATCHER, receipt_id=str(id_))
    async with sessions.begin() as session:
        await receipts.set_aside(session, refused)
    return len(ids)


async def release_expired(sessions: Sessions, clock: Clock, *, replies_kept: timedelta = REPLIES_KEPT) -> int:
    """Lift expired suppressions, and delete receipts and replies that were kept long enough."""
    async with sessions.begin() as session:
        await receipts.forget_old(session)
        await replies.forget_old(session, kept=replies_kept)
        return await apply_receipts.release_expired(session, now=clock.now())


@dataclass(frozen=True, slots=True)
class SmsStatusPoller:
    """Asks the provider for the status of text messages that it may have accepted. None is sent again because of it."""

    sessions: Sessions
    account: StatusProvider
    link_keys: Mapping[str, str]

    async def __call__(self) -> int:
        async with self.sessions.begin() as session:
            inquiries = await self._inquiries(session)
        found = await asyncio.gather(*map(self._ask, inquiries))
        known = [receipt for receipt in found if receipt is not None]
        async with self.sessions.begin() as session:
            await receipts.add(session, known)
        return len(known)

    async def _ask(self, inquiry: Inquiry) -> Receipt | None:
        with isolated("sms_status", service=Service.DISPATCHER, reference=str(inquiry.reference)):
            return await self.account.ask(inquiry)
        return None

    async def _inquiries(self, session: Session) -> list[Inquiry]:
        inquiries = []
        for row in await receipts.to_ask(session, limit=_INQUIRIES_AT_ONCE):
            with isolated("stored_request", service=Service.DISPATCHER, attempt_id=str(row["id"])):
                inquiries.append(self._inquiry(row))
        return [inquiry for inquiry in inquiries if inquiry is not None]

    def _inquiry(self, row: Row) -> Inquiry | None:
        request = SurveyRequested.model_validate_json(row["request"])
        recorded = made_at(row["id"])
        link = self._link(request, row["step"])
        if link is None or not request.contact.phone:
            return None
        settled = datetime.now(UTC) - recorded > _SETTLED
        reference = Reference(request.invitation_id, row["step"])
        day = (recorded - timedelta(minutes=5)).date()  # it was sent before it was recorded
        return Inquiry(reference, request.contact.phone, link, day, settled, row["provider"])

    def _link(self, request: SurveyRequested, step: int) -> str | None:
        try:
            token = links.token(self.link_keys, request.link_key, Purpose.ANSWER, request.invitation_id)
        except UnknownLinkKey:
            return None
        return f"/s/{token}.{step}"


@dataclass(frozen=True, slots=True)
class BounceReader:
    """Reads delivery reports and replies from a mailbox; marks mails as read once these are stored, or if invalid."""

    sessions: Sessions
    mailbox: BounceMailbox

    async def __call__(self) -> int:
        try:
            mails = await asyncio.to_thread(self.mailbox.unread, limit=_MAILS_AT_ONCE)
            read = [_read(mail) for mail in mails]
            found = [receipt for each in read for receipt in each.receipts]
            async with self.sessions.begin() as session:
                await receipts.add(session, found)
                await replies.keep(session, [each.reply for each in read if each.reply is not None])
            await asyncio.to_thread(self.mailbox.mark_read, [mail.uid for mail in mails])
        except MailboxUnavailable as error:
            log.warning("bounces.mailbox_unavailable", reason=str(error))
            return 0
        for receipt in found:
            metrics.RECEIPTS.labels(Service.DISPATCHER, receipt.provider, receipt.kind).inc()
        return len(mails)


def _read(mail: BounceMail) -> IncomingMail:
    with isolated("bounce", service=Service.DISPATCHER, uid=mail.uid):
        if mail.content is None:
            raise MailNotGivenOut
        return incoming.read(mail.content)
    return IncomingMail([])

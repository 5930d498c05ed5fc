"""Anchors the audit log of a service when a day is over, hands the anchors out, and drops what is past retention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from shared.config import Settings
from shared.contract import cloudevents
from shared.contract.events import AuditAnchored
from shared.contract.vocabulary import Service
from shared.database.audit import anchors
from shared.database.audit.anchors import Anchor
from shared.database.session import Session, Sessions
from shared.messaging import outbox
from shared.staff_mail import Delivery, StaffLetter, StaffMail

log = structlog.get_logger()

EVERY_S = 600.0
_TEXT = """\
Keep this mail where nobody who administers Earshot's databases can change it.

{lines}

Each line is the hash of the last row of a day. `earshot audit verify --anchor LINE` says whether the log
is still as it was then.
"""


@dataclass(frozen=True, slots=True)
class AuditAnchors:
    """`kept` is how long rows stay; None for ever. Only one of several processes finds a day without its anchor.

    Anchors are mailed to the address `mail_to`, none without `mail`; two processes may both send one.
    """

    sessions: Sessions
    service: Service
    kept: timedelta | None
    mail: StaffMail | None = None
    mail_to: str = ""

    @classmethod
    def of(cls, settings: Settings, sessions: Sessions, service: Service) -> AuditAnchors:
        mail = StaffMail.of(settings, service) if settings.audit_mail_to else None
        return cls(sessions, service, settings.audit_kept, mail, settings.audit_mail_to)

    async def __call__(self) -> None:
        async with self.sessions.begin() as session:
            made = await anchors.add_missing(session)
            await self._hand_out(session, made)
            dropped = await anchors.drop_old(session, kept=self.kept) if self.kept is not None else 0
        if dropped:
            log.info("audit.dropped", rows=dropped)
        if self.mail is not None:
            await self._mail_out(self.mail)

    async def _mail_out(self, mail: StaffMail) -> None:
        """Mail the anchors that were not mailed yet; they wait for the next time if that fails."""
        async with self.sessions.begin() as session:
            waiting = await anchors.unmailed(session)
        if not waiting:
            return
        lines = "\n".join(f"    {self.service}:{each.day}:{each.hash.hex()}" for each in waiting)
        letter = StaffLetter(self.mail_to, f"Earshot: audit log of {self.service}", _TEXT.format(lines=lines))
        [delivery] = await mail.send([letter])
        if delivery is not Delivery.SENT:
            log.warning("audit.anchors_not_mailed", why=delivery.why)
            return
        async with self.sessions.begin() as session:
            await anchors.mark_mailed(session, waiting)

    async def _hand_out(self, session: Session, made: Sequence[Anchor]) -> None:
        """Publish new anchors in the transaction that stores them: copies outside the database prove what it held."""
        now = datetime.now(UTC)
        payloads = [
            AuditAnchored(service=self.service, day=each.day, number=each.number, hash=each.hash.hex()) for each in made
        ]
        await outbox.add(session, [cloudevents.new(each, service=self.service, at=now) for each in payloads])

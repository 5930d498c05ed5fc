"""What decides whether claimed steps are sent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from services.dispatcher.domain.addresses import OF_ADDRESS
from services.dispatcher.domain.steps import REACHED_ATTEMPTS, LeasedStep
from services.dispatcher.domain.stored_requests import RequestReader, SendFacts, StoredRequest
from services.dispatcher.repository import addresses
from services.dispatcher.repository.programs.states import STOPPED
from shared.contract.address_keys import AddressKeys
from shared.contract.vocabulary import ChannelKind
from shared.database import db
from shared.database.session import Session

_FACTS = f"""SELECT i.id, i.respondent_id, i.expires_at, i.request::text, i.content, (
    SELECT count(DISTINCT a.step) FROM attempts a
    WHERE a.invitation_id = i.id AND a.state = ANY($6::text[]) AND a.channel <> 'link'
) AS sent_before, EXISTS (
    SELECT FROM suppressions s
    WHERE s.respondent_id = i.respondent_id AND (s.channel IS NULL OR s.channel = $2)
      AND (s.program IS NULL OR s.program = i.program) AND (s.until IS NULL OR s.until > $3)
      AND (s.reason <> ALL($4::text[]) OR (s.address IS NULL AND NOT EXISTS (
          SELECT FROM bound_addresses b WHERE b.suppression_id = s.id
      )))
) AS suppressed, i.program, i.program = ANY({STOPPED}) AS stopped, i.request #>> $5::text[] AS address
FROM unnest($1::uuid[]) AS claimed (id) JOIN invitations i USING (id) WHERE i.state = 'open' AND i.expires_at > $3"""  # noqa: S608 - a constant
_CONTENTS = "SELECT digest, document::text FROM contents WHERE digest = ANY($1::bytea[])"


async def read(
    session: Session,
    leased: Sequence[LeasedStep],
    channel: ChannelKind,
    *,
    address_keys: AddressKeys,
    now: datetime,
) -> dict[UUID, SendFacts]:
    """Read what decides whether claimed steps are sent; invitations that have ended are left out.

    These must be statements after the one that claims, which reads the
    revision of each invitation: a change after that revision is found when the step is marked.
    """
    path = ["contact", "email" if channel is ChannelKind.EMAIL else "phone"]
    ids = [step.invitation_id for step in leased]
    rows = await db.fetch(session, _FACTS, ids, channel, now, list(OF_ADDRESS), path, REACHED_ATTEMPTS)
    targets = {row["id"]: row["address"] for row in rows if row["address"]}
    bound = await addresses.among_bound(session, targets, channel, address_keys, now=now)
    contents = await db.fetch(session, _CONTENTS, list({row["content"] for row in rows} - {None}))
    reader = RequestReader({row["digest"]: row["document"] for row in contents})
    return {
        row["id"]: SendFacts(
            _stored(row),
            reader,
            row["suppressed"] or row["id"] in bound,
            row["sent_before"],
            row["program"] if row["stopped"] else None,
        )
        for row in rows
    }


def _stored(row: asyncpg.Record) -> StoredRequest:
    return StoredRequest(row["id"], row["respondent_id"], row["expires_at"], row["request"], row["content"])

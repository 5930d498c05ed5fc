"""What a respondent was sent before, over all surveys, and how two senders keep from adding to it at once."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.dispatcher.domain.caps import PastContact
from shared.contract.vocabulary import ChannelKind
from shared.database import db

_RESERVE = """SELECT respondent_id FROM unnest($1::text[], $2::bigint[]) AS r (respondent_id, number)
WHERE pg_try_advisory_xact_lock(number)"""
_PAST = """SELECT i.respondent_id, a.channel, a.at FROM invitations i JOIN attempts a ON a.invitation_id = i.id
WHERE i.respondent_id = ANY($1::text[]) AND a.at > $2 AND a.state NOT IN ('refused', 'failed', 'skipped', 'bounced')
UNION ALL
SELECT i.respondent_id, s.channel, NULL FROM invitations i JOIN steps s ON s.invitation_id = i.id
WHERE i.respondent_id = ANY($1::text[]) AND s.state IN ('leased', 'in_flight') AND s.token <> $3"""


async def past(
    session: AsyncSession, respondents: Collection[str], *, claim: UUID, since: datetime
) -> dict[str, list[PastContact]]:
    """Have these respondents to ourselves until this transaction ends, and read what they were sent.

    Those another claim has at this moment are left out: nobody waits, so nobody waits in a circle. What others hold
    or send counts as a contact under way; a statement of its own after the locks sees all they committed.
    """
    numbers = [db.lock_number("dispatcher", "contacts", each) for each in respondents]
    ours = [row["respondent_id"] for row in await db.fetch(session, _RESERVE, list(respondents), numbers)]
    found: dict[str, list[PastContact]] = {respondent: [] for respondent in ours}
    for row in await db.fetch(session, _PAST, ours, since, claim):
        found[row["respondent_id"]].append(PastContact(ChannelKind(row["channel"]), row["at"]))
    return found

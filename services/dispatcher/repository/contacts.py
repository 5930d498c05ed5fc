"""Earlier contacts of a respondent over all surveys, and locks that keep two senders from contacting one at once."""

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
    AND a.channel <> 'link'
UNION ALL
SELECT i.respondent_id, s.channel, NULL FROM invitations i JOIN steps s ON s.invitation_id = i.id
WHERE i.respondent_id = ANY($1::text[]) AND s.state IN ('leased', 'in_flight') AND s.token <> $3"""


async def past(
    session: AsyncSession, respondents: Collection[str], *, claim: UUID, since: datetime
) -> dict[str, list[PastContact]]:
    """Lock these respondents until this transaction ends, and return their earlier contacts.

    Respondents that another claim has locked are left out: waiting for them could deadlock. Steps that other senders
    have leased or in flight count as contacts under way. The contacts are read by a second statement, which sees what
    was committed before the locks were taken.
    """
    numbers = [db.lock_number("dispatcher", "contacts", each) for each in respondents]
    ours = [row["respondent_id"] for row in await db.fetch(session, _RESERVE, list(respondents), numbers)]
    found: dict[str, list[PastContact]] = {respondent: [] for respondent in ours}
    for row in await db.fetch(session, _PAST, ours, since, claim):
        found[row["respondent_id"]].append(PastContact(ChannelKind(row["channel"]), row["at"]))
    return found

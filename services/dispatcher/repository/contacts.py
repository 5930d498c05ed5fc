"""Earlier contacts of people over all surveys, and locks that keep two senders from contacting one at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import chain
from uuid import UUID

from services.dispatcher.domain.caps import EarlierContacts, Identity, PastContact
from shared.contract.vocabulary import ChannelKind
from shared.database import db
from shared.database.session import Session

_MOST_READ = 20  # invitations with an address that are read for each id it may have, to tell whether it has more

_RESERVE = """WITH given AS MATERIALIZED (
    SELECT place, number, (SELECT count(DISTINCT respondent_id) FROM (
        (SELECT respondent_id FROM invitations WHERE email_fingerprint = g.fingerprint LIMIT $4)
        UNION ALL (SELECT respondent_id FROM invitations WHERE phone_fingerprint = g.fingerprint LIMIT $4)
    ) AS named) > $3 AS is_shared
    FROM unnest($1::bigint[], $2::bytea[]) WITH ORDINALITY AS g (number, fingerprint, place) ORDER BY place
)
SELECT place, is_shared, CASE WHEN is_shared THEN false ELSE pg_try_advisory_xact_lock(number) END AS is_ours
FROM given"""
_PAST = """WITH named AS MATERIALIZED (
    SELECT id, respondent_id, email_fingerprint, phone_fingerprint FROM invitations
    WHERE respondent_id = ANY($1::text[])
    UNION SELECT id, respondent_id, email_fingerprint, phone_fingerprint FROM invitations
    WHERE email_fingerprint = ANY($4::bytea[])
    UNION SELECT id, respondent_id, email_fingerprint, phone_fingerprint FROM invitations
    WHERE phone_fingerprint = ANY($4::bytea[])
)
SELECT n.id, c.step, c.try, n.respondent_id, n.email_fingerprint, n.phone_fingerprint, c.channel, c.at
FROM named n, LATERAL (
    SELECT step, try, channel, at FROM attempts a WHERE a.invitation_id = n.id AND a.at > $2
        AND a.state NOT IN ('refused', 'failed', 'skipped', 'bounced') AND a.channel <> 'link'
    UNION ALL SELECT step, 0, channel, NULL FROM held h WHERE h.invitation_id = n.id AND h.token <> $3
) AS c"""


async def past(
    session: Session,
    named: Mapping[UUID, Sequence[Identity]],
    *,
    claim: UUID,
    since: datetime,
    shared_ids: int,
) -> EarlierContacts:
    """Lock the identities that invitations name until this transaction ends, and return their earlier contacts.

    Identities that another claim has locked are left out: waiting for them could deadlock. An address that more than
    `shared_ids` respondents have is no person's: it is not locked, and nothing is counted over it. Steps that other
    senders have leased or in flight count as contacts under way. The contacts are read by a second statement, which
    sees what was committed before the locks were taken.
    """
    numbers = {each: _lock_number(each) for each in chain.from_iterable(named.values())}
    ordered = sorted(numbers, key=numbers.__getitem__)
    reserved = await db.fetch(
        session,
        _RESERVE,
        [numbers[each] for each in ordered],
        [each if isinstance(each, bytes) else None for each in ordered],
        shared_ids,
        _MOST_READ * shared_ids,
    )
    ours = [ordered[row["place"] - 1] for row in reserved if row["is_ours"]]
    shared = frozenset(ordered[row["place"] - 1] for row in reserved if row["is_shared"])
    found = EarlierContacts(named, {each: {} for each in ours}, shared)
    await _read(session, found, ours, claim=claim, since=since)
    return found


async def _read(
    session: Session, found: EarlierContacts, ours: Sequence[Identity], *, claim: UUID, since: datetime
) -> None:
    respondents = [each for each in ours if isinstance(each, str)]
    addresses = [each for each in ours if isinstance(each, bytes)]
    for row in await db.fetch(session, _PAST, respondents, since, claim, addresses):
        contact = PastContact(ChannelKind(row["channel"]), row["at"])
        of = (row["respondent_id"], row["email_fingerprint"], row["phone_fingerprint"])
        found.add((row["id"], row["step"], row["try"]), contact, [each for each in of if each is not None])


def _lock_number(identity: Identity) -> int:
    return db.lock_number("dispatcher", "contacts", identity.hex() if isinstance(identity, bytes) else identity)

"""How often one person may be contacted, over all surveys. A person is a customer id or an address.

Times are business times, UTC.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from shared.contract.address_keys import AddressKeys
from shared.contract.events import ContactCap, SurveyRequested
from shared.contract.vocabulary import ChannelKind

RETRY_AFTER = timedelta(minutes=1)  # when a contact under way may or may not reach a cap
_LONGEST = timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class PastContact:
    """A message that may have reached a respondent, or a call; `at` is None while it is under way."""

    channel: ChannelKind
    at: datetime | None


Identity = str | bytes  # a respondent's id, or the fingerprint of an address
ContactKey = tuple[UUID, int, int]  # invitation, step and try, by which a contact is counted once


def identities_of(request: SurveyRequested, keys: AddressKeys) -> list[Identity]:
    addresses = [address for address in (request.contact.email, request.contact.phone) if address]
    return [request.respondent_id, *map(keys.fingerprint, addresses)]


@dataclass(frozen=True, slots=True)
class EarlierContacts:
    """The identities that invitations name, and contacts by those that this transaction has locked.

    `shared` are addresses of too many respondents to be a person's.
    """

    named: Mapping[UUID, Sequence[Identity]]
    by_identity: dict[Identity, dict[ContactKey, PastContact]]
    shared: frozenset[Identity]

    def add(self, key: ContactKey, contact: PastContact, identities: Iterable[Identity]) -> None:
        for each in identities:
            if each in self.by_identity:
                self.by_identity[each][key] = contact

    def of(self, invitation: UUID) -> list[PastContact] | None:
        """Return the contacts over all identities of an invitation; None if another transaction has locked one."""
        counting = [each for each in self.named[invitation] if each not in self.shared]
        if any(each not in self.by_identity for each in counting):
            return None
        together: dict[ContactKey, PastContact] = {}
        for each in counting:
            together |= self.by_identity[each]
        return list(together.values())


def span(cap: ContactCap) -> timedelta:
    return min(timedelta(days=min(cap.days, _LONGEST.days)), _LONGEST)


def next_allowed(
    contacts: Iterable[PastContact], caps: Iterable[ContactCap], channel: ChannelKind, *, now: datetime
) -> datetime | None:
    """Return when every cap allows one more contact over this channel: now or later, None for never."""
    known = list(contacts)
    allowed_at = [
        _allowed_by(cap, [each for each in known if cap.channel in (None, each.channel)], now)
        for cap in caps
        if cap.channel in (None, channel)
    ]
    times = [at for at in allowed_at if at is not None]
    return max([now, *times]) if len(times) == len(allowed_at) else None


def _allowed_by(cap: ContactCap, contacts: Sequence[PastContact], now: datetime) -> datetime | None:
    if cap.limit == 0:
        return None
    made_at = sorted(each.at for each in contacts if each.at is not None and each.at > now - span(cap))
    if len(made_at) >= cap.limit:
        return made_at[-cap.limit] + span(cap)
    under_way = sum(each.at is None for each in contacts)
    return now + RETRY_AFTER if len(made_at) + under_way >= cap.limit else now


_CAP = re.compile(r"(?:(email|sms|call) )?(\d{1,4}) in (\d{1,4}) days?")


def read_caps(text: str) -> tuple[ContactCap, ...]:
    """Read a list of caps such as `4 in 30 days, sms 1 in 7 days`; raises ValueError."""
    return tuple(_read(part.strip()) for part in text.split(",") if part.strip())


def _read(text: str) -> ContactCap:
    found = _CAP.fullmatch(text)
    if found is None:
        raise ValueError("expected caps such as `4 in 30 days, sms 1 in 7 days`")
    channel, limit, days = found.groups()
    return ContactCap(name=text, channel=channel, limit=int(limit), days=int(days))

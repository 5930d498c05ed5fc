"""Addresses as identities: caps and suppressions hold for an address, whichever customers name it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec
from msgspec.structs import replace

from services.trigger.domain.deciding.suppressions import KnownSuppression
from services.trigger.domain.respondents import ContactCause, LastContacts, Respondent
from shared.contract.address_keys import AddressKeys
from shared.contract.vocabulary import ChannelKind

_INVITATION = ContactCause.INVITATION.value


class AddressRecord(msgspec.Struct, frozen=True, gc=False):
    """The respondents whose address this is, and when one was invited at it, by program."""

    fingerprint: bytes
    respondents: tuple[str, ...] = ()
    last_contacts: LastContacts = msgspec.field(default_factory=dict)

    def with_respondent(self, id_: str, *, most: int) -> AddressRecord:
        if id_ in self.respondents or len(self.respondents) >= most:
            return self
        return replace(self, respondents=(*self.respondents, id_))

    def without_respondent(self, id_: str) -> AddressRecord:
        return replace(self, respondents=tuple(each for each in self.respondents if each != id_))

    def with_invitation(self, program: str, at: datetime) -> AddressRecord:
        known = self.last_contacts.get(_INVITATION, {})
        latest = max(known.get(program, at), at)
        return replace(self, last_contacts={_INVITATION: {**known, program: latest}})


class AddressHistory(msgspec.Struct, frozen=True, gc=False):
    """What is known about a respondent's addresses: when they were invited at, and the others who have them."""

    last_contacts: LastContacts = msgspec.field(default_factory=dict)
    others: Sequence[str] = ()
    is_shared: bool = False  # by so many ids that it tells nothing about a person


_UNKNOWN = AddressHistory()


@dataclass(slots=True)
class KnownAddresses:
    """The addresses of a batch's respondents; `records` has those that were invited at, by fingerprint.

    An address of more than `most_ids` ids is no identity: its invitations count for nobody else. `recorded` has the
    addresses of the records in lower case, because fingerprints are costly, `erased` those of respondents that the
    batch erased.
    """

    keys: AddressKeys
    most_ids: int = 10
    records: dict[bytes, AddressRecord] = field(default_factory=dict)
    suppressions: Mapping[bytes, Sequence[KnownSuppression]] = field(default_factory=dict)
    stored: frozenset[bytes] = frozenset()
    recorded: set[str] = field(default_factory=set)
    changed: set[bytes] = field(default_factory=set)
    erased: set[str] = field(default_factory=set)
    _fingerprints: dict[str, tuple[bytes, ...]] = field(default_factory=dict)

    def hold(self, addresses: Collection[str], records: dict[bytes, AddressRecord]) -> None:
        """Take the stored records of these addresses."""
        self.records, self.stored = records, frozenset(records)
        if records:
            self.recorded = {each.lower() for each in addresses if any(one in records for one in self.matching(each))}

    def matching(self, address: str) -> tuple[bytes, ...]:
        found = self._fingerprints.get(address)
        if found is None:
            found = self._fingerprints[address] = self.keys.matching(address)
        return found

    def history_of(self, respondent: Respondent) -> AddressHistory:
        """Return what is known about the respondent's addresses under other ids."""
        records = self._records_of(respondent)
        if not records:
            return _UNKNOWN
        contacts: dict[str, datetime] = {}
        others: list[str] = []
        is_shared = False
        for record in records:
            if len(record.respondents) > self.most_ids:
                is_shared = True
                continue
            for program, at in record.last_contacts.get(_INVITATION, {}).items():
                contacts[program] = max(contacts.get(program, at), at)
            others += [id_ for id_ in record.respondents if id_ != respondent.id and id_ not in others]
        return AddressHistory({_INVITATION: contacts} if contacts else {}, others, is_shared)

    def suppressions_of(self, respondent: Respondent) -> list[KnownSuppression]:
        """Return the suppressions that bind an address of the respondent, each for a channel of that address."""
        if not self.suppressions:
            return []
        return [
            KnownSuppression(channel, one.program, one.reason, one.until)
            for channel in ChannelKind
            for one in self._bound(respondent.address(channel))
            if one.channel in (None, channel)
        ]

    def invited(self, respondent: Respondent, program: str, at: datetime) -> None:
        """Record an invitation of the respondent at their addresses."""
        for address in addresses_of(respondent):
            fingerprint = self.matching(address)[0]
            self.recorded.add(address.lower())
            record = self.records.get(fingerprint, AddressRecord(fingerprint))
            self._put(record.with_respondent(respondent.id, most=self.most_ids + 1).with_invitation(program, at))

    def updated(self, before: Respondent, after: Respondent) -> None:
        """Record that a respondent has known addresses now, and has those of before no longer."""
        for record in self._records_of(after):
            self._put(record.with_respondent(after.id, most=self.most_ids + 1))
        if before.email == after.email and before.phone == after.phone:
            return
        for address in addresses_of(before):
            if address not in addresses_of(after):
                for record in self._records_at(address):
                    self._put(record.without_respondent(after.id))

    def _bound(self, address: str | None) -> Iterable[KnownSuppression]:
        for fingerprint in self.matching(address) if address else ():
            yield from self.suppressions.get(fingerprint, ())

    def _records_of(self, respondent: Respondent) -> list[AddressRecord]:
        records: list[AddressRecord] = []
        if self.recorded:
            for address in addresses_of(respondent):
                records += self._records_at(address)
        return records

    def _records_at(self, address: str) -> Sequence[AddressRecord]:
        if address.lower() not in self.recorded:
            return ()
        records = self.records
        return [records[one] for one in self.matching(address) if one in records]

    def _put(self, record: AddressRecord) -> None:
        if self.records.get(record.fingerprint) != record:
            self.records[record.fingerprint] = record
            self.changed.add(record.fingerprint)


def addresses_of(respondent: Respondent) -> list[str]:
    email, phone = respondent.email, respondent.phone
    if email:
        return [email, phone] if phone else [email]
    return [phone] if phone else []


def merged_contacts(first: LastContacts, second: LastContacts) -> LastContacts:
    """Return the latest time of each kind and program of two records."""
    if not second:
        return first
    merged = {cause: dict(by_program) for cause, by_program in first.items()}
    for cause, by_program in second.items():
        known = merged.setdefault(cause, {})
        for program, at in by_program.items():
            known[program] = max(known.get(program, at), at)
    return merged

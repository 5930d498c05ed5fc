"""Fingerprints of addresses under secret keys: an address is recognized by its fingerprint without being stored.

The keyed hash is taken over the unkeyed one, so that fingerprints stored before there was a key can be converted.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from shared.contract.vocabulary import address_fingerprint, respondent_ids_like

PSEUDONYM_PREFIX = "guest-"
_PSEUDONYM_LENGTH = 26  # base32 characters, 130 bits
_PART = r"[^\s@<>:;,|/()\[\]\"]+"
ADDRESS = re.compile(rf"{_PART}@{_PART}\.{_PART}")


@dataclass(frozen=True, slots=True)
class AddressKeys:
    """`keys` maps ids to secrets. New fingerprints are made with the first; the others only recognize older ones."""

    keys: Mapping[str, str] = field(repr=False)

    @property
    def current(self) -> str:
        """The id of the key of new fingerprints."""
        return next(iter(self.keys))

    def fingerprint(self, address: str) -> bytes:
        return self.wrapped(address_fingerprint(address))

    def wrapped(self, sha256: bytes) -> bytes:
        """Return the fingerprint of an address whose unkeyed SHA-256 is given."""
        return _keyed(self.keys[self.current], sha256)

    def matching(self, address: str) -> tuple[bytes, ...]:
        """Return every form in which a fingerprint of this address may be stored, the current key's first."""
        return self.matching_wrapped(address_fingerprint(address))

    def matching_wrapped(self, sha256: bytes) -> tuple[bytes, ...]:
        """Return the forms of an address whose unkeyed SHA-256 is given; the last is that one itself."""
        return (*(_keyed(secret, sha256) for secret in self.keys.values()), sha256)

    def pseudonym(self, address: str) -> str:
        """Return the customer id for a guest whom a shop names by an address."""
        return _pseudonym(self.keys[self.current], address)

    def pseudonyms(self, address: str) -> tuple[str, ...]:
        """Return the pseudonym of an address under each key, the current key's first."""
        return tuple(_pseudonym(secret, address) for secret in self.keys.values())

    def respondents_like(self, customer: str) -> list[str]:
        """Return the ids to search for what a person typed: an id, or a guest's id that is an address or holds one."""
        address = address_in(customer)
        return [*respondent_ids_like(customer), *(self.pseudonyms(address) if address else ())]

    def matching_like(self, customer: str) -> tuple[bytes, ...]:
        """Return the fingerprints to search for what a person typed: an address, or an id that holds one."""
        return self.matching(address_in(customer) or customer)


def address_in(customer_id: str) -> str | None:
    """Return the e-mail address that an id is or holds, such as `guest:ann@shop.example`."""
    found = ADDRESS.search(customer_id) if "@" in customer_id else None
    return found and found.group()


def _keyed(secret: str, message: bytes) -> bytes:
    keyed = _hmac(secret).copy()
    keyed.update(message)
    return keyed.digest()


@cache  # of the few keys of an installation: with the key already hashed, a fingerprint takes two thirds of the time
def _hmac(secret: str) -> hmac.HMAC:
    return hmac.new(secret.encode(), digestmod="sha256")


def _pseudonym(secret: str, address: str) -> str:
    normalized = address.strip().lower().encode()
    digest = _keyed(secret, normalized)
    return PSEUDONYM_PREFIX + base64.b32encode(digest).decode().lower()[:_PSEUDONYM_LENGTH]

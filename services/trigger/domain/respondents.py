"""The person we may ask: what is known of them, and how an event adds to it."""

from __future__ import annotations

import re
import unicodedata
import zoneinfo
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from functools import lru_cache

import msgspec
import phonenumbers
from email_validator import EmailNotValidError, validate_email
from msgspec.structs import replace

from shared.contract.events import Consent, Contact, Customer, Scalar
from shared.contract.vocabulary import ChannelKind

_PLAIN_LOCAL = re.compile(r"[A-Za-z0-9_+-]+(\.[A-Za-z0-9_+-]+)*")
_LOCALE = re.compile(r"[A-Za-z]{2,3}([_-][A-Za-z0-9]{2,8}){0,3}")
_ZONES = frozenset(zoneinfo.available_timezones())


class ContactCause(StrEnum):
    """What a cap counts from."""

    INVITATION = "invitation"
    ANSWER = "answer"
    DECLINE = "decline"
    UNSUBSCRIBE = "unsubscribe"


ANY_PROGRAM = ""
LastContacts = Mapping[str, Mapping[str, datetime]]


class Respondent(msgspec.Struct, frozen=True):  # replacing a field costs a tenth of a dataclass's
    """Times are business time, UTC; `known_at` is that of the newest event the rest was taken from.

    `moments` holds the last time of each cause by program; an invitation's is when it goes out, perhaps in the future.
    """

    id: str
    customer_id: str | None = None
    name: str | None = None
    email: str | None = None
    phone: str | None = None
    locale: str | None = None
    time_zone: str | None = None
    consent: Consent = Consent()
    attributes: Mapping[str, Scalar] = msgspec.field(default_factory=dict)
    purchases: int = 0
    first_purchase_at: datetime | None = None
    last_purchase_at: datetime | None = None
    known_at: datetime | None = None
    last_answered_at: datetime | None = None
    last_category: str | None = None
    last_score: int | None = None
    moments: LastContacts = msgspec.field(default_factory=dict)
    erased_at: datetime | None = None

    @property
    def last_asked_at(self) -> datetime | None:
        return max(self.moments.get(ContactCause.INVITATION, {}).values(), default=None)

    def noting(self, cause: ContactCause, program: str, at: datetime) -> Respondent:
        """Remember when something last happened; an older time changes nothing."""
        known = self.moments.get(cause, {})
        if program in known and at <= known[program]:
            return self
        return replace(self, moments={**self.moments, cause.value: {**known, program: at}})

    def answered(self, category: str, score: int, at: datetime) -> Respondent:
        if self.last_answered_at is not None and at < self.last_answered_at:
            return self
        return replace(self, last_category=category, last_score=score, last_answered_at=at)

    def bought(self, at: datetime) -> Respondent:
        return replace(
            self,
            purchases=self.purchases + 1,
            first_purchase_at=min(self.first_purchase_at or at, at),
            last_purchase_at=max(self.last_purchase_at or at, at),
        )

    @property
    def contact(self) -> Contact:
        return Contact(email=self.email, phone=self.phone)

    def address(self, channel: ChannelKind) -> str | None:
        return self.email if channel is ChannelKind.EMAIL else self.phone

    def erased(self, at: datetime) -> Respondent:
        """Forget all but when they were asked, answered or declined: the caps protect them still."""
        return Respondent(self.id, moments=self.moments, erased_at=at)


def learn(
    respondent: Respondent, customer: Customer, *, at: datetime, phone_region: str
) -> tuple[Respondent, list[str]]:
    """Add what an event says of its customer; also name the fields that could not be used.

    What is absent stays as it was. An event older than what is known only fills gaps; one from before an erasure
    adds nothing.
    """
    if respondent.erased_at is not None and at <= respondent.erased_at:
        return respondent, []
    said, unusable = _usable(customer, respondent, phone_region=phone_region)
    older = respondent.known_at is not None and at < respondent.known_at
    if older:
        said = {name: value for name, value in said.items() if getattr(respondent, name) is None}
    first, second = (customer, respondent) if older else (respondent, customer)  # the second has the last word
    attributes = {**first.attributes, **second.attributes} if customer.attributes else respondent.attributes
    return replace(
        respondent,
        customer_id=respondent.customer_id if older else customer.id,
        consent=_merged(first.consent, second.consent),
        attributes=attributes,
        known_at=respondent.known_at if older else at,
        **said,
    ), unusable


def _merged(first: Consent, second: Consent) -> Consent:
    said = {channel: known for channel, known in vars(second).items() if known is not None}
    return Consent(**{**vars(first), **said}) if said else first


def _usable(customer: Customer, known: Respondent, *, phone_region: str) -> tuple[dict[str, str], list[str]]:
    usable: dict[str, str] = {}
    unusable: list[str] = []
    for name, read in _READERS.items():
        text = (getattr(customer, name) or "").strip()
        if not text:
            continue
        value = text if text == getattr(known, name) else read(text, phone_region)  # reading twice is costly
        if value is None:
            unusable.append(name)
        else:
            usable[name] = value
    return usable, unusable


def clean_name(text: str) -> str | None:
    """Drop control and other invisible characters; a line break is a space."""
    one_line = " ".join(text.split())
    if one_line.isprintable():
        return one_line or None
    return "".join(c for c in one_line if unicodedata.category(c)[0] != "C").strip() or None


def email_address(text: str) -> str | None:
    """Bring an address to the form mail servers read, or None if it cannot be one; nothing is looked up."""
    local, _, domain = text.rpartition("@")
    if len(local) > 64 or not _PLAIN_LOCAL.fullmatch(local):
        return _checked(text)
    domain = _mail_domain(domain)
    return f"{local}@{domain}" if domain and len(local) + len(domain) < 254 else None


@lru_cache(maxsize=10_000)  # checking is costly, and many customers share few domains
def _mail_domain(domain: str) -> str:
    return (_checked(f"x@{domain}") or "")[2:]


def _checked(text: str) -> str | None:
    try:
        return validate_email(
            text,
            check_deliverability=False,
            allow_smtputf8=False,
            test_environment=True,  # .test is for trying things out
        ).ascii_email
    except EmailNotValidError:
        return None


def phone_number(text: str, *, region: str) -> str | None:
    """Bring a number to E.164, or None if it cannot be one; without a region only `+…` can be read."""
    try:
        number = phonenumbers.parse(text, region or None)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


_READERS: Mapping[str, Callable[[str, str], str | None]] = {
    "name": lambda text, _region: clean_name(text),
    "email": lambda text, _region: email_address(text),
    "phone": lambda text, region: phone_number(text, region=region),
    "locale": lambda text, _region: text if _LOCALE.fullmatch(text) else None,
    "time_zone": lambda text, _region: text if text in _ZONES else None,
}

"""Respondents: what is known about a customer who may be surveyed, and how events update it."""

from __future__ import annotations

import re
import unicodedata
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
from shared.zones import is_time_zone

_PLAIN_LOCAL = re.compile(r"[A-Za-z0-9_+-]+(\.[A-Za-z0-9_+-]+)*")
_LOCALE = re.compile(r"[A-Za-z]{2,3}([_-][A-Za-z0-9]{2,8}){0,3}")


class ContactCause(StrEnum):
    """The kinds of contact that a cap can count its days from."""

    INVITATION = "invitation"
    ANSWER = "answer"
    DECLINE = "decline"
    UNSUBSCRIBE = "unsubscribe"


ANY_PROGRAM = ""
LastContacts = Mapping[str, Mapping[str, datetime]]  # time by program id by ContactCause


class Respondent(msgspec.Struct, frozen=True):  # `replace` costs a tenth of what it costs for a dataclass
    """Times are business time, UTC; `known_at` is the time of the newest event that carried customer data.

    The time of an invitation in `last_contacts` is when it goes out, so it may be in the future.
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
    last_contacts: LastContacts = msgspec.field(default_factory=dict)
    erased_at: datetime | None = None

    @property
    def last_asked_at(self) -> datetime | None:
        return max(self.last_contacts.get(ContactCause.INVITATION, {}).values(), default=None)

    def with_contact(self, cause: ContactCause, program: str, at: datetime) -> Respondent:
        """Set the time of the last contact; a time before the stored one is ignored."""
        known = self.last_contacts.get(cause, {})
        if program in known and at <= known[program]:
            return self
        return replace(self, last_contacts={**self.last_contacts, cause.value: {**known, program: at}})

    def with_answer(self, category: str, score: int, at: datetime) -> Respondent:
        if self.last_answered_at is not None and at < self.last_answered_at:
            return self
        return replace(self, last_category=category, last_score=score, last_answered_at=at)

    def with_purchase(self, at: datetime) -> Respondent:
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
        """Delete everything except the times of contacts, so that the caps still apply."""
        return Respondent(self.id, last_contacts=self.last_contacts, erased_at=at)


def merge_customer(
    respondent: Respondent, customer: Customer, *, at: datetime, phone_region: str
) -> tuple[Respondent, list[str]]:
    """Update a respondent with an event's customer; also return the names of the fields that were not valid.

    Absent fields keep their values. An event older than `known_at` only sets fields that were empty, and an event
    from before an erasure changes nothing.
    """
    if respondent.erased_at is not None and at <= respondent.erased_at:
        return respondent, []
    valid, invalid = _valid_fields(customer, respondent, phone_region=phone_region)
    older = respondent.known_at is not None and at < respondent.known_at
    if older:
        valid = {name: value for name, value in valid.items() if getattr(respondent, name) is None}
    first, second = (customer, respondent) if older else (respondent, customer)  # the second overrides the first
    attributes = {**first.attributes, **second.attributes} if customer.attributes else respondent.attributes
    return replace(
        respondent,
        customer_id=respondent.customer_id if older else customer.id,
        consent=_merged(first.consent, second.consent),
        attributes=attributes,
        known_at=respondent.known_at if older else at,
        **valid,
    ), invalid


def _merged(first: Consent, second: Consent) -> Consent:
    known = {channel: consent for channel, consent in vars(second).items() if consent is not None}
    return Consent(**{**vars(first), **known}) if known else first


def _valid_fields(customer: Customer, known: Respondent, *, phone_region: str) -> tuple[dict[str, str], list[str]]:
    valid: dict[str, str] = {}
    invalid: list[str] = []
    for name, parse in _PARSERS.items():
        text = (getattr(customer, name) or "").strip()
        if not text:
            continue
        value = text if text == getattr(known, name) else parse(text, phone_region)  # parsing is costly
        if value is None:
            invalid.append(name)
        else:
            valid[name] = value
    return valid, invalid


def clean_name(text: str) -> str | None:
    """Replace line breaks by spaces and remove control and other invisible characters."""
    one_line = " ".join(text.split())
    if one_line.isprintable():
        return one_line or None
    return "".join(c for c in one_line if unicodedata.category(c)[0] != "C").strip() or None


def email_address(text: str) -> str | None:
    """Return the address in ASCII as SMTP needs it, or None if it is not valid; no DNS lookup is made."""
    local, _, domain = text.rpartition("@")
    if len(local) > 64 or not _PLAIN_LOCAL.fullmatch(local):
        return _checked(text)
    domain = _mail_domain(domain)
    return f"{local}@{domain}" if domain and len(local) + len(domain) < 254 else None


@lru_cache(maxsize=10_000)  # validation is costly, and most customers share few domains
def _mail_domain(domain: str) -> str:
    return (_checked(f"x@{domain}") or "")[2:]


def _checked(text: str) -> str | None:
    try:
        return validate_email(
            text,
            check_deliverability=False,
            allow_smtputf8=False,
            test_environment=True,  # allows the top-level domain .test
        ).ascii_email
    except EmailNotValidError:
        return None


def phone_number(text: str, *, region: str) -> str | None:
    """Return the number in E.164, or None if it is not valid; without a region only `+…` can be parsed."""
    try:
        number = phonenumbers.parse(text, region or None)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


_PARSERS: Mapping[str, Callable[[str, str], str | None]] = {
    "name": lambda text, _region: clean_name(text),
    "email": lambda text, _region: email_address(text),
    "phone": lambda text, region: phone_number(text, region=region),
    "locale": lambda text, _region: text if _LOCALE.fullmatch(text) else None,
    "time_zone": lambda text, _region: text if is_time_zone(text) else None,
}

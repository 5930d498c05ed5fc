"""Respondents: what is known about a customer who may be surveyed, and how events update it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from functools import lru_cache

import msgspec
import phonenumbers
from msgspec.structs import replace

from services.trigger.domain.consents import (
    ConsentStatement,
    KnownConsent,
    Statements,
    made_statements,
    merged_consent,
    offer_channels,
)
from shared.contract.cloudevents import IgnoredField
from shared.contract.events import Consent, Contact, Customer, Scalar
from shared.contract.vocabulary import CONTACT_CHANNELS, ChannelKind
from shared.languages.marking import mark
from shared.mail_address import mail_address
from shared.zones import is_time_zone

_PLAIN_LOCAL = re.compile(r"[A-Za-z0-9_+-]+(\.[A-Za-z0-9_+-]+)*")
_WITH_AT = re.compile(r"[^\s,;|<>()\"@]+@[^\s,;|/<>()\"@]+")
_BETWEEN_NUMBERS = re.compile(r"[,;|/\n]|\s+(?=\+)|[^\W\d]{2,}\.?:?")  # also words, such as "mobile" or "or"
_PLAIN_NUMBER = re.compile(r"\+([1-9][0-9]{6,14})")
_NO_SEPARATORS = str.maketrans("", "", " -()")
_LOCALE = re.compile(r"[A-Za-z]{2,3}([_-][A-Za-z0-9]{2,8}){0,3}")

_EMAIL = ChannelKind.EMAIL  # looking a member up takes longer than comparing with it

GAVE_ANOTHER_ADDRESS = "gave this id another address"
ONE_OF_SEVERAL = mark("only the first usable one in it is used")
_NOT_VALID = {
    "name": mark("has no visible character"),
    "email": mark("not a valid address"),
    "phone": mark("not a valid number"),
    "locale": mark("not a locale"),
    "time_zone": mark("not a time zone"),
}


class ContactCause(StrEnum):
    """The kinds of contact that a cap can count its days from."""

    INVITATION = "invitation"
    ANSWER = "answer"
    DECLINE = "decline"
    UNSUBSCRIBE = "unsubscribe"


_INVITATION = ContactCause.INVITATION.value
ANY_PROGRAM = ""
LastContacts = Mapping[str, Mapping[str, datetime]]  # time by program id by ContactCause


def last_asked(last_contacts: LastContacts) -> datetime | None:
    return max(last_contacts.get(_INVITATION, {}).values(), default=None) if last_contacts else None


class Respondent(msgspec.Struct, frozen=True, gc=False):  # `replace` costs a tenth of what it costs for a dataclass
    """Times are business time, UTC; `known_at` is the time of the newest event that carried customer data.

    `address_source` is the source of the event that its addresses come from. `cleared` has the time at which a field
    was taken away, such as `email`, `consent.sms` or `attributes`. `consent` is that to surveys; see KnownConsent for
    `statements`.

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
    cleared: Mapping[str, datetime] = msgspec.field(default_factory=dict)
    address_source: str | None = None
    statements: Statements = msgspec.field(default_factory=dict)
    has_older_id: bool = False  # made before the case of ids counted and namespaces existed

    @property
    def last_asked_at(self) -> datetime | None:
        return last_asked(self.last_contacts)

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

    def without_purchase(self) -> Respondent:
        """Take back a purchase that was cancelled; the times of purchases are kept while another one is left."""
        left = max(self.purchases - 1, 0)
        if left:
            return replace(self, purchases=left)
        return replace(self, purchases=0, first_purchase_at=None, last_purchase_at=None)

    @property
    def contact(self) -> Contact:
        return Contact(email=self.email, phone=self.phone)

    def with_address_source(self, source: str, *, before: Respondent) -> tuple[Respondent, IgnoredField | None]:
        """Note where changed addresses come from; also return a note if they replace those of another source.

        Two sources that give one id different addresses may mean two people by it.
        """
        if self.email == before.email and self.phone == before.phone:
            return self, None
        noted, earlier = replace(self, address_source=source), before.address_source
        if earlier is None or earlier == source:
            return noted, None
        is_clash = any(old and new and old != new for old, new in _address_pairs(before, self))
        return noted, IgnoredField("customer.id", f"{earlier} {GAVE_ANOTHER_ADDRESS}") if is_clash else None

    def contact_added(self, after: Respondent) -> Contact | None:
        """Return the addresses that `after` has for channels for which this one has none; None if there are none."""
        email, phone = self.email is None and after.email, self.phone is None and after.phone
        return Contact(email=email or None, phone=phone or None) if email or phone else None

    @property
    def offers(self) -> list[ChannelKind]:
        return offer_channels(self.statements)

    def statements_about(self, channel: ChannelKind) -> tuple[ConsentStatement, ...]:
        """Return what was stated about the consent to a channel."""
        return made_statements(self.known_consent, channel.value, self.known_at) if self.known_at else ()

    @property
    def known_consent(self) -> KnownConsent:
        return KnownConsent(self.consent, self.statements)

    def address(self, channel: ChannelKind) -> str | None:
        if channel is _EMAIL:
            return self.email
        return self.phone if channel.contacts else None

    def erased(self, at: datetime) -> Respondent:
        """Delete everything except the times of contacts, so that the caps still apply."""
        return Respondent(self.id, last_contacts=self.last_contacts, erased_at=at, has_older_id=self.has_older_id)


def _address_pairs(before: Respondent, after: Respondent) -> tuple[tuple[str | None, str | None], ...]:
    return (before.email, after.email), (before.phone, after.phone)


def merge_customer(
    respondent: Respondent, customer: Customer, *, at: datetime, phone_region: str, is_patch: bool = False
) -> tuple[Respondent, list[IgnoredField]]:
    """Update a respondent with an event's customer; also return the fields that were not taken, and why.

    Absent fields keep their values; in a patch, null clears them. An event older than `known_at` only sets fields that
    were empty and not cleared since, and an event from before an erasure changes nothing. A consent counts by its own
    time.
    """
    if respondent.erased_at is not None and at <= respondent.erased_at:
        return respondent, []
    valid, ignored = _valid_fields(customer, respondent, phone_region=phone_region)
    if respondent.known_at is not None and at < respondent.known_at:
        return _with_gaps_filled(respondent, customer, valid, at=at), ignored
    cleared = _cleared_fields(customer) if is_patch else []
    consent = _consent_after(respondent, customer, at=at, cleared=cleared)
    values = {**valid, **{name: None for name in cleared if name in _PARSERS}} if cleared else valid
    return replace(
        respondent,
        customer_id=customer.id,
        consent=consent.surveys,
        statements=consent.statements,
        attributes=_merged_attributes(respondent.attributes, customer.attributes, is_patch=is_patch),
        known_at=at,
        cleared={**respondent.cleared, **dict.fromkeys(cleared, at)} if cleared else respondent.cleared,
        **values,
    ), ignored


def published_consent(before: Respondent, after: Respondent) -> Consent:
    """Return the consent that applies to open surveys after an update.

    Consent that was taken back to unknown is no there, and so is consent to a channel whose address was taken away:
    open surveys keep the address that they began with.
    """
    gone = [
        channel.value
        for channel in CONTACT_CHANNELS
        if (getattr(before.consent, channel) and getattr(after.consent, channel) is None)
        or (before.address(channel) and not after.address(channel))
    ]
    return after.consent.model_copy(update=dict.fromkeys(gone, False)) if gone else after.consent


def _with_gaps_filled(
    respondent: Respondent, customer: Customer, valid: Mapping[str, str], *, at: datetime
) -> Respondent:
    kept = {name for name, cleared_at in respondent.cleared.items() if at <= cleared_at}
    consent = _consent_after(respondent, customer, at=at)
    return replace(
        respondent,
        consent=consent.surveys,
        statements=consent.statements,
        attributes={**_known(customer.attributes), **respondent.attributes}
        if customer.attributes and "attributes" not in kept
        else respondent.attributes,
        **{name: value for name, value in valid.items() if getattr(respondent, name) is None and name not in kept},
    )


def _cleared_fields(customer: Customer) -> list[str]:
    """Return the fields that a merge patch (RFC 7396) sets to null; those of the consent as `consent.email`."""
    fields = [name for name in (*_PARSERS, "attributes") if name in customer.model_fields_set]
    channels = customer.consent.model_fields_set
    return [name for name in fields if getattr(customer, name) is None] + [
        f"consent.{name}" for name in channels if getattr(customer.consent, name) is None
    ]


def _consent_after(
    respondent: Respondent, customer: Customer, *, at: datetime, cleared: Collection[str] = ()
) -> KnownConsent:
    return merged_consent(
        respondent.known_consent,
        customer.consent,
        at=at,
        known_at=respondent.known_at,
        cleared=[name.removeprefix("consent.") for name in cleared if name.startswith("consent.")] if cleared else (),
        cleared_at=respondent.cleared,
    )


def _merged_attributes(
    known: Mapping[str, Scalar], told: Mapping[str, Scalar] | None, *, is_patch: bool
) -> Mapping[str, Scalar]:
    if told is None:
        return {} if is_patch else known
    if not told:
        return known
    return _known({**known, **told}) if is_patch else {**known, **_known(told)}


def _known(attributes: Mapping[str, Scalar] | None) -> dict[str, Scalar]:
    return {name: value for name, value in (attributes or {}).items() if value is not None}


def _valid_fields(
    customer: Customer, known: Respondent, *, phone_region: str
) -> tuple[dict[str, str], list[IgnoredField]]:
    valid: dict[str, str] = {}
    ignored: list[IgnoredField] = []
    for name in _PARSERS:
        told = getattr(customer, name)
        if not told or not (text := told.strip()):
            continue
        if text == getattr(known, name):  # parsing is costly
            valid[name] = text
            continue
        value, is_whole = _usable(name, text, phone_region)
        if value and not is_whole:
            ignored.append(IgnoredField(f"customer.{name}", ONE_OF_SEVERAL))
        if value:
            valid[name] = value
        else:
            ignored.append(IgnoredField(f"customer.{name}", _NOT_VALID[name]))
    return valid, ignored


@lru_cache(maxsize=16_384)  # parsing is costly, and the fields of a batch of events are read twice
def _usable(name: str, text: str, phone_region: str) -> tuple[str | None, bool]:
    """Return the value of a field, None if it is not valid, and whether it is the whole text."""
    parse = _PARSERS[name]
    value = parse(text, phone_region)
    return (value, True) if value else (_first_in(text, name, parse, phone_region), False)


def addresses_in(customer: Customer, *, phone_region: str) -> list[str]:
    """Return the usable addresses that an event names."""
    email = _usable("email", customer.email.strip(), phone_region)[0] if customer.email else None
    phone = _usable("phone", customer.phone.strip(), phone_region)[0] if customer.phone else None
    return [address for address in (email, phone) if address]


def _first_in(text: str, name: str, parse: Callable[[str, str], str | None], region: str) -> str | None:
    """Return the first usable address or number in a text that holds several of them, or words beside it."""
    parts = _PARTS[name](text) if name in _PARTS else ()
    return next((value for part in parts if (value := parse(part, region))), None)


def _plain(text: str) -> str:
    """Write letters of full width as usual ones, and leave out invisible characters, which come along when copied."""
    return "".join(c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) != "Cf")


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
        return mail_address(text)
    domain = _mail_domain(domain)
    return f"{local}@{domain}" if domain and len(local) + len(domain) < 254 else None


@lru_cache(maxsize=10_000)  # validation is costly, and most customers share few domains
def _mail_domain(domain: str) -> str:
    return (mail_address(f"x@{domain}") or "")[2:]


def phone_number(text: str, *, region: str) -> str | None:
    """Return the number in E.164, or None if there is no such number; without a region only `+…` can be parsed."""
    number = _international(text)
    if number is None or not phonenumbers.is_valid_number(number):
        number = _parsed(text, region)
        if number is None or not phonenumbers.is_valid_number(number):
            return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _international(text: str) -> phonenumbers.PhoneNumber | None:
    """Split `+…` into country code and the rest, in a tenth of the time of `phonenumbers.parse`."""
    plain = _PLAIN_NUMBER.fullmatch(text.translate(_NO_SEPARATORS))
    digits = plain[1] if plain else ""
    for length in (1, 2, 3):
        code = digits[:length]
        if code and int(code) in phonenumbers.COUNTRY_CODE_TO_REGION_CODE:
            # a zero after the country code belongs to the number in some countries and is dropped in others
            is_simple = digits[length] != "0"
            number = int(digits[length:])
            return phonenumbers.PhoneNumber(country_code=int(code), national_number=number) if is_simple else None
    return None


def _parsed(text: str, region: str) -> phonenumbers.PhoneNumber | None:
    try:
        return phonenumbers.parse(text, region or None)
    except phonenumbers.NumberParseException:
        return None


_PARSERS: Mapping[str, Callable[[str, str], str | None]] = {
    "name": lambda text, _region: clean_name(text),
    "email": lambda text, _region: email_address(text),
    "phone": lambda text, region: phone_number(text, region=region),
    "locale": lambda text, _region: text if _LOCALE.fullmatch(text) else None,
    "time_zone": lambda text, _region: text if is_time_zone(text) else None,
}
_PARTS: Mapping[str, Callable[[str], Iterable[str]]] = {
    "email": lambda text: (part.removeprefix("mailto:").strip(".:") for part in _WITH_AT.findall(_plain(text))),
    "phone": _BETWEEN_NUMBERS.split,
}

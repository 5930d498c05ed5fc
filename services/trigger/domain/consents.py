"""The consent of a customer: what was stated, by channel and purpose. The newest statement about a purpose counts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import msgspec
from msgspec.structs import replace

from shared.contract.events import Consent, ConsentRecord, CustomerConsent
from shared.contract.vocabulary import CONTACT_CHANNELS, ChannelKind, ConsentPurpose

_SURVEY, _EVERYTHING = (ConsentPurpose.SURVEY,), tuple(ConsentPurpose)


class ConsentStatement(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A yes or a no of `at` to these purposes, with its proof: where it was given, and by which words."""

    given: bool
    at: datetime
    purposes: tuple[ConsentPurpose, ...]
    source: str | None = None
    text: str | None = None

    @property
    def has_proof(self) -> bool:
        return bool(self.source or self.text)


Statements = Mapping[str, tuple[ConsentStatement, ...]]  # by channel


class KnownConsent(msgspec.Struct, frozen=True, gc=False):
    """The consent to surveys, and the statements of channels where it is not all that was said, or is of another time.

    A channel without statements was stated as a plain yes or no at the time of the newest event.
    """

    surveys: Consent = Consent()
    statements: Statements = msgspec.field(default_factory=dict)


def plain_statement(given: bool, at: datetime) -> ConsentStatement:  # noqa: FBT001 - a value that was stated
    """A plain yes is to surveys, a plain no to everything."""
    return ConsentStatement(given, at, _SURVEY if given else _EVERYTHING)


def offer_channels(statements: Statements) -> list[ChannelKind]:
    """Return the channels over which offers and requests for reviews are allowed; this is never assumed."""
    if not statements:
        return []
    return [
        channel
        for channel in CONTACT_CHANNELS
        if any(each.given and ConsentPurpose.OFFERS in each.purposes for each in statements.get(channel, ()))
    ]


def surveys_of(statements: Sequence[ConsentStatement]) -> bool | None:
    """Return the consent to surveys over a channel with these statements."""
    return next((each.given for each in statements if ConsentPurpose.SURVEY in each.purposes), None)


def made_statements(known: KnownConsent, channel: str, known_at: datetime) -> tuple[ConsentStatement, ...]:
    """Return all statements about the consent to a channel; a plain one is of `known_at`."""
    if channel in known.statements:
        return known.statements[channel]
    given = getattr(known.surveys, channel)
    return () if given is None else (plain_statement(given, known_at),)


def merged_consent(  # noqa: PLR0913 - what a consent depends on
    known: KnownConsent,
    told: CustomerConsent,
    *,
    at: datetime,
    known_at: datetime | None,
    cleared: Collection[str] = (),
    cleared_at: Mapping[str, datetime] | None = None,
) -> KnownConsent:
    """Apply what an event of `at` says; `known_at` is the time of the newest event before it.

    The channels in `cleared` become unknown; a statement from before the time at which its channel became so, which is
    in `cleared_at`, is not taken.
    """
    before = known_at or at
    if not cleared and not known.statements and _is_plain(told) and _has_one_time(known.surveys, told, before, at):
        return _plainly_merged(known, told)
    now_known = max(before, at)
    surveys: dict[str, bool | None] = {}
    statements: dict[str, tuple[ConsentStatement, ...]] = {}
    for channel in CONTACT_CHANNELS:
        name = channel.value
        made = () if name in cleared else made_statements(known, name, before)
        new = getattr(told, name)
        if new is not None:
            statement = _statement(new, at)
            since = (cleared_at or {}).get(f"consent.{name}")
            made = made if since is not None and statement.at < since else _taken(made, statement)
        surveys[name] = surveys_of(made)
        if made and made != (plain_statement(made[0].given, now_known),):
            statements[name] = made
    return KnownConsent(Consent(**surveys), statements)


def _is_plain(told: CustomerConsent) -> bool:
    return ConsentRecord not in (type(told.email), type(told.sms), type(told.call))


def _has_one_time(known: Consent, told: CustomerConsent, before: datetime, at: datetime) -> bool:
    """Whether all that is known after a newer event was stated in that event, or in one of the same time.

    A plain no outlives a plain yes: it was to everything.
    """
    for old, new in ((known.email, told.email), (known.sms, told.sms), (known.call, told.call)):
        if (old is False and new) or (old is not None and new is None and at != before):
            return False
    return at >= before


def _plainly_merged(known: KnownConsent, told: CustomerConsent) -> KnownConsent:
    new = {name: said for name, said in vars(told).items() if said is not None}
    return KnownConsent(Consent(**{**vars(known.surveys), **new})) if new else known


def _statement(told: bool | ConsentRecord, at: datetime) -> ConsentStatement:  # noqa: FBT001 - as in an event
    """Return what an event of `at` states; nothing is stated later than it."""
    if not isinstance(told, ConsentRecord):
        return plain_statement(told, at)
    plain = plain_statement(told.given and told.purposes != [], at)
    return ConsentStatement(
        plain.given,
        min(told.at or at, at),
        tuple(each for each in ConsentPurpose if each in (told.purposes or plain.purposes)),
        told.source or None,
        told.text or None,
    )


def _taken(made: Sequence[ConsentStatement], new: ConsentStatement) -> tuple[ConsentStatement, ...]:
    """Apply a statement to each of its purposes about which nothing newer was stated."""
    by_purpose = {purpose: each for each in made for purpose in each.purposes}
    for purpose in new.purposes:
        old = by_purpose.get(purpose)
        if old is None or _replaces(new, old):
            by_purpose[purpose] = new
    kept = [
        replace(each, purposes=purposes)
        for each in (*made, new)
        if (purposes := tuple(purpose for purpose in ConsentPurpose if by_purpose.get(purpose) is each))
    ]
    return tuple(kept)


def _replaces(new: ConsentStatement, old: ConsentStatement) -> bool:
    """Whether a statement counts instead of another: the newer one, but of two yeses the one with a proof."""
    if new.given and old.given and new.has_proof != old.has_proof:
        return new.has_proof
    return new.at >= old.at

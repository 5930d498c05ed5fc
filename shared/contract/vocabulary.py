"""Enumerations and small functions that several services share; the glossary is in `docs/flow.md`."""

from __future__ import annotations

import hashlib
import unicodedata
from enum import StrEnum
from functools import lru_cache

KEY_PREFIX = "esk_"  # of every API key, to distinguish it from the staff secret


class Service(StrEnum):
    TRIGGER = "trigger"
    DISPATCHER = "dispatcher"
    SCORING = "scoring"

    @property
    def source(self) -> str:
        """The CloudEvents `source` of what this service publishes."""
        return f"earshot/{self.value}"

    @property
    def group(self) -> str:
        """The consumer group of this service."""
        return f"earshot-{self.value}"


class ChannelKind(StrEnum):
    EMAIL = "email"
    SMS = "sms"
    CALL = "call"
    LINK = "link"  # the shop shows the link itself: on a receipt, a screen or in a chat

    @property
    def contacts(self) -> bool:
        """Whether Earshot contacts the respondent over this channel, which takes an address and consent."""
        return self is not ChannelKind.LINK


CONTACT_CHANNELS = tuple(channel for channel in ChannelKind if channel.contacts)


class Category(StrEnum):
    """Reichheld's three groups: 9-10, 7-8, 0-6."""

    PROMOTER = "promoter"
    PASSIVE = "passive"
    DETRACTOR = "detractor"


class AnswerMode(StrEnum):
    SELF = "self"
    OPERATOR = "operator"
    IMPORTED = "imported"  # from another survey tool


class AttemptState(StrEnum):
    """State of a contact attempt; a receipt may still change `sent` to `delivered`, `bounced` or `complained`."""

    SENT = "sent"
    DELIVERED = "delivered"
    REFUSED = "refused"  # the provider permanently rejected the address or the text
    FAILED = "failed"  # not accepted, and no tries are left
    UNKNOWN = "unknown"  # may have been accepted; never sent again
    SKIPPED = "skipped"
    BOUNCED = "bounced"
    COMPLAINED = "complained"


class InvitationOutcome(StrEnum):
    ANSWERED = "answered"
    DECLINED = "declined"
    EXHAUSTED = "exhausted"  # every step is done and no answer came
    UNDELIVERABLE = "undeliverable"  # no step reached the respondent
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"  # its time ended before every step was done


class CallOutcome(StrEnum):
    ANSWERED = "answered"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    WRONG_NUMBER = "wrong_number"
    DO_NOT_CALL = "do_not_call"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


class CallDisposition(StrEnum):
    """Result of one call, as the operator reports it."""

    ANSWERED = "answered"
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    MACHINE = "machine"
    CALL_LATER = "call_later"
    REFUSED = "refused"
    WRONG_NUMBER = "wrong_number"
    DO_NOT_CALL = "do_not_call"


class SuppressionReason(StrEnum):
    OPT_OUT = "opt_out"
    COMPLAINT = "complaint"
    HARD_BOUNCE = "hard_bounce"
    SOFT_BOUNCE = "soft_bounce"
    STOP = "stop"
    BLOCKED = "blocked"  # the provider refuses this address
    WRONG_NUMBER = "wrong_number"
    DO_NOT_CALL = "do_not_call"


def category_of(score: int) -> Category:
    if score >= 9:
        return Category.PROMOTER
    return Category.PASSIVE if score >= 7 else Category.DETRACTOR


@lru_cache(maxsize=10_000)  # called many times for one event
def counted(number: int, noun: str) -> str:
    """Write a number with its noun: 1 event, 2,000 events."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def respondent_id(customer_id: str) -> str:
    """Normalize a customer id, so that its spellings in several systems are one: trimmed, NFC, case-folded."""
    if customer_id.isascii():
        return customer_id.strip().lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", customer_id.strip()).casefold())


def address_fingerprint(address: str) -> bytes:
    """Return the SHA-256 of an address, trimmed and in lower case, by which it is recognized without being stored.

    Dispatcher's statements compute the same in PostgreSQL.
    """
    return hashlib.sha256(address.strip().lower().encode()).digest()

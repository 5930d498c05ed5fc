"""Words several services speak; the glossary is in `docs/flow.md`."""

from __future__ import annotations

import hashlib
import unicodedata
from enum import StrEnum
from functools import lru_cache

KEY_PREFIX = "esk_"  # what a machine's key begins with, so that it is never taken for the staff secret


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
        """The consumer group this service reads as."""
        return f"earshot-{self.value}"


class ChannelKind(StrEnum):
    EMAIL = "email"
    SMS = "sms"
    CALL = "call"


class Category(StrEnum):
    """Reichheld's three groups: 9-10, 7-8, 0-6."""

    PROMOTER = "promoter"
    PASSIVE = "passive"
    DETRACTOR = "detractor"


class AnswerMode(StrEnum):
    SELF = "self"
    OPERATOR = "operator"
    IMPORTED = "imported"  # an old tool's score


class AttemptState(StrEnum):
    """What became of one contact attempt; a receipt may still move `sent` to `delivered`, `bounced` or `complained`."""

    SENT = "sent"
    DELIVERED = "delivered"
    REFUSED = "refused"  # the provider said no for good: this address, this text
    FAILED = "failed"  # certainly not accepted, and the tries are spent
    UNKNOWN = "unknown"  # may have been accepted; never sent again
    SKIPPED = "skipped"
    BOUNCED = "bounced"
    COMPLAINED = "complained"


class InvitationOutcome(StrEnum):
    ANSWERED = "answered"
    DECLINED = "declined"
    EXHAUSTED = "exhausted"  # every step done, no answer
    UNDELIVERABLE = "undeliverable"  # no step could reach anybody
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"  # time ran out before every step was done


class CallOutcome(StrEnum):
    ANSWERED = "answered"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    WRONG_NUMBER = "wrong_number"
    DO_NOT_CALL = "do_not_call"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


class CallDisposition(StrEnum):
    """What an operator says of one try."""

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
    BLOCKED = "blocked"  # the provider itself takes nothing for this address any more
    WRONG_NUMBER = "wrong_number"
    DO_NOT_CALL = "do_not_call"


def category_of(score: int) -> Category:
    if score >= 9:
        return Category.PROMOTER
    return Category.PASSIVE if score >= 7 else Category.DETRACTOR


@lru_cache(maxsize=10_000)  # asked many times of one event
def counted(number: int, noun: str) -> str:
    """Write 1 event, 2,000 events."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def respondent_id(customer_id: str) -> str:
    """One person, however a system spells the id: trimmed, NFC, case-folded."""
    if customer_id.isascii():
        return customer_id.strip().lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", customer_id.strip()).casefold())


def address_fingerprint(address: str) -> bytes:
    """What is kept and told of an address to know it again: SHA-256 of it, trimmed and in lower case.

    Dispatcher's statements compute the same in PostgreSQL.
    """
    return hashlib.sha256(address.strip().lower().encode()).digest()

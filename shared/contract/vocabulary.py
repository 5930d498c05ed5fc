"""Enumerations and small functions that several services share; the glossary is in `docs/flow.md`."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from enum import StrEnum
from functools import lru_cache

from shared.languages.marking import mark

KEY_PREFIX = "esk_"  # of every API key
NAMESPACE = re.compile(r"[a-z0-9][a-z0-9._-]{0,49}")  # of customer ids
SHARED_NAMESPACE = "shared"  # the namespace of customer ids that name none
_NAMESPACED = "ns:"


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


class Role(StrEnum):
    """What somebody of the staff may do; the table of routes says which pages that opens."""

    OPERATOR = "operator"
    SUPERVISOR = "supervisor"
    ANALYST = "analyst"
    MANAGER = "manager"
    PRIVACY_OFFICER = "privacy_officer"
    ADMINISTRATOR = "administrator"
    EMPLOYEE = "employee"

    @property
    def label(self) -> str:
        """The name of the role in English, a message that is translated where it is shown."""
        return _ROLE_LABELS[self]


_ROLE_LABELS = {
    Role.OPERATOR: mark("operator"),
    Role.SUPERVISOR: mark("supervisor"),
    Role.ANALYST: mark("analyst"),
    Role.MANAGER: mark("manager"),
    Role.PRIVACY_OFFICER: mark("privacy officer"),
    Role.ADMINISTRATOR: mark("administrator"),
    Role.EMPLOYEE: mark("employee"),
}


class ProgramState(StrEnum):
    """Whether a program asks and sends, from the mildest to the strictest."""

    ON = "on"
    OFF = "off"  # asks nobody new; surveys under way go on
    STOPPED = "stopped"  # nothing of it leaves; links that are out can be answered
    WITHDRAWN = "withdrawn"  # stopped, and its open surveys are withdrawn

    @property
    def is_stopped(self) -> bool:
        return self in (ProgramState.STOPPED, ProgramState.WITHDRAWN)


class ChannelKind(StrEnum):
    EMAIL = "email"
    SMS = "sms"
    CALL = "call"
    LINK = "link"  # the shop shows the link itself: on a receipt, a screen or in a chat

    contacts: bool
    """Whether Earshot contacts the respondent over this channel, which takes an address and consent."""

    def __init__(self, value: str) -> None:
        self.contacts = value != "link"


CONTACT_CHANNELS = tuple(channel for channel in ChannelKind if channel.contacts)


EMPLOYEE = "employee"  # the segment with the code of who served the customer
EMPLOYEE_CODE = re.compile(r"(?=\D*\d)[^\s,;]{1,50}")  # has a digit and no space, as names have


class ConsentPurpose(StrEnum):
    SURVEY = "survey"
    OFFERS = "offers"  # also requests for a review


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


class UnansweredCall(StrEnum):
    """Dispositions of a call that reached nobody, after which it is tried again."""

    NO_ANSWER = "no_answer"
    BUSY = "busy"
    MACHINE = "machine"


class SuppressionReason(StrEnum):
    OPT_OUT = "opt_out"
    COMPLAINT = "complaint"
    HARD_BOUNCE = "hard_bounce"
    SOFT_BOUNCE = "soft_bounce"
    STOP = "stop"
    BLOCKED = "blocked"  # the provider refuses this address
    WRONG_NUMBER = "wrong_number"
    DO_NOT_CALL = "do_not_call"


class ErasedAt(StrEnum):
    """What was done at a place outside of Earshot to which data of an erased respondent had gone."""

    EMPTIED = "emptied"  # the fields that Earshot had written
    CLOSED = "closed"  # open tasks, which stay there
    TOLD = "told"  # by an event
    NOT_TOLD = "not_told"  # the place does not take the event
    NOTHING = "nothing"  # a provider keeps what its own rules say


def category_of(score: int) -> Category:
    if score >= 9:
        return Category.PROMOTER
    return Category.PASSIVE if score >= 7 else Category.DETRACTOR


@lru_cache(maxsize=10_000)  # called many times for one event
def counted(number: int, noun: str) -> str:
    """Write a number with its noun: 1 event, 2,000 events."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def respondent_id(customer_id: str, namespace: str | None = None) -> str:
    """Return the respondent's id of a customer: the id itself, trimmed and NFC, in the namespace that all share.

    The id of any other namespace is `ns:{namespace}:{id}`. A shared id that begins so is `ns::{id}`.
    """
    text = customer_id.strip()
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    if namespace and namespace != SHARED_NAMESPACE:
        return f"{_NAMESPACED}{namespace}:{text}"
    return f"{_NAMESPACED}:{text}" if text.startswith(_NAMESPACED) else text


def split_respondent_id(respondent: str) -> tuple[str, str | None]:
    """Return the customer's id and its namespace, None for the shared one; the inverse of `respondent_id`."""
    if not respondent.startswith(_NAMESPACED):
        return respondent, None
    namespace, colon, customer_id = respondent.removeprefix(_NAMESPACED).partition(":")
    return (customer_id, namespace or None) if colon else (respondent, None)


def folded_respondent_id(customer_id: str) -> str:
    """Return the id that respondents had before case counted and namespaces existed: trimmed, NFC, case-folded."""
    if customer_id.isascii():
        return customer_id.strip().lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", customer_id.strip()).casefold())


def respondent_ids_like(customer: str) -> list[str]:
    """Return the ids to search for what a person typed: an id of the shared namespace, also an older one, or ours."""
    ids = [respondent_id(customer), folded_respondent_id(customer), customer.strip()]
    return list(dict.fromkeys(ids))


def address_fingerprint(address: str) -> bytes:
    """Return the SHA-256 of an address, trimmed and in lower case, by which it is recognized without being stored.

    Dispatcher's statements compute the same in PostgreSQL.
    """
    return hashlib.sha256(address.strip().lower().encode()).digest()

"""What a service holds about a customer, in the form that the page and the export of every service have."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from shared.contract.events import ErasedPlace, ErasureConfirmed
from shared.contract.vocabulary import ErasedAt, Service
from shared.database.session import Session
from shared.languages.marking import mark

ERASED_AT: Mapping[ErasedAt, str] = {
    ErasedAt.EMPTIED: mark("the fields are emptied"),
    ErasedAt.CLOSED: mark("open tasks are closed, and stay there"),
    ErasedAt.TOLD: mark("the erasure is told there by an event"),
    ErasedAt.NOT_TOLD: mark("nothing: the event of an erasure is not among those that go there"),
    ErasedAt.NOTHING: mark("nothing: what is kept there follows its own rules"),
}


class Kind(StrEnum):
    """What an entry is about."""

    ANSWER = "answer"
    CALL = "call"
    CONTACT = "contact"
    DECISION = "decision"
    MESSAGE = "message"
    OPT_OUT = "opt-out"
    PAGE = "page"
    REPLY = "reply"
    SUPPRESSION = "suppression"
    SURVEY = "survey"


@dataclass(frozen=True, slots=True)
class Fact:
    """What is known: `lines` are for the page, by their labels, and `data` is what is stored."""

    title: str
    lines: Mapping[str, str | datetime | None]
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that happened.

    `text` is a sentence for the page, `path` a staff page with more, and `data` what is stored, with the
    `respondent_id`.
    """

    at: datetime
    kind: Kind
    text: str
    data: Mapping[str, Any] = field(default_factory=dict)
    path: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """A place outside of Earshot to which data of the customer went, and what is done there at an erasure."""

    name: str
    what: str
    at_erasure: ErasedAt


@dataclass(frozen=True, slots=True)
class HeldData:
    """`entries` are in no order."""

    facts: Sequence[Fact] = ()
    entries: Sequence[Entry] = ()
    places: Sequence[Place] = ()

    @property
    def in_order(self) -> list[Entry]:
        """The entries from the first to the last."""
        return sorted(self.entries, key=lambda entry: entry.at)


def confirmation(service: Service, respondent: str, places: Iterable[Place]) -> ErasureConfirmed:
    """Return the event that tells that a service has erased a respondent."""
    erased = [ErasedPlace(name=place.name, done=place.at_erasure) for place in places]
    return ErasureConfirmed(respondent_id=respondent, service=service, places=erased)


# reads what is held about respondents, with at most so many entries of each kind, the newest; None: all of them
ReadHeld = Callable[[Session, Sequence[str], int | None], Awaitable[HeldData]]

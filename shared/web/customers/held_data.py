"""What a service holds about a customer, in the form that the page and the export of every service have."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from shared.contract.events import ErasedPlace, ErasureConfirmed
from shared.contract.vocabulary import Service


@dataclass(frozen=True, slots=True)
class Fact:
    """What is known: `lines` are for the page, by their labels, and `data` is what is stored."""

    title: str
    lines: Mapping[str, str | datetime | None]
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that happened.

    `kind` is a word such as "answer", `text` a sentence for the page, `path` a staff page with more, and `data` what is
    stored.
    """

    at: datetime
    kind: str
    text: str
    data: Mapping[str, Any] = field(default_factory=dict)
    path: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """A place outside of Earshot to which data of the customer went; `at_erasure` says what is done there."""

    name: str
    what: str
    at_erasure: str


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


def confirmation(service: Service, respondent: str, held: HeldData) -> ErasureConfirmed:
    """Return the event that tells that a service has erased what it held of a respondent."""
    places = [ErasedPlace(name=place.name, done=place.at_erasure) for place in held.places]
    return ErasureConfirmed(respondent_id=respondent, service=service, places=places)


# reads what is held about respondents, with at most so many entries of each kind, the newest; None: all of them
ReadHeld = Callable[[AsyncSession, Sequence[str], int | None], Awaitable[HeldData]]

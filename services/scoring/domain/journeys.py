"""Journeys: which stages an invitation reached and what its respondent bought since, as parts of daily sums.

A part is a stage and a detail. `asked`, `reached`, `opened`, `answered` and `ended` (closed without an answer) are
counted once per invitation, without a detail. `reached`, `opened` and `answered` are also counted per contact, with the
detail "<step> <channel> <hour>"; the hour is in the respondent's time zone, `?` when the contact is unknown. The detail
of `reason` is "<score> <reason>", of `people` and `returned` the group, of `spent` (the purchase asked about) and
`revenue` (purchases within 90 days of it) "<group> <currency>".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from msgspec import Struct

from services.scoring.domain.invitations import TriggerEvent
from shared.contract.vocabulary import AttemptState, ChannelKind, category_of
from shared.zones import time_zone

RETURN_WITHIN = timedelta(days=90)
SILENT = "silent"
ONE = Decimal(1)
_LOW_HALF = (1 << 64) - 1


class JourneyPart(NamedTuple):
    stage: str
    detail: str = ""


JourneyParts = dict[JourneyPart, Decimal]


class Attempt(Struct, frozen=True, array_like=True):
    """A contact attempt as of its highest revision; stored as an array of its fields.

    `key` tells it from the others of its invitation: the random half of its id.
    """

    key: int
    revision: int
    step: int
    channel: str
    state: str
    at: datetime

    @classmethod
    def of(cls, attempt_id: UUID, *fields: Any) -> Attempt:
        return cls(attempt_id.int & _LOW_HALF, *fields)

    @property
    def reached(self) -> bool:
        """Say whether the message was accepted and did not bounce; a call reaches nobody before it is answered."""
        return self.channel != ChannelKind.CALL and (self.sent or self.state == AttemptState.COMPLAINED)

    @property
    def sent(self) -> bool:
        return self.state in (AttemptState.SENT, AttemptState.DELIVERED)


def latest(attempts: Iterable[Attempt]) -> list[Attempt]:
    """Return the highest revision of each attempt."""
    return list({each.key: each for each in sorted(attempts, key=lambda attempt: attempt.revision)}.values())


@dataclass(frozen=True, slots=True)
class ReachedContact:
    """A contact that was accepted and did not bounce."""

    step: int
    channel: str
    at: datetime


@dataclass(frozen=True, slots=True)
class JourneyAnswer:
    """An answer that is not suspect."""

    score: int
    step: int
    channel: str
    reasons: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Purchase:
    source: str
    event_id: str
    at: datetime
    amount: Decimal | None
    currency: str | None


@dataclass(frozen=True, slots=True)
class Journey:
    """What is known of one invitation that counts; `opened` is the step whose link was opened first."""

    occasion: TriggerEvent
    time_zone: str
    reached: Sequence[ReachedContact] = ()
    opened: int | None = None
    answer: JourneyAnswer | None = None
    ended: bool = False
    purchases: Sequence[Purchase] = ()

    @property
    def group(self) -> str:
        return category_of(self.answer.score).value if self.answer else SILENT

    @property
    def returns(self) -> list[Purchase]:
        """Purchases after the one that was asked about, within RETURN_WITHIN."""
        until = self.occasion.time + RETURN_WITHIN
        about = self.occasion.source, self.occasion.id
        return [
            purchase
            for purchase in self.purchases
            if self.occasion.time < purchase.at <= until and (purchase.source, purchase.event_id) != about
        ]


def journey_parts(journey: Journey) -> JourneyParts:
    """Return the parts of an invitation with the amount it adds to each."""
    return {**dict.fromkeys(_stages(journey), ONE), **_money(journey)}


def segment_parts(parts: JourneyParts) -> JourneyParts:
    """Return the parts that are counted by segment: of those per contact only `answered`, without its hour."""
    return {_without_hour(part): amount for part, amount in parts.items() if _in_segments(part)}


def _in_segments(part: JourneyPart) -> bool:
    return part.stage not in ("reached", "opened") or not part.detail


def _without_hour(part: JourneyPart) -> JourneyPart:
    if part.stage != "answered" or not part.detail:
        return part
    return JourneyPart(part.stage, f"{part.detail.rpartition(' ')[0]} ?")


def _stages(journey: Journey) -> list[JourneyPart]:
    contacts = {contact.step: contact for contact in sorted(journey.reached, key=lambda contact: contact.at)[::-1]}

    def contact_part(stage: str, step: int, channel: str = "") -> JourneyPart:
        contact = contacts.get(step)
        if contact is None:
            return JourneyPart(stage, f"{step} {channel or 'link'} ?")
        hour = contact.at.astimezone(time_zone(journey.time_zone)).hour
        return JourneyPart(stage, f"{step} {contact.channel} {hour:02}")

    stages = [JourneyPart("asked"), JourneyPart("people", journey.group)]
    if journey.reached or journey.opened is not None or journey.answer:
        stages.append(JourneyPart("reached"))
    stages += [contact_part("reached", step) for step in contacts]
    if journey.opened is not None:
        stages += [JourneyPart("opened"), contact_part("opened", journey.opened)]
    if journey.answer:
        stages += [JourneyPart("answered"), contact_part("answered", journey.answer.step, journey.answer.channel)]
        stages += [JourneyPart("reason", f"{journey.answer.score} {reason}") for reason in journey.answer.reasons]
    elif journey.ended:
        stages.append(JourneyPart("ended"))
    return stages


def _money(journey: Journey) -> JourneyParts:
    group, occasion = journey.group, journey.occasion
    sums: JourneyParts = {JourneyPart("returned", group): ONE} if journey.returns else {}
    paid = [("spent", occasion.amount, occasion.currency)]
    paid += [("revenue", purchase.amount, purchase.currency) for purchase in journey.returns]
    for stage, amount, currency in paid:
        if amount is not None and currency:
            part = JourneyPart(stage, f"{group} {currency}")
            sums[part] = sums.get(part, Decimal()) + amount
    return sums

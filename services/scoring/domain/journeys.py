"""How far an invitation came, and what its respondent bought since: what it adds to the counters of its day.

A part is a stage and its detail. `asked`, `reached`, `opened`, `answered` and `ended` (over without an answer) have no
detail for the whole, and "<step> <channel> <hour>" for the contact they are owed to; hours are the respondent's, `?`
when no contact is known. `reason` is by "<score> <reason>", `people` and `returned` are by group, `spent` (the purchase
asked about) and `revenue` (what was bought within 90 days of it) by "<group> <currency>".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from services.scoring.domain.invitations import TriggerEvent
from shared.contract.vocabulary import category_of
from shared.zones import time_zone

RETURN_WITHIN = timedelta(days=90)
SILENT = "silent"
ONE = Decimal(1)


class JourneyPart(NamedTuple):
    stage: str
    detail: str = ""


JourneyParts = dict[JourneyPart, Decimal]


@dataclass(frozen=True, slots=True)
class ReachedContact:
    """A contact that was accepted and did not come back."""

    step: int
    channel: str
    at: datetime


@dataclass(frozen=True, slots=True)
class JourneyAnswer:
    """A counted answer."""

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
    """What is known of one counted invitation; `opened` is the step whose link was opened first."""

    occasion: TriggerEvent
    time_zone: str
    reached: Sequence[ReachedContact] = ()
    opened: int | None = None
    said: JourneyAnswer | None = None
    ended: bool = False
    purchases: Sequence[Purchase] = ()

    @property
    def group(self) -> str:
        return category_of(self.said.score).value if self.said else SILENT

    @property
    def returns(self) -> list[Purchase]:
        until = self.occasion.time + RETURN_WITHIN
        about = self.occasion.source, self.occasion.id
        return [
            bought
            for bought in self.purchases
            if self.occasion.time < bought.at <= until and (bought.source, bought.event_id) != about
        ]


def journey_parts(journey: Journey) -> JourneyParts:
    """Say what this invitation adds."""
    return {**dict.fromkeys(_stages(journey), ONE), **_money(journey)}


def segment_parts(parts: JourneyParts) -> JourneyParts:
    """Keep less of what a segment counts: no hours, and of the contacts only the one that was answered."""
    return {_without_hour(part): amount for part, amount in parts.items() if _in_segments(part)}


def _in_segments(part: JourneyPart) -> bool:
    return part.stage not in ("reached", "opened") or not part.detail


def _without_hour(part: JourneyPart) -> JourneyPart:
    if part.stage != "answered" or not part.detail:
        return part
    return JourneyPart(part.stage, f"{part.detail.rpartition(' ')[0]} ?")


def _stages(journey: Journey) -> list[JourneyPart]:
    contacts = {contact.step: contact for contact in sorted(journey.reached, key=lambda contact: contact.at)[::-1]}

    def owed(stage: str, step: int, channel: str = "") -> JourneyPart:
        contact = contacts.get(step)
        if contact is None:
            return JourneyPart(stage, f"{step} {channel or 'link'} ?")
        hour = contact.at.astimezone(time_zone(journey.time_zone)).hour
        return JourneyPart(stage, f"{step} {contact.channel} {hour:02}")

    stages = [JourneyPart("asked"), JourneyPart("people", journey.group)]
    if journey.reached or journey.opened is not None or journey.said:
        stages.append(JourneyPart("reached"))
    stages += [owed("reached", step) for step in contacts]
    if journey.opened is not None:
        stages += [JourneyPart("opened"), owed("opened", journey.opened)]
    if journey.said:
        stages += [JourneyPart("answered"), owed("answered", journey.said.step, journey.said.channel)]
        stages += [JourneyPart("reason", f"{journey.said.score} {reason}") for reason in journey.said.reasons]
    elif journey.ended:
        stages.append(JourneyPart("ended"))
    return stages


def _money(journey: Journey) -> JourneyParts:
    group, occasion = journey.group, journey.occasion
    sums: JourneyParts = {JourneyPart("returned", group): ONE} if journey.returns else {}
    paid = [("spent", occasion.amount, occasion.currency)]
    paid += [("revenue", bought.amount, bought.currency) for bought in journey.returns]
    for stage, amount, currency in paid:
        if amount is not None and currency:
            part = JourneyPart(stage, f"{group} {currency}")
            sums[part] = sums.get(part, Decimal()) + amount
    return sums

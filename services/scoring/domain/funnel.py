"""Funnel, reasons and returning customers, computed from the counters of journeys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from services.scoring.domain.changes import REASON, WHOLE, ScoreChanges, SeriesKey, significant_changes
from services.scoring.domain.journeys import SILENT, JourneyPart
from services.scoring.domain.score import Tally, response_rate
from shared.contract.vocabulary import Category

GROUPS = (Category.PROMOTER.value, Category.PASSIVE.value, Category.DETRACTOR.value, SILENT)


@dataclass(frozen=True, slots=True)
class StepCounts:
    """Numbers of contacts: accepted without a bounce, followed by the first page view, followed by the answer."""

    reached: int = 0
    opened: int = 0
    answered: int = 0

    def __add__(self, other: StepCounts) -> StepCounts:
        return StepCounts(self.reached + other.reached, self.opened + other.opened, self.answered + other.answered)


@dataclass(frozen=True, slots=True)
class Funnel:
    """Numbers of invitations per stage; `silent` are those that ended without an answer.

    `by_step` has the key (step, channel). The key of `by_hour` is the hour of the contact in the respondent's time
    zone, None when it is unknown.
    """

    asked: int = 0
    reached: int = 0
    opened: int = 0
    answered: int = 0
    silent: int = 0
    by_step: Mapping[tuple[int, str], StepCounts] = field(default_factory=dict)
    by_channel: Mapping[str, StepCounts] = field(default_factory=dict)
    by_hour: Mapping[int | None, StepCounts] = field(default_factory=dict)

    @property
    def waiting(self) -> int:
        """Those who did not answer and whose invitation is still open."""
        return self.asked - self.answered - self.silent

    @property
    def silent_share(self) -> float | None:
        """The share of the silent among the invitations that are over."""
        rate = response_rate(self.answered, self.silent)
        return None if rate is None else 1 - rate


def funnel(sums: Mapping[JourneyPart, Decimal]) -> Funnel:
    by_step: dict[tuple[int, str], StepCounts] = {}
    by_channel: dict[str, StepCounts] = {}
    by_hour: dict[int | None, StepCounts] = {}
    for part, amount in sorted(sums.items()):
        if part.stage not in ("reached", "opened", "answered") or not part.detail or not amount:
            continue
        step, channel, hour = part.detail.split()
        counts = StepCounts(**{part.stage: int(amount)})
        at_hour = int(hour) if hour.isdigit() else None
        by_step[int(step), channel] = by_step.get((int(step), channel), StepCounts()) + counts
        by_channel[channel] = by_channel.get(channel, StepCounts()) + counts
        by_hour[at_hour] = by_hour.get(at_hour, StepCounts()) + counts
    whole = {stage: int(sums.get(JourneyPart(stage), 0)) for stage in ("asked", "reached", "opened", "answered")}
    silent = int(sums.get(JourneyPart("ended"), 0))
    return Funnel(**whole, silent=silent, by_step=by_step, by_channel=by_channel, by_hour=by_hour)


@dataclass(frozen=True, slots=True)
class ReturnGroup:
    """Purchases of one group of respondents; amounts are by currency.

    `spent` is the sum of the purchases they were asked about, `revenue` that of purchases in the 90 days after them.
    """

    name: str
    people: int
    returned: int
    spent: Mapping[str, Decimal]
    revenue: Mapping[str, Decimal]

    @property
    def share(self) -> float | None:
        return self.returned / self.people if self.people else None


def returns(sums: Mapping[JourneyPart, Decimal]) -> list[ReturnGroup]:
    """Sum up purchases by group: promoters, passives, detractors and those who did not answer."""
    return [
        ReturnGroup(
            name,
            int(sums.get(JourneyPart("people", name), 0)),
            int(sums.get(JourneyPart("returned", name), 0)),
            _money(sums, "spent", name),
            _money(sums, "revenue", name),
        )
        for name in GROUPS
    ]


def _money(sums: Mapping[JourneyPart, Decimal], stage: str, group: str) -> dict[str, Decimal]:
    paid = [(part.detail.split(" ", 1), amount) for part, amount in sorted(sums.items()) if part.stage == stage]
    return {currency: amount for (name, currency), amount in paid if name == group and amount}


def reason_tallies(sums: Mapping[JourneyPart, Decimal]) -> dict[str, Tally]:
    """Return the answers that name each reason, out of sums by the day of the invitation."""
    tallies: dict[str, Tally] = {}
    for part, amount in sorted(sums.items()):
        if part.stage == "reason" and amount:
            score, reason = part.detail.split(" ", 1)
            tallies[reason] = tallies.get(reason, Tally()) + Tally.of_one(int(score)) * int(amount)
    return tallies


def reason_changes(before: Mapping[JourneyPart, Decimal], after: Mapping[JourneyPart, Decimal]) -> ScoreChanges:
    """Find reasons that are named significantly more or less often, as a share of all answers."""
    return significant_changes(reason_series(before), reason_series(after))


def reason_series(sums: Mapping[JourneyPart, Decimal]) -> dict[SeriesKey, Tally]:
    """Return the answers that name each reason, and the number of all as WHOLE."""
    answered = Tally(
        (int(sums.get(JourneyPart("answered"), 0)), *(0,) * 10)
    )  # only the number of answers is used, not their scores
    return {WHOLE: answered} | {(REASON, reason): tally for reason, tally in reason_tallies(sums).items()}

"""Everything the dashboard shows of a slice, read in one transaction from what is kept per day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from services.scoring import comparisons
from services.scoring.comparisons import Effect
from services.scoring.domain.comparison import Difference, difference
from services.scoring.domain.funnel import Funnel, Group, funnel, returns
from services.scoring.domain.moves import REASON, Moves
from services.scoring.domain.periods import Against, Days, Period
from services.scoring.domain.score import FEW, Figure, Tally
from services.scoring.repository import counting, dimensions, figures, journeys, yardsticks
from services.scoring.repository.figures import Only
from services.scoring.repository.slices import Slice
from services.scoring.repository.yardsticks import Benchmark
from shared.events import PlanStep
from shared.vocabulary import AnswerMode

OWN_SPLITS = ("answering_device", "mode", "step", "version")
MOST_EFFECTS, FEW_WORDS = 4, 8


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of the slice is asked for beside the score: `by` a dimension, `only` some comments."""

    which: Slice
    days: Days
    period: Period
    against: Against
    by: str | None = None
    only: Only = field(default_factory=Only)


@dataclass(frozen=True, slots=True)
class Trend:
    now: Sequence[Figure]
    year_before: Sequence[Figure]
    effects: Sequence[Effect]
    target: float | None


@dataclass(frozen=True, slots=True)
class Overview:
    """What is of the whole program is left out when the slice is a segment of it."""

    whole: Figure
    then: Figure
    change: Difference | None
    trend: Trend
    modes: Mapping[AnswerMode, Figure]
    suspects: Tally
    splits: Sequence[str]
    by: str
    values: Sequence[Figure]
    reasons: Sequence[tuple[str, Tally]]
    reason_texts: Mapping[str, str]
    words: Sequence[asyncpg.Record]
    benchmarks: Sequence[Benchmark]
    moves: Moves = field(default_factory=Moves)
    funnel: Funnel = field(default_factory=Funnel)
    plan: Sequence[PlanStep] = ()
    groups: Sequence[Group] = field(default_factory=list)


async def read(session: AsyncSession, wanted: Wanted) -> Overview:
    which, program = wanted.which, wanted.which.program or ""
    then = comparisons.of_days(which, wanted.days.against(wanted.against))
    whole, before = await figures.whole(session, which), await figures.whole(session, then)
    splits = [*await dimensions.names(session, program), *OWN_SPLITS]
    by = wanted.by if wanted.by in splits else next(iter(_first_known(splits)))
    reasons = {} if which.segment else await figures.tallies(session, which, [REASON])
    few = whole.tally.n < FEW
    found = Overview(
        whole=whole,
        then=before,
        change=difference(before.tally, whole.tally),
        trend=await _trend(session, wanted),
        modes={} if which.segment else await _modes(session, which),
        suspects=await counting.suspects(session, which),
        splits=splits,
        by=by,
        values=await figures.series(session, replace(which, segment=None), dimensions=[by]),
        reasons=sorted(((value, tally) for (_, value), tally in reasons.items()), key=lambda each: -each[1].n),
        reason_texts=await figures.reason_texts(session, program),
        words=await figures.latest(
            session,
            which,
            wanted.only,
            wordless_too=few or bool(wanted.only.reason),
            limit=FEW if few else FEW_WORDS,
        ),
        benchmarks=await yardsticks.benchmarks(session),
    )
    return found if which.segment else await _of_the_program(session, wanted, found)


def _first_known(splits: Sequence[str]) -> list[str]:
    return [name for name in ("store", "channel", *splits) if name in splits]


async def _modes(session: AsyncSession, which: Slice) -> dict[AnswerMode, Figure]:
    return {AnswerMode(each.value): each for each in await figures.series(session, which, dimensions=["mode"])}


async def _trend(session: AsyncSession, wanted: Wanted) -> Trend:
    which, days = wanted.which, wanted.days
    noted = await yardsticks.noted(session, which.program, days.first, days.last)
    return Trend(
        await figures.series(session, which, period=wanted.period),
        await figures.series(session, comparisons.of_days(which, days.year_before), period=wanted.period),
        await comparisons.effects(session, which, noted[-MOST_EFFECTS:], days=days),
        await yardsticks.target(session, which.program or ""),
    )


async def _of_the_program(session: AsyncSession, wanted: Wanted, found: Overview) -> Overview:
    which, then = wanted.which, wanted.days.against(wanted.against)
    sums = await journeys.sums(session, *which.days)
    return replace(
        found,
        moves=await comparisons.moves(session, which, now=wanted.days, then=then),
        funnel=funnel(sums),
        plan=await figures.plan(session, which.program or ""),
        groups=returns(sums),
    )

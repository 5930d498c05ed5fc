"""Everything the dashboard shows of a slice, read in one transaction from what is kept per day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy.ext.asyncio import AsyncSession

from services.scoring.domain.changes import REASON, ScoreChanges
from services.scoring.domain.comparison import ScoreDifference, difference
from services.scoring.domain.funnel import Funnel, ReturnGroup, funnel, reason_changes, reason_tallies, returns
from services.scoring.domain.journeys import JourneyParts
from services.scoring.domain.periods import Against, Days, Period
from services.scoring.domain.score import FEW, Definition, Figure, Tally
from services.scoring.domain.slices import Slice
from services.scoring.repository import benchmarks, programs, targets
from services.scoring.repository.annotations import read_annotations
from services.scoring.repository.benchmarks import Benchmark
from services.scoring.repository.scores import comments, comparisons, counting, dimensions, figures, journeys
from services.scoring.repository.scores.comments import CommentFilter, Comments
from services.scoring.repository.scores.comparisons import AnnotationEffect
from shared.contract.events import PlanStep, Reasons

OWN_SPLITS = ("answering_device", "mode", "step", "version")
MOST_EFFECTS, FEW_WORDS = 4, 8
MOST_COUNTED = 20_000  # answers one by one for one page, which counts them several times


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of the slice is asked for beside the score: `by` a dimension, `only` some comments, and how many."""

    which: Slice
    days: Days
    period: Period
    against: Against
    by: str | None = None
    only: CommentFilter = field(default_factory=CommentFilter)
    comments: int | None = None


@dataclass(frozen=True, slots=True)
class Trend:
    now: Sequence[Figure]
    year_before: Sequence[Figure]
    effects: Sequence[AnnotationEffect]
    target: float | None


@dataclass(frozen=True, slots=True)
class Overview:
    """Funnel, reasons, groups and moves are empty for a segment that only answers tell, such as a device."""

    which: Slice
    whole: Figure
    change: ScoreDifference | None
    trend: Trend
    suspects: Tally
    splits: Sequence[str]
    by: str
    values: Sequence[Figure]
    reasons: Mapping[str, Tally]
    reason_texts: Reasons
    moves: ScoreChanges
    funnel: Funnel
    plan: Sequence[PlanStep]
    groups: Sequence[ReturnGroup]
    comments: Comments
    most_words: int
    benchmarks: Sequence[Benchmark]


async def affordable(session: AsyncSession, wanted: Wanted) -> Wanted:
    """Count every answer where there are too many to look for the latest of each customer."""
    every = replace(wanted.which, definition=Definition.EVERY_ANSWER)
    if every == wanted.which or (await figures.whole(session, every)).tally.n <= MOST_COUNTED:
        return wanted
    return replace(wanted, which=every)


async def read(session: AsyncSession, wanted: Wanted) -> Overview:
    which, program = wanted.which, wanted.which.program or ""
    then = which.during(wanted.days.against(wanted.against))
    whole, before = await figures.whole(session, which), await figures.whole(session, then)
    splits = [*await dimensions.names(session, program), *OWN_SPLITS]
    by = wanted.by if wanted.by in splits else next(iter(_first_known(splits)))
    sums, few = await journeys.sums(session, which), whole.tally.n < FEW
    most_words = wanted.comments or (FEW if few else FEW_WORDS)
    return Overview(
        which=which,
        whole=whole,
        change=difference(before.tally, whole.tally),
        trend=await _trend(session, wanted),
        suspects=await counting.suspects(session, which),
        splits=splits,
        by=by,
        values=await figures.series(session, replace(which, segment=None), dimensions=[by]),
        reasons=await _reasons(session, which, sums),
        reason_texts=await programs.reason_texts(session, program),
        moves=await _moves(session, wanted, sums),
        funnel=funnel(sums),
        plan=await programs.plan(session, program),
        groups=returns(sums),
        comments=await comments.latest(
            session,
            which,
            wanted.only,
            wordless_too=few or bool(wanted.only.reason),
            limit=most_words,
        ),
        most_words=most_words,
        benchmarks=await benchmarks.read(session),
    )


def _first_known(splits: Sequence[str]) -> list[str]:
    return [name for name in ("store", "channel", *splits) if name in splits]


async def _reasons(session: AsyncSession, which: Slice, sums: JourneyParts) -> Mapping[str, Tally]:
    """Count reasons by the day of the answer; in a segment by that of the invitation."""
    if which.segment:
        return reason_tallies(sums)
    return {value: tally for (_, value), tally in (await figures.tallies(session, which, [REASON])).items()}


async def _moves(session: AsyncSession, wanted: Wanted, sums: JourneyParts) -> ScoreChanges:
    """Say which parts of the program moved; in a segment, which of its reasons."""
    which, then = wanted.which, wanted.days.against(wanted.against)
    if which.segment is None:
        return await comparisons.changes(session, which, now=wanted.days, then=then)
    return reason_changes(await journeys.sums(session, which.during(then)), sums)


async def _trend(session: AsyncSession, wanted: Wanted) -> Trend:
    which, days = wanted.which, wanted.days
    annotated = await read_annotations(session, which.program, days.first, days.last)
    return Trend(
        await figures.series(session, which, period=wanted.period),
        await figures.series(session, which.during(days.year_before), period=wanted.period),
        await comparisons.effects(session, which, annotated[-MOST_EFFECTS:], days=days),
        await targets.read(session, which.program or ""),
    )

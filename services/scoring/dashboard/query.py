"""The dashboard's query parameters, and everything it shows, read in one transaction from daily counters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import Field

from services.scoring.dashboard import authors
from services.scoring.dashboard.authors import Authors
from services.scoring.domain.changes import REASON
from services.scoring.domain.comparison import ScoreDifference
from services.scoring.domain.employees import with_enough_answers
from services.scoring.domain.funnel import Funnel, ReturnGroup, funnel, reason_tallies, returns
from services.scoring.domain.journeys import JourneyParts
from services.scoring.domain.periods import PERIODS, Against, Days, Period
from services.scoring.domain.score import FEW, Definition, Figure, Tally
from services.scoring.domain.slices import Slice, split_segment
from services.scoring.domain.stores.names import STORE
from services.scoring.repository import benchmarks, programs, targets
from services.scoring.repository.annotations import read_annotations
from services.scoring.repository.benchmarks import Benchmark
from services.scoring.repository.scores import comments, comparisons, counting, dimensions, figures, journeys, moves
from services.scoring.repository.scores.comments import CommentFilter, Comments
from services.scoring.repository.scores.comparisons import AnnotationEffect
from services.scoring.repository.scores.moves import Moved
from services.scoring.repository.stores import listed
from services.scoring.web.score_queries import PageQuery
from shared.contract.events import PlanStep, Reasons
from shared.contract.vocabulary import EMPLOYEE
from shared.database.session import Session
from shared.languages.current import current
from shared.web.staff.tickets import staff_scope
from shared.zones import local_day

ANSWER_SPLITS = ("answering_device", "mode", "step", "version")
MOST_EFFECTS, FEW_COMMENTS, MOST_COMMENTS = 4, 8, 500
MOST_COUNTED = 20_000  # limit of answers counted one by one; lower than the API's, as a page counts them often
DAILY_UNTIL, WEEKLY_UNTIL = 31, 200  # days

# a column of the table of values; with a minus sign, from the largest to the smallest
Sort = Literal["value", "-value", "answers", "-answers", "nps", "-nps", "change", "-change", "response", "-response"]


class DashboardQuery(PageQuery):
    """Query parameters of the page."""

    path = "/"

    days: Annotated[int, Field(ge=1, le=3660)] = 90
    period: Period | None = None
    against: Against = "previous"
    segment: Annotated[str | None, Field(max_length=401)] = None
    by: Annotated[str | None, Field(max_length=200)] = None
    sort: Sort = "change"
    definition: Definition = Definition.EVERY_ANSWER
    group: Literal["promoter", "passive", "detractor"] | None = None
    reason: Annotated[str | None, Field(max_length=200)] = None
    comments: Annotated[int | None, Field(ge=1, le=MOST_COMMENTS)] = None

    def periods_of(self, days: Days) -> Sequence[Period]:
        """Return the chosen period of the trend; else the one that suits so many days, and longer ones."""
        if self.period:
            return [self.period]
        best = "day" if days.count <= DAILY_UNTIL else "week" if days.count <= WEEKLY_UNTIL else "month"
        return PERIODS[PERIODS.index(best) :]


@dataclass(frozen=True, slots=True)
class TrendData:
    period: Period
    figures: Sequence[Figure]
    year_before: Sequence[Figure]
    effects: Sequence[AnnotationEffect]
    target: float | None


@dataclass(frozen=True, slots=True)
class ScoreData:
    """Figures of one slice; funnel and groups are empty for a segment by a property of answers (`mode`).

    `moved` is None where no two periods can be compared.
    """

    selected: Slice
    whole: Figure
    stores: Sequence[str]  # names of the stores that the reader sees; none: all
    chain: Figure | None  # of all stores, for who sees only some; None also where the others have only FEW answers
    moved: Moved | None
    suspects: Tally
    trend: TrendData
    splits: Sequence[str]
    by: str
    values: Sequence[Figure]
    value_changes: Mapping[str, ScoreDifference]
    reasons: Mapping[str, Tally]
    reason_texts: Reasons
    funnel: Funnel
    plan: Sequence[PlanStep]
    groups: Sequence[ReturnGroup]
    comments: Comments
    comment_limit: int
    benchmarks: Sequence[Benchmark]
    authors: Authors


@dataclass(frozen=True, slots=True)
class DashboardData:
    """`programs` by id, the most recently used first; `today` is the chosen program's; `score` None without one."""

    query: DashboardQuery
    now: datetime
    today: date
    days: Days
    programs: Mapping[str, programs.ProgramInUse]
    program: str | None
    score: ScoreData | None


async def read(session: Session, query: DashboardQuery, *, now: datetime, employees: bool = False) -> DashboardData:
    """Read everything the page shows; an unknown program is replaced by the most recently used one.

    Without `employees`, nothing is shown of single employees.
    """
    scope = staff_scope.get()
    used = await programs.programs_by_use(session)
    known = {id_: each for id_, each in used.items() if scope.covers_program(id_)}
    program = query.program if query.program in known else next(iter(known), None)
    today = local_day(now, known[program].zone if program else "UTC")
    days = query.resolve_days(today, count=query.days)
    score = await _score(session, query, program=program, days=days, employees=employees) if program else None
    return DashboardData(query, now, today, days, known, program, score)


async def _score(session: Session, query: DashboardQuery, *, program: str, days: Days, employees: bool) -> ScoreData:
    selected = await _selected(session, query, program=program, days=days, employees=employees)
    whole = await figures.whole(session, selected)
    compared = await moves.find_compared_days(session, selected, days=days, against=query.against)
    parts, few = await journeys.sums(session, selected), whole.tally.n < FEW
    named = [name for name in await dimensions.names(session, program) if employees or name != EMPLOYEE]
    splits = [*named, *ANSWER_SPLITS]
    if selected.within is not None:
        of_stores = await figures.whole(session, replace(selected, segment=None, definition=Definition.EVERY_ANSWER))
        splits = splits if of_stores.tally.n <= MOST_COUNTED else [STORE]
    by = query.by if query.by in splits else _default_split(splits)
    comment_limit = query.comments or (FEW if few else FEW_COMMENTS)
    shown = CommentFilter(query.group, query.reason)
    all_values = replace(selected, segment=None)
    values = await figures.series(session, all_values, dimensions=[by])
    trend = await _trend(session, selected, days=days, periods=query.periods_of(days))
    known = await benchmarks.read(session)
    return ScoreData(
        selected=selected,
        whole=whole,
        stores=sorted({selected.stores.shown(STORE, name) for name in selected.within or ()}),
        chain=await _chain(session, selected),
        moved=await moves.read(session, selected, compared) if compared else None,
        suspects=await counting.suspects(session, selected),
        trend=trend,
        splits=splits,
        by=by,
        values=with_enough_answers(values) if by == EMPLOYEE else values,
        value_changes=await moves.of_values(session, all_values, by, compared) if compared else {},
        reasons=await _reasons(session, selected, parts),
        reason_texts=await programs.reason_texts(session, program, language=current.get().locale.language),
        funnel=funnel(parts),
        plan=await programs.plan(session, program),
        groups=returns(parts),
        comments=await comments.latest(
            session, selected, shown, with_empty=few or bool(query.reason), limit=comment_limit
        ),
        comment_limit=comment_limit,
        benchmarks=known,
        authors=await authors.read(session, program, trend.effects, known),
    )


async def _selected(session: Session, query: DashboardQuery, *, program: str, days: Days, employees: bool) -> Slice:
    """Return the slice of the query; above MOST_COUNTED answers it counts every answer, whatever the query says.

    Above it, who sees only some stores gets no segment of another dimension, either; nobody gets one of an employee
    without enough answers.
    """
    segment = split_segment(query.segment)
    stores = await listed.names(session)
    every_answer = Slice(program, days.first, days.last, segment, stores=stores, within=staff_scope.get().stores)
    of_stores = replace(every_answer, segment=None)
    if every_answer.counted_as is None and (await figures.whole(session, of_stores)).tally.n > MOST_COUNTED:
        every_answer = of_stores
    if every_answer.dimension == EMPLOYEE and not (
        employees and with_enough_answers([await figures.whole(session, every_answer)])
    ):
        every_answer = of_stores
    if query.definition is Definition.EVERY_ANSWER:
        return every_answer
    few_enough = (await figures.whole(session, every_answer)).tally.n <= MOST_COUNTED
    return replace(every_answer, definition=query.definition) if few_enough else every_answer


async def _chain(session: Session, selected: Slice) -> Figure | None:
    """Read the score of all stores for who sees only some, unless few answers of others would show in it."""
    if selected.within is None:
        return None
    own = replace(selected, segment=None, definition=Definition.EVERY_ANSWER)
    chain = await figures.whole(session, replace(own, within=None))
    return chain if chain.tally.n - (await figures.whole(session, own)).tally.n >= FEW else None


def _default_split(splits: Sequence[str]) -> str:
    return next(name for name in ("store", "channel", *splits) if name in splits)


async def _reasons(session: Session, selected: Slice, parts: JourneyParts) -> Mapping[str, Tally]:
    """Return the counts of answers by reason id, for answers of the selected days.

    In a segment, days are those of the invitation: buckets hold no reasons of segments, the journeys do.
    """
    if not selected.is_whole:
        return reason_tallies(parts)
    return {value: tally for (_, value), tally in (await figures.tallies(session, selected, [REASON])).items()}


async def _trend(session: Session, selected: Slice, *, days: Days, periods: Sequence[Period]) -> TrendData:
    """Read the trend by the first of the periods of which most have enough answers, by the first if none has."""
    annotations = await read_annotations(session, selected.program, days.first, days.last)
    read: dict[Period, Sequence[Figure]] = {}
    for each in periods:
        read[each] = await figures.series(session, selected, period=each)
        if _most_are_points(read[each]):
            period = each
            break
    else:
        period = periods[0]
    return TrendData(
        period,
        read[period],
        await figures.series(session, selected.during(days.year_before_by(period)), period=period),
        await comparisons.effects(session, selected, annotations[-MOST_EFFECTS:], days=days),
        await targets.read(session, selected.program or ""),
    )


def _most_are_points(trend: Sequence[Figure]) -> bool:
    """Say whether two periods have enough answers for a point, and at most a third of those with answers too few."""
    known = [figure for figure in trend if figure.tally.n]
    points = sum(figure.is_point for figure in known)
    return points >= 2 and 3 * (len(known) - points) <= len(known)

"""Row types of the dashboard's cards, and functions that build them from the data that was read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from services.scoring.dashboard.answer_sources import answer_source
from services.scoring.dashboard.query import MOST_COMMENTS, DashboardQuery, ScoreData, Sort
from services.scoring.dashboard.reason_texts import reason_text, reason_texts
from services.scoring.domain.comparison import ScoreDifference
from services.scoring.domain.funnel import Funnel, ReturnGroup
from services.scoring.domain.journeys import SILENT
from services.scoring.domain.score import FEW, Figure, ScoreInterval, Tally
from services.scoring.domain.stores.names import STORE
from services.scoring.repository.benchmarks import Benchmark
from services.scoring.repository.programs import read_reasons
from services.scoring.web import rendering
from shared.contract.events import PlanStep
from shared.contract.vocabulary import Category, ChannelKind, category_of
from shared.languages import formats
from shared.languages.current import gettext
from shared.languages.marking import mark
from shared.zones import current_zone

MOST_VALUES, MORE_COMMENTS = 20, 50
_STEP_NAMES = {
    ChannelKind.EMAIL: (mark("E-mail"), mark("Repeat")),
    ChannelKind.SMS: (mark("SMS"),),
    ChannelKind.CALL: (mark("Call desk"),),
    ChannelKind.LINK: (mark("Link"),),
}
_BUILT_IN_BENCHMARKS = (  # are stored in English
    mark("Restaurants"),
    mark("Construction"),
    mark("Car sales"),
    mark("A commonly quoted industry average; replace it with one you can check"),
)
_GROUPS = {
    None: mark("All"),
    Category.DETRACTOR: mark("Detractors"),
    Category.PASSIVE: mark("Passives"),
    Category.PROMOTER: mark("Promoters"),
}


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a list; None as its value means no limit."""

    value: str | int | None
    label: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class FunnelRow:
    label: str
    count: int
    kind: str
    note: str = ""


def funnel_rows(funnel: Funnel, plan: Sequence[PlanStep]) -> list[FunnelRow]:
    """Count who was asked, reached, opened, answered by which step, and did not answer; empty when nobody was asked."""
    if not funnel.asked:
        return []
    return [
        FunnelRow(gettext("Asked"), funnel.asked, "asked"),
        FunnelRow(gettext("Reached"), funnel.reached, "asked"),
        FunnelRow(gettext("Opened the page"), funnel.opened, "asked"),
        *(
            FunnelRow(name, count, "operator" if by_call else "self")
            for (name, by_call), count in _answered_by_step(funnel, plan).items()
        ),
        FunnelRow(gettext("Silent"), funnel.silent, "silent", rendering.percent(funnel.silent_share)),
        FunnelRow(gettext("Still waiting"), funnel.waiting, "silent"),
    ]


def _answered_by_step(funnel: Funnel, plan: Sequence[PlanStep]) -> dict[tuple[str, bool], int]:
    """Count answers by the name of the step that led to them, and whether it is a call."""
    names = {step.step: (_step_name(plan, step), step.channel is ChannelKind.CALL) for step in plan}
    answered = dict.fromkeys(names.values(), 0)
    for (step, channel), counts in funnel.by_step.items():
        by_call = channel == ChannelKind.CALL
        name = names.get(step) or (gettext("Call desk") if by_call else gettext("Another link"), by_call)
        answered[name] = answered.get(name, 0) + counts.answered
    return answered


def _step_name(plan: Sequence[PlanStep], step: PlanStep) -> str:
    nth = [each.step for each in plan if each.channel is step.channel].index(step.step)
    names = _STEP_NAMES[step.channel]
    return gettext(names[nth]) if nth < len(names) else f"{gettext(names[-1])} {nth + 1}"


@dataclass(frozen=True, slots=True)
class HourRow:
    """The share of the messages sent in an hour of the respondent's day that were answered."""

    hour: int
    sent: int
    share: float

    @property
    def percent(self) -> str:
        return f"{self.share * 100:.0f}"


def hour_rows(funnel: Funnel) -> list[HourRow]:
    """Leave out hours of fewer than FEW messages, whose share says little."""
    return [
        HourRow(hour, counts.reached, counts.answered / counts.reached)
        for hour, counts in sorted((hour, counts) for hour, counts in funnel.by_hour.items() if hour is not None)
        if counts.reached >= FEW
    ]


@dataclass(frozen=True, slots=True)
class ValueRow:
    """One value of the dimension the score is split by; `below` when its interval is below that of the whole.

    `change` is None where one of the compared periods has fewer than FEW answers.
    """

    figure: Figure
    nps: float
    interval: ScoreInterval
    change: ScoreDifference | None
    few: bool
    below: bool
    chosen: bool
    segment: str


def value_rows(score: ScoreData, sort: Sort) -> list[ValueRow]:
    """Sort values by a column, those without a figure in it last; equal ones by their number of answers."""
    whole = score.whole.interval
    rows = [
        ValueRow(
            figure,
            figure.nps,
            interval,
            score.value_changes.get(figure.value),
            few=figure.tally.n < FEW,
            below=whole is not None and interval.high < whole.low,
            chosen=score.selected.shown_segment == (score.by, figure.value),
            segment=f"{score.by}:{figure.value}",
        )
        for figure in sorted(score.values, key=lambda figure: -figure.tally.n)
        if figure.nps is not None and (interval := figure.interval)
    ]
    return _sorted(rows, sort)[:MOST_VALUES]


def _sorted(rows: Sequence[ValueRow], sort: Sort) -> list[ValueRow]:
    column = sort.removeprefix("-")
    if column == "value":
        return sorted(rows, key=lambda row: row.figure.value.casefold(), reverse=sort != column)
    key = _COLUMNS[column]
    known = [(figure, row) for row in rows if (figure := key(row)) is not None]
    sign = 1 if sort == column else -1
    return [row for _, row in sorted(known, key=lambda each: sign * each[0])] + [
        row for row in rows if key(row) is None
    ]


_COLUMNS: Mapping[str, Callable[[ValueRow], float | None]] = {
    "answers": lambda row: row.figure.tally.n,
    "nps": lambda row: row.nps,
    "change": lambda row: row.change.points if row.change else None,
    "response": lambda row: row.figure.response_rate,
}


@dataclass(frozen=True, slots=True)
class ReasonRow:
    id: str
    text: str
    tally: Tally
    share: float


def reason_rows(score: ScoreData, *, praise: bool) -> list[ReasonRow]:
    """Sort reasons by how many promoters (`praise`), or how many of the others, ticked them."""
    tallies = {reason: _part(tally, praise=praise) for reason, tally in score.reasons.items()}
    people = {group.name: group.people for group in score.groups}
    asked = people[Category.PROMOTER] if praise else people[Category.PASSIVE] + people[Category.DETRACTOR]
    answers = asked if not score.selected.is_whole else _part(score.whole.tally, praise=praise).n
    return [
        ReasonRow(reason, reason_text(reason, score.reason_texts, praise=praise), tally, tally.n / max(answers, 1))
        for reason, tally in sorted(tallies.items(), key=lambda each: -each[1].n)
        if tally.n
    ]


def _part(tally: Tally, *, praise: bool) -> Tally:
    """Keep the promoters' answers, or those of all others."""
    return Tally((*(0,) * 9, *tally.by_score[9:]) if praise else (*tally.by_score[:9], 0, 0))


@dataclass(frozen=True, slots=True)
class ReturnRow:
    label: str
    people: int
    returned: int
    share: float | None
    revenue: str


def return_row(group: ReturnGroup) -> ReturnRow:
    name = gettext("Without an answer") if group.name == SILENT else gettext(_GROUPS[Category(group.name)])
    sums = [f"{formats.grouped(round(amount))} {currency}" for currency, amount in group.revenue.items()]
    return ReturnRow(name, group.people, group.returned, group.share, ", ".join(sums) or rendering.NO_FIGURE)


@dataclass(frozen=True, slots=True)
class BenchmarkRow:
    """A benchmark or the program's own score; only the latter has an `interval`."""

    name: str
    nps: float
    source: str
    interval: ScoreInterval | None = None


def benchmark_rows(benchmarks: Sequence[Benchmark], *, own: Figure) -> list[BenchmarkRow]:
    """Return the benchmarks and the program's own score, highest first."""
    rows = [BenchmarkRow(each.name, each.nps, each.source) for each in benchmarks]
    if own.nps is not None and own.interval:
        rows.append(BenchmarkRow(gettext("This score"), own.nps, "", own.interval))
    return sorted(rows, key=lambda row: -row.nps)


@dataclass(frozen=True, slots=True)
class CommentRow:
    score: int
    category: Category
    text: str | None
    store: str | None
    at: str
    source: str
    suspect: bool
    callback: bool
    reasons: Sequence[str]


@dataclass(frozen=True, slots=True)
class CommentsRow:
    """`more` is how many to show next, None at the end; `reason` the text of the reason they are limited to."""

    groups: Sequence[Option]
    reason: str | None
    rows: Sequence[CommentRow]
    more: int | None
    complete: bool
    filtered: bool


def comments_row(score: ScoreData, query: DashboardQuery, *, now: datetime) -> CommentsRow:
    comments, limit = score.comments, score.comment_limit
    may_be_more = len(comments.rows) == limit < MOST_COMMENTS
    return CommentsRow(
        groups=[Option(group, gettext(label), group == query.group) for group, label in _GROUPS.items()],
        reason=reason_texts(query.reason, score.reason_texts, query.group) if query.reason else None,
        rows=[_comment(row, score, now) for row in comments.rows],
        more=min(limit + MORE_COMMENTS, MOST_COMMENTS) if may_be_more else None,
        complete=comments.complete,
        filtered=bool(query.group or query.reason),
    )


def _comment(row: asyncpg.Record, score: ScoreData, now: datetime) -> CommentRow:
    store, texts = row["segments"].get(STORE), score.reason_texts
    category, own = category_of(row["score"]), read_reasons(row["texts"], of=str(row["answer_id"]))
    praise = category is Category.PROMOTER
    return CommentRow(
        score=row["score"],
        category=category,
        text=row["comment"],
        store=store and score.selected.stores.shown(STORE, store),
        at=rendering.moment(row["answered_at"], current_zone.get(), now=now),
        source=answer_source(row["mode"], row["channel"]),
        suspect=row["suspect"],
        callback=row["callback_wanted"],
        reasons=[reason_text(reason, texts, own, praise=praise) for reason in row["reasons"]],
    )

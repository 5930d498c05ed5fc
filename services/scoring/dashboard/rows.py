"""Rows of the dashboard's cards, in words and widths."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import asyncpg

from services.scoring.dashboard import charts
from services.scoring.dashboard.query import Overview
from services.scoring.domain.changes import PRAISE, REASON, ScoreChange
from services.scoring.domain.funnel import Funnel
from services.scoring.domain.score import FEW, Figure, Tally
from services.scoring.web import rendering
from shared.contract.events import PlanStep, Reasons
from shared.contract.vocabulary import AnswerMode, Category, ChannelKind, category_of

MOST_ROWS = 20
SCALE = 240.0
_STEP_NAMES = {ChannelKind.EMAIL: ("E-mail", "Repeat"), ChannelKind.SMS: ("SMS",), ChannelKind.CALL: ("Call desk",)}
DIMENSION_NAMES = {"answering_device": "device of the answer", "version": "program version", "mode": "who typed it"}


def name_of(dimension: str) -> str:
    return DIMENSION_NAMES.get(dimension, dimension.replace("_", " "))


@dataclass(frozen=True, slots=True)
class ValueRow:
    figure: Figure
    mark: charts.Whisker


def value_rows(series: Sequence[Figure]) -> list[ValueRow]:
    """Best known first, so that a store of two answers does not lead the list."""
    ordered = sorted(series, key=lambda figure: -figure.tally.n)[:MOST_ROWS]
    return [
        ValueRow(figure, charts.whisker(figure.nps, figure.interval, width=SCALE))
        for figure in ordered
        if figure.nps is not None and figure.interval
    ]


@dataclass(frozen=True, slots=True)
class FunnelBar:
    label: str
    count: int
    kind: str
    width: float
    note: str = ""


def funnel_bars(funnel: Funnel, plan: Sequence[PlanStep]) -> list[FunnelBar]:
    names = {step.step: _step_name(plan, step) for step in plan}
    answered = dict.fromkeys(names.values(), 0)
    for (step, channel), came in funnel.by_step.items():
        name = names.get(step) or ("Call desk" if channel == ChannelKind.CALL else "Another link")
        answered[name] = answered.get(name, 0) + came.answered
    silent = rendering.percent(funnel.silent / funnel.asked) if funnel.asked else ""
    rows = [
        ("Asked", funnel.asked, "asked", ""),
        ("Reached", funnel.reached, "asked", ""),
        ("Opened the page", funnel.opened, "asked", ""),
        *((name, count, "operator" if name.startswith("Call") else "self", "") for name, count in answered.items()),
        ("Silent", funnel.silent, "silent", silent),
        ("Still waiting", funnel.waiting, "silent", ""),
    ]
    return [
        FunnelBar(label, count, kind, 150 * count / max(funnel.asked, 1), note) for label, count, kind, note in rows
    ]


def _step_name(plan: Sequence[PlanStep], step: PlanStep) -> str:
    nth = [each.step for each in plan if each.channel is step.channel].index(step.step)
    names = _STEP_NAMES[step.channel]
    return names[nth] if nth < len(names) else f"{names[-1]} {nth + 1}"


@dataclass(frozen=True, slots=True)
class HourBar:
    """Of the messages sent in an hour of the respondent's day, how many were answered."""

    hour: int
    sent: int
    share: float
    x: float
    height: float


def hour_bars(funnel: Funnel, *, height: float, step: float) -> list[HourBar]:
    """Leave out hours of a few messages, whose share is chance."""
    known = {hour: came for hour, came in funnel.by_hour.items() if hour is not None and came.reached >= FEW}
    highest = max((came.answered / came.reached for came in known.values()), default=0) or 1
    return [
        HourBar(hour, came.reached, share := came.answered / came.reached, index * step, height * share / highest)
        for index, (hour, came) in enumerate(sorted(known.items()))
    ]


@dataclass(frozen=True, slots=True)
class ReasonRow:
    id: str
    text: str
    tally: Tally
    share: float
    parts: list[charts.Share]


def reason_rows(found: Overview, *, praise: bool) -> list[ReasonRow]:
    """Reasons by how many promoters, or how many of the rest, ticked them; all bars are on the scale of the longest."""
    named = {reason: _of_those(tally, praise=praise) for reason, tally in found.reasons.items()}
    most = max((tally.n for tally in named.values()), default=1) or 1
    people = {group.name: group.people for group in found.groups}
    asked = people[Category.PROMOTER] if praise else people[Category.PASSIVE] + people[Category.DETRACTOR]
    answers = asked if found.which.segment else _of_those(found.whole.tally, praise=praise).n
    return [
        ReasonRow(
            reason,
            reason_text(reason, found.reason_texts, praise=praise),
            tally,
            tally.n / max(answers, 1),
            charts.shares(tally, width=SCALE, of=most),
        )
        for reason, tally in sorted(named.items(), key=lambda each: -each[1].n)
        if tally.n
    ]


def _of_those(tally: Tally, *, praise: bool) -> Tally:
    """Keep the promoters' answers, or those of the rest."""
    return Tally((*(0,) * 9, *tally.by_score[9:]) if praise else (*tally.by_score[:9], 0, 0))


def reason_text(reason: str, *texts: Reasons, praise: bool) -> str:
    """Name a reason as they read it who ticked it: one id may say one thing to promoters and another to the rest."""
    lists = [of.promoter if praise else of.other for of in texts] + [
        of.other if praise else of.promoter for of in texts
    ]
    return next((each.text for listed in lists for each in listed if each.id == reason), reason)


def reason_names(reason: str, texts: Reasons, group: str | None) -> str:
    """Name a reason to one group, or as every group reads it."""
    wanted = (True, False) if group is None else (group == Category.PROMOTER,)
    return " / ".join(dict.fromkeys(reason_text(reason, texts, praise=praise) for praise in wanted))


def moved_line(moved: ScoreChange, texts: Reasons) -> str:
    """Say in one sentence what changed, and how surely."""
    interval = moved.difference.interval
    sure = f"({rendering.signed(interval.low)} … {rendering.signed(interval.high)})"
    if moved.dimension in (REASON, PRAISE):
        text = reason_text(moved.value, texts, praise=moved.dimension == PRAISE)
        kind = "praise" if moved.dimension == PRAISE else "complaint"
        return f"“{text}” is the {kind} of {moved.after:.0f} % of answers, was {moved.before:.0f} % {sure}"
    verb = "rose" if moved.difference.points > 0 else "fell"
    return (
        f"{name_of(moved.dimension).capitalize()} {moved.value} {verb} by {abs(round(moved.difference.points))} {sure}"
    )


@dataclass(frozen=True, slots=True)
class Yardstick:
    name: str
    nps: float
    source: str
    mark: charts.Whisker
    own: bool = False


def yardsticks(found: Overview) -> list[Yardstick]:
    """The own score among the benchmarks, highest first."""
    rows = [
        Yardstick(each.name, each.nps, each.source, charts.point(each.nps, width=SCALE)) for each in found.benchmarks
    ]
    if found.whole.nps is not None and found.whole.interval:
        mark = charts.whisker(found.whole.nps, found.whole.interval, width=SCALE)
        rows.append(Yardstick("This score", found.whole.nps, "", mark, own=True))
    return sorted(rows, key=lambda row: -row.nps)


def money(sums: Mapping[str, Decimal]) -> str:
    return ", ".join(f"{rendering.grouped(round(amount))} {currency}" for currency, amount in sums.items()) or "–"  # noqa: RUF001 - a dash where there is no figure


def words(rows: Iterable[asyncpg.Record], *, texts: Reasons, now: datetime) -> list[dict[str, Any]]:
    return [_word(row, texts, now) for row in rows]


def _word(row: asyncpg.Record, texts: Reasons, now: datetime) -> dict[str, Any]:
    category, own = category_of(row["score"]), Reasons.model_validate(row["texts"])
    where = "the desk" if row["mode"] == AnswerMode.OPERATOR else {"email": "e-mail", "sms": "SMS"}.get(row["channel"])
    return {
        "score": row["score"],
        "category": category,
        "text": row["comment"],
        "store": row["segments"].get("store"),
        "at": rendering.moment(row["answered_at"], row["program_zone"], now=now),
        "by": where or ("an import" if row["mode"] == AnswerMode.IMPORTED else "a link"),
        "suspect": row["suspect"],
        "call_back": row["callback_wanted"],
        "reasons": [reason_text(reason, texts, own, praise=category is Category.PROMOTER) for reason in row["reasons"]],
    }

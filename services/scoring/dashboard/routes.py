"""The dashboard: the score and how far it can be trusted; everything that is chosen is in the address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Response
from pydantic import Field, model_validator

from services.scoring.dashboard import charts, query, rows
from services.scoring.dashboard.query import Overview, Wanted
from services.scoring.domain.comparison import smallest_sample
from services.scoring.domain.periods import Against, Days, Period, label_of
from services.scoring.domain.score import FEW, Definition, bounds
from services.scoring.domain.slices import Slice, split_segment
from services.scoring.repository.programs import programs_by_use
from services.scoring.repository.scores.comments import MOST_SCANNED, CommentFilter
from services.scoring.web import rendering
from services.scoring.web.score_queries import DaysQuery
from shared.clock import Clock
from shared.contract.vocabulary import Category
from shared.database.db import Sessions
from shared.web.menu import StaffPages
from shared.zones import local_day

PERIODS = (7, 30, 90, 365)
DAILY_UNTIL, WEEKLY_UNTIL = 31, 200
WANTED_MARGINS = (10, 5, 3, 1)
MORE_COMMENTS, MOST_COMMENTS = 50, 500


class View(DaysQuery):
    """What the address says; whoever opens it sees the same."""

    days: Annotated[int, Field(ge=1, le=3660)] = 90
    period: Period | None = None
    against: Against = "previous"
    segment: Annotated[str | None, Field(max_length=401)] = None
    by: Annotated[str | None, Field(max_length=200)] = None
    definition: Definition = Definition.EVERY_ANSWER
    group: Literal["promoter", "passive", "detractor"] | None = None
    reason: Annotated[str | None, Field(max_length=200)] = None
    comments: Annotated[int | None, Field(ge=1, le=MOST_COMMENTS)] = None

    @model_validator(mode="before")
    @classmethod
    def _chosen(cls, said: Mapping[str, object]) -> Mapping[str, object]:
        """Take an empty choice, as a form sends it, for none."""
        return {name: value for name, value in said.items() if value != ""}

    def link(self, **changes: object) -> str:
        """Address the same view with some of it changed; None takes a choice back."""
        said = self.model_dump(mode="json", by_alias=True, exclude_defaults=True) | changes
        return "/?" + urlencode({name: value for name, value in said.items() if value is not None})

    def period_of(self, days: Days) -> Period:
        if self.period:
            return self.period
        return "day" if days.count <= DAILY_UNTIL else "week" if days.count <= WEEKLY_UNTIL else "month"


@dataclass(frozen=True, slots=True)
class Dashboard:
    sessions: Sessions
    clock: Clock
    staff_pages: StaffPages

    def router(self) -> APIRouter:
        router = APIRouter(include_in_schema=False)
        router.add_api_route("/", self.show, methods=["GET"])
        return router

    async def show(self, view: Annotated[View, Query()]) -> Response:
        now = self.clock.now()
        async with self.sessions.begin() as session:
            programs = await programs_by_use(session)
            titles = {id_: each.title if each.active else f"{each.title} (off)" for id_, each in programs.items()}
            chosen = view.program if view.program in titles else next(iter(titles), None)
            today = local_day(now, programs[chosen].zone if chosen else "UTC")
            days = view.stretch(today, count=view.days)
            wanted = await query.affordable(session, _wanted(view, days, chosen))
            found = await query.read(session, wanted) if chosen else None
        values = _values(found, wanted, now, today) if found else {"whole": None}
        return rendering.page(
            "dashboard.html",
            titles=titles,
            program=chosen,
            view=view,
            periods=PERIODS,
            days=days,
            pages=self.staff_pages,
            few=FEW,
            today=today,
            too_many=query.MOST_COUNTED if wanted.which.definition is not view.definition else None,
            looked_through=MOST_SCANNED,
            **values,
        )


def _wanted(view: View, days: Days, program: str | None) -> Wanted:
    which = Slice(program, days.first, days.last, split_segment(view.segment), view.definition)
    return Wanted(
        which, days, view.period_of(days), view.against, view.by, CommentFilter(view.group, view.reason), view.comments
    )


def _values(found: Overview, wanted: Wanted, now: datetime, today: date) -> dict[str, Any]:
    tally = found.whole.tally
    marks = {label_of(effect.annotation.day, wanted.period): effect.annotation.text for effect in found.trend.effects}
    beside = charts.Beside(found.trend.target, found.trend.year_before, marks)
    return {
        "found": found,
        "words": rows.words(found.comments.rows, texts=found.reason_texts, now=now),
        "more_words": _more_words(found),
        "whole": found.whole,
        "segment": wanted.which.segment,
        "definition": wanted.which.definition,
        "period": wanted.period,
        "bounds": bounds(tally, silent=found.whole.silent),
        "with_suspects": tally + found.suspects,
        "samples": [(margin, smallest_sample(margin, like=tally)) for margin in WANTED_MARGINS],
        "bars": charts.distribution(tally, height=60, step=27),
        "shares": charts.shares(tally, width=298),
        "trend": charts.trend(found.trend.now, width=760, height=330, beside=beside),
        "narrow_trend": charts.trend(found.trend.now, width=320, height=260, most_labels=4, beside=beside),
        "unfinished": label_of(today, wanted.period),
        "rows": rows.value_rows(found.values),
        "name_of": rows.name_of,
        "moved": [rows.moved_line(each, found.reason_texts) for each in found.moves.significant[:6]],
        "funnel": rows.funnel_bars(found.funnel, found.plan),
        "hours": rows.hour_bars(found.funnel, height=48, step=24),
        "praised": rows.reason_rows(found, praise=True),
        "missed": rows.reason_rows(found, praise=False),
        "reason_names": rows.reason_names,
        "yardsticks": rows.yardsticks(found),
        "money": rows.money,
        "categories": [category.value for category in Category],
    }


def _more_words(found: Overview) -> int | None:
    """How many comments to show next, if there may be more."""
    shown = found.most_words
    return min(shown + MORE_COMMENTS, MOST_COMMENTS) if len(found.comments.rows) == shown < MOST_COMMENTS else None

"""The dashboard: the score and how far it can be trusted; program and period are in the address."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated, Any

import asyncpg
from fastapi import APIRouter, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from services.scoring import charts, rendering
from services.scoring.domain.score import FEW, Figure, bounds
from services.scoring.repository import figures, invitations
from services.scoring.repository.figures import Funnel, Slice
from shared.clock import Clock
from shared.db import Sessions
from shared.events import PlanStep
from shared.vocabulary import AnswerMode, Category, ChannelKind, category_of

PERIODS = (7, 30, 90, 365)
DAILY_UNTIL = 31
EARLIEST, LATEST = date(1900, 1, 1), date(2199, 12, 31)  # far from the ends of the calendar
_STEP_NAMES = {ChannelKind.EMAIL: ("E-mail", "Repeat"), ChannelKind.SMS: ("SMS",), ChannelKind.CALL: ("Call desk",)}


@dataclass(frozen=True, slots=True)
class Dashboard:
    sessions: Sessions
    clock: Clock
    mailbox_url: str

    def router(self) -> APIRouter:
        router = APIRouter(include_in_schema=False)
        router.add_api_route("/", self.show, methods=["GET"])
        return router

    async def show(
        self,
        program: Annotated[str | None, Query(max_length=200)] = None,
        from_: Annotated[date | None, Query(alias="from", ge=EARLIEST, le=LATEST)] = None,
        to: Annotated[date | None, Query(ge=EARLIEST, le=LATEST)] = None,
        days: Annotated[int, Query(ge=1, le=3660)] = 90,
    ) -> Response:
        now = self.clock.now()
        last = to or now.date() + timedelta(days=1)  # where the day has begun already
        first = from_ or last - timedelta(days=days)
        async with self.sessions.begin() as session:
            titles = await invitations.program_titles(session)
            chosen = program if program in titles else next(iter(titles), None)
            values = await _figures(session, Slice(chosen, first, last), now=now) if chosen else None
        return rendering.page(
            "dashboard.html",
            titles=titles,
            program=chosen,
            days=None if from_ or to else days,
            periods=PERIODS,
            first=first,
            last=last,
            mailbox_url=self.mailbox_url,
            few=FEW,
            **(values or {"whole": None}),
        )


async def _figures(session: AsyncSession, which: Slice, *, now: datetime) -> dict[str, Any]:
    found = await figures.series(session, which)
    whole = found[0] if found else Figure()
    long = which.first is not None and which.last is not None and (which.last - which.first).days > DAILY_UNTIL
    periods = await figures.series(session, which, period="week" if long else "day")
    modes = {mode.value: mode for mode in await figures.series(session, which, dimension="mode")}
    few = whole.tally.n < FEW
    return {
        "whole": whole,
        "bounds": bounds(whole.tally, silent=whole.silent),
        "modes": {mode: modes.get(mode, Figure()) for mode in AnswerMode},
        "bars": charts.distribution(whole.tally, height=60, step=27),
        "shares": charts.shares(whole.tally, width=298),
        "trend": charts.trend(periods, width=760, height=400),
        "narrow_trend": charts.trend(periods, width=320, height=260, most_labels=4),
        "trend_by": "weekly" if long else "daily",
        "stores": _stores(await figures.series(session, which, dimension="store")),
        "funnel": _funnel(await figures.funnel(session, which), await figures.plan(session, which.program or "")),
        "comments": [
            _comment(row, now)
            for row in await figures.latest(session, which, wordless_too=few, limit=FEW if few else 8)
        ],
    }


def _stores(series: Sequence[Figure]) -> list[tuple[Figure, charts.Whisker]]:
    """Best known first, so that a store of two answers does not lead the list."""
    ordered = sorted(series, key=lambda figure: -figure.tally.n)[:20]
    return [
        (figure, charts.whisker(figure.nps, figure.interval, width=240))
        for figure in ordered
        if figure.nps is not None and figure.interval
    ]


@dataclass(frozen=True, slots=True)
class FunnelBar:
    label: str
    count: int
    kind: str
    width: float


def _funnel(funnel: Funnel, plan: Sequence[PlanStep]) -> list[FunnelBar]:
    by_step: dict[str, int] = {_step_name(plan, step): 0 for step in plan}
    for answers in funnel.steps:
        planned = next((step for step in plan if step.step == answers.step), None)
        name = _step_name(plan, planned) if planned else _other_name(answers.channel)
        by_step[name] = by_step.get(name, 0) + answers.answered
    rows = [
        ("Asked", funnel.asked, "asked"),
        ("Reached", funnel.reached, "asked"),
        *((name, count, "operator" if name.startswith("Call") else "self") for name, count in by_step.items()),
        ("Silent", funnel.silent, "silent"),
        ("Still waiting", funnel.waiting, "silent"),
    ]
    return [FunnelBar(label, count, kind, 150 * count / max(funnel.asked, 1)) for label, count, kind in rows]


def _step_name(plan: Sequence[PlanStep], step: PlanStep) -> str:
    nth = [each.step for each in plan if each.channel is step.channel].index(step.step)
    names = _STEP_NAMES[step.channel]
    return names[nth] if nth < len(names) else f"{names[-1]} {nth + 1}"


def _other_name(channel: str) -> str:
    return "Call desk" if channel == ChannelKind.CALL else "Another link"


def _comment(row: asyncpg.Record, now: datetime) -> dict[str, Any]:
    category = category_of(row["score"])
    first, second = ("other", "promoter") if category is Category.PROMOTER else ("promoter", "other")
    texts = {reason["id"]: reason["text"] for group in (first, second) for reason in row["texts"][group]}
    where = "the desk" if row["mode"] == AnswerMode.OPERATOR else {"email": "e-mail", "sms": "SMS"}.get(row["channel"])
    return {
        "score": row["score"],
        "category": category,
        "text": row["comment"],
        "store": row["segments"].get("store"),
        "at": rendering.moment(row["answered_at"], row["program_zone"], now=now),
        "by": where or "a link",
        "reasons": [texts.get(reason, reason) for reason in row["reasons"]],
    }

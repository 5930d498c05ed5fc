"""Figures of the last 30 days for supervisors: outcome rates, operators' work, and scores that operators typed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from operator import itemgetter
from typing import Any

from fastapi import APIRouter, Response

from services.scoring.desk.team import PAGE
from services.scoring.domain.calling.outcome_rates import Cases, Code, Rate, code_of
from services.scoring.domain.calling.score_bias import ByScore, ScoreBias, compare
from services.scoring.domain.calling.share import Share
from services.scoring.domain.score import FEW, adjusted_wald, nps
from services.scoring.repository.calling import team_figures
from services.scoring.web import rendering
from shared.clock import Clock
from shared.contract.vocabulary import CallDisposition, CallOutcome, Service
from shared.database.db import Row
from shared.database.isolated import isolated
from shared.database.session import Sessions
from shared.languages.formats import decimal
from shared.languages.marking import mark
from shared.web.staff.menu import StaffPages
from shared.web.staff.tickets import staff_scope

DAYS = 30
_LEAST_P = 0.001  # lesser ones are not written out
MEANINGS = {
    Code.COMPLETE: mark("answered"),
    Code.REFUSED: mark("refused, or wants no calls"),
    Code.NEVER_AVAILABLE: mark("agreed on another time, and never answered"),
    Code.NOT_ATTEMPTED: mark("nobody called"),
    Code.BUSY: mark("always busy"),
    Code.NO_ANSWER: mark("nobody picked up"),
    Code.MACHINE: mark("a machine picked up"),
    Code.OUT_OF_SAMPLE: mark("wrong number"),
}
# Rates that have a value of their own: no interview is partial (P = 0), and no outcome is of the group O.
RATES = {
    Rate.RR1: (
        "I / (I + R + NC + U)",
        mark("Answers of all numbers that may be right: the lowest response rate."),
    ),
    Rate.RR3: (
        "I / (I + R + NC + eU)",
        mark("Answers, if of the numbers that nobody knows only the share e is right."),
    ),
    Rate.RR5: ("I / (I + R + NC)", mark("Answers of numbers known to be right: the highest response rate.")),
    Rate.COOP1: ("I / (I + R)", mark("Answers of customers who were spoken to.")),
    Rate.REF1: ("R / (I + R + NC + U)", mark("Refusals of all numbers that may be right.")),
    Rate.REF2: (
        "R / (I + R + NC + eU)",
        mark("Refusals, if of the numbers that nobody knows only the share e is right."),
    ),
    Rate.REF3: ("R / (I + R + NC)", mark("Refusals of numbers known to be right.")),
    Rate.CON1: ("(I + R) / (I + R + NC + U)", mark("Customers spoken to, of all numbers that may be right.")),
    Rate.CON2: (
        "(I + R) / (I + R + NC + eU)",
        mark("Customers spoken to, if of the numbers that nobody knows only the share e is right."),
    ),
    Rate.CON3: ("(I + R) / (I + R + NC)", mark("Customers spoken to, of numbers known to be right.")),
}


@dataclass(frozen=True, slots=True)
class TeamFigures:
    sessions: Sessions
    clock: Clock
    staff_pages: StaffPages

    def router(self) -> APIRouter:
        router = APIRouter(include_in_schema=False)
        router.add_api_route(f"{PAGE}/figures", self.show, methods=["GET"])
        return router

    async def show(self) -> Response:
        since, scope = self.clock.now() - timedelta(days=DAYS), staff_scope.get()
        async with self.sessions.begin() as session:
            outcomes = await team_figures.outcomes(session, since, scope=scope)
            operators = await team_figures.operators(session, since, scope=scope)
            scores = await team_figures.scores(session, since, scope=scope)
        final, interim = _codes(outcomes)
        cases = Cases.of(final)
        return rendering.page(
            "desk_figures.html",
            days=DAYS,
            codes=[(code, MEANINGS[code], final[code], interim[code]) for code in Code],
            cases=cases,
            rates=[(rate, *RATES[rate], _shown(cases.rates[rate])) for rate in RATES] if final else [],
            operators=[_operator(row) for row in operators],
            scores=_scores(scores),
            few=FEW,
            most=team_figures.MOST_ANSWERS
            if sum(row["count"] for row in scores) >= team_figures.MOST_ANSWERS
            else None,
            pages=self.staff_pages,
        )


def _codes(rows: Sequence[Row]) -> tuple[Counter[Code], Counter[Code]]:
    """Count the final and the interim codes; outcomes that cannot be read, as of another release, are left out."""
    final, interim = Counter[Code](), Counter[Code]()
    for row in rows:
        with isolated("stored_outcome", service=Service.SCORING, outcome=row["outcome"], made=row["made"]):
            outcome = CallOutcome(row["outcome"]) if row["outcome"] else None
            code = code_of(outcome, {CallDisposition(each) for each in row["made"]})
            if code is not None:
                (final if outcome else interim)[code] += row["count"]
    return final, interim


def _shown(share: Share) -> dict[str, str]:
    return {
        "value": rendering.percent(share.value),
        "interval": "{} … {}".format(*map(rendering.percent, share.interval)) if share.interval else "",
    }


def _operator(row: Row) -> dict[str, Any]:
    return {
        **row,
        "contact": _shown(Share(row["reached"], row["calls"])),
        "cooperation": _shown(Share(row["answers"], row["reached"])),
    }


def _by_stratum(
    rows: Sequence[Row],
) -> tuple[Mapping[str, Mapping[Hashable, ByScore]], Mapping[Hashable, ByScore]]:
    """Return the counts of each operator's id by program and store, and those of the customers."""
    counts: defaultdict[str | None, defaultdict[Hashable, list[int]]] = defaultdict(
        lambda: defaultdict(lambda: [0] * 11)
    )
    for row in rows:
        counts[row["operator_id"] and str(row["operator_id"])][row["program"], row["store"]][row["score"]] += row[
            "count"
        ]
    by = {who: {key: tuple(each) for key, each in strata.items()} for who, strata in counts.items()}
    return {who: strata for who, strata in by.items() if who is not None}, by.get(None, {})


def _scores(rows: Sequence[Row]) -> list[dict[str, Any]]:
    names = {str(row["operator_id"]): row["operator"] for row in rows}
    return sorted(
        (_compared(bias, names[bias.operator]) for bias in compare(*_by_stratum(rows))), key=itemgetter("operator")
    )


def _compared(bias: ScoreBias, operator: str) -> dict[str, Any]:
    return {
        "operator": operator,
        "answers": bias.answers,
        "compared": bias.typed.n,
        "nps": nps(bias.typed),
        "interval": adjusted_wald(bias.typed),
        "themselves": bias.nps_of_themselves,
        "differs": bias.differs,
        "verdict": _verdict(bias),
        "p": _p(bias.p_value),
        "shares": [(own / bias.typed.n, other) for own, other in zip(bias.typed.by_score, bias.themselves, strict=True)]
        if bias.typed.n
        else [],
    }


def _p(p_value: float | None) -> str:
    if p_value is None:
        return ""
    return f"p = {decimal(p_value, '0.000')}" if p_value >= _LEAST_P else f"p < {decimal(_LEAST_P, '0.000')}"


def _verdict(bias: ScoreBias) -> str:
    if bias.p_value is None:
        return mark("too few answers to say")
    if not bias.differs:
        return mark("no difference to see")
    return mark("higher than chance") if bias.higher > 0 else mark("lower than chance")

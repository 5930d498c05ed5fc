"""Counts answers one by one, for what buckets do not hold: two dimensions crossed, the latest answer per customer.

Cost grows with the answers in the period: seconds for a million (docs/performance.md).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from services.scoring.domain.periods import Period
from services.scoring.domain.score import Definition, Tally
from services.scoring.domain.slices import Slice
from services.scoring.domain.stores.names import STORE
from shared.contract.vocabulary import AnswerMode, Service
from shared.database import db
from shared.database.isolated import isolated
from shared.database.session import Session

_ANSWER_EXPRESSIONS = {
    "all": "''",
    "mode": "CASE WHEN a.mode = 'self' AND a.channel = 'link' THEN 'link' ELSE a.mode END",
    "step": "a.step::text",
    "answering_device": "a.device",
    "reason": "r.id",
}
ANSWER_DIMENSIONS = frozenset(_ANSWER_EXPRESSIONS)
_DAYS = (
    "($1::text IS NULL OR i.program = $1) AND ($2::date IS NULL OR {day} >= $2) AND ($3::date IS NULL OR {day} <= $3)"
)
# the latest answer of each customer and period, by the day it counts on; suspect answers only where there is no other
_LATEST = "DISTINCT ON (label, i.program, i.respondent_id)"
_LATEST_ORDER = "ORDER BY label, i.program, i.respondent_id, a.suspect, a.first_day DESC, a.answer_id DESC"


class Arguments(list[Any]):
    """Arguments of a statement; `add` returns the placeholder of the added one, `$4`."""

    def add(self, value: object) -> str:
        self.append(value)
        return f"${len(self)}"


def _expression(dimension: str, arguments: Arguments) -> str:
    return _ANSWER_EXPRESSIONS.get(dimension) or f"i.dimensions->>{arguments.add(dimension)}::text"


async def tallies(
    session: Session, selected: Slice, *, dimensions: Sequence[str], period: Period | None
) -> dict[tuple[str, ...], Tally]:
    """Count answers by (value of each dimension …, label of the period).

    Without dimensions the value is "", without a period the label is "".
    """
    split = dimensions or ["all"]
    arguments = Arguments(selected.days)
    values = [f"{_expression(each, arguments)} AS v{number}" for number, each in enumerate(split)]
    condition = _DAYS.format(day="a.first_day") + in_segment(selected, arguments)
    latest = selected.definition is Definition.LATEST_PER_CUSTOMER
    of_reasons = "reason" in split
    inner = f"""SELECT {_LATEST if latest else ""}
i.dimensions, a.score, a.mode, a.channel, a.step, a.device, a.suspect, a.reasons,
{_label("a.first_day", period, arguments)} AS label FROM answers a JOIN invitations i ON i.id = a.invitation_id
WHERE i.counted AND {condition} {_LATEST_ORDER if latest else ""}"""  # noqa: S608 - our own expressions
    # the outer query has the aliases a and i, too, so that the same expressions work in both
    rows = await db.fetch(
        session,
        f"""WITH chosen AS ({inner}) SELECT {", ".join(values)}, a.label, score, mode, suspect, count(*) AS n
FROM chosen a JOIN LATERAL (SELECT a.dimensions) i ON true
{"JOIN LATERAL jsonb_array_elements_text(a.reasons) AS r (id) ON true" if of_reasons else ""}
GROUP BY {", ".join(f"v{number}" for number in range(len(values)))}, a.label, score, mode, suspect""",  # noqa: S608 - our own expressions
        *arguments,
    )
    sums: defaultdict[tuple[str, ...], Tally] = defaultdict(Tally)
    for row in rows:
        if None in (key := row[: len(values)]):
            continue
        with isolated("stored_answer", service=Service.SCORING, mode=row["mode"]):
            one = Tally.of_one(row["score"], mode=AnswerMode(row["mode"]), suspect=row["suspect"])
            sums[(*key, row["label"])] += one * row["n"]
    return dict(sums)


def _label(day: str, period: Period | None, arguments: Arguments) -> str:
    return f"to_char({day}, {arguments.add(LABELS[period])})" if period else "''"


async def invited(
    session: Session, selected: Slice, *, dimensions: Sequence[str], period: Period | None
) -> dict[tuple[str, ...], tuple[int, ...]]:
    """Count (invited, answered, silent) by the same keys as `tallies`; empty for dimensions that only answers have."""
    used = [*dimensions, *([selected.segment[0]] if selected.segment else [])]
    if any(each in _ANSWER_EXPRESSIONS for each in used):
        return {}
    arguments = Arguments(selected.days)
    values = [f"{_expression(each, arguments)} AS v{number}" for number, each in enumerate(dimensions or ["all"])]
    condition = _DAYS.format(day="i.invited_day") + in_segment(selected, arguments)
    rows = await db.fetch(
        session,
        f"""SELECT {", ".join(values)}, {_label("i.invited_day", period, arguments)} AS label,
count(*)::int AS invited, count(a.answer_id)::int AS answered, count(*) FILTER (WHERE a.answer_id IS NULL
AND coalesce(p.outcome, o.outcome) IS NOT NULL)::int AS silent
FROM invitations i LEFT JOIN answers a ON a.invitation_id = i.id AND NOT a.suspect
LEFT JOIN progress p ON p.invitation_id = i.id LEFT JOIN outcomes o ON o.invitation_id = i.id
WHERE i.counted AND a.mode IS DISTINCT FROM 'imported' AND {condition}
GROUP BY {", ".join(f"v{number}" for number in range(len(values)))}, label""",  # noqa: S608 - our own expressions
        *arguments,
    )
    width = len(values)
    return {
        (*row[:width], row["label"]): (row["invited"], row["answered"], row["silent"])
        for row in rows
        if None not in row[:width]
    }


def in_segment(selected: Slice, arguments: Arguments) -> str:
    """Build the condition, ` AND …`, that answer `a` of invitation `i` is in the segment, and in a store of `within`.

    It is empty for the whole.
    """
    condition = ""
    if selected.within is not None:
        condition = f" AND i.dimensions->>'{STORE}' = ANY({arguments.add(sorted(selected.within))}::text[])"
    if selected.segment is None:
        return condition
    dimension, value = selected.segment
    if dimension == "reason":
        return f"{condition} AND a.reasons ? {arguments.add(value)}"
    if dimension in _ANSWER_EXPRESSIONS:
        return f"{condition} AND {_ANSWER_EXPRESSIONS[dimension]} = {arguments.add(value)}"
    stored = [json.dumps({dimension: each}) for each in selected.stores.stored(dimension, value)]
    # an index finds each of them, and none finds `@> ANY (…)`
    return f"{condition} AND ({' OR '.join(f'i.dimensions @> {arguments.add(each)}::jsonb' for each in stored)})"


_SUSPECTS = f"""SELECT {", ".join(f"count(*) FILTER (WHERE score = {score})::int AS s{score}" for score in range(11))}
FROM answers a JOIN invitations i ON i.id = a.invitation_id
WHERE a.suspect AND i.counted AND {_DAYS.format(day="a.first_day")}
AND ($4::text IS NULL OR i.dimensions->>$4 = ANY($5::text[]))
AND ($6::text[] IS NULL OR i.dimensions->>'store' = ANY($6))
"""  # noqa: S608 - our own expressions


async def suspects(session: Session, selected: Slice) -> Tally:
    """Count suspect answers, in `by_score` of the tally; there are few, and a partial index finds them."""
    dimension, value = selected.segment or (None, None)
    values = selected.stores.stored(dimension, value) if dimension is not None and value is not None else None
    within = None if selected.within is None else sorted(selected.within)
    return Tally(tuple((await db.fetch(session, _SUSPECTS, *selected.days, dimension, values, within))[0]))


LABELS: dict[Period, str] = {"day": "YYYY-MM-DD", "week": 'IYYY-"W"IW', "month": "YYYY-MM", "quarter": 'YYYY-"Q"Q'}

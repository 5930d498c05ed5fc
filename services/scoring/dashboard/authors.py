"""Who set what the dashboard shows beside its figures: annotations, the target, benchmarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.scoring.repository.benchmarks import Benchmark
from services.scoring.repository.people import accounts
from services.scoring.repository.scores.comparisons import AnnotationEffect
from shared.database.session import Session
from shared.languages.marking import mark
from shared.web.audit.last_acts import LastAct, last_acts

_MARKS = {
    "POST /annotations": mark("added"),
    "POST /v1/annotations": mark("added"),
    "POST /target": mark("Target set"),
}
_BENCHMARKS = {"POST /benchmarks": mark("saved"), "PUT /v1/benchmarks/{name}": mark("saved")}


@dataclass(frozen=True, slots=True)
class Authors:
    """`marks` are by the id of an annotation, and by that of the program for its target; `benchmarks` by name."""

    marks: Mapping[str, LastAct]
    benchmarks: Mapping[str, LastAct]


async def read(
    session: Session, program: str, effects: Sequence[AnnotationEffect], benchmarks: Sequence[Benchmark]
) -> Authors:
    marked = [program, *(str(effect.annotation.id) for effect in effects)]
    return Authors(
        await last_acts(session, marked, _MARKS, names=accounts.names),
        await last_acts(session, [each.name for each in benchmarks], _BENCHMARKS, names=accounts.names),
    )

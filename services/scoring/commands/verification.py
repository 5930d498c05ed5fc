"""Compares the stored counters with counters recomputed from what is kept, and the sums of what was deleted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from decimal import Decimal
from typing import TypeVar
from uuid import UUID

from services.scoring.domain.dimensions import BucketKey
from services.scoring.domain.score import Tally
from services.scoring.repository.retention import sums as dropped
from services.scoring.repository.scores import journeys, recomputed
from services.scoring.repository.scores.journeys import JourneyCounter
from shared.database.session import Session

T = TypeVar("T")
NIL = UUID(int=0)
PAGE = 5000


async def verify(session: Session) -> list[str]:
    """Return one line per counter that differs from its recomputed value; needs a REPEATABLE READ transaction."""
    answers = await recomputed.recomputed(session)
    for key, tally in (await dropped.dropped_answers(session)).items():
        answers[key] = answers.get(key, Tally()) + tally
    asked = await recomputed.recomputed_invited(session)
    for key, (invited, answered) in (await dropped.dropped_invited(session)).items():
        kept = asked.get(key, (0, 0))
        asked[key] = kept[0] + invited, kept[1] + answered
    return [
        *(f"answers: {each}" for each in _differences(await recomputed.stored(session), answers, nothing=Tally())),
        *(f"invited: {each}" for each in _differences(await recomputed.stored_invited(session), asked, nothing=(0, 0))),
        *[f"journeys: {each}" async for each in _journeys(session)],
    ]


async def _journeys(session: Session) -> AsyncIterator[str]:
    """Yield a line per journey counter that differs; journeys with a pending update add their stored counters."""
    pending, after = await journeys.pending(session), NIL
    sums: defaultdict[JourneyCounter, Decimal] = defaultdict(Decimal, await dropped.dropped_journeys(session))
    while ids := await journeys.page(session, after, limit=PAGE):
        stored, unreadable = await journeys.stored(session, ids)
        for id_ in sorted(unreadable):
            yield f"the stored parts of invitation {id_} cannot be read"
        known = await journeys.current(session, set(ids) - pending)
        for each in [*known.values(), *(stored[id_] for id_ in pending & stored.keys())]:
            for counter, amount in each.counters.items():
                sums[counter] += amount
        after = ids[-1]
    counters = await journeys.all_counters(session)
    for counter in sorted({*counters, *sums}):
        if counters.get(counter, 0) != sums[counter]:
            yield f"{counter}: stored {counters.get(counter, 0)}, recomputed {sums[counter]}"


def _differences(stored: Mapping[BucketKey, T], recomputed: Mapping[BucketKey, T], *, nothing: T) -> list[str]:
    return [
        f"{key.program}|{key.dimension}|{key.value}|{key.day}: stored {stored.get(key, nothing)}, "
        f"recomputed {recomputed.get(key, nothing)}"
        for key in sorted({*stored, *recomputed})
        if stored.get(key, nothing) != recomputed.get(key, nothing)
    ]

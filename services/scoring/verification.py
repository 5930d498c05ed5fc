"""Proof that incremental figures are those a recomputation from the answers gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from services.scoring.domain.dimensions import Key
from services.scoring.domain.score import Tally
from services.scoring.repository import recount

T = TypeVar("T")


async def verify(session: AsyncSession) -> list[str]:
    """Name every series and day where counters and answers disagree; the session must read one snapshot."""
    answers = _differences(await recount.stored(session), await recount.recomputed(session), nothing=Tally())
    asked = _differences(
        await recount.stored_invited(session), await recount.recomputed_invited(session), nothing=(0, 0)
    )
    return [f"answers: {each}" for each in answers] + [f"invited: {each}" for each in asked]


def _differences(stored: Mapping[Key, T], recomputed: Mapping[Key, T], *, nothing: T) -> list[str]:
    return [
        f"{key.program}|{key.dimension}|{key.value}|{key.day}: stored {stored.get(key, nothing)}, "
        f"recomputed {recomputed.get(key, nothing)}"
        for key in sorted({*stored, *recomputed})
        if stored.get(key, nothing) != recomputed.get(key, nothing)
    ]

"""Scores of employees: of fewer answers there is no figure, because single customers would decide it."""

from __future__ import annotations

from collections.abc import Iterable

from services.scoring.domain.score import Figure

FEWEST_ANSWERS = 30


def with_enough_answers(figures: Iterable[Figure]) -> list[Figure]:
    """Leave out the figures that are not shown of employees."""
    return [each for each in figures if each.tally.n >= FEWEST_ANSWERS]

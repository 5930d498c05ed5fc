"""The states of programs: each has its own, and one state holds for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.contract.vocabulary import ProgramState

ALL_PROGRAMS = "*"  # stands for every program, also for those applied later; no program has this id
_STRICTNESS = {state: place for place, state in enumerate(ProgramState)}


@dataclass(frozen=True, slots=True)
class KnownState:
    """The state of a program, or of all, and since when; `changed_by` is the actor of the audit log who set it.

    `handed_over` counts the messages that left, or may have left, after the program was stopped.
    """

    program: str
    state: ProgramState
    since: datetime
    changed_by: str
    handed_over: int = 0


def strictest(*states: str | None) -> ProgramState:
    """Return the strictest of these states; None counts as `on`."""
    return max((ProgramState(state) for state in states if state), key=_STRICTNESS.__getitem__, default=ProgramState.ON)

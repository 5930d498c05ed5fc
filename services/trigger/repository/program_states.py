"""The states of programs that were ever switched: on, off, stopped or withdrawn."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from services.trigger.domain.programs.states import KnownState
from shared.contract.vocabulary import ProgramState
from shared.database import db
from shared.database.session import Session

_STOPPED = [state for state in ProgramState if state.is_stopped]
_FIND = "SELECT program, state, since, changed_by, handed_over FROM program_states"
_FIND_STOPPED = f"{_FIND} WHERE state = ANY($1::text[])"
_PUT = """INSERT INTO program_states AS s (program, state, since, changed_by) VALUES ($1, $2, $3, $4)
ON CONFLICT (program) DO UPDATE SET state = excluded.state, since = excluded.since, changed_by = excluded.changed_by,
    handed_over = CASE WHEN s.state = ANY($5::text[]) AND excluded.state = ANY($5::text[]) THEN s.handed_over ELSE 0 END
WHERE s.state <> excluded.state"""
_COUNT = """UPDATE program_states s SET handed_over = s.handed_over + c.handed_over
FROM unnest($1::text[], $2::int[]) AS c (program, handed_over) WHERE s.program = c.program"""


async def find(session: Session) -> dict[str, KnownState]:
    """Return the state of each program that was ever switched, and the one that holds for all, if there is one."""
    return _by_program(await db.fetch(session, _FIND))


async def find_stopped(session: Session) -> dict[str, KnownState]:
    return _by_program(await db.fetch(session, _FIND_STOPPED, _STOPPED))


def _by_program(rows: list[db.Row]) -> dict[str, KnownState]:
    return {row["program"]: KnownState(**{**row, "state": ProgramState(row["state"])}) for row in rows}


async def put(session: Session, program: str, state: ProgramState, *, now: datetime, changed_by: str) -> None:
    """Set the state of a program, or of all; one that has this state keeps its time."""
    await db.fetch(session, _PUT, program, state, now, changed_by, _STOPPED)


async def add_handed_over(session: Session, counts: Mapping[str, int]) -> None:
    """Count messages that left after their program, or all, was stopped."""
    await db.fetch(session, _COUNT, list(counts), list(counts.values()))

"""The page of promised calls: what became of each, who called, and what was agreed on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from fastapi import APIRouter, Response

from services.scoring.desk.page import label_of
from services.scoring.domain.calls import masked
from services.scoring.repository.calling import promised_calls
from services.scoring.web import rendering
from shared.clock import Clock
from shared.contract.vocabulary import CallOutcome
from shared.database.db import Row
from shared.database.session import Sessions
from shared.languages.marking import mark
from shared.web.staff.menu import StaffPages
from shared.web.staff.tickets import staff_scope
from shared.zones import current_zone, time_zone

SHOWN_FOR = timedelta(days=30)
LIMIT = 300
SOON = timedelta(hours=1)  # a call that is due for less is not late
_ENDED: Mapping[str, str] = {
    CallOutcome.ANSWERED: mark("called"),
    CallOutcome.REFUSED: mark("they did not want to talk"),
    CallOutcome.UNREACHABLE: mark("nobody was reached"),
    CallOutcome.WRONG_NUMBER: mark("the number is wrong"),
    CallOutcome.DO_NOT_CALL: mark("they want no calls"),
    CallOutcome.EXPIRED: mark("nobody called in time"),
    CallOutcome.WITHDRAWN: mark("taken back: answered, cancelled or erased, or the program was stopped"),
}
_HELD = mark("nobody calls before a supervisor has confirmed the answer, which looks automatic")
_BROKEN = frozenset({CallOutcome.EXPIRED, CallOutcome.UNREACHABLE, CallOutcome.WRONG_NUMBER})


class Part(StrEnum):
    """A part of the page; the value is its heading."""

    OVERDUE = mark("Overdue")
    TO_COME = mark("To come")
    HELD = mark("Held back")
    NOT_KEPT = mark("Not kept")
    ENDED = mark("Kept or taken back")


@dataclass(frozen=True, slots=True)
class PromisedCalls:
    sessions: Sessions
    clock: Clock
    staff_pages: StaffPages

    def router(self) -> APIRouter:
        router = APIRouter(include_in_schema=False)
        router.add_api_route("/promised-calls", self.show, methods=["GET"])
        return router

    async def show(self) -> Response:
        now = self.clock.now()
        async with self.sessions.begin() as session:
            rows = await promised_calls.of_staff(session, since=now - SHOWN_FOR, scope=staff_scope.get(), limit=LIMIT)
        lines = [_line(row, now) for row in rows]
        parts = {part: [line for line in lines if line["part"] is part] for part in Part}
        return rendering.page(
            "promised_calls.html",
            parts={part: found for part, found in parts.items() if found},
            days=SHOWN_FOR.days,
            limit=LIMIT if len(rows) == LIMIT else None,
            pages=self.staff_pages,
        )


def _part(row: Row, now: datetime) -> Part:
    if row["state"] == "open":
        if row["due_at"] >= row["expires_at"]:
            return Part.NOT_KEPT
        return Part.OVERDUE if row["due_at"] <= now - SOON and row["holder"] is None else Part.TO_COME
    if row["outcome"] is None:
        return Part.HELD
    return Part.NOT_KEPT if row["outcome"] in _BROKEN else Part.ENDED


def _line(row: Row, now: datetime) -> dict[str, Any]:
    zone, is_open = time_zone(row["time_zone"]), row["state"] == "open"
    return {
        "part": _part(row, now),
        "name": row["name"],
        "phone": masked(row["phone"]),
        "program": row["program_title"] or row["program"],
        "asked": row["kind"] == "callback",
        "open": is_open,
        "due": rendering.moment(row["due_at"], zone, now=now),
        "ends_before": row["due_at"] >= row["expires_at"],
        "until": rendering.moment(row["expires_at"], zone, now=now),
        "holder": row["holder"] if is_open else None,
        "state": _ENDED.get(row["outcome"], row["outcome"]) if row["outcome"] else _HELD,
        "last": row["disposition"] and label_of(row["disposition"]),
        "operator": row["operator"],
        "at": row["at"] and rendering.moment(row["at"], current_zone.get(), now=now),
        "note": row["note"],
    }

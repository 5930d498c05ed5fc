"""The supervisor's page: who is on which call, what waits, what was reached today; a call can be taken over there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from services.scoring.desk.forms import id_of, operator_at_desk
from services.scoring.desk.page import label_of, short_name
from services.scoring.desk.promised import SOON
from services.scoring.domain.calling.operators import Operator
from services.scoring.domain.calls import masked
from services.scoring.repository.calling import calls, pauses, team
from services.scoring.web import forms, rendering
from shared.clock import Clock
from shared.database.db import Row
from shared.database.session import Session, Sessions
from shared.languages import formats
from shared.languages.current import gettext, lookup, ngettext
from shared.languages.marking import mark
from shared.web.audit.acts import note
from shared.web.problems import Conflict
from shared.web.staff.menu import StaffPages
from shared.web.staff.tickets import staff_scope
from shared.zones import current_zone

PAGE = "/desk-team"
BAR = 240  # the width of the longest bar


@dataclass(slots=True)
class OperatorToday:
    """What one operator does at the moment, and did today in the calls that the supervisor sees."""

    id: UUID
    name: str
    call: Row | None = None
    paused_at: datetime | None = None
    paused: timedelta = timedelta()  # today, with the pause that lasts
    last_at: datetime | None = None
    calls: int = 0
    reached: int = 0
    answers: int = 0


@dataclass(slots=True)
class Today:
    """Operators by id, and calls, reached and answers by hour in the supervisor's zone."""

    operators: dict[UUID, OperatorToday] = field(default_factory=dict)
    hours: dict[int, list[int]] = field(default_factory=dict)

    def operator(self, row: Row) -> OperatorToday:
        id_ = row["operator_id"]
        return self.operators.setdefault(id_, OperatorToday(id_, row["operator"]))

    def add_calls(self, rows: Sequence[Row]) -> None:
        for row in rows:
            who, hour = self.operator(row), formats.local(row["quarter"]).hour
            counts = row["calls"], row["reached"], row["answers"]
            who.calls += row["calls"]
            who.reached += row["reached"]
            who.answers += row["answers"]
            who.last_at = max(who.last_at or row["last"], row["last"])
            self.hours[hour] = [a + b for a, b in zip(self.hours.get(hour, [0, 0, 0]), counts, strict=True)]

    def add_held(self, rows: Sequence[Row]) -> None:
        """Say who is on which call; of a call that is not seen only that there is one, if its operator is known."""
        for row in sorted(rows, key=lambda row: not row["seen"]):
            if row["seen"]:
                self.operator(row).call = row
            elif (known := self.operators.get(row["operator_id"])) and known.call is None:
                known.call = row

    def add_pauses(self, rows: Sequence[Row], *, begin: datetime, now: datetime, all_are_seen: bool) -> None:
        for row in rows:
            if row["operator_id"] not in self.operators and not all_are_seen:
                continue
            who = self.operator(row)
            who.paused += (row["ended_at"] or now) - max(row["started_at"], begin)
            if row["ended_at"] is None:
                who.paused_at = row["started_at"]
            else:
                who.last_at = max(who.last_at or row["ended_at"], row["ended_at"])


@dataclass(frozen=True, slots=True)
class Team:
    sessions: Sessions
    clock: Clock
    staff_pages: StaffPages
    lease: timedelta

    def router(self) -> APIRouter:
        router = APIRouter(prefix=PAGE, include_in_schema=False)
        router.add_api_route("", self.show, methods=["GET"])
        router.add_api_route("/take-over", self.take_over, methods=["POST"])
        return router

    async def show(self, request: Request) -> Response:
        return await self._page(request)

    async def take_over(self, request: Request) -> Response:
        """Lease a call to the supervisor; refused if the operator whom the page named no longer has it."""
        form = await forms.read(request)
        task_id, of, by = id_of(form.get("task_id")), id_of(form.get("operator")), operator_at_desk(request)
        if task_id is None or not by.name:
            why = gettext("Nothing was taken over: enter your name at the desk first.") if task_id else _no_call()
            return await self._page(request, refused=why)
        note(task_id)
        async with self.sessions.begin() as session:
            taken = of in by.ids or await team.take_over(
                session, task_id, of=of, by=by, now=self.clock.now(), lease=self.lease, scope=staff_scope.get()
            )
            refused = "" if taken else await self._why_not(session, task_id)
        if refused:
            return await self._page(request, refused=refused)
        return RedirectResponse(f"/desk/{task_id}", status_code=303)

    async def _why_not(self, session: Session, task_id: UUID) -> str:
        task = await calls.load(session, task_id, scope=staff_scope.get())
        if task is None:
            return _no_call()
        if not task.open and task.held_by:
            return gettext("Not taken over: this call was withdrawn. %(name)s is told.", name=task.held_by.name)
        if task.held_by:
            return gettext("Not taken over: %(name)s has this call meanwhile.", name=task.held_by.name)
        made = await calls.attempts(session, task_id)
        if not made:
            return gettext("Not taken over: this call has just ended.")
        last, now = made[-1], self.clock.now()
        return gettext(
            "Not taken over: this call has just ended. %(name)s noted: %(outcome)s, %(time)s.",
            name=last["operator"],
            outcome=lookup(label_of(last["disposition"])).lower(),
            time=rendering.moment(last["at"], current_zone.get(), now=now),
        )

    async def _page(self, request: Request, *, refused: str = "") -> Response:
        now, scope = self.clock.now(), staff_scope.get()
        begin, today = formats.local(now).replace(hour=0, minute=0, second=0, microsecond=0), Today()
        async with self.sessions.begin() as session:
            waiting = await team.waiting(session, now=now, scope=scope)
            overdue = await team.overdue(session, before=now - SOON, scope=scope)
            today.add_calls(await team.made_since(session, begin, scope=scope))
            today.add_held(await team.held(session, scope=scope))
            paused = await pauses.since(session, begin)
        today.add_pauses(paused, begin=begin, now=now, all_are_seen=scope.is_whole)
        me = operator_at_desk(request)
        return rendering.page(
            "desk_team.html",
            status=Conflict.status if refused else 200,
            refused=refused,
            waiting=waiting,
            oldest=waiting["oldest"] and rendering.moment(waiting["oldest"], current_zone.get(), now=now),
            next_due=waiting["next_due"] and rendering.moment(waiting["next_due"], current_zone.get(), now=now),
            overdue=overdue,
            operators=[_line(each, me, now) for each in sorted(today.operators.values(), key=lambda each: each.name)],
            totals=[sum(counts) for counts in zip(*today.hours.values(), strict=True)] or [0, 0, 0],
            hours=list(_hours(today.hours)),
            bar=BAR,
            pages=self.staff_pages,
        )


def _no_call() -> str:
    return gettext("Not taken over: there is no such call.")


def _hours(counted: dict[int, list[int]]) -> Iterator[tuple[str, list[int], list[int]]]:
    """Yield every hour from the first with a call to the last one, its counts, and the widths of their bars."""
    most = max((counts[0] for counts in counted.values()), default=0)
    for hour in range(min(counted, default=0), max(counted, default=-1) + 1):
        counts = counted.get(hour, [0, 0, 0])
        yield f"{hour:02}:00", counts, [round(BAR * count / most) for count in counts]


def _line(each: OperatorToday, me: Operator, now: datetime) -> dict[str, Any]:
    call = each.call if each.call and each.call["seen"] else None
    state, since = _state(each)
    return {
        "id": each.id,
        "name": each.name,
        "state": state,
        "since": since and rendering.moment(since, current_zone.get(), now=now),
        "minutes": _minutes(now - since) if since else "",
        "paused": _minutes(each.paused) if each.paused else "",
        "calls": each.calls,
        "reached": each.reached,
        "answers": each.answers,
        "call": call and _call(call),
        "may_take_over": call is not None and each.id not in me.ids,
    }


def _state(each: OperatorToday) -> tuple[str, datetime | None]:
    """Return what an operator does, and since when."""
    if each.call is not None:
        return mark("on a call") if each.call["seen"] else mark("on a call that you do not see"), each.call["taken_at"]
    if each.paused_at is not None:
        return mark("pause"), each.paused_at
    return mark("ready, between calls"), each.last_at


def _call(row: Row) -> dict[str, Any]:
    about = [row["program_title"] or row["program"], row["store"]]
    return {
        "task_id": row["task_id"],
        "name": short_name(row["name"]) or gettext("No name"),
        "phone": masked(row["phone"]),
        "about": ", ".join(part for part in about if part),
        "callback": row["kind"] == "callback",
    }


def _minutes(lasting: timedelta) -> str:
    minutes = int(lasting.total_seconds() // 60)
    return ngettext("%(num)s minute", "%(num)s minutes", minutes)

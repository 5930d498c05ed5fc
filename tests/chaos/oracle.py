"""Says of a finished chaos run whether anything was lost or sent twice. It knows what was asked, said and accepted."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from shared import cloudevents, db
from shared.events import ContactAttempted, InvitationClosed
from shared.transport import EventLog
from tests.chaos.providers import Ledger
from tests.chaos.respondents import Crowd

IN_FLIGHT = 120  # at most, of one process: 100 mails and 20 text messages
BUDGET_S = 10.0
BY_ITSELF = {"exhausted", "undeliverable", "expired"}
ENDS = {"answered": {"answered"}, "withdrawn": {"withdrawn", *BY_ITSELF}, "declined": {"declined", *BY_ITSELF}}


@dataclass
class Verdict:
    expected: int
    found: int = 0
    accepted: int = 0
    duplicates: int = 0
    unknown: Counter[str] = field(default_factory=Counter)
    unknown_bound: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def lost(self) -> int:
        return self.expected - self.found


@dataclass
class Oracle:
    crowd: Crowd
    ledger: Ledger
    database: db.Database
    closed_seen: dict[UUID, float] = field(default_factory=dict)  # when an invitation was first seen closed

    async def look(self) -> None:
        """Note which invitations are closed by now."""
        rows = await self._rows("SELECT id FROM invitations WHERE outcome IS NOT NULL")
        seen = time.monotonic()
        for row in rows:
            self.closed_seen.setdefault(row["id"], seen)

    async def judge(self, event_log: EventLog, *, deaths: int) -> Verdict:
        verdict = Verdict(len(self.crowd.asked), accepted=self.ledger.total, duplicates=len(self.ledger.twice))
        found = await self._rows("SELECT id, outcome FROM invitations")
        outcomes: dict[UUID, str | None] = {row["id"]: row["outcome"] for row in found}
        ids = [asked.invitation_id for asked in self.crowd.asked]
        lost = [each for each in ids if outcomes.get(each) not in self._allowed(each)]
        verdict.found = len(ids) - len(lost)
        verdict.wrong += [
            f"{each} is {outcomes.get(each)}, and may be {sorted(map(str, self._allowed(each)))}" for each in lost
        ]
        verdict.unknown_bound = IN_FLIGHT * deaths + sum(
            count for fault, count in self.ledger.faults.items() if fault.startswith(("connection cut", "SMS"))
        )
        steps = await self._rows("SELECT invitation_id, step, channel, state, reason FROM steps")
        verdict.unknown.update(row["reason"] or "none" for row in steps if row["state"] == "unknown")
        verdict.wrong += self._wrong_steps(steps)
        verdict.wrong += self._too_late()
        verdict.wrong += await self._wrong_events(event_log)
        verdict.wrong += self._wrong_unknown(verdict)
        return verdict

    def _allowed(self, invitation: UUID) -> set[str | None]:
        """Which ends are right: what was said, or before it what the desk or time ended; an answer is never late."""
        ends: set[str | None] = {*ENDS.get(self.crowd.said.get(invitation, ""), BY_ITSELF)}
        if any(called == invitation for called, _ in self.crowd.calls.values()):
            ends.add("declined")
        return ends

    def _wrong_steps(self, steps: list[db.Row]) -> Iterator[str]:
        """What we believe against what the providers know."""
        may_be = {"sent": {1}, "unknown": {0, 1}}
        for row in steps:
            if row["channel"] == "call":
                continue
            times = len(self.ledger.accepted.get((row["invitation_id"], row["step"]), ()))
            if times not in may_be.get(row["state"], {0}):
                yield f"{row['invitation_id']}.{row['step']} is {row['state']}, accepted {times} times"
            if row["state"] in ("planned", "leased", "in_flight", "waiting"):
                yield f"{row['invitation_id']}.{row['step']} is still {row['state']}"

    def _too_late(self) -> Iterator[str]:
        """Nothing may be accepted when an end is committed for longer than a send may take."""
        for (invitation, step), times in self.ledger.accepted.items():
            late = max(times) - self.closed_seen.get(invitation, float("inf"))
            if late > BUDGET_S:
                yield f"{invitation}.{step} was accepted {late:.1f} s after its invitation's end"

    def _wrong_unknown(self, verdict: Verdict) -> Iterator[str]:
        if unexplained := set(verdict.unknown) - {"sender_lost", "no_reply"}:
            yield f"unknown for another reason: {unexplained}"
        if verdict.unknown.total() > verdict.unknown_bound:
            yield f"{verdict.unknown.total()} unknown, and at most {verdict.unknown_bound} were in flight"

    async def _wrong_events(self, event_log: EventLog) -> Iterator[str]:
        """What was published against what is stored: each change once, but for what is published again."""
        attempts: Counter[UUID] = Counter()
        closed: dict[UUID, set[str]] = defaultdict(set)
        async for event in _read_all(event_log, "survey.deliveries"):
            if isinstance(event.payload, ContactAttempted):
                attempts[event.payload.attempt_id] += 1
            elif isinstance(event.payload, InvitationClosed):
                closed[event.payload.invitation_id].add(event.payload.outcome)
        stored = {row["id"] for row in await self._rows("SELECT id FROM attempts")}
        outcomes = {row["id"]: row["outcome"] for row in await self._rows("SELECT id, outcome FROM invitations")}
        wrong = []
        if stored != set(attempts):
            wrong.append(f"{len(stored)} attempts are stored, {len(attempts)} published")
        wrong += [
            f"{each} is {end}, published {closed[each]}" for each, end in outcomes.items() if end not in closed[each]
        ]
        called = Counter(self.crowd.calls.values())
        wrong += [f"{call} was asked for {times} times" for call, times in called.items() if times > 1]
        return iter(wrong)

    async def _rows(self, sql: str) -> list[db.Row]:
        async with self.database.sessions.begin() as session:
            return await db.fetch(session, sql)


async def _read_all(event_log: EventLog, topic: str) -> Any:
    """Yield every event of a topic from its beginning to its present end."""
    group = "chaos-oracle"
    async with aclosing(event_log.read(group, [topic])) as batches:
        while await event_log.lag(group, [topic]):
            batch = await anext(batches)
            for message in batch.messages:
                yield cloudevents.parse(message)
            await batch.ack()

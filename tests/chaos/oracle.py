"""Checks a finished chaos run: compares the databases and the log with what customers did and providers accepted."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from shared.contract.events import ContactAttempted, InvitationClosed, SurveyAnswered
from shared.contract.vocabulary import Service
from shared.database import db
from shared.messaging import codec
from shared.messaging.transport import EventLog
from tests.chaos.participants import SCORE, Participants
from tests.chaos.providers import Ledger

IN_FLIGHT = 120  # messages of one process at most: 100 mails and 20 SMS
SEND_S = 10.0  # the longest a send may take
WITHOUT_RESPONSE = {"exhausted", "undeliverable", "expired"}
ENDS = {
    "answered": {"answered"},
    "withdrawn": {"withdrawn", *WITHOUT_RESPONSE},
    "declined": {"declined", *WITHOUT_RESPONSE},
}
_STEPS = """(SELECT DISTINCT ON (invitation_id, step) invitation_id, step, channel, state, reason FROM attempts
ORDER BY invitation_id, step, try DESC)
UNION ALL SELECT invitation_id, step, channel, 'planned', reason FROM due
UNION ALL SELECT invitation_id, step, channel, 'planned', reason FROM halted
UNION ALL SELECT invitation_id, step, channel, 'held', NULL FROM held"""
_NOT_ASKED = """SELECT d.reason, count(*) FROM decisions d JOIN shapes s ON s.digest = d.shape
WHERE s.document->>'type' = 'crm.purchase.completed' AND reason <> 'asked' GROUP BY 1"""
AMBIGUOUS = ("connection cut", "SMS", "mail reply")


@dataclass
class ChaosVerdict:
    expected: int
    found: int = 0
    accepted: int = 0
    duplicates: int = 0
    answers: int = 0
    answers_lost: int = 0
    posts: int = 0
    posts_lost: int = 0
    unknown: Counter[str] = field(default_factory=Counter)
    unknown_bound: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def lost(self) -> int:
        return self.expected - self.found + self.posts_lost


@dataclass
class Oracle:
    participants: Participants
    ledger: Ledger
    databases: Mapping[Service, db.Database]
    closed_seen: dict[UUID, float] = field(default_factory=dict)  # when an invitation was first seen closed

    async def note_closed(self) -> None:
        """Note which invitations are closed now."""
        rows = await self._rows(Service.DISPATCHER, "SELECT id FROM invitations WHERE outcome IS NOT NULL")
        seen = time.monotonic()
        for row in rows:
            self.closed_seen.setdefault(row["id"], seen)

    async def judge(self, event_log: EventLog, *, kills: int) -> ChaosVerdict:
        """Compare everything; `kills` is how often a dispatcher was killed, terminated or paused."""
        await self.participants.find_invited()
        self.ledger.resolve(self.participants.invited.values())
        customers = set(self.participants.invited.values())
        verdict = ChaosVerdict(self.participants.sold, accepted=self.ledger.total)
        verdict.duplicates = sum(invitation in customers for invitation, _ in self.ledger.twice)
        verdict.unknown_bound = IN_FLIGHT * kills + sum(
            count for fault, count in self.ledger.faults.items() if fault.startswith(AMBIGUOUS)
        )
        await self._find(verdict)
        steps = await self._rows(Service.DISPATCHER, _STEPS)
        verdict.unknown.update(row["reason"] or "none" for row in steps if row["state"] == "unknown")
        events = await _Published.read(event_log)
        await self._count_events(verdict)
        await self._count_answers(verdict, events)
        verdict.wrong += [*self._wrong_steps(steps), *self._too_late(customers), *self._wrong_unknown(verdict)]
        verdict.wrong += await self._wrong_events(events)
        return verdict

    async def _find(self, verdict: ChaosVerdict) -> None:
        """Count the purchases whose invitation exists with an outcome that the customer's response allows."""
        rows = await self._rows(Service.DISPATCHER, "SELECT id, outcome FROM invitations")
        outcomes: dict[UUID, str | None] = {row["id"]: row["outcome"] for row in rows}
        called = {invitation for invitation, _ in self.participants.calls.values()}
        allowed = {each: self._allowed(each, called) for each in self.participants.invited.values()}
        lost = [each for each, ends in allowed.items() if outcomes.get(each) not in ends]
        verdict.found = len(self.participants.invited) - len(lost)
        verdict.wrong += [
            f"{each} is {outcomes.get(each)}, allowed is {sorted(map(str, allowed[each]))}" for each in lost
        ]
        if missing := self.participants.sold - len(self.participants.invited):
            reasons = {row["reason"]: row["count"] for row in await self._rows(Service.TRIGGER, _NOT_ASKED)}
            verdict.wrong.append(f"{missing} customers were never asked: {reasons or 'undecided'}")

    def _allowed(self, invitation: UUID, called: set[UUID]) -> set[str | None]:
        """Return the outcomes that are right: by the response, or one that the desk or time caused before it.

        An answer always counts. A response that was not acknowledged may have been handled or not.
        """
        ends: set[str | None] = {*ENDS.get(self.participants.acknowledged.get(invitation, ""), WITHOUT_RESPONSE)}
        if begun := self.participants.responses.get(invitation):
            ends.add(begun)
        if invitation in called:
            ends.add("declined")
        return ends

    async def _count_events(self, verdict: ChaosVerdict) -> None:
        """Check that each acknowledged event has the decision that its sender was told."""
        rows = await self._rows(Service.TRIGGER, "SELECT event_id, id FROM decisions")
        stored = {row["event_id"]: str(row["id"]) for row in rows}
        lost = [
            each
            for each, decision in self.participants.posts.items()
            if stored.get(each) != (decision or stored.get(each, ""))
        ]
        verdict.posts, verdict.posts_lost = len(self.participants.posts), len(lost)
        verdict.wrong += [
            f"{each} was promised decision {self.participants.posts[each]}, {stored.get(each)}" for each in lost
        ]

    async def _count_answers(self, verdict: ChaosVerdict, events: _Published) -> None:
        """Check that each acknowledged answer is stored with its score, and published."""
        acknowledged = {each for each, said in self.participants.acknowledged.items() if said == "answered"}
        rows = await self._rows(Service.SCORING, "SELECT invitation_id, score FROM answers")
        stored = {row["invitation_id"] for row in rows if row["score"] == SCORE}
        verdict.answers, verdict.answers_lost = len(acknowledged), len(acknowledged - (stored & events.answered))
        verdict.wrong += [
            f"the answer of {each} is lost: stored {each in stored}, published {each in events.answered}"
            for each in acknowledged - (stored & events.answered)
        ]

    def _wrong_steps(self, steps: list[db.Row]) -> Iterator[str]:
        """Compare the state of each step with how often the providers accepted it."""
        allowed = {"sent": {1}, "unknown": {0, 1}}
        for row in steps:
            if row["channel"] == "call":
                continue
            times = len(self.ledger.accepted.get((row["invitation_id"], row["step"]), ()))
            if times not in allowed.get(row["state"], {0}):
                yield f"{row['invitation_id']}.{row['step']} is {row['state']}, accepted {times} times"
            if row["state"] in ("planned", "held"):
                yield f"{row['invitation_id']}.{row['step']} is still {row['state']}"

    def _too_late(self, customers: set[UUID]) -> Iterator[str]:
        """Find messages that were accepted more than SEND_S after their invitation was closed."""
        for (invitation, step), times in self.ledger.accepted.items():
            late = max(times) - self.closed_seen.get(invitation, float("inf"))
            if late > SEND_S and invitation in customers:
                yield f"{invitation}.{step} was accepted {late:.1f} s after its invitation's end"

    def _wrong_unknown(self, verdict: ChaosVerdict) -> Iterator[str]:
        if unexplained := set(verdict.unknown) - {"sender_lost", "no_reply"}:
            yield f"unknown for another reason: {unexplained}"
        if verdict.unknown.total() > verdict.unknown_bound:
            yield f"{verdict.unknown.total()} unknown, and at most {verdict.unknown_bound} were in flight"

    async def _wrong_events(self, events: _Published) -> list[str]:
        """Compare what was published with what is stored; the same event may be published again."""
        attempts = await self._rows(Service.DISPATCHER, "SELECT id FROM attempts")
        invitations = await self._rows(Service.DISPATCHER, "SELECT id, outcome FROM invitations")
        wrong = [
            f"{row['id']} is {row['outcome']}, published {events.closed[row['id']]}"
            for row in invitations
            if row["outcome"] not in events.closed[row["id"]]
        ]
        if {row["id"] for row in attempts} != events.attempts:
            wrong.append(f"{len(attempts)} attempts are stored, {len(events.attempts)} published")
        called = Counter(self.participants.calls.values())
        return wrong + [f"{call} was asked for {times} times" for call, times in called.items() if times > 1]

    async def _rows(self, service: Service, sql: str) -> list[db.Row]:
        async with self.databases[service].sessions.begin() as session:
            return await db.fetch(session, sql)


@dataclass
class _Published:
    attempts: set[UUID] = field(default_factory=set)
    closed: dict[UUID, set[str]] = field(default_factory=lambda: defaultdict(set))
    answered: set[UUID] = field(default_factory=set)

    @classmethod
    async def read(cls, event_log: EventLog) -> _Published:
        found = cls()
        for topic in ("survey.deliveries", "survey.answers"):
            async for event in _read_all(event_log, topic):
                match event.payload:
                    case ContactAttempted(attempt_id=attempt):
                        found.attempts.add(attempt)
                    case InvitationClosed(invitation_id=invitation, outcome=outcome):
                        found.closed[invitation].add(outcome)
                    case SurveyAnswered(invitation_id=invitation):
                        found.answered.add(invitation)
        return found


async def _read_all(event_log: EventLog, topic: str) -> Any:
    """Yield every event of a topic from its beginning to its current end."""
    group = f"chaos-oracle-{topic}"
    async with aclosing(event_log.read(group, [topic])) as batches:
        while await event_log.lag(group, [topic]):
            batch = await anext(batches)
            for message in batch.messages:
                yield codec.parse(message)
            await batch.ack()

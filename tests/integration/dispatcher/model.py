"""A small model of the step machine, written from its specification and not from the code: no SQL, no batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

FINISHED = {"sent", "refused", "failed", "unknown", "skipped"}
REACHED = {"sent", "unknown"}
NO_ANSWER = {"exhausted", "expired", "undeliverable"}
AGAIN = {  # which results are tried again, and when; None keeps the due time
    "not_accepted": timedelta(minutes=5),
    "unavailable": timedelta(minutes=1),
    "throttled": timedelta(seconds=90),
    "not_started": None,
}
EARLY_KEPT = timedelta(days=30)
ORDER = ("unknown", "failed", "sent", "delivered", "bounced", "complained")
RECEIPTS = {  # the state each gives the attempt and the step
    "accepted": ("sent", "sent"),
    "delivered": ("delivered", "sent"),
    "undelivered": ("bounced", "refused"),
    "not_accepted": ("failed", "failed"),
    "complaint": ("complained", "sent"),
}


class Key(NamedTuple):
    invitation: UUID
    number: int


@dataclass
class Step:
    channel: str
    delay: timedelta
    max_attempts: int
    opens: int | None = None  # the hour, UTC, before which it may not be sent
    state: str = "waiting"
    due: datetime | None = None
    tries: int = 0
    reason: str | None = None
    holder: object | None = None
    abandoned: bool = False  # its lease has ended
    halted: bool = False  # put aside, because its program is stopped
    outdated: bool = False  # what decides about it has changed since it was leased
    call: bool = False
    attempt: str | None = None  # the state of its attempt in the ledger


@dataclass
class Invitation:
    id: UUID
    respondent: str
    steps: dict[int, Step]
    expires: datetime
    consent: dict[str, bool]
    has_address: bool
    program: str
    outcome: str | None = None
    here: bool = False  # its request was received
    early: str | None = None
    early_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        return self.here and self.outcome is None


@dataclass
class Model:
    now: datetime
    invitations: dict[UUID, Invitation] = field(default_factory=dict)
    suppressed: set[tuple[str, str | None, str]] = field(default_factory=set)
    said: dict[str, tuple[dict[str, bool], datetime]] = field(default_factory=dict)  # of consent, last when
    told: list[tuple[str, ...]] = field(default_factory=list)
    stopped: str | None = None  # the program that is stopped

    # --- events

    def request(self, invitation: Invitation, made: datetime) -> None:
        invitation.here = True
        change, at = self.said.get(invitation.respondent, ({}, made))
        if at > made:
            invitation.consent |= change
        first = invitation.steps[min(invitation.steps)]
        first.state, first.due = "planned", made
        if invitation.early is not None:
            self.end(invitation, invitation.early)

    def end(self, invitation: Invitation, outcome: str) -> None:
        """Close an open invitation; a late answer replaces some outcomes; an outcome may come before the request."""
        if not invitation.here:
            if invitation.early is None:
                invitation.early, invitation.early_at = outcome, self.now
            return
        if invitation.outcome is not None and not (outcome == "answered" and invitation.outcome in NO_ANSWER):
            return
        invitation.outcome = outcome
        self.told.append(("invitation.closed", str(invitation.id), outcome))
        for step in invitation.steps.values():
            if step.state in ("waiting", "planned", "leased"):
                step.state, step.reason, step.holder = "skipped", outcome, None
        self.recall(invitation)

    def recall(self, invitation: Invitation) -> None:
        for step in invitation.steps.values():
            if step.call:
                step.call = False
                self.told.append(("call.withdrawn", str(invitation.id)))

    def open_of(self, respondent: str) -> list[Invitation]:
        return [each for each in self.invitations.values() if each.respondent == respondent and each.is_open]

    def suppress(self, respondent: str, channel: str | None, reason: str) -> None:
        if (respondent, channel, reason) not in self.suppressed:
            self.suppressed.add((respondent, channel, reason))
            self.told.append(("respondent.suppressed", respondent, str(channel), reason))
        for invitation in self.open_of(respondent):
            if channel is None:
                self.end(invitation, "declined")
            elif channel == "call":
                self.recall(invitation)
            self.look_again(invitation)

    def look_again(self, invitation: Invitation) -> None:
        for step in invitation.steps.values():
            if step.state == "leased":
                step.outdated = True

    def opt_out(self, invitation: Invitation, channel: str | None) -> None:
        self.end(invitation, "declined")
        self.suppress(invitation.respondent, channel, "opt_out")

    def consent(self, respondent: str, change: dict[str, bool]) -> None:
        self.said[respondent] = self.said.get(respondent, ({}, self.now))[0] | change, self.now
        for invitation in self.open_of(respondent):
            invitation.consent |= change
            if change.get("call") is False:
                self.recall(invitation)
            self.look_again(invitation)

    def erase(self, respondent: str) -> None:
        self.said.pop(respondent, None)
        for invitation in self.open_of(respondent):
            self.end(invitation, "withdrawn")
        self.told.append(("erasure.confirmed", respondent))

    def call_closed(self, invitation: Invitation, number: int, outcome: str) -> None:
        invitation.steps[number].call = False
        if outcome in ("do_not_call", "wrong_number"):
            self.suppress(invitation.respondent, "call", outcome)
        if outcome == "wrong_number":
            self.suppress(invitation.respondent, "sms", outcome)
        ends = {"answered": "answered", "refused": "declined", "do_not_call": "declined"}
        if outcome in ends:
            self.end(invitation, ends[outcome])
        elif outcome != "expired" and all(s.state in FINISHED and not s.call for s in invitation.steps.values()):
            self.end(invitation, "exhausted")

    def stop(self, program: str) -> None:
        self.stopped = program
        for invitation in self.invitations.values():
            if invitation.program == program:
                self.recall(invitation)

    def lift(self) -> None:
        self.stopped = None
        for _, _, step in self.all_steps():
            if step.halted:
                step.halted, step.reason = False, step.reason if step.state != "planned" else None

    def receipts(self, told: list[tuple[Invitation, int, str]]) -> None:
        """Apply receipts to the attempt, only forward, and to the step and the chain."""
        for invitation, number, kind in told:
            self._receipt(invitation, number, kind)
        for invitation, number, kind in told:
            if kind == "complaint":
                self.suppress(invitation.respondent, invitation.steps[number].channel, "complaint")
        for invitation, number, kind in told:
            if kind == "complaint":
                self.decline(invitation.respondent, invitation.steps[number].channel)

    def decline(self, respondent: str, channel: str) -> None:
        """Close the surveys from which the respondent may have got a message over this channel."""
        for invitation in self.open_of(respondent):
            reached = ("sent", "delivered", "complained", "unknown")
            if any(step.channel == channel and step.attempt in reached for step in invitation.steps.values()):
                self.end(invitation, "declined")

    def _receipt(self, invitation: Invitation, number: int, kind: str) -> None:
        step, (attempt, state) = invitation.steps[number], RECEIPTS[kind]
        if step.attempt not in ORDER or ORDER.index(attempt) <= ORDER.index(step.attempt):
            return
        step.attempt, step.state = attempt, state
        step.reason = f"{kind} told" if attempt in ("bounced", "complained") else "told"
        self.told.append(("contact.attempted", str(invitation.id), str(number), attempt))
        if not invitation.is_open:
            return
        later = [invitation.steps[n] for n in sorted(invitation.steps) if n > number]
        if kind == "not_accepted" and all(each.state in ("waiting", "planned") for each in later):
            for each in later:
                if each.due is not None:
                    each.due = min(each.due, self.now)
        if {each.state for each in invitation.steps.values()} <= FINISHED - REACHED:
            self.end(invitation, "undeliverable")

    # --- a worker

    def all_steps(self) -> Iterator[tuple[Invitation, Key, Step]]:
        for invitation in self.invitations.values():
            for number, step in invitation.steps.items():
                yield invitation, Key(invitation.id, number), step

    def claim(self, channel: str, holder: object) -> tuple[list[Key], list[tuple[Key, str]]]:
        """Lease due steps; return those that may be sent now, and those that are skipped, with the reason."""
        ready: list[Key] = []
        skipped: list[tuple[Key, str]] = []
        for invitation, key, step in self.all_steps():
            if (
                step.state != "planned"
                or step.halted
                or step.channel != channel
                or step.due is None
                or step.due > self.now
            ):
                continue
            step.state, step.holder, step.abandoned, step.outdated, step.reason = "leased", holder, False, False, None
            if invitation.expires <= self.now:
                step.state, step.holder = "waiting", None  # its invitation is about to be closed
                continue
            if invitation.program == self.stopped:
                step.state, step.holder, step.reason, step.halted = "planned", None, "program_stopped", True
            elif reason := self._forbids(invitation, channel):
                skipped.append((key, reason))
            elif step.opens is not None and self.now.hour < step.opens:
                opening = self.now.replace(hour=step.opens, minute=0)
                if opening >= invitation.expires:
                    skipped.append((key, "contact_hours"))
                    continue
                step.state, step.holder, step.reason, step.due = "planned", None, "contact_hours", opening
            else:
                ready.append(key)
        return ready, skipped

    def _forbids(self, invitation: Invitation, channel: str) -> str | None:
        if any(who == invitation.respondent and what in (None, channel) for who, what, _ in self.suppressed):
            return "suppressed"
        if not invitation.consent[channel]:
            return "no_consent"
        return None if invitation.has_address else "no_address"

    def in_hours(self, key: Key) -> bool:
        opens = self.step(key).opens
        return opens is None or self.now.hour >= opens

    def hand_back(self, keys: list[Key], holder: object) -> None:
        for step in map(self.step, keys):
            if step.holder is holder and step.state == "leased":
                step.state, step.holder, step.reason = "planned", None, None

    def mark(self, keys: list[Key], holder: object) -> set[Key]:
        started = set()
        for key in keys:
            step = self.step(key)
            if step.holder is not holder or step.state != "leased":
                continue
            if step.outdated or self.invitations[key.invitation].program == self.stopped:
                self.hand_back([key], holder)
                continue
            step.state, step.abandoned = "in_flight", False
            started.add(key)
        return started

    def step(self, key: Key) -> Step:
        return self.invitations[key.invitation].steps[key.number]

    def record(self, key: Key, holder: object, result: str, *, at: datetime, reason: str | None = None) -> None:
        """Record the result of a leased step and continue the chain, unless the lease was lost."""
        invitation, step = self.invitations[key.invitation], self.step(key)
        if step.holder is not holder or step.state not in ("leased", "in_flight"):
            return
        if step.state == "leased" and (step.outdated or invitation.program == self.stopped):
            self.hand_back([key], holder)
            return
        step.holder, step.reason = None, reason
        if result not in ("skipped", "not_started", "unavailable", "throttled"):
            step.tries += 1
        if result == "not_accepted" and step.tries >= step.max_attempts:
            result = "failed"
        if result in AGAIN:
            if not invitation.is_open:
                self._finish(invitation, key.number, "skipped", at)
                step.reason = "closed"
                return
            step.state = "planned"
            if wait := AGAIN[result]:
                step.due = at + wait * (2 ** (step.tries - 1) if result == "not_accepted" else 1)
            return
        self._finish(invitation, key.number, result, at)

    def _finish(self, invitation: Invitation, number: int, state: str, at: datetime) -> None:
        step = invitation.steps[number]
        step.state = step.attempt = state
        self.told.append(("contact.attempted", str(invitation.id), str(number), state))
        if state == "sent" and step.channel == "call":
            step.call = True
            self.told.append(("call.requested", str(invitation.id), str(number)))
        if invitation.is_open:
            self._go_on(invitation, number, at)

    def _go_on(self, invitation: Invitation, number: int, at: datetime) -> None:
        done, later = invitation.steps[number], [n for n in invitation.steps if n > number]
        waiting = [invitation.steps[n] for n in sorted(later) if invitation.steps[n].state == "waiting"]
        if waiting:
            waiting[0].state = "planned"
            waiting[0].due = at + waiting[0].delay if done.state in REACHED else done.due
        elif {step.state for step in invitation.steps.values()} <= FINISHED - REACHED:
            self.end(invitation, "undeliverable")

    # --- the reaper

    def abandon(self) -> None:
        for _, _, step in self.all_steps():
            step.abandoned = step.state in ("leased", "in_flight")

    def keep(self) -> None:
        """Free leases, give up lost senders, close expired invitations, delete outcomes whose request never came."""
        for _, key, step in list(self.all_steps()):
            if step.abandoned and step.state == "leased":
                step.state, step.holder = "planned", None
            elif step.abandoned and step.state == "in_flight":
                self.record(key, step.holder, "unknown", at=self.now, reason="sender_lost")
        for invitation in self.invitations.values():
            if invitation.early_at is not None and invitation.early_at < self.now - EARLY_KEPT:
                invitation.early = invitation.early_at = None
            if invitation.is_open and invitation.expires <= self.now:
                self.end(invitation, self._at_expiry(invitation))

    def _at_expiry(self, invitation: Invitation) -> str:
        states = {step.state for step in invitation.steps.values()}
        if not states & {"sent", "unknown", "in_flight"}:
            return "undeliverable"
        return "exhausted" if states <= FINISHED | {"in_flight"} else "expired"

    # --- invariants of the model itself

    def stalled(self) -> list[UUID]:
        """Return open invitations for which nothing is planned though one of their steps waits."""
        going = {"planned", "leased", "in_flight"}
        return [
            each.id
            for each in self.invitations.values()
            if each.is_open
            and each.expires > self.now
            and any(step.state == "waiting" for step in each.steps.values())
            and not any(step.state in going for step in each.steps.values())
        ]

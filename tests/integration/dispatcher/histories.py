"""Random histories played on dispatcher and on the model side by side: a hundred invitations at once, two workers.

A round is one act for all (an event batch, a worker's next transaction, a kill, a leap of time) and one byte for each
invitation: its event, or what its provider says. Workers are real senders; a gate before every transaction and every
send holds them there, so that anything can happen in between.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import time, timedelta
from enum import StrEnum
from typing import Any

from uuid_utils.compat import uuid7

from services.dispatcher import handlers
from services.dispatcher.domain.receipts import Receipt, ReceiptKind, Reference
from services.dispatcher.handlers import apply_receipts
from services.dispatcher.handlers.programs import on_programs
from services.dispatcher.jobs.maintenance import reap
from services.dispatcher.jobs.stopped_programs import StoppedProgramsJob
from services.dispatcher.repository import chains, receipts
from shared.clock import ManualClock
from shared.contract import cloudevents
from shared.contract.cloudevents import Event
from shared.contract.events import (
    CallClosed,
    Consent,
    Contact,
    Payload,
    ProgramPublished,
    ProgramRef,
    RespondentConsentChanged,
    RespondentErased,
    RespondentOptedOut,
    SurveyRequested,
    Window,
)
from shared.contract.vocabulary import CallOutcome, ChannelKind, ProgramState, Service
from shared.database import db
from shared.messaging import codec
from shared.messaging.relay_leadership import messages_in
from tests.integration.dispatcher.conftest import (
    ADDRESS_KEYS,
    LINK_KEYS,
    NOW,
    answered,
    answered_anonymously,
    plan,
    request,
    withdrawn,
)
from tests.integration.dispatcher.model import FINISHED, RECEIPTS, Invitation, Key, Model, Step
from tests.integration.dispatcher.workers import PHONES, TOGETHER, ModelDifference, Worker

TRIES = 2
PROGRAMS = ("stopped", "going on")
OPENS = 9
KINDS = tuple(RECEIPTS)
CHANNELS = EMAIL, SMS, CALL = ChannelKind.EMAIL, ChannelKind.SMS, ChannelKind.CALL
PLANS: Sequence[Sequence[tuple[ChannelKind, float]]] = (
    ((EMAIL, 0), (EMAIL, 3), (SMS, 2), (CALL, 2)),
    ((SMS, 0), (EMAIL, 1)),
    ((CALL, 0), (EMAIL, 1), (CALL, 0)),
    ((EMAIL, 0),),
)


class Act(StrEnum):
    NOTHING = "nothing"
    EVENTS = "events"
    CLAIM_EMAIL = "a claims e-mail"
    CLAIM_SMS = "a claims sms"
    CLAIM_CALL = "a claims calls"
    OTHER_CLAIMS = "b claims something"
    A_GOES_ON = "a goes on"
    B_GOES_ON = "b goes on"
    A_ENDS = "a goes on to its end"
    A_SENDS = "a goes on until it sends"
    B_SENDS = "b goes on until it sends"
    A_KILLED = "a killed"
    B_KILLED = "b killed"
    LEASES_END = "leases end"
    KEEP = "keep"
    MINUTES = "ten minutes"
    HOURS = "half a day"
    DAYS = "three days"
    WEEKS = "three weeks"
    RECEIPTS = "receipts"
    STOP = "stop one of two programs"
    LIFT = "lift the stop"


@dataclass
class History:
    database: db.Database
    seed: int
    clock: ManualClock = field(default_factory=lambda: ManualClock(NOW))
    model: Model = field(default_factory=lambda: Model(NOW))
    requests: list[SurveyRequested] = field(default_factory=list)
    workers: dict[str, Worker] = field(default_factory=dict)
    past: dict[int, Event[Payload]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for number in range(TOGETHER):
            self._invent(number)
        self.places = {each.invitation_id: number for number, each in enumerate(self.requests)}

    def _invent(self, number: int) -> None:
        steps = plan(*PLANS[number // 2 % len(PLANS)], max_attempts=TRIES)
        if number % 3 == 0:
            opened = Window(start=time(OPENS), end=time(23, 59))
            steps = [step.model_copy(update={"window": opened}) for step in steps]
        respondent, nobody = f"r{number // 2}", number % 20 == 19
        # addresses of their own: a suppression holds for everybody with the address
        known = Contact(email=f"{respondent}@example.com", phone=PHONES[number // 2])
        asked = request(
            respondent,
            time_zone="UTC",
            plan=steps,
            contact=Contact() if nobody else known,
            program=ProgramRef(id=PROGRAMS[number % 2], version=1),
        )
        self.requests.append(asked)
        self.model.invitations[asked.invitation_id] = Invitation(
            id=asked.invitation_id,
            respondent=asked.respondent_id,
            steps={
                step.step: Step(
                    step.channel.value,
                    timedelta(seconds=step.delay_s),
                    step.max_attempts,
                    opens=OPENS if step.window else None,
                )
                for step in steps
            },
            expires=asked.expires_at,
            consent={"email": True, "sms": True, "call": True},
            has_address=not nobody,
            program=asked.program.id,
        )

    async def play(self, acts: Sequence[Act]) -> None:
        """Raise ModelDifference where dispatcher and model differ."""
        await self._clean()
        chance = random.Random(self.seed)
        try:
            await self._take_requests(chance.randbytes(TOGETHER))
            for act in acts:
                await self._act(act, chance.randbytes(TOGETHER))
                await self._compare(act)
            await self._compare_told()
        finally:
            for worker in self.workers.values():
                await worker.kill()

    async def _clean(self) -> None:
        async with self.database.sessions.begin() as session:
            await db.fetch(session, f"TRUNCATE {_TABLES} CASCADE")

    async def _act(self, act: Act, choices: bytes) -> None:
        if act in _LEAPS:
            self.clock.moment = self.model.now = self.clock.moment + _LEAPS[act]
        elif act in _CLAIMS:
            await self._claim("a", _CLAIMS[act], choices)
        elif act is Act.OTHER_CLAIMS:
            await self._claim("b", CHANNELS[choices[0] % len(CHANNELS)], choices)
        elif act is Act.EVENTS:
            await self._events(choices)
        elif act is Act.RECEIPTS:
            await self._receipts(choices)
        elif act is Act.LEASES_END:
            await self._end_leases()
            await self._keep()
        elif act is Act.KEEP:
            await self._keep()
        elif act in (Act.STOP, Act.LIFT):
            await self._switch(ProgramState.STOPPED if act is Act.STOP else ProgramState.ON)
        elif worker := self.workers.get(act.value[0]):
            await self._worker(worker, act, choices)

    async def _claim(self, name: str, channel: ChannelKind, choices: bytes) -> None:
        if name not in self.workers:
            self.workers[name] = Worker(self, channel)
            await self.workers[name].start()
            await self._worker(self.workers[name], Act.A_GOES_ON, choices)

    async def _worker(self, worker: Worker, act: Act, choices: bytes) -> None:
        if act in (Act.A_KILLED, Act.B_KILLED):
            await worker.kill()
            worker.stands = "end"
        else:
            await worker.go_on(choices)
        while worker.stands == "transaction" and act in (Act.A_SENDS, Act.B_SENDS):
            await worker.go_on(choices)
        while worker.stands != "end" and act is Act.A_ENDS:
            await worker.go_on(choices)
        if worker.stands == "end":
            self.workers = {name: each for name, each in self.workers.items() if each is not worker}

    async def _keep(self) -> None:
        await reap(self.database.sessions, self.clock)
        self.model.keep()

    async def _switch(self, state: ProgramState) -> None:
        """Stop the first program or lift its stop, and let the job finish what follows from that."""
        published = ProgramPublished(program_id=PROGRAMS[0], program_version=1, document={}, state=state)
        async with self.database.sessions.begin() as session:
            await on_programs(session, [cloudevents.new(published, service=Service.TRIGGER, at=self.model.now)])
        job = StoppedProgramsJob(self.database.sessions, self.clock)
        while await job():
            continue
        if state.is_stopped:
            self.model.stop(PROGRAMS[0])
        else:
            self.model.lift()

    async def _end_leases(self) -> None:
        sql = "UPDATE held SET leased_until = clock_timestamp() - interval '1 s'"
        async with self.database.sessions.begin() as session:
            await db.fetch(session, sql)
        self.model.abandon()

    async def _receipts(self, choices: bytes) -> None:
        """Make receipts for the ended steps of every third invitation."""
        told = [
            (self.model.invitations[asked.invitation_id], 1 + choice // 3 % 4, KINDS[choice % len(KINDS)])
            for asked, choice in zip(self.requests, choices, strict=True)
            if choice % 3 == 0
        ]
        known = [
            (each, number, kind)
            for each, number, kind in told
            if number in each.steps and each.steps[number].attempt and each.steps[number].channel != CALL
        ]
        async with self.database.sessions.begin() as session:
            await receipts.add(session, [_receipt(each, number, kind) for each, number, kind in known])
            await apply_receipts.apply(session, address_keys=ADDRESS_KEYS, now=self.model.now)
        self.model.receipts(known)

    # --- events

    async def _take_requests(self, choices: bytes) -> None:
        """Most requests come first; the others may come after events about them."""
        early = [asked for asked, choice in zip(self.requests, choices, strict=True) if choice >= 30]
        for asked in early:
            self.model.request(self.model.invitations[asked.invitation_id], NOW)
        await self._handle([cloudevents.new(asked, service=Service.TRIGGER, at=NOW) for asked in early])

    async def _handle(self, events: Sequence[Event[Payload]]) -> None:
        async with self.database.sessions.begin() as session:
            await handlers.handle(session, events, link_keys=LINK_KEYS, address_keys=ADDRESS_KEYS, now=self.model.now)

    async def _events(self, choices: bytes) -> None:
        events = []
        for pair in range(0, TOGETHER, 2):
            number = pair + choices[pair] // 128
            if event := await self._event(number, choices[number]):
                events.append(event)
                self.past.setdefault(number, event)
        await self._handle(events)

    async def _event(self, number: int, choice: int) -> Event[Payload] | None:
        """Return the next event of an invitation: mostly its request, if it has not come yet; otherwise mostly none."""
        asked, model = self.requests[number], self.model
        here = model.invitations[asked.invitation_id]
        payload: Payload
        kind = choice % 32
        if not here.here and kind >= 5:
            model.request(here, NOW)  # late: it was parked, say
            return cloudevents.new(asked, service=Service.TRIGGER, at=NOW)
        if kind == 0:
            return self.past.get(number)  # comes again and changes nothing
        if kind in (1, 2):
            ends = answered_anonymously if number % 5 == 1 else answered
            payload, outcome = (ends(asked), "answered") if kind == 1 else (withdrawn(asked), "withdrawn")
            model.end(here, outcome)
        elif kind in (3, 4, 5):
            channel = {3: None, 4: EMAIL, 5: CALL}[kind]
            payload = RespondentOptedOut(
                respondent_id=asked.respondent_id, invitation_id=asked.invitation_id, channel=channel, at=model.now
            )
            model.opt_out(here, channel)
        elif kind in (6, 7):
            change = {"email" if choice < 128 else "call": kind == 7}
            payload = RespondentConsentChanged(respondent_id=asked.respondent_id, consent=Consent(**change))
            model.consent(asked.respondent_id, change)
        elif kind == 8 and choice < 128:
            payload = RespondentErased(respondent_id=asked.respondent_id)
            model.erase(asked.respondent_id)
        elif 9 <= kind <= 20:
            return await self._call_closed(asked, here, choice)
        else:
            return None
        return cloudevents.new(payload, service=Service.TRIGGER, at=model.now)

    async def _call_closed(self, asked: SurveyRequested, here: Invitation, choice: int) -> Event[Payload] | None:
        open_calls = [number for number, step in here.steps.items() if step.call]
        if not open_calls:
            return None
        async with self.database.sessions.begin() as session:
            sql = "SELECT call_task FROM calls WHERE invitation_id = $1 AND step = $2"
            tasks = [row["call_task"] for row in await db.fetch(session, sql, asked.invitation_id, open_calls[0])]
        outcome = _CALLS[choice % len(_CALLS)]
        self.model.call_closed(here, open_calls[0], outcome.value)
        payload = CallClosed(
            respondent_id=asked.respondent_id,
            invitation_id=asked.invitation_id,
            task_id=tasks[0] if tasks else uuid7(),
            outcome=outcome,
            at=self.model.now,
        )
        return cloudevents.new(payload, service=Service.SCORING, at=self.model.now)

    # --- the comparison

    async def _compare(self, act: Act) -> None:
        async with self.database.sessions.begin() as session:
            rows = await db.fetch(session, "SELECT id, outcome FROM invitations")
            outcomes = {row["id"]: row["outcome"] for row in rows}
            found = {
                Key(id_, step.number): (outcomes[id_], step.state, step.due_at, step.tries, step.reason, step.call_open)
                for id_, steps in (await chains.read(session, outcomes)).items()
                for step in steps
            }
        expected = {key: _expected(each, step) for each, key, step in self.model.all_steps() if each.here}
        if found != expected:
            key = next(key for key in found | expected if found.get(key) != expected.get(key))
            raise ModelDifference(f"after {act}: step {key.number} is {found.get(key)}, the model {expected.get(key)}")
        assert not self.model.stalled()

    async def _compare_told(self) -> None:
        async with self.database.sessions.begin() as session:
            rows = await db.fetch(session, "SELECT * FROM outbox ORDER BY id")
        events = [codec.parse(message) for message in messages_in(rows)]
        found = Counter(_said(event.payload) for event in events)
        if found != Counter(self.model.told):
            raise ModelDifference(
                f"published {found - Counter(self.model.told)}, the model {Counter(self.model.told) - found}"
            )


def _receipt(invitation: Invitation, number: int, kind: str) -> Receipt:
    channel, reference = ChannelKind(invitation.steps[number].channel), Reference(invitation.id, number)
    return Receipt("held", str(uuid7()), ReceiptKind(kind), channel, "told", reference)


def _said(payload: Any) -> tuple[str, ...]:
    if payload.type == "contact.attempted":
        return (payload.type, str(payload.invitation_id), str(payload.step), payload.state.value)
    if payload.type == "call.requested":
        return (payload.type, str(payload.invitation_id), str(payload.step))
    if payload.type == "invitation.closed":
        return (payload.type, str(payload.invitation_id), payload.outcome.value)
    if payload.type == "erasure.confirmed":
        return (payload.type, payload.respondent_id)
    if payload.type == "respondent.suppressed":
        return (payload.type, payload.respondent_id, str(payload.channel), payload.reason.value)
    return (payload.type, str(payload.invitation_id))


_TABLES = "invitations, due, held, halted, programs, open_calls, receipts, suppressions, consents, early, outbox, inbox"


def _expected(invitation: Invitation, step: Step) -> tuple[Any, ...]:
    """Return a step as it is stored: the due time until it ends; one that never began has nothing of its own."""
    if step.attempt is None and step.state in ("waiting", "skipped"):
        return invitation.outcome, step.state, None, 0, invitation.outcome, False
    due = None if step.state in FINISHED else step.due
    return invitation.outcome, step.state, due, step.tries, step.reason, step.call


_CALLS = [outcome for outcome in CallOutcome if outcome is not CallOutcome.WITHDRAWN]
_LEAPS = {
    Act.MINUTES: timedelta(minutes=10),
    Act.HOURS: timedelta(hours=12),
    Act.DAYS: timedelta(days=3),
    Act.WEEKS: timedelta(days=21),
}
_CLAIMS = {
    Act.CLAIM_EMAIL: EMAIL,
    Act.CLAIM_SMS: SMS,
    Act.CLAIM_CALL: CALL,
}

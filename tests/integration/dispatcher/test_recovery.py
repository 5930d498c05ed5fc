"""After crashes, outages and bad data nothing is sent twice, nothing is lost, and no step delays another."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from prometheus_client import REGISTRY

from services.dispatcher import handlers, repository
from services.dispatcher.domain.steps import Disposition, OutgoingMessage, SendResult, StepResult, StepState
from services.dispatcher.handlers import close_invitations
from services.dispatcher.jobs import maintenance
from services.dispatcher.jobs.maintenance import LeaseReaper, Reconciler, reap
from services.dispatcher.repository import send_facts, steps
from services.dispatcher.sending.sender import BUDGET_S, ChannelSender
from services.dispatcher.sending.triage import triage_steps
from shared import database_url
from shared.contract import cloudevents
from shared.contract.events import (
    CallClosed,
    Consent,
    Contact,
    RespondentConsentChanged,
    RespondentErased,
    RespondentOptedOut,
    SurveyRequested,
    Window,
)
from shared.contract.vocabulary import CallOutcome, ChannelKind, Service
from shared.database import db, embedded
from shared.database.session import Session
from shared.ids import new_id
from shared.messaging import codec, parking
from shared.messaging.transport import Message
from tests.integration.dispatcher.conftest import (
    ADDRESS_KEYS,
    DAY,
    LINK_KEYS,
    NOW,
    Chain,
    RememberingAccount,
    answered,
    plan,
    request,
    withdrawn,
)

EMAIL, SMS, CALL = ChannelKind.EMAIL, ChannelKind.SMS, ChannelKind.CALL


async def expire_leases(chain: Chain) -> None:
    await chain.expire_leases()


async def work_left(chain: Chain) -> int:
    async with chain.database.sessions.begin() as session:
        return await repository.work_left(session, chain.clock.now())


# --- crashes


async def test_killed_after_the_provider_accepted_is_never_sent_again(chain: Chain) -> None:
    asked = request()
    await chain.take(asked)
    accepted = asyncio.Event()

    async def hang() -> None:
        accepted.set()
        await asyncio.Event().wait()

    account = RememberingAccount(on_send=hang)
    killed = asyncio.create_task(chain.sender(EMAIL, account).perform_due())
    await accepted.wait()
    killed.cancel()
    await asyncio.wait({killed})
    account.on_send = None
    await expire_leases(chain)
    await chain.tick(email=account)
    assert len(account.taken) == 1
    assert await chain.states(asked.invitation_id) == ["unknown", "planned", "waiting", "waiting"]


async def test_batch_that_is_delivered_again_changes_nothing(chain: Chain) -> None:
    asked, other = request(), request("r2")
    events = [
        cloudevents.new(each, service=Service.TRIGGER, at=NOW)
        for each in (asked, other, answered(asked), withdrawn(other), answered(asked))
    ]
    for _ in range(2):
        async with chain.database.sessions.begin() as session:
            await handlers.handle(session, events, link_keys=LINK_KEYS, address_keys=ADDRESS_KEYS, now=NOW)
        await chain.tick()
    assert [each.outcome for each in await chain.published("invitation.closed")] == ["answered", "withdrawn"]
    assert await chain.rows("SELECT 1 FROM mailbox") == []


@asynccontextmanager
async def held_up(chain: Chain, work: Callable[[], Awaitable[Any]]) -> AsyncIterator[asyncio.Task[Any]]:
    """Start work while the table of held steps is locked; it continues after the context."""
    async with chain.database.sessions.begin() as session:
        await db.fetch(session, "LOCK TABLE held IN EXCLUSIVE MODE")
        running = asyncio.ensure_future(work())
        async with asyncio.timeout(5):
            while not await chain.rows("SELECT 1 FROM pg_locks WHERE NOT granted"):
                assert not running.done()
        yield running
    await running


async def test_only_the_claim_does_not_wait_for_the_disk(chain: Chain) -> None:
    """What is sent must be known to be in flight after a crash of the server; a lost lease makes the step due again."""
    await chain.take(request())
    async with _waiting(chain) as (session, claim_waits):
        leased = await steps.claim_due(session, EMAIL, now=NOW, limit=10)
    async with _waiting(chain) as (session, mark_waits):
        await steps.mark_in_flight(session, leased, account="smtp")
    async with _waiting(chain) as (session, end_waits):
        await steps.end(session, [StepResult(each, StepState.SENT, 1, "smtp") for each in leased])
    assert (claim_waits, mark_waits, end_waits) == (["off"], ["on"], ["on"])


@asynccontextmanager
async def _waiting(chain: Chain) -> AsyncIterator[tuple[Session, list[str]]]:
    """Open a transaction whose commit waits; the list gets whether it still does at the end."""
    settings = list[str]()
    async with chain.database.sessions.begin() as session:
        await db.fetch(session, "SET LOCAL synchronous_commit = on")
        yield session, settings
        settings.append((await db.fetch(session, "SHOW synchronous_commit"))[0][0])


_UNDO_LEASES = """WITH undone AS (DELETE FROM held RETURNING invitation_id, step, channel, due_at)
INSERT INTO due (invitation_id, step, channel, due_at) SELECT * FROM undone"""


async def test_step_whose_lease_a_crash_of_the_server_undid_is_sent_once(chain: Chain) -> None:
    await chain.take(request())
    first, second = RememberingAccount(), RememberingAccount()
    sender = chain.sender(EMAIL, first)
    claimed = await sender.claim(10, NOW)
    rendered = await sender.renderer.render(claimed.ready, NOW)
    await chain.rows(_UNDO_LEASES)
    await sender.send(first, rendered.outgoing, NOW, None)
    assert first.taken == []
    await chain.sender(EMAIL, second).perform_due()
    await sender.send(first, rendered.outgoing, NOW, None)
    assert (len(first.taken), len(second.taken)) == (0, 1)


async def test_time_lost_while_marking_is_taken_from_the_budget(chain: Chain) -> None:
    """A process may be suspended between mark and send, so the budget runs from before the mark."""
    await chain.take(request())
    account = RememberingAccount()
    sender = chain.sender(EMAIL, account)
    claimed = await sender.claim(10, NOW)
    rendered = await sender.renderer.render(claimed.ready, NOW)
    async with held_up(chain, lambda: sender.send(account, rendered.outgoing, NOW, None)):
        waiting = time.monotonic()
        await chain.rows("SELECT 1 FROM invitations")
        waited = time.monotonic() - waiting
    (within_s,) = account.budgets
    assert within_s <= BUDGET_S - waited


async def test_sender_that_was_suspended_past_its_budget_sends_nothing(chain: Chain) -> None:
    asked = request()
    await chain.take(asked)
    account = RememberingAccount()
    await replace(chain.sender(EMAIL, account), budget_s=0).perform_due()
    assert account.taken == []
    step = await chain.step(asked.invitation_id, 1)
    assert (step["state"], step["tries"]) == ("planned", 0)


# --- outages


@asynccontextmanager
async def outage(chain: Chain, postgres: embedded.Embedded) -> AsyncIterator[None]:
    name = chain.database.url.database
    admin = await database_url.connect(postgres.admin_url)
    await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
    try:
        yield
    finally:
        await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        await admin.close()


async def test_known_disposition_is_recorded_when_the_database_is_back(
    chain: Chain, postgres: embedded.Embedded
) -> None:
    """Recording is tried for as long as it takes; here the lease has ended meanwhile."""
    asked = request()
    await chain.take(asked)
    sent, back = asyncio.Event(), asyncio.Event()

    async def send() -> None:
        sent.set()
        await back.wait()

    account = RememberingAccount(on_send=send)
    performing = asyncio.create_task(chain.sender(EMAIL, account).perform_due())
    await sent.wait()
    await expire_leases(chain)
    async with outage(chain, postgres):
        back.set()
        reaper = LeaseReaper(chain.database.sessions, chain.clock)
        with pytest.raises(Exception) as failed:  # noqa: PT011 - whichever error it is, it is one of those that pass
            await reaper()
        assert db.is_transient(failed.value)
        assert not performing.done()
    await reaper()
    await performing
    assert len(account.taken) == 1
    assert (await chain.step(asked.invitation_id, 1))["state"] == "sent"


async def test_known_disposition_is_recorded_after_an_outage_while_the_next_batch_is_marked(
    chain: Chain, postgres: embedded.Embedded
) -> None:
    await chain.take(request("r1"), request("r2"))
    sent, back = asyncio.Event(), asyncio.Event()

    async def send() -> None:
        sent.set()
        await back.wait()

    account = RememberingAccount(on_send=send, free_slots=1)
    performing = asyncio.create_task(chain.sender(EMAIL, account).perform_due())
    await sent.wait()
    async with outage(chain, postgres):
        back.set()
        await asyncio.wait({performing}, timeout=0.5)
        assert not performing.done()
        assert len(account.taken) == 1
    await performing
    assert len(account.taken) == 2
    assert [row["state"] for row in await chain.steps(number=1)] == ["sent"] * 2


async def test_reaper_gives_up_no_sender_until_the_database_has_answered_for_a_while(chain: Chain) -> None:
    asked = request()
    await chain.take(asked)
    async with chain.database.sessions.begin() as session:
        held = await steps.claim_due(session, EMAIL, now=NOW, limit=10)
        await steps.mark_in_flight(session, held, account="smtp")
    await expire_leases(chain)
    reaper = LeaseReaper(chain.database.sessions, chain.clock)
    await reaper()
    assert (await chain.step(asked.invitation_id, 1))["state"] == "in_flight"
    reaper.patience_s = 0
    await reaper()
    assert (await chain.step(asked.invitation_id, 1))["state"] == "unknown"


async def test_sender_goes_on_after_an_outage(chain: Chain, postgres: embedded.Embedded) -> None:
    asked = [request(f"r{number}") for number in range(10)]
    await chain.take(*asked)
    account, stop = RememberingAccount(), asyncio.Event()
    async with outage(chain, postgres):
        sender = chain.sender(EMAIL, account)
        with pytest.raises(Exception) as failed:  # noqa: PT011 - see above
            await sender.perform_due(stop)
        assert db.is_transient(failed.value)
    await chain.tick(email=account)
    assert len(account.taken) == 10


# --- what happens while a step is in flight


@pytest.mark.parametrize("result", [SendResult.NOT_ACCEPTED, SendResult.NOT_STARTED])
@pytest.mark.parametrize("end", [answered, withdrawn])
async def test_step_to_be_tried_again_is_not_planned_when_its_invitation_was_closed(
    chain: Chain, end: Callable[[SurveyRequested], Any], result: SendResult
) -> None:
    asked = request()
    await chain.take(asked)
    account = RememberingAccount(on_send=lambda: chain.take(end(asked)), answers={"r1@example.com": result})
    await chain.sender(EMAIL, account).perform_due()
    assert await chain.states(asked.invitation_id) == ["skipped"] * 4
    for days in (1, 30):
        await chain.tick_at(NOW + days * DAY)
    assert await chain.rows("SELECT 1 FROM mailbox") == []
    assert await work_left(chain) == 0


async def test_consent_withdrawn_in_flight_stops_the_next_try(chain: Chain) -> None:
    asked = request()
    await chain.take(asked)
    account = RememberingAccount(
        on_send=lambda: chain.take(RespondentConsentChanged(respondent_id="r1", consent=Consent(email=False))),
        answers={"r1@example.com": SendResult.NOT_ACCEPTED},
    )
    await chain.sender(EMAIL, account).perform_due()
    account.on_send = None
    await chain.tick_at(NOW + timedelta(minutes=5), email=account)
    assert len(account.taken) == 1
    assert (await chain.states(asked.invitation_id))[:3] == ["skipped", "skipped", "sent"]


async def test_erasure_between_claim_and_record_leaves_no_address(chain: Chain) -> None:
    asked = request()
    await chain.take(asked)
    sender = chain.sender(EMAIL)
    claimed = await sender.claim(10, NOW)
    rendered = await sender.renderer.render(claimed.ready, NOW)
    await chain.take(RespondentErased(respondent_id="r1"))
    await sender.recorder.record(rendered.finished, NOW)
    assert await chain.rows("SELECT 1 FROM mailbox") == []
    assert await chain.published("contact.attempted") == []


async def test_erasure_deletes_parked_requests_so_that_no_replay_restores_them(chain: Chain) -> None:
    asked, other = request(), request("r2")
    for each in (asked, other):
        encoded = codec.encode(cloudevents.new(each, service=Service.TRIGGER, at=NOW))
        message = Message(encoded.topic, encoded.key, encoded.body, encoded.headers, f"survey.requests/0/{uuid4()}")
        async with chain.database.sessions.begin() as session:
            await parking.park(session, [(message, "the handler failed: UnknownLinkKey")])
    await chain.take(RespondentErased(respondent_id="r1"))
    assert await chain.rows("SELECT key FROM parked") == [{"key": "r2"}]


async def test_erasure_deletes_the_stored_consent(chain: Chain) -> None:
    for who in ("r1", "r2"):
        await chain.take(RespondentConsentChanged(respondent_id=who, consent=Consent(email=False)))
    await chain.take(RespondentErased(respondent_id="r1"))
    assert await chain.rows("SELECT respondent_id FROM consents") == [{"respondent_id": "r2"}]


async def test_replayed_request_gets_the_consent_withdrawn_while_it_was_parked(chain: Chain) -> None:
    parked, other, later = request(), request("r2"), request()
    made = [cloudevents.new(each, service=Service.TRIGGER, at=NOW) for each in (parked, other)]
    chain.clock.moment = NOW + timedelta(minutes=1)
    await chain.take(RespondentConsentChanged(respondent_id="r1", consent=Consent(email=False)))
    chain.clock.moment = NOW + timedelta(minutes=2)
    async with chain.database.sessions.begin() as session:
        await handlers.handle(session, made, link_keys=LINK_KEYS, address_keys=ADDRESS_KEYS, now=chain.clock.now())
    await chain.take(later)  # asked after that, and says that mail is welcome again
    await chain.tick()
    assert (await chain.states(parked.invitation_id))[:3] == ["skipped", "skipped", "sent"]
    assert (await chain.step(parked.invitation_id, 1))["reason"] == "no_consent"
    assert [(await chain.states(each.invitation_id))[0] for each in (other, later)] == ["sent", "sent"]


async def test_unsubscribing_waits_for_a_request_being_stored_and_declines_it(chain: Chain) -> None:
    """Otherwise it could be claimed in between, and be sent after the suppression was committed."""
    asked = request()
    async with chain.database.sessions.begin() as session:
        event = cloudevents.new(asked, service=Service.TRIGGER, at=NOW)
        await handlers.handle(session, [event], link_keys=LINK_KEYS, address_keys=ADDRESS_KEYS, now=NOW)
        opting_out = asyncio.create_task(opt_out(chain, "r1"))
        async with asyncio.timeout(5):
            while not await chain.rows("SELECT 1 FROM pg_locks WHERE NOT granted"):
                assert not opting_out.done()
    await opting_out
    assert await chain.outcome(asked.invitation_id) == "declined"


async def opt_out(chain: Chain, respondent: str) -> None:
    async with chain.database.sessions.begin() as session:
        await close_invitations.opt_out(session, respondent, now=NOW)


# --- calls


async def at_the_desk(chain: Chain, *requests: SurveyRequested) -> list[Any]:
    await chain.take(*requests)
    await chain.tick()
    return await chain.published("call.requested")


@pytest.mark.parametrize(
    "change",
    [
        RespondentConsentChanged(respondent_id="r1", consent=Consent(call=False)),
        RespondentOptedOut(respondent_id="r1", invitation_id=uuid4(), channel=CALL, at=NOW),
    ],
)
async def test_call_of_a_respondent_who_wants_no_calls_is_recalled(chain: Chain, change: Any) -> None:
    people = {"r1": "+15550001", "r2": "+15550002"}
    both = [
        request(name, plan=plan((CALL, 0), (EMAIL, 1)), contact=Contact(email=f"{name}@example.com", phone=phone))
        for name, phone in people.items()
    ]
    (task,) = [each for each in await at_the_desk(chain, *both) if each.respondent_id == "r1"]
    await chain.take(change)
    assert [each.task_id for each in await chain.published("call.withdrawn")] == [task.task_id]
    await chain.tick_at(NOW + DAY)
    assert await chain.states(task.invitation_id) == ["sent", "sent"]


async def test_do_not_call_recalls_the_respondents_other_calls(chain: Chain) -> None:
    asked, other = request(plan=plan((CALL, 0))), request(plan=plan((CALL, 0)))
    tasks = {task.invitation_id: task.task_id for task in await at_the_desk(chain, asked, other)}
    await chain.take(
        CallClosed(
            respondent_id="r1",
            invitation_id=asked.invitation_id,
            task_id=tasks[asked.invitation_id],
            outcome=CallOutcome.DO_NOT_CALL,
            at=NOW,
        )
    )
    assert [each.task_id for each in await chain.published("call.withdrawn")] == [tasks[other.invitation_id]]


async def test_second_call_still_open_keeps_the_invitation_open(chain: Chain) -> None:
    asked = request(plan=plan((CALL, 0), (CALL, 0)))
    first, second = await at_the_desk(chain, asked)
    for task, outcome in ((first, None), (second, "exhausted")):
        await chain.take(
            CallClosed(
                respondent_id="r1",
                invitation_id=asked.invitation_id,
                task_id=task.task_id,
                outcome=CallOutcome.UNREACHABLE,
                at=NOW,
            )
        )
        assert await chain.outcome(asked.invitation_id) == outcome
    assert await chain.published("call.withdrawn") == []


async def test_closed_call_of_a_closed_invitation_changes_nothing(chain: Chain) -> None:
    asked = request(plan=plan((CALL, 0)))
    (task,) = await at_the_desk(chain, asked)
    await chain.take(withdrawn(asked))
    closed = CallClosed(
        respondent_id="r1",
        invitation_id=asked.invitation_id,
        task_id=task.task_id,
        outcome=CallOutcome.REFUSED,
        at=NOW,
    )
    await chain.take(closed)
    assert await chain.outcome(asked.invitation_id) == "withdrawn"


async def test_first_outcome_counts_whenever_the_request_is_received(chain: Chain) -> None:
    asked, other = request(), request("r2")
    await chain.take(asked, withdrawn(asked), answered(asked))
    await chain.take(withdrawn(other), answered(other), other)
    assert [await chain.outcome(each.invitation_id) for each in (asked, other)] == ["withdrawn", "withdrawn"]


# --- poison


_OWN = "UPDATE invitations SET request = request || '{}' WHERE respondent_id = 'bad'"
_SHARED = """UPDATE contents SET document = document || '{}'
WHERE digest = (SELECT content FROM invitations WHERE respondent_id = 'bad')"""
_WHOLE = """UPDATE invitations i SET content = NULL, request = r.request || '{}' FROM requests r
WHERE r.id = i.id AND i.respondent_id = 'bad'"""
POISON = [
    _OWN.replace("{}", """{"send_at": "never"}"""),
    _OWN.replace("{}", """{"event": null}"""),
    _SHARED.replace("{}", """{"question": 5}"""),
    _WHOLE.replace("{}", """{"expires_at": "never"}"""),
]


@pytest.mark.parametrize("channel", [EMAIL, CALL])
@pytest.mark.parametrize("poison", POISON)
async def test_request_that_cannot_be_read_stalls_no_other(chain: Chain, poison: str, channel: ChannelKind) -> None:
    bad, good = request("bad", plan=plan((channel, 0), (EMAIL, 1))), request("good", plan=plan((channel, 0)))
    await chain.take(bad, good)
    await chain.rows(poison)
    await chain.tick()
    assert await chain.states(good.invitation_id) == ["sent"]
    assert await chain.states(bad.invitation_id) == ["failed", "failed"]
    assert await chain.outcome(bad.invitation_id) == "undeliverable"


_REQUESTS = "SELECT request::text FROM requests"


async def test_view_of_requests_names_the_fields_of_events(chain: Chain) -> None:
    asked = request()
    await chain.take(asked)
    [compact] = await chain.rows(_REQUESTS)
    assert SurveyRequested.model_validate_json(compact["request"]) == asked
    await chain.rows("UPDATE invitations i SET request = i.request || r.request FROM requests r WHERE r.id = i.id")
    assert await chain.rows(_REQUESTS) == [compact]


async def test_offset_of_a_window_is_ignored(chain: Chain) -> None:
    window = Window.model_validate({"start": "09:00:00+10:00", "end": "21:00:00"})
    late = Window.model_validate({"start": "21:00:00+10:00", "end": "22:00:00+10:00"})
    odd, waiting = (request(str(hours.start.hour), plan=plan((EMAIL, 0), window=hours)) for hours in (window, late))
    await chain.take(odd, waiting)
    await chain.tick()
    assert await chain.states(odd.invitation_id) == ["sent"]
    assert (await chain.step(waiting.invitation_id, 1))["due_at"] == NOW.replace(hour=18)  # 21:00 in Moscow


async def test_disposition_that_cannot_be_stored_delays_no_other(chain: Chain) -> None:
    await chain.take(*(request(f"r{number}") for number in range(8)))

    class Odd(RememberingAccount):
        async def send_all(self, messages: Sequence[OutgoingMessage], *, within_s: float) -> list[Disposition]:
            found = await super().send_all(messages, within_s=within_s)
            return [Disposition(SendResult.SENT, message_id="\0"), *found[1:]]

    account = Odd()
    await chain.sender(EMAIL, account).perform_due()
    found = await chain.steps(number=1)
    assert Counter(row["state"] for row in found) == {"sent": 7, "in_flight": 1}
    await expire_leases(chain)
    await chain.tick(email=account)
    assert len(account.taken) == 8


async def test_disposition_that_cannot_be_stored_delays_no_later_batch(chain: Chain) -> None:
    await chain.take(*(request(f"r{number}") for number in range(9)))

    class Odd(RememberingAccount):
        async def send_all(self, messages: Sequence[OutgoingMessage], *, within_s: float) -> list[Disposition]:
            found = await super().send_all(messages, within_s=within_s)
            return [*found[1:], Disposition(SendResult.SENT, message_id="\0")]

    account = Odd(free_slots=3)
    await chain.sender(EMAIL, account).perform_due()
    found = await chain.steps(number=1)
    assert Counter(row["state"] for row in found) == {"sent": 6, "in_flight": 3}
    assert len(account.taken) == 9


async def test_account_that_raises_ends_its_messages_as_unknown(chain: Chain) -> None:
    async def break_down() -> None:
        raise ZeroDivisionError

    asked = request()
    await chain.take(asked)
    account = RememberingAccount(on_send=break_down)
    await chain.tick(email=account)
    assert len(account.taken) == 1
    step = await chain.step(asked.invitation_id, 1)
    assert (step["state"], step["reason"]) == ("unknown", "account_failed")


async def test_sender_without_a_free_slot_claims_nothing(chain: Chain) -> None:
    asked = request()
    await chain.take(asked)
    assert await chain.sender(EMAIL, RememberingAccount(free_slots=0)).perform_due() == 0
    assert (await chain.states(asked.invitation_id))[0] == "planned"


# --- competition


async def test_daily_ceiling_holds_across_processes(chain: Chain) -> None:
    await chain.take(*(request(f"r{number}") for number in range(40)))
    account = RememberingAccount(free_slots=7)
    senders = [chain.sender(EMAIL, account, daily_ceiling=20) for _ in range(2)]
    held = [await _claim_some(sender, 20) for sender in senders]
    async with asyncio.TaskGroup() as tasks:
        for sender, found in zip(senders, held, strict=True):
            tasks.create_task(sender.send(account, found, NOW, None))
    assert len(account.taken) == 20
    moved = await chain.rows("SELECT due_at FROM due WHERE reason = 'daily_ceiling'")
    assert [row["due_at"] for row in moved] == [NOW.replace(hour=0) + DAY] * 20


async def _claim_some(sender: ChannelSender, limit: int) -> Any:
    async with sender.sessions.begin() as session:
        held = await steps.claim_due(session, sender.channel, now=NOW, limit=limit)
        facts = await send_facts.read(session, held, sender.channel, address_keys=ADDRESS_KEYS, now=NOW)
    triaged = triage_steps(held, facts, channel=sender.channel, now=NOW)
    return (await sender.renderer.render(triaged.ready, NOW)).outgoing


async def test_ceiling_counts_only_messages_that_the_provider_may_have_accepted(chain: Chain) -> None:
    await chain.take(*(request(f"r{number}") for number in range(6)))
    account = RememberingAccount(
        answers={"r0@example.com": SendResult.NOT_STARTED, "r1@example.com": SendResult.NOT_ACCEPTED}
    )
    sender = chain.sender(EMAIL, account, daily_ceiling=6)
    await sender.perform_due()
    account.answers.clear()
    await sender.perform_due()
    chain.clock.moment = NOW + timedelta(minutes=5)
    await sender.perform_due()
    found = await chain.steps(number=1)
    assert [row["state"] for row in found] == ["sent"] * 6


async def test_senders_reaper_and_mixed_batches_never_deadlock(chain: Chain) -> None:
    """A deadlock would raise here; in production it costs a second, and delays 500 steps by half a minute."""
    draw = random.Random(7)
    asked = [request(f"r{number % 100}") for number in range(600)]
    await chain.take(*asked)
    done = asyncio.Event()

    def event(each: SurveyRequested) -> Any:
        of_respondent = {"respondent_id": each.respondent_id}
        kinds = [
            answered(each),
            withdrawn(each),
            RespondentConsentChanged(**of_respondent, consent=Consent(sms=False)),
            RespondentOptedOut(**of_respondent, invitation_id=each.invitation_id, channel=EMAIL, at=NOW),
        ]
        return draw.choice(kinds)

    async def repeat(work: Callable[[], Awaitable[int]]) -> None:
        while not done.is_set():
            await work()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(2):
            account = RememberingAccount(
                answers={f"r{n}@example.com": draw.choice(list(SendResult)) for n in range(100)}
            )
            tasks.create_task(repeat(chain.sender(EMAIL, account, daily_ceiling=10_000).perform_due))
        tasks.create_task(repeat(lambda: reap(chain.database.sessions, chain.clock)))
        for _ in range(6):
            await chain.take(*(event(each) for each in draw.sample(asked, 80)))
        done.set()


async def test_no_invitation_stalls_whatever_happens(chain: Chain) -> None:
    """With a mixture of outcomes, refusals and lost senders."""
    asked = [request(f"r{number}", contact=Contact(email=f"r{number}@x.test", phone="+1")) for number in range(24)]
    await chain.take(*asked)
    kinds = [SendResult.SENT, SendResult.REFUSED, SendResult.NOT_ACCEPTED, SendResult.UNKNOWN, SendResult.NOT_STARTED]
    for days in range(22):
        answers = {
            each.contact.email or "": kinds[(number + days) % (5 if days % 3 == 0 else 4)]
            for number, each in enumerate(asked)
        }
        account = RememberingAccount(answers=answers)
        chain.clock.moment = NOW + days * DAY
        await chain.sender(EMAIL, account).perform_due()
        await chain.tick()
        assert await Reconciler(chain.database.sessions)() == []
        assert await work_left(chain) == 0
    assert await chain.rows("SELECT 1 FROM invitations WHERE outcome IS NULL") == []
    assert len(await chain.published("invitation.closed")) == 24


@pytest.mark.parametrize(
    "plant",
    [
        "DELETE FROM due WHERE invitation_id = $1",
        """WITH gone AS (DELETE FROM due WHERE invitation_id = $1)
        INSERT INTO attempts (id, invitation_id, step, try, channel, provider, state, at)
        SELECT gen_random_uuid(), $1, n, 1, 'email', 'none', 'skipped', clock_timestamp()
        FROM generate_series(1, 4) n ON CONFLICT (invitation_id, step, try) DO UPDATE SET state = 'skipped'""",
    ],
)
async def test_stalled_invitation_is_reported(chain: Chain, plant: str) -> None:
    lost, mailed = request("lost"), request("mailed")
    waiting = request("waiting", plan=plan((EMAIL, 0)))
    calling = request("calling", plan=plan((CALL, 0), (EMAIL, 2)))
    await chain.take(lost, mailed, waiting, calling)
    await chain.tick()
    reconciler = Reconciler(chain.database.sessions)
    assert await reconciler() == []
    await chain.rows(plant, lost.invitation_id)
    assert await reconciler() == [lost.invitation_id]
    assert REGISTRY.get_sample_value("earshot_stalled_invitations", {"service": "dispatcher"}) == 1


async def test_one_dispatcher_looks_for_stalled_invitations_and_another_goes_on_when_it_is_lost(chain: Chain) -> None:
    lost = request()
    await chain.take(lost)
    await chain.rows("DELETE FROM due")
    first, second = Reconciler(chain.database.sessions), Reconciler(chain.database.sessions)
    assert [await first(), await second(), await first()] == [[lost.invitation_id], [], [lost.invitation_id]]
    await chain.rows("UPDATE leases SET until = clock_timestamp() WHERE name = 'reconciler'")
    assert [await second(), await first()] == [[lost.invitation_id], []]


async def test_many_changes_are_looked_at_page_by_page_at_once(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintenance, "_PAGE", 2)
    monkeypatch.setattr(maintenance, "_OVERLAP", timedelta())
    asked = [request(f"r{number}", invitation_id=new_id()) for number in range(5)]
    await chain.take(*asked)
    await chain.rows("DELETE FROM due WHERE invitation_id = $1", asked[4].invitation_id)
    reconciler = Reconciler(chain.database.sessions)
    assert [await reconciler.round() for _ in range(2)] == [0.0, 0.0]
    assert await reconciler() == [asked[4].invitation_id]
    assert await reconciler.round() is None


async def test_invitation_that_stalled_long_ago_is_found_page_by_page(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "_PAGE", 2)
    long_ago = [request(f"r{n}", invitation_id=UUID(int=n + 1), expires_at=NOW + n * DAY) for n in range(7)]
    await chain.take(*long_ago)
    await chain.rows("DELETE FROM due WHERE invitation_id = $1", long_ago[5].invitation_id)
    reconciler = Reconciler(chain.database.sessions)
    assert [bool(await reconciler()) for _ in range(6)] == [False, False, True, True, True, True]
    await chain.take(answered(long_ago[5]))
    assert await reconciler() == []


@pytest.mark.parametrize(
    "plant",
    [
        """UPDATE contents SET document = jsonb_set(document, '{plan,1,channel}', '"pigeon"')
        WHERE digest = (SELECT content FROM invitations WHERE id = $1)""",
        "UPDATE attempts SET state = 'pigeon' WHERE invitation_id = $1",
    ],
)
async def test_step_that_cannot_be_read_stops_no_other_invitation(chain: Chain, plant: str) -> None:
    """As a later version may have written it, which was replaced by this one again."""
    strange, other = request("strange", plan=plan((EMAIL, 0), (SMS, 2))), request("other", plan=plan((EMAIL, 0)))
    await chain.take(strange, other)
    await chain.tick()
    await chain.rows(plant, strange.invitation_id)
    await chain.tick_at(other.expires_at + DAY)
    assert await chain.outcome(other.invitation_id) == "exhausted"
    assert await chain.outcome(strange.invitation_id) == "expired"


async def test_lost_step_that_cannot_be_read_is_ended_and_stops_no_other(chain: Chain) -> None:
    strange, other = request("strange", plan=plan((EMAIL, 0))), request("other", plan=plan((EMAIL, 0)))
    await chain.take(strange, other)
    async with chain.database.sessions.begin() as session:
        held = await steps.claim_due(session, EMAIL, now=NOW, limit=10)
        await steps.mark_in_flight(session, held, account="any")
    await chain.rows("UPDATE held SET channel = 'pigeon' WHERE invitation_id = $1", strange.invitation_id)
    await expire_leases(chain)
    await chain.tick()
    assert await chain.states(other.invitation_id) == ["unknown"]
    assert await chain.states(strange.invitation_id) == ["unknown"]
    assert len(await chain.published("contact.attempted")) == 1

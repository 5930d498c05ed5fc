"""A program that is stopped sends nothing more, and goes on where it stood when it is no longer stopped."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from services.dispatcher.channels.email import SmtpAccount
from services.dispatcher.handlers.programs import on_programs
from services.dispatcher.jobs.maintenance import Reconciler
from services.dispatcher.jobs.stopped_programs import StoppedProgramsJob
from services.dispatcher.repository import stalled
from shared.contract import cloudevents
from shared.contract.events import ContactAttempted, InvitationClosed, ProgramPublished, ProgramRef
from shared.contract.vocabulary import ChannelKind, InvitationOutcome, ProgramState, Service
from shared.smtp_server import SmtpServer
from tests.fakes import smtp_sink
from tests.integration.dispatcher.channels.test_smtp import SENDER
from tests.integration.dispatcher.conftest import DAY, NOW, Chain, RememberingAccount, answered, plan, request

PROGRAM = "after-purchase"
OFTEN = plan((ChannelKind.EMAIL, 0), (ChannelKind.EMAIL, 1))


async def publish(chain: Chain, state: ProgramState | None, program: str = PROGRAM, **fields: Any) -> None:
    payload = ProgramPublished(program_id=program, program_version=1, document={"title": "Purchase"}, state=state)
    at = fields.pop("at", chain.clock.now())
    async with chain.database.sessions.begin() as session:
        await on_programs(session, [cloudevents.new(payload, service=Service.TRIGGER, at=at)])


async def work(chain: Chain) -> int:
    """Run the job until nothing is left to do; return how much it did."""
    job, done = StoppedProgramsJob(chain.database.sessions, chain.clock), 0
    while worked := await job():
        done += worked
    return done


async def halted(chain: Chain) -> int:
    return len(await chain.rows("SELECT 1 FROM halted"))


async def test_nothing_of_a_stopped_program_leaves_and_others_go_on(chain: Chain) -> None:
    stopped, other = request("r1"), request("r2", program=ProgramRef(id="other", version=1))
    await chain.take(stopped, other)
    await publish(chain, ProgramState.STOPPED)
    account = RememberingAccount()
    await chain.tick(email=account)
    assert [message.invitation_id for message in account.taken] == [other.invitation_id]
    assert await chain.states(stopped.invitation_id) == ["planned", "waiting", "waiting", "waiting"]
    assert (await chain.step(stopped.invitation_id, 1))["reason"] == "program_stopped"
    assert await chain.rows("SELECT 1 FROM due WHERE invitation_id = $1", stopped.invitation_id) == []


async def test_what_waited_is_sent_once_when_the_program_is_on_again(chain: Chain) -> None:
    asked = request(plan=OFTEN)
    await chain.take(asked)
    await publish(chain, ProgramState.STOPPED)
    account = RememberingAccount()
    await chain.tick(email=account)
    await publish(chain, ProgramState.ON)
    assert await work(chain) == 1
    await chain.tick(email=account)
    assert [message.step for message in account.taken] == [1]
    await chain.tick_at(NOW + DAY, email=account)
    assert [message.step for message in account.taken] == [1, 2]
    assert await halted(chain) == 0


async def test_a_program_that_is_off_goes_on_with_what_was_asked(chain: Chain) -> None:
    await chain.take(request(plan=OFTEN))
    await publish(chain, ProgramState.OFF)
    account = RememberingAccount()
    await chain.tick(email=account)
    assert len(account.taken) == 1


async def test_a_batch_of_hundreds_stops_in_the_middle(chain: Chain) -> None:
    await chain.take(*(request(f"r{number}", plan=OFTEN) for number in range(250)))

    async def press() -> None:
        if len(account.taken) == 100:
            await publish(chain, ProgramState.STOPPED)

    account = RememberingAccount(on_send=press)
    await chain.tick(email=account)
    assert len(account.taken) == 100
    attempts = await chain.published(ContactAttempted.type)
    assert Counter(attempt.state for attempt in attempts) == {"sent": 100}
    assert await halted(chain) == 150
    await publish(chain, ProgramState.ON)
    await work(chain)
    account.on_send = None
    await chain.tick(email=account)
    assert Counter(message.recipient for message in account.taken) == {f"r{n}@example.com": 1 for n in range(250)}


async def test_a_stop_while_a_server_takes_a_mail_says_what_was_accepted(chain: Chain) -> None:
    """The batch in flight is finished, since its mails may have been taken; no other one starts."""
    in_order = [NOW - timedelta(seconds=60 - number) for number in range(60)]
    asked = [request(f"r{number}", plan=OFTEN, send_at=at) for number, at in enumerate(in_order)]
    await chain.take(*asked)
    async with smtp_sink() as sink:
        sink.stalled.add("r10@example.com")
        account = SmtpAccount(SmtpServer.from_url(f"smtp://127.0.0.1:{sink.port}"), sender=SENDER, connections=1)
        batch = account.free_slots
        sending = asyncio.create_task(chain.tick_idle([chain.sender(ChannelKind.EMAIL, account)]))
        await sink.stalling.wait()
        await publish(chain, ProgramState.STOPPED)
        sink.go_on.set()
        await sending
        await account.close()
    accepted = Counter(sink.recipients)
    assert (len(accepted), set(accepted.values())) == (batch, {1})
    told = [each.invitation_id for each in await chain.published(ContactAttempted.type) if each.state == "sent"]
    assert Counter(told) == Counter(
        each.invitation_id for each in asked if f"{each.respondent_id}@example.com" in accepted
    )
    assert await halted(chain) == 60 - batch


async def test_steps_claimed_before_the_stop_are_not_sent(chain: Chain) -> None:
    asked = request(plan=OFTEN)
    await chain.take(asked)
    account = RememberingAccount()
    sender = chain.sender(ChannelKind.EMAIL, account)
    triaged = await sender.claim(10, NOW)
    rendered = await sender.renderer.render(triaged.ready, NOW)
    await publish(chain, ProgramState.STOPPED)
    sent = await sender.send(account, rendered.outgoing, NOW, None)
    assert (account.taken, list(sent.unrecorded)) == ([], [])
    await chain.tick(email=account)
    assert account.taken == []
    assert await halted(chain) == 1


@pytest.mark.parametrize("channel", [ChannelKind.EMAIL, ChannelKind.CALL])
async def test_a_message_for_the_mailbox_or_desk_claimed_before_the_stop_is_put_aside(
    chain: Chain, channel: ChannelKind
) -> None:
    await chain.take(request(plan=plan((channel, 0))))
    sender = chain.sender(channel)
    triaged = await sender.claim(10, NOW)
    rendered = await sender.renderer.render(triaged.ready, NOW)
    await publish(chain, ProgramState.STOPPED)
    await sender.recorder.record(rendered.finished, NOW)
    await chain.tick()
    assert await chain.published("call.requested") == []
    assert await chain.rows("SELECT 1 FROM mailbox") == []
    assert await halted(chain) == 1


async def test_calls_at_the_desk_are_withdrawn(chain: Chain) -> None:
    asked = request(plan=plan((ChannelKind.CALL, 0)))
    await chain.take(asked)
    await chain.tick()
    [call] = await chain.published("call.requested")
    await publish(chain, ProgramState.STOPPED)
    assert await work(chain) == 1
    [recalled] = await chain.published("call.withdrawn")
    assert (recalled.task_id, recalled.reason) == (call.task_id, "program_stopped")
    assert await chain.outcome(asked.invitation_id) is None


async def test_an_answer_ends_a_survey_that_was_put_aside(chain: Chain) -> None:
    asked = request(plan=OFTEN)
    await chain.take(asked)
    await publish(chain, ProgramState.STOPPED)
    await chain.tick()
    await chain.take(answered(asked))
    assert (await chain.outcome(asked.invitation_id), await halted(chain)) == ("answered", 0)


async def test_what_waited_past_its_end_expires(chain: Chain) -> None:
    asked = request(plan=OFTEN)
    await chain.take(asked)
    await publish(chain, ProgramState.STOPPED)
    await chain.tick()
    await chain.tick_at(asked.expires_at)
    await publish(chain, ProgramState.ON)
    await work(chain)
    account = RememberingAccount()
    await chain.tick(email=account)
    assert (account.taken, await halted(chain)) == ([], 0)
    assert await chain.outcome(asked.invitation_id) == InvitationOutcome.UNDELIVERABLE


async def test_open_surveys_are_withdrawn_also_after_a_restart(chain: Chain) -> None:
    asked = [request(f"r{number}", plan=OFTEN) for number in range(3)]
    other = request("other", program=ProgramRef(id="other", version=1))
    await chain.take(*asked[:2], other)
    await chain.tick()
    await publish(chain, ProgramState.WITHDRAWN)
    await work(chain)
    await chain.take(asked[2])  # was decided before the stop, and arrives after
    await chain.tick()
    await work(chain)
    assert [await chain.outcome(each.invitation_id) for each in asked] == ["withdrawn"] * 3
    assert await chain.outcome(other.invitation_id) is None
    told = [each.invitation_id for each in await chain.published("survey.withdrawn")]
    assert sorted(told) == sorted(each.invitation_id for each in asked)
    closed = [each for each in await chain.published(InvitationClosed.type) if each.outcome == "withdrawn"]
    assert len(closed) == 3
    assert await halted(chain) == 0


async def test_an_older_event_does_not_lift_a_stop_and_an_unknown_state_keeps_it(chain: Chain) -> None:
    await publish(chain, ProgramState.STOPPED)
    await publish(chain, ProgramState.ON, at=NOW - DAY)
    await publish(chain, None, at=NOW + DAY)
    await publish(chain, None, "new")
    rows = await chain.rows("SELECT id, state FROM programs ORDER BY id")
    assert [(row["id"], row["state"]) for row in rows] == [(PROGRAM, "stopped"), ("new", "on")]


async def test_what_waits_of_a_stopped_program_is_not_stalled(chain: Chain) -> None:
    await chain.take(request(plan=OFTEN))
    await publish(chain, ProgramState.STOPPED)
    await chain.tick()
    async with chain.database.sessions.begin() as session:
        assert await stalled.of_all(session) == []
    assert await Reconciler(chain.database.sessions)() == []


async def test_while_nothing_is_stopped_the_job_does_nothing(chain: Chain) -> None:
    await chain.take(request(plan=OFTEN))
    await publish(chain, ProgramState.ON)
    assert await work(chain) == 0
    assert len(await chain.rows("SELECT 1 FROM due")) == 1

"""The life of an invitation, from its request to its outcome."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import uuid4

import pytest

from services.dispatcher import repository
from services.dispatcher.domain.steps import SendResult
from services.dispatcher.jobs.maintenance import reap
from services.dispatcher.repository import steps
from shared.contract.events import (
    CallClosed,
    CallPriority,
    Consent,
    Contact,
    RespondentConsentChanged,
    RespondentErased,
    RespondentOptedOut,
    SurveyRequested,
    Window,
)
from shared.contract.vocabulary import CallOutcome, ChannelKind, InvitationOutcome
from tests.integration.dispatcher.conftest import (
    DAY,
    DEFAULT_PLAN,
    NOW,
    Chain,
    RememberingAccount,
    answered,
    answered_anonymously,
    plan,
    request,
    withdrawn,
)

EMAIL, SMS, CALL = ChannelKind.EMAIL, ChannelKind.SMS, ChannelKind.CALL


async def reach_the_desk(chain: Chain, asked: SurveyRequested) -> None:
    await chain.take(asked)
    for days in (0, 3, 5, 7):
        await chain.tick_at(NOW + days * DAY)


async def close_call(chain: Chain, asked: SurveyRequested, outcome: CallOutcome) -> None:
    (task,) = await chain.published("call.requested")
    await chain.take(
        CallClosed(
            respondent_id=asked.respondent_id,
            invitation_id=asked.invitation_id,
            task_id=task.task_id,
            outcome=outcome,
            at=NOW,
        )
    )


async def outcomes(chain: Chain) -> list[str]:
    return [closed.outcome for closed in await chain.published("invitation.closed")]


async def test_respondent_who_does_not_answer_gets_every_step_from_mail_to_call(chain: Chain) -> None:
    asked = request(send_at=NOW + timedelta(hours=2))
    await chain.take(asked)
    await chain.tick()
    assert await chain.states(asked.invitation_id) == ["planned", "waiting", "waiting", "waiting"]
    due = NOW + timedelta(hours=2)
    for number, (channel, days) in enumerate(DEFAULT_PLAN, 1):
        due += days * DAY
        step = await chain.step(asked.invitation_id, number)
        assert (step["channel"], step["state"], step["due_at"]) == (channel, "planned", due)
        await chain.tick_at(due - timedelta(seconds=1))
        assert (await chain.step(asked.invitation_id, number))["state"] == "planned"
        await chain.tick_at(due)
    assert await chain.states(asked.invitation_id) == ["sent"] * 4
    attempts = await chain.published("contact.attempted")
    assert [(each.step, each.channel, each.state, each.provider) for each in attempts] == [
        (1, EMAIL, "sent", "mailbox"),
        (2, EMAIL, "sent", "mailbox"),
        (3, SMS, "sent", "mailbox"),
        (4, CALL, "sent", "desk"),
    ]
    (task,) = await chain.published("call.requested")
    assert (task.step, task.phone, task.name, task.script) == (4, "+15550001", "Anna Petrova", asked.question)
    assert task.summary.startswith("Your order 48213 of 2 March, Tverskaya.")
    assert await chain.outcome(asked.invitation_id) is None


async def test_call_has_the_priority_of_its_request(chain: Chain) -> None:
    await reach_the_desk(chain, request(call_priority=CallPriority(value=90, reason="VIP")))
    (task,) = await chain.published("call.requested")
    assert task.priority == 90


async def test_answer_stops_all_steps_and_recalls_the_call(chain: Chain) -> None:
    asked = request()
    await reach_the_desk(chain, asked)
    await chain.take(answered(asked))
    (task,) = await chain.published("call.requested")
    (recalled,) = await chain.published("call.withdrawn")
    assert (recalled.task_id, recalled.reason) == (task.task_id, "answered")
    assert await outcomes(chain) == ["answered"]


async def test_answer_stops_a_leased_step(chain: Chain) -> None:
    asked = request()
    await chain.take(asked)
    async with chain.database.sessions.begin() as session:
        held = await steps.claim_due(session, EMAIL, now=NOW, limit=10)
    await chain.take(answered(asked))
    async with chain.database.sessions.begin() as session:
        assert await steps.mark_in_flight(session, held, account="any") == set()
    assert await chain.states(asked.invitation_id) == ["skipped"] * 4
    assert (await chain.step(asked.invitation_id, 1))["reason"] == "answered"


async def test_answer_waits_for_a_claim_under_way_and_then_stops_it(chain: Chain) -> None:
    asked = request()
    await chain.take(asked)
    async with chain.database.sessions.begin() as session:
        held = await steps.claim_due(session, EMAIL, now=NOW, limit=10)
        answering = asyncio.create_task(chain.take(answered(asked)))
        async with asyncio.timeout(5):
            while not await chain.rows("SELECT 1 FROM pg_locks WHERE NOT granted"):
                assert not answering.done()
    await answering
    async with chain.database.sessions.begin() as session:
        assert await steps.mark_in_flight(session, held, account="any") == set()


async def test_step_in_flight_is_recorded_after_an_answer(chain: Chain) -> None:
    asked = request()
    await chain.take(asked)
    account = RememberingAccount(on_send=lambda: chain.take(answered(asked)))
    await chain.tick(email=account)
    assert await chain.states(asked.invitation_id) == ["sent", "skipped", "skipped", "skipped"]
    assert await outcomes(chain) == ["answered"]


@pytest.mark.parametrize(("end", "outcome"), [(answered, "answered"), (withdrawn, "withdrawn")])
async def test_outcome_received_before_its_request_sends_nothing(chain: Chain, end: object, outcome: str) -> None:
    asked = request()
    await chain.take(end(asked))  # type: ignore[operator]
    await chain.take(asked)
    await chain.tick()
    assert await outcomes(chain) == [outcome]
    assert await chain.rows("SELECT 1 FROM mailbox") == []
    assert await chain.rows("SELECT 1 FROM early") == []


async def test_outcome_and_request_at_the_same_moment_lose_nothing(chain: Chain) -> None:
    pairs = [request(f"r{number}") for number in range(40)]
    async with asyncio.TaskGroup() as tasks:
        for asked in pairs:
            tasks.create_task(chain.take(asked))
            tasks.create_task(chain.take(answered(asked)))
    assert await chain.rows("SELECT outcome, count(*) AS n FROM invitations GROUP BY 1") == [
        {"outcome": "answered", "n": 40}
    ]


async def test_repeated_request_is_one_invitation(chain: Chain) -> None:
    asked = request()
    await chain.take(asked, asked)
    await chain.take(asked)
    await chain.tick()
    assert len(await chain.rows("SELECT 1 FROM mailbox")) == 1


async def test_withdrawal_ends_the_chain(chain: Chain) -> None:
    asked = request()
    await chain.take(asked)
    await chain.tick()
    await chain.take(withdrawn(asked))
    await chain.tick_at(NOW + 30 * DAY)
    assert await outcomes(chain) == ["withdrawn"]
    assert len(await chain.rows("SELECT 1 FROM mailbox")) == 1


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({}, "exhausted"),
        ({"expires_at": NOW + 4 * DAY}, "expired"),
        ({"send_at": NOW + 5 * DAY, "expires_at": NOW + 4 * DAY}, "undeliverable"),
    ],
)
async def test_invitation_without_an_answer_ends_with_an_outcome(
    chain: Chain, changes: dict[str, Any], outcome: str
) -> None:
    asked = request(**changes)
    await chain.take(asked)
    for days in range(22):
        await chain.tick_at(NOW + days * DAY)
    assert await outcomes(chain) == [outcome]
    async with chain.database.sessions.begin() as session:
        assert await repository.work_left(session, chain.clock.now()) == 0
        assert await repository.invitation_counts(session) == {outcome: 1}


async def test_expiry_recalls_the_open_call(chain: Chain) -> None:
    await reach_the_desk(chain, request())
    await chain.tick_at(NOW + 21 * DAY)
    assert [each.reason for each in await chain.published("call.withdrawn")] == ["exhausted"]


async def test_late_answer_turns_exhausted_into_answered(chain: Chain) -> None:
    asked = request()
    await reach_the_desk(chain, asked)
    await chain.tick_at(NOW + 21 * DAY)
    await chain.take(answered(asked))
    await chain.take(answered(asked))
    assert await outcomes(chain) == ["exhausted", "answered"]


async def test_late_answer_leaves_a_withdrawn_one_withdrawn(chain: Chain) -> None:
    asked = request()
    await chain.take(asked)
    await chain.take(withdrawn(asked), answered(asked))
    assert await outcomes(chain) == ["withdrawn"]


@pytest.mark.parametrize(
    ("call", "outcome", "suppressed"),
    [
        (CallOutcome.REFUSED, "declined", []),
        (CallOutcome.UNREACHABLE, "exhausted", []),
        (CallOutcome.WRONG_NUMBER, "exhausted", [CALL, SMS]),
        (CallOutcome.DO_NOT_CALL, "declined", [CALL]),
        (CallOutcome.ANSWERED, "answered", []),
    ],
)
async def test_closed_call_ends_the_chain(
    chain: Chain, call: CallOutcome, outcome: str, suppressed: list[ChannelKind]
) -> None:
    asked = request()
    await reach_the_desk(chain, asked)
    await close_call(chain, asked, call)
    assert await outcomes(chain) == [outcome]
    found = await chain.published("respondent.suppressed")
    assert [(each.reason, each.channel) for each in found] == [(call, channel) for channel in suppressed]
    assert await chain.published("call.withdrawn") == []


@pytest.mark.parametrize("desk_is_first", [True, False])
async def test_expired_call_has_the_same_outcome_in_either_order(chain: Chain, *, desk_is_first: bool) -> None:
    """The call and its invitation expire at the same moment, which two services handle."""
    asked = request()
    await reach_the_desk(chain, asked)
    chain.clock.moment = NOW + 21 * DAY
    if desk_is_first:
        await close_call(chain, asked, CallOutcome.EXPIRED)
        await chain.tick()
    else:
        await chain.tick()
        await close_call(chain, asked, CallOutcome.EXPIRED)
    assert await outcomes(chain) == ["exhausted"]


async def test_unreachable_call_lets_later_steps_be_performed(chain: Chain) -> None:
    asked = request(plan=plan((CALL, 0), (EMAIL, 2)))
    await chain.take(asked)
    await chain.tick()
    await close_call(chain, asked, CallOutcome.UNREACHABLE)
    await chain.tick_at(NOW + 2 * DAY)
    assert await chain.states(asked.invitation_id) == ["sent", "sent"]
    assert await outcomes(chain) == []


async def test_opting_out_declines_open_invitations_and_suppresses_later_ones(chain: Chain) -> None:
    asked, other, later = request(), request(), request()
    await chain.take(asked, other)
    await chain.take(RespondentOptedOut(respondent_id="r1", invitation_id=asked.invitation_id, at=NOW))
    await chain.take(later)
    await chain.tick()
    closed = {each.invitation_id: each.outcome for each in await chain.published("invitation.closed")}
    assert closed == {
        asked.invitation_id: "declined",
        other.invitation_id: "declined",
        later.invitation_id: "undeliverable",
    }
    (suppressed,) = await chain.published("respondent.suppressed")
    assert (suppressed.channel, suppressed.program, suppressed.reason) == (None, None, "opt_out")
    assert await chain.rows("SELECT 1 FROM mailbox") == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"contact": Contact(phone="+15550001")}, "no_address"),
        ({"consent": Consent(email=None, sms=True, call=True)}, "no_consent"),
    ],
)
async def test_step_that_cannot_be_sent_is_skipped_and_the_chain_continues_at_once(
    chain: Chain, changes: dict[str, Any], reason: str
) -> None:
    asked = request(**changes)
    await chain.take(asked)
    await chain.tick()
    assert await chain.states(asked.invitation_id) == ["skipped", "skipped", "sent", "planned"]
    attempts = await chain.published("contact.attempted")
    assert [(each.step, each.state, each.reason) for each in attempts] == [
        (1, "skipped", reason),
        (2, "skipped", reason),
        (3, "sent", None),
    ]
    assert (await chain.step(asked.invitation_id, 4))["due_at"] == NOW + 2 * DAY


async def test_respondent_without_an_address_is_undeliverable_at_once(chain: Chain) -> None:
    await chain.take(request(contact=Contact()))
    await chain.tick()
    assert await outcomes(chain) == ["undeliverable"]


async def test_changed_consent_applies_to_a_leased_step_and_later_ones(chain: Chain) -> None:
    asked = request()
    await chain.take(asked)
    async with chain.database.sessions.begin() as session:
        held = await steps.claim_due(session, EMAIL, now=NOW, limit=10)
    await chain.take(RespondentConsentChanged(respondent_id="r1", consent=Consent(email=False)))
    async with chain.database.sessions.begin() as session:
        assert await steps.mark_in_flight(session, held, account="any") == set()
    await chain.tick()
    assert await chain.states(asked.invitation_id) == ["skipped", "skipped", "sent", "planned"]


async def test_erasure_withdraws_invitations_and_deletes_addresses(chain: Chain) -> None:
    asked = request()
    await chain.take(asked)
    await chain.tick()
    await chain.take(RespondentErased(respondent_id="r1"))
    assert await outcomes(chain) == ["withdrawn"]
    assert await chain.rows("SELECT 1 FROM mailbox") == []
    (stored,) = await chain.rows("SELECT request::text FROM invitations")
    assert "example.com" not in stored["request"]
    assert "+1555" not in stored["request"]
    assert "Petrova" not in stored["request"]


@pytest.mark.parametrize(
    ("clock", "opening"),
    [
        (datetime(2026, 3, 28, 22, tzinfo=UTC), datetime(2026, 3, 29, 7, tzinfo=UTC)),  # forward: 09:00 is 07:00 UTC
        (datetime(2026, 10, 24, 22, tzinfo=UTC), datetime(2026, 10, 25, 8, tzinfo=UTC)),  # back: 09:00 is 08:00 UTC
    ],
)
async def test_step_waits_for_the_respondents_morning_across_clock_changes(
    chain: Chain, clock: datetime, opening: datetime
) -> None:
    chain.clock.moment = clock
    asked = request(
        time_zone="Europe/Berlin",
        send_at=clock,
        expires_at=clock + 21 * DAY,
        plan=plan((EMAIL, 0), window=Window(start=time(9), end=time(21))),
    )
    await chain.take(asked)
    await chain.tick()
    step = await chain.step(asked.invitation_id, 1)
    assert (step["state"], step["due_at"], step["reason"]) == ("planned", opening, "contact_hours")
    await chain.tick_at(opening - timedelta(seconds=1))
    assert await chain.states(asked.invitation_id) == ["planned"]
    await chain.tick_at(opening)
    assert await chain.states(asked.invitation_id) == ["sent"]


async def test_ledger_counts_match_the_steps(chain: Chain) -> None:
    await chain.take(*(request(f"r{number}") for number in range(30)))
    await chain.tick()
    async with chain.database.sessions.begin() as session:
        assert await repository.step_counts(session) == {
            ("email", "sent"): 30,
            ("email", "planned"): 30,
        }
        assert await repository.work_left(session, NOW) == 0
        assert await repository.work_left(session, NOW + 3 * DAY) == 30


async def test_closed_call_of_an_unknown_invitation_changes_nothing(chain: Chain) -> None:
    await chain.take(
        CallClosed(respondent_id="r1", invitation_id=uuid4(), task_id=uuid4(), outcome=CallOutcome.REFUSED, at=NOW)
    )
    assert await outcomes(chain) == []


async def test_temporary_refusal_is_tried_again_up_to_the_maximum(chain: Chain) -> None:
    asked = request()
    await chain.take(asked)
    account = RememberingAccount(answers={"r1@example.com": SendResult.NOT_ACCEPTED})
    await chain.tick(email=account)
    assert (await chain.step(asked.invitation_id, 1))["due_at"] == NOW + timedelta(minutes=5)
    assert await chain.published("contact.attempted") == []
    for minutes in (5, 15):
        await chain.tick_at(NOW + timedelta(minutes=minutes), email=account)
    first = await chain.step(asked.invitation_id, 1)
    assert (first["state"], first["tries"], len(account.taken)) == ("failed", 3, 4)  # and one of the second step
    assert [each.state for each in await chain.published("contact.attempted")] == ["failed"]


async def test_maintenance_does_nothing_when_nothing_is_due(chain: Chain) -> None:
    assert await reap(chain.database.sessions, chain.clock) == 0
    assert InvitationOutcome.EXPIRED not in await outcomes(chain)


async def test_anonymous_answer_ends_the_survey_without_its_time_of_day(chain: Chain) -> None:
    asked = request("anna", anonymous=True)
    await chain.take(asked)
    answer = answered(asked).model_copy(update={"anonymous": True, "invitation_id": uuid4()})
    await chain.take(answer, answered_anonymously(asked))
    [closed] = await chain.published("invitation.closed")
    assert (closed.invitation_id, closed.outcome) == (asked.invitation_id, InvitationOutcome.ANSWERED)
    midnight = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
    assert midnight != NOW
    [row] = await chain.rows("SELECT closed_at FROM invitations")
    assert (row["closed_at"], closed.at) == (midnight, midnight)
    assert await chain.rows("SELECT * FROM early") == []

"""Steps that a dispatcher of the version before left in its table, while it runs beside this one and after it."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from uuid import UUID

import pytest

from deploy.databases import MIGRATIONS
from services.dispatcher.jobs.maintenance import Reconciler, adopt_earlier_steps
from shared import migrations
from shared.contract.events import CallClosed, SurveyRequested
from shared.contract.vocabulary import CallOutcome, ChannelKind
from tests.integration.dispatcher.conftest import NOW, Chain, RememberingAccount, answered, plan, request

EMAIL, CALL = ChannelKind.EMAIL, ChannelKind.CALL
BEFORE = "0005"
DAY = timedelta(days=1)

_TAKEN = """WITH planned AS (DELETE FROM due RETURNING *)
INSERT INTO steps (invitation_id, step, channel, state, delay_s, due_at, token, leased_until)
SELECT invitation_id, step, channel, $1, 0, due_at, CASE WHEN $2::interval IS NOT NULL THEN gen_random_uuid() END,
    clock_timestamp() + $2::interval
FROM planned"""
_OPENED = """WITH opened AS (DELETE FROM open_calls RETURNING *)
INSERT INTO steps (invitation_id, step, channel, state, delay_s, call_task)
SELECT invitation_id, step, 'call', 'sent', 0, call_task FROM opened"""


async def as_before(chain: Chain, state: str, lease: timedelta | None = None) -> None:
    """Put all planned steps into the table of the version before."""
    await chain.rows(_TAKEN, state, lease)


@pytest.mark.parametrize(("state", "lease"), [("planned", None), ("leased", -DAY)])
async def test_step_that_nobody_has_is_taken_over_and_sent_once(
    chain: Chain, state: str, lease: timedelta | None
) -> None:
    asked = [request(f"r{number}") for number in range(30)]
    await chain.take(*asked)
    await as_before(chain, state, lease)
    assert await adopt_earlier_steps(chain.database.sessions) == 30
    assert await adopt_earlier_steps(chain.database.sessions) == 0
    account = RememberingAccount()
    await chain.tick(email=account)
    await chain.tick_at(NOW + 3 * DAY, email=account)
    assert Counter(Counter(message.step for message in account.taken)) == {1: 30, 2: 30}


async def test_step_in_flight_with_a_lost_sender_is_never_sent_again(chain: Chain) -> None:
    asked = request()
    await chain.take(asked)
    await as_before(chain, "in_flight", -DAY)
    await adopt_earlier_steps(chain.database.sessions)
    account = RememberingAccount()
    await chain.tick(email=account)
    assert account.taken == []
    assert (await chain.states(asked.invitation_id))[:2] == ["unknown", "planned"]


@pytest.mark.parametrize("state", ["leased", "in_flight"])
async def test_step_that_a_dispatcher_of_before_has_is_left_to_it(chain: Chain, state: str) -> None:
    await chain.take(request())
    await as_before(chain, state, DAY)
    assert await adopt_earlier_steps(chain.database.sessions) == 0
    assert await Reconciler(chain.database.sessions)() == []


async def test_step_of_an_invitation_that_was_closed_meanwhile_is_not_sent(chain: Chain) -> None:
    asked = request()
    await chain.take(asked)
    await as_before(chain, "planned")
    await chain.take(answered(asked))
    assert await adopt_earlier_steps(chain.database.sessions) == 1
    account = RememberingAccount()
    await chain.tick(email=account)
    assert account.taken == []


async def test_call_opened_before_is_closed_and_recalled(chain: Chain) -> None:
    closed, recalled = (request(name, plan=plan((CALL, 0))) for name in ("closed", "recalled"))
    await chain.take(closed, recalled)
    await chain.tick()
    await chain.rows(_OPENED)
    tasks = {each.invitation_id: each.task_id for each in await chain.published("call.requested")}
    assert (await chain.step(closed.invitation_id, 1))["call_open"]
    await chain.take(_unreachable(closed, tasks[closed.invitation_id]), answered(recalled))
    assert await chain.outcome(closed.invitation_id) == "exhausted"
    assert [each.task_id for each in await chain.published("call.withdrawn")] == [tasks[recalled.invitation_id]]
    assert await chain.rows("SELECT 1 FROM calls") == []


def _unreachable(asked: SurveyRequested, task: UUID) -> CallClosed:
    return CallClosed(
        respondent_id=asked.respondent_id,
        invitation_id=asked.invitation_id,
        task_id=task,
        outcome=CallOutcome.UNREACHABLE,
        at=NOW,
    )


async def test_rollback_gives_the_version_before_its_steps_and_whole_requests(chain: Chain) -> None:
    new, mailed, called = request("new", send_at=NOW + DAY), request("mailed"), request("called", plan=plan((CALL, 0)))
    await chain.take(new, mailed, called)
    await chain.tick()
    folder = MIGRATIONS["dispatcher"]
    async with migrations._alone(chain.database) as connection:
        await migrations._run(connection, folder, "downgrade", to=BEFORE)
    rows = await chain.rows("SELECT invitation_id, step, state, due_at, call_task FROM steps ORDER BY 2")
    states = {
        each.respondent_id: [row["state"] for row in rows if row["invitation_id"] == each.invitation_id]
        for each in (new, mailed, called)
    }
    assert states == {
        "new": ["planned", "waiting", "waiting", "waiting"],
        "mailed": ["sent", "planned", "waiting", "waiting"],
        "called": ["sent"],
    }
    assert sum(row["call_task"] is not None for row in rows) == 1
    [stored] = await chain.rows("SELECT request::text FROM invitations WHERE id = $1", mailed.invitation_id)
    assert SurveyRequested.model_validate_json(stored["request"]) == mailed

    await migrations.upgrade(chain.database, folder)
    await adopt_earlier_steps(chain.database.sessions)
    account = RememberingAccount()
    await chain.tick_at(NOW + 3 * DAY, email=account)
    assert sorted((message.recipient, message.step) for message in account.taken) == [
        ("mailed@example.com", 2),
        ("new@example.com", 1),
    ]

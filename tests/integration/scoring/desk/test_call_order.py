"""Which call comes first at the desk, and the reason that its operator reads."""

from __future__ import annotations

import re
from datetime import timedelta
from uuid import UUID

import httpx2

from shared.contract.events import CallPriority
from tests.integration.scoring.desk.test_callbacks import complained
from tests.integration.scoring.stand import Scoring, call_for, on_desk, take

DETRACTOR = CallPriority(value=90, reason="their last score was a detractor")


async def prior(scoring: Scoring, priority: CallPriority) -> UUID:
    request = await scoring.asked(call_priority=priority)
    call = call_for(request, priority=priority.value)
    await scoring.receive(call)
    return call.task_id


async def test_calls_with_a_priority_come_before_those_that_wait_longer(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    usual = await on_desk(scoring)
    later = await prior(scoring, CallPriority(value=-1, reason="our own people"))
    scoring.clock.moment += timedelta(minutes=5)
    program = await prior(scoring, CallPriority(value=5))
    rule = await prior(scoring, DETRACTOR)
    page = (await client.get("/desk")).text
    assert re.findall(r'value="([0-9a-f-]{36})"', page) == [str(each) for each in (rule, program, usual, later)]
    assert page.count("their last score was a detractor") == 1
    assert page.count("calls of this program come first") == 1
    assert "our own people" not in page
    assert (await take(client) or {})["task_id"] == str(rule)
    client.cookies.set("operator", "Anna")
    assert "Before others:</span> their last score was a detractor" in (await client.get(f"/desk/{rule}")).text


async def test_calls_that_were_promised_come_before_every_priority(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    appointed = await on_desk(scoring)
    client.cookies.set("operator", "Anna")
    await client.post("/desk/take", data={"task_id": str(appointed)})
    await client.post(f"/desk/{appointed}/outcome", data={"disposition": "call_later", "minutes": "15"})
    await prior(scoring, CallPriority(value=1000, reason="VIP"))
    await complained(scoring, client, callback="1", comment="Cold soup.")
    scoring.clock.moment += timedelta(minutes=20)
    [callback] = await scoring.rows("SELECT task_id FROM call_tasks WHERE kind = 'callback'")
    taken = [(await take(client, name) or {})["task_id"] for name in ("Anna", "Boris")]
    assert taken == [str(callback["task_id"]), str(appointed)]

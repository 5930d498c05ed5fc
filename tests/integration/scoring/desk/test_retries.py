"""Calls that reached nobody: the program says when they come back, and how often."""

from __future__ import annotations

from datetime import datetime, timedelta

import httpx2
import pytest

from shared.contract.events import CallRetry, PlanStep
from shared.contract.vocabulary import ChannelKind, UnansweredCall
from tests.integration.scoring.desk.test_desk import outcomes, report
from tests.integration.scoring.stand import PLAN, Scoring, call_for, take


async def test_program_says_when_a_call_comes_back_and_how_often(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    retries = {
        UnansweredCall.NO_ANSWER: CallRetry(after_s=7200, limit=2),
        UnansweredCall.MACHINE: CallRetry(after_s=3600),
    }
    step = PlanStep(step=4, channel=ChannelKind.CALL, delay_s=0, max_attempts=9, retries=retries)
    request = await scoring.asked(plan=[*PLAN[:3], step])
    call = call_for(request, window=None, max_attempts=9)
    await scoring.receive(call)
    after = []
    for disposition in ("no_answer", "machine", "busy", "machine", "no_answer"):
        assert await take(client)
        noted = (await report(client, call.task_id, disposition)).json()
        due_at = datetime.fromisoformat(noted["due_at"]) if noted["open"] else None
        after.append(due_at and (due_at - scoring.clock.moment).total_seconds())
        scoring.clock.moment = due_at or scoring.clock.moment
    assert after == [7200, 3600, 900, 3600, None]
    assert await outcomes(scoring) == ["unreachable"]


@pytest.mark.parametrize("stored", ['{"after_s": "soon"}', '{"wait": "PT4H"}', "[]", "7"])
async def test_retry_that_cannot_be_read_is_as_if_the_program_had_none(
    stored: str, scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    request = await scoring.asked()
    call = call_for(request, window=None)
    await scoring.receive(call)
    await scoring.rows(
        "UPDATE contents SET document = jsonb_set(document, '{plan,3,retries}', $1::jsonb) RETURNING 1",
        f'{{"no_answer": {stored}, "voicemail": {{"after_s": 60}}}}',
    )
    assert await take(client)
    client.cookies.set("operator", "Anna")
    assert f"/desk/{call.task_id}/answer" in (await client.get(f"/desk/{call.task_id}")).text
    noted = (await report(client, call.task_id, "no_answer")).json()
    assert datetime.fromisoformat(noted["due_at"]) - scoring.clock.moment == timedelta(hours=3)
    assert (await scoring.invitation(request.invitation_id)).content.plan[3].retries == {}

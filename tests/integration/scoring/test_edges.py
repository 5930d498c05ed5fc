"""Edge cases of days, leases, secrets and comparisons."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from ipaddress import ip_network
from typing import Any

import httpx2
import pytest

from services.scoring.config import ScoringSettings
from services.scoring.domain.score import Definition
from services.scoring.domain.slices import Slice
from services.scoring.domain.stores.names import NO_STORES
from services.scoring.domain.webhooks import Endpoint, delivery_result, new_secret
from services.scoring.repository import webhooks
from services.scoring.repository.calling import call_queue
from services.scoring.repository.scores import counting
from shared.contract.events import ProgramPublished, SurveyWithdrawn
from tests.integration.scoring.api.test_score_api import get
from tests.integration.scoring.receiver import DELIVERIES, deliver, endpoint
from tests.integration.scoring.stand import NOW, Scoring, answer_all, call_for, named, on_desk, requested, take

WHOLE = Slice("after-purchase", date(2026, 1, 1), date(2026, 12, 31), stores=NO_STORES)


async def test_answer_counts_on_the_day_of_the_programs_zone(scoring: Scoring) -> None:
    document = {"title": "After delivery", "time_zone": "America/New_York"}
    await scoring.receive(ProgramPublished(program_id="after-purchase", program_version=1, document=document))
    request = await scoring.asked(time_zone="Asia/Tokyo")
    scoring.clock.moment = NOW.replace(hour=2)  # the 18th in Tokyo and in UTC, still the 17th in New York
    await scoring.score(request, 9)
    assert await scoring.rows("SELECT first_day FROM answers") == [{"first_day": date(2026, 11, 17)}]
    assert await scoring.rows("SELECT DISTINCT day FROM buckets") == [{"day": date(2026, 11, 17)}]


async def test_imported_answers_were_not_asked_for(scoring: Scoring) -> None:
    imported, own, _silent = [await scoring.asked() for _ in range(3)]
    for request in (imported, own):
        await scoring.score(request, 9)
    await scoring.rows("UPDATE answers SET mode = 'imported' WHERE invitation_id = $1", imported.invitation_id)
    async with scoring.database.sessions.begin() as session:
        found = await counting.invited(session, WHOLE, dimensions=["store", "channel"], period=None)
    assert found == {("Tverskaya", "shop", ""): (2, 1, 0)}


@pytest.mark.parametrize("suspect_is", [0, 1])
async def test_suspect_answer_hides_no_answer_of_the_same_customer(scoring: Scoring, suspect_is: int) -> None:
    requests = [await scoring.asked(customer_id="olga") for _ in range(2)]
    for request, score in zip(requests, (9, 10), strict=True):
        await scoring.score(request, score)
        scoring.clock.moment += timedelta(days=1)
    doubted = requests[suspect_is].invitation_id
    await scoring.rows("UPDATE answers SET suspect = true WHERE invitation_id = $1", doubted)
    latest = Slice(WHOLE.program, WHOLE.first, WHOLE.last, definition=Definition.LATEST_PER_CUSTOMER, stores=NO_STORES)
    async with scoring.database.sessions.begin() as session:
        found = await counting.tallies(session, latest, dimensions=[], period=None)
    (tally,) = found.values()
    assert (tally.n, tally.by_score[(10, 9)[suspect_is]]) == (1, 1)


async def test_lease_of_a_call_lasts_as_long_as_the_setting_says(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    await on_desk(scoring)
    assert await take(client)
    (row,) = await scoring.rows("SELECT lease_until - clock_timestamp() AS left FROM call_tasks")
    lease = ScoringSettings().desk_lease
    assert lease - timedelta(minutes=1) < row["left"] <= lease


async def test_call_of_a_withdrawn_survey_is_not_in_the_queue(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    """Dispatcher's withdrawal of the call arrives later, on another topic."""
    request = await scoring.asked()
    await scoring.receive(call_for(request))
    await scoring.receive(withdrawal(request))
    assert await take(client) is None
    async with scoring.database.sessions.begin() as session:
        due, counts = await call_queue.queue(session, named("Anna"), now=scoring.clock.now())
    assert (due, counts["due"]) == ([], 0)


def withdrawal(request: Any) -> SurveyWithdrawn:
    return SurveyWithdrawn(respondent_id=request.respondent_id, invitation_id=request.invitation_id, reason="cancelled")


async def test_withdrawal_waits_for_its_request_that_is_not_committed_yet(scoring: Scoring) -> None:
    request = requested()
    waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = 'advisory'"
    async with scoring.database.sessions.begin() as session:
        await scoring.handlers(session, scoring.events(request))
        withdrawing = asyncio.create_task(scoring.receive(withdrawal(request)))
        async with asyncio.timeout(10):
            while not (withdrawing.done() or await scoring.rows(waiting)):
                continue
    await withdrawing
    state = await scoring.rows("SELECT state FROM invitations WHERE id = $1", request.invitation_id)
    assert state == [{"state": "withdrawn"}]


async def test_what_moved_says_which_side_came_before(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    await answer_all(scoring, [2] * 30)
    scoring.clock.moment += timedelta(days=5)
    await answer_all(scoring, [10] * 30)
    found = await get(client, "/v1/nps/moves", **{"from": "2026-11-21", "to": "2026-11-25"})
    assert (found["before"]["nps"], found["after"]["nps"], found["difference"]["points"]) == (-100, 100, 200)
    assert (found["before_to"], found["from"]) == ("2026-11-20", "2026-11-21")


# --- webhooks


async def test_result_of_an_ended_lease_is_not_recorded_while_the_next_try_runs(scoring: Scoring) -> None:
    made = Endpoint(requested().invitation_id, "https://hooks.example.com/", ("survey.answered",), (new_secret(),))
    async with scoring.database.sessions.begin() as session:
        await webhooks.add(session, made)
    await scoring.score(await scoring.asked(), 9)
    tries = []
    for lease in (timedelta(), timedelta(minutes=1)):
        async with scoring.database.sessions.begin() as session:
            tries += await webhooks.claim(session, made.id, limit=8, lease=lease)
    for delivery, state in zip(tries, ("due", "delivered"), strict=True):
        async with scoring.database.sessions.begin() as session:
            await webhooks.record(session, made.id, [delivery_result(delivery, 204)], reason="")
        assert [row["state"] for row in await scoring.rows(DELIVERIES)] == [state]


async def test_rotated_secret_signs_for_a_day(scoring: Scoring) -> None:
    made = await endpoint(scoring, "https://hooks.example.com/")
    async with scoring.database.sessions.begin() as session:
        await webhooks.rotate(session, made.id, secret=new_secret())
    for hours_later, secrets in ((23, 2), (2, 1)):
        sooner = "UPDATE webhook_endpoints SET old_until = old_until - $1::interval"
        await scoring.rows(sooner, timedelta(hours=hours_later))
        async with scoring.database.sessions.begin() as session:
            loaded = await webhooks.load(session, made.id)
        assert loaded is not None
        assert (len(loaded.secrets), made.secrets[0] in loaded.secrets) == (secrets, secrets == 2)


async def test_configured_network_allows_no_plain_http_to_other_addresses(scoring: Scoring) -> None:
    async def resolve(_host: str, _port: int) -> list[str]:
        return ["93.184.216.34"]

    await endpoint(scoring, "http://public.example.com/")
    await scoring.score(await scoring.asked(), 9)
    await deliver(scoring, resolve=resolve, networks=(ip_network("10.0.0.0/8"),))
    refused = "plain http is only allowed to networks in EARSHOT_WEBHOOK_NETWORKS"
    assert await scoring.rows(DELIVERIES) == [{"state": "due", "tries": 1, "outcome": refused}]

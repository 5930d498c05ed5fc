"""The call desk while many calls wait: what it reads, and what it counts."""

from __future__ import annotations

from datetime import timedelta

import httpx2
import pytest

from services.scoring.repository.calling import call_queue
from tests.integration.scoring.stand import Scoring, call_for, named, on_desk, take

COPIES = """INSERT INTO call_tasks (task_id, invitation_id, respondent_id, phone, priority, max_attempts, due_at,
due_until, expires_at) SELECT gen_random_uuid(), invitation_id, respondent_id, phone, n % 5, 3,
due_at - n * interval '1 second', due_until, expires_at FROM call_tasks, generate_series(1, $1::int) n"""


async def waiting(scoring: Scoring, copies: int) -> None:
    request = await scoring.asked()
    await scoring.receive(call_for(request))
    await scoring.rows(COPIES, copies)
    await scoring.rows("ANALYZE call_tasks")


async def test_next_call_is_found_in_the_order_of_an_index(scoring: Scoring) -> None:
    await waiting(scoring, 5000)
    lease = timedelta(minutes=15)
    anna, now = named("Anna"), scoring.clock.now()
    rows = await scoring.rows(f"EXPLAIN {call_queue._NEXT}", now, anna.ids, lease, None, None, None, anna.name, [])
    read = "\n".join(row["QUERY PLAN"] for row in rows)
    assert "Index Scan using call_tasks_next" in read
    assert "Index Scan using call_tasks_holder" in read
    assert "Seq Scan on call_tasks" not in read


async def test_more_calls_than_are_counted_are_said_to_be_more(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    client.cookies.set("operator", "Anna")
    await waiting(scoring, call_queue.MOST_COUNTED - 1)
    assert "1000 due" in (await client.get("/desk")).text
    await scoring.rows(COPIES.replace("$1::int", "1"))
    assert "1000+ due" in (await client.get("/desk")).text
    await scoring.rows("UPDATE call_tasks SET due_at = due_at + interval '2 hours'")
    page = (await client.get("/desk")).text
    assert ("1000+ later" in page, "0 due" in page) == (True, True)


@pytest.mark.parametrize("chosen", [True, False])
async def test_own_call_comes_before_a_more_urgent_one_and_a_chosen_one_before_it(
    *, chosen: bool, scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    own = await on_desk(scoring)
    await take(client)
    urgent = await on_desk(scoring, priority=9)
    client.cookies.set("operator", "Anna")
    said = {"task_id": str(urgent)} if chosen else {}
    taken = await client.post("/desk/take", data=said)
    assert taken.headers["location"] == f"/desk/{urgent if chosen else own}"
    page = (await client.get("/desk")).text
    assert page.index(str(own)) > 0

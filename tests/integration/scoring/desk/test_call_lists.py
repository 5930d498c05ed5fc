"""Outside call centres: lists of calls for a key, what became of each, and a key that ends while calls are out."""

from __future__ import annotations

import asyncio
import csv
from dataclasses import dataclass
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import UUID

import httpx2
import pytest
from uuid_utils.compat import uuid7

from services.scoring.main import JOBS
from shared.contract.api_keys import KeyScope, NewKey, digest
from shared.contract.events import CallClosed, CallWithdrawn, ProgramRef, RespondentErased, RespondentOptedOut
from shared.database import api_keys
from tests.integration.scoring.desk.test_callbacks import complained
from tests.integration.scoring.stand import Scoring, call_for, on_desk, take

EXPIRED = "UPDATE call_lists SET expires_at = clock_timestamp() - interval '1 second'"
LEASES_OVER = "UPDATE call_tasks SET lease_until = clock_timestamp() - interval '1 second' WHERE leased_by IS NOT NULL"


@dataclass
class Centre:
    """An outside call centre with its key."""

    client: httpx2.AsyncClient
    key: UUID
    headers: dict[str, str]

    async def send(self, method: str, path: str, **body: Any) -> httpx2.Response:
        return await self.client.request(method, f"/v1/call-lists/{path}", headers=self.headers, json=body or None)

    async def order(self, calls: int = 10, list_id: UUID | None = None, **more: Any) -> dict[str, Any]:
        response = await self.send("PUT", str(list_id or uuid7()), calls=calls, **more)
        assert response.status_code == 200, response.text
        return dict(response.json())

    async def states(self, listed: dict[str, Any]) -> dict[str, str]:
        read = (await self.send("GET", listed["list_id"])).json()
        return {call["task_id"]: call["state"] for call in read["calls"]}

    async def report(self, listed: dict[str, Any], task_id: object, what: str, **body: Any) -> httpx2.Response:
        return await self.send("POST", f"{listed['list_id']}/calls/{task_id}/{what}", **body)

    async def rows(self, listed: dict[str, Any]) -> list[dict[str, str]]:
        text = (await self.send("GET", f"export?list_id={listed['list_id']}")).text
        return list(csv.DictReader(StringIO(text.removeprefix("\N{BYTE ORDER MARK}"))))


async def key_of(scoring: Scoring, name: str) -> tuple[UUID, str]:
    token = f"esk_s_{name}"
    key = NewKey(uuid7(), name, digest(token), frozenset({KeyScope.CALLS_WORK}), None)
    async with scoring.database.sessions.begin() as session:
        await api_keys.add(session, key)
    return key.id, token


async def opened(scoring: Scoring, client: httpx2.AsyncClient, name: str) -> Centre:
    key, token = await key_of(scoring, name)
    return Centre(client, key, {"authorization": f"Bearer {token}"})


@pytest.fixture
async def centre(scoring: Scoring, client: httpx2.AsyncClient) -> Centre:
    return await opened(scoring, client, "North Calls")


async def revoke(scoring: Scoring, centre: Centre) -> None:
    async with scoring.database.sessions.begin() as session:
        await api_keys.revoke(session, centre.key)


async def run_job(scoring: Scoring, name: str) -> int:
    async with scoring.database.sessions.begin() as session:
        return await JOBS[name][1](session, now=scoring.clock.now())


async def outcome_of(scoring: Scoring, task_id: object) -> str | None:
    [row] = await scoring.rows("SELECT outcome FROM call_tasks WHERE task_id = $1::text::uuid", str(task_id))
    return None if row["outcome"] is None else str(row["outcome"])


async def test_list_reserves_the_next_calls_and_comes_as_csv(
    scoring: Scoring, client: httpx2.AsyncClient, centre: Centre
) -> None:
    first, urgent, third = [await on_desk(scoring, priority=each) for each in (0, 5, 0)]
    given = await centre.order(2)
    assert [call["task_id"] for call in given["calls"]] == [str(urgent), str(first)]
    assert {"phone", "name", "script", "until", "try", "time_zone", "program"} <= given["calls"][0].keys()
    assert (await take(client) or {})["task_id"] == str(third)
    assert await take(client, "Boris") is None
    rows = await centre.rows(given)
    assert [row["task_id"] for row in rows] == [str(urgent), str(first)]
    assert (rows[0]["phone"], rows[0]["try"], rows[0]["max_attempts"]) == ("'+79161234567", "1", "3")


async def test_repeated_request_returns_the_same_list_and_reserves_nothing_more(
    scoring: Scoring, centre: Centre
) -> None:
    for _ in range(3):
        await on_desk(scoring)
    list_id = uuid7()
    given = await centre.order(1, list_id)
    assert await centre.order(1, list_id) == given
    assert len((await centre.order(5))["calls"]) == 2


async def test_many_lists_at_once_never_share_a_call(scoring: Scoring, centre: Centre) -> None:
    tasks = {str(await on_desk(scoring)) for _ in range(12)}
    lists = await asyncio.gather(*(centre.order(3) for _ in range(6)))
    given = [call["task_id"] for each in lists for call in each["calls"]]
    assert sorted(given) == sorted(tasks)


async def test_only_the_wanted_program_and_no_call_that_a_customer_asked_for_is_given(
    scoring: Scoring, client: httpx2.AsyncClient, centre: Centre
) -> None:
    await complained(scoring, client, callback="1")
    await on_desk(scoring)
    other = await scoring.asked(program=ProgramRef(id="bank", version=1, title="Bank"))
    call = call_for(other)
    await scoring.receive(call)
    assert [each["task_id"] for each in (await centre.order(program="bank"))["calls"]] == [str(call.task_id)]
    assert len((await centre.order())["calls"]) == 1
    assert (await take(client) or {})["kind"] == "callback"


@pytest.mark.parametrize("disposition", ["refused", "wrong_number", "do_not_call"])
async def test_final_outcome_counts_at_once(disposition: str, scoring: Scoring, centre: Centre) -> None:
    task_id = await on_desk(scoring)
    given = await centre.order()
    for _ in range(2):  # again after a reply that never arrived
        done = await centre.report(given, task_id, "outcome", disposition=disposition)
        assert (done.status_code, done.json()["outcome"]) == (200, disposition)
    closed = [each.payload for each in await scoring.published("call.closed")]
    assert [each.outcome for each in closed if isinstance(each, CallClosed)] == [disposition]
    assert await centre.states(given) == {str(task_id): "ended"}
    assert await centre.rows(given) == []


async def test_answer_is_stored_under_the_name_of_the_key_and_may_be_corrected(
    scoring: Scoring, centre: Centre
) -> None:
    task_id = await on_desk(scoring)
    given = await centre.order()
    for score, version in ((4, 1), (4, 1), (6, 2)):
        saved = await centre.report(given, task_id, "answer", score=score, reasons=["wait"], comment="Slow.")
        assert (saved.status_code, saved.json()["version"]) == (200, version), saved.text
    assert [row["operator"] for row in await scoring.versions("operator")] == ["North Calls"] * 2
    assert await centre.states(given) == {str(task_id): "ended"}


async def test_missed_call_goes_back_to_the_desk(scoring: Scoring, client: httpx2.AsyncClient, centre: Centre) -> None:
    task_id = await on_desk(scoring, window=None)
    given = await centre.order()
    missed = await centre.report(given, task_id, "outcome", disposition="busy")
    assert (missed.json()["open"], await centre.states(given)) == (True, {str(task_id): "returned"})
    scoring.clock.moment += timedelta(minutes=15)
    assert (await take(client) or {})["task_id"] == str(task_id)


async def test_list_says_who_answered_meanwhile_and_their_own_answer_stands(scoring: Scoring, centre: Centre) -> None:
    request = await scoring.asked()
    call = call_for(request)
    await scoring.receive(call)
    waiting = await on_desk(scoring)
    given = await centre.order()
    await scoring.score(request, 9)
    assert await centre.states(given) == {str(call.task_id): "answered", str(waiting): "to_call"}
    assert [row["task_id"] for row in await centre.rows(given)] == [str(waiting)]
    refused = await centre.report(given, call.task_id, "answer", score=2)
    assert (refused.status_code, refused.json()["title"]) == (409, "The customer has answered")
    gone = CallWithdrawn(
        respondent_id=call.respondent_id, invitation_id=call.invitation_id, task_id=call.task_id, reason="answered"
    )
    await scoring.receive(gone)
    assert (await centre.states(given))[str(call.task_id)] == "answered"
    assert [row["score"] for row in await scoring.versions("score")] == [9]


async def test_call_of_somebody_who_answered_is_not_given_out(scoring: Scoring, centre: Centre) -> None:
    request = await scoring.asked()
    await scoring.receive(call_for(request))
    await scoring.score(request, 9)
    assert (await centre.order())["calls"] == []


async def test_expired_list_is_no_longer_read_and_its_calls_are_free(
    scoring: Scoring, client: httpx2.AsyncClient, centre: Centre
) -> None:
    answered, taken = await on_desk(scoring, priority=1), await on_desk(scoring)
    given = await centre.order()
    await scoring.rows(EXPIRED)
    await scoring.rows(LEASES_OVER)
    assert (await centre.send("GET", f"export?list_id={given['list_id']}")).status_code == 410
    assert set((await centre.states(given)).values()) == {"returned"}
    late = await centre.report(given, answered, "answer", score=8)
    assert late.status_code == 200, "which nobody else took"
    assert (await take(client) or {})["task_id"] == str(taken)
    assert (await centre.report(given, taken, "answer", score=8)).status_code == 409
    assert (await centre.report(given, taken, "outcome", disposition="no_answer")).status_code == 409


@pytest.mark.parametrize("disposition", ["wrong_number", "do_not_call"])
async def test_who_must_not_be_called_is_taken_from_an_expired_list_though_another_has_the_call(
    disposition: str, scoring: Scoring, client: httpx2.AsyncClient, centre: Centre
) -> None:
    task_id = await on_desk(scoring)
    given = await centre.order()
    await scoring.rows(EXPIRED)
    await scoring.rows(LEASES_OVER)
    assert await take(client)
    assert (await centre.report(given, task_id, "outcome", disposition=disposition)).json()["outcome"] == disposition
    assert await outcome_of(scoring, task_id) == disposition


async def test_do_not_call_is_taken_after_the_call_has_ended(scoring: Scoring, centre: Centre) -> None:
    request = await scoring.asked()
    call = call_for(request)
    await scoring.receive(call)
    given = await centre.order()
    gone = CallWithdrawn(
        respondent_id=call.respondent_id, invitation_id=call.invitation_id, task_id=call.task_id, reason="expired"
    )
    await scoring.receive(gone)
    assert (await centre.report(given, call.task_id, "outcome", disposition="do_not_call")).status_code == 200
    assert (await centre.report(given, call.task_id, "outcome", disposition="wrong_number")).status_code == 409
    [no_more] = [each.payload for each in await scoring.published("respondent.opted_out")]
    assert isinstance(no_more, RespondentOptedOut)
    assert (no_more.respondent_id, no_more.channel) == (request.respondent_id, "call")


async def test_erased_customer_is_not_called_and_no_report_fails(scoring: Scoring, centre: Centre) -> None:
    request = await scoring.asked()
    call = call_for(request)
    await scoring.receive(call)
    given = await centre.order()
    erased = RespondentErased(respondent_id=request.respondent_id, pseudonym="p-1", at=scoring.clock.now())
    await scoring.receive(erased)
    assert await centre.rows(given) == []
    late = await centre.report(given, call.task_id, "outcome", disposition="do_not_call")
    assert late.status_code == 409


async def test_revoked_key_stops_at_once_and_leaves_no_call_stuck(
    scoring: Scoring, client: httpx2.AsyncClient, centre: Centre
) -> None:
    tasks = [await on_desk(scoring) for _ in range(3)]
    other = await opened(scoring, client, "South Calls")
    kept = await other.order(1)
    given = await centre.order()
    done = given["calls"][0]["task_id"]
    await centre.report(given, done, "answer", score=9)
    await revoke(scoring, centre)  # while requests still find it in the memory of keys
    for method, path, body in (
        ("PUT", str(uuid7()), {"calls": 1}),
        ("GET", given["list_id"], {}),
        ("GET", f"export?list_id={given['list_id']}", {}),
        ("DELETE", given["list_id"], {}),
        ("POST", f"{given['list_id']}/calls/{tasks[2]}/answer", {"score": 9}),
        ("POST", f"{given['list_id']}/calls/{tasks[2]}/outcome", {"disposition": "refused"}),
    ):
        refused = await centre.send(method, path, **body)
        assert (refused.status_code, refused.json()["title"]) == (401, "This key is not valid"), path
    assert await take(client) is None
    assert await run_job(scoring, "call lists") == 1
    assert await run_job(scoring, "call lists") == 0
    free = (await take(client) or {})["task_id"]
    assert {free, done, kept["calls"][0]["task_id"]} == set(map(str, tasks))
    assert await outcome_of(scoring, done) == "answered"
    assert set((await other.states(kept)).values()) == {"to_call"}


async def test_revocation_waits_for_a_list_that_is_being_made(scoring: Scoring, centre: Centre) -> None:
    """Otherwise a list made at the same moment would be reserved for a key that nobody may use."""
    tasks = [await on_desk(scoring) for _ in range(4)]
    await asyncio.gather(*(centre.send("PUT", str(uuid7()), calls=1) for _ in range(6)), revoke(scoring, centre))
    await run_job(scoring, "call lists")
    held = await scoring.rows("SELECT task_id FROM call_tasks WHERE lease_until IS NOT NULL")
    assert (held, len(tasks)) == ([], 4)


async def test_list_is_given_back(scoring: Scoring, client: httpx2.AsyncClient, centre: Centre) -> None:
    task_id = await on_desk(scoring)
    given = await centre.order()
    assert await take(client) is None
    for _ in range(2):
        assert (await centre.send("DELETE", given["list_id"])).status_code == 204
    assert await centre.states(given) == {str(task_id): "returned"}
    assert (await take(client) or {})["task_id"] == str(task_id)


async def test_other_keys_and_people_do_not_reach_a_list(
    scoring: Scoring, client: httpx2.AsyncClient, centre: Centre
) -> None:
    task_id = await on_desk(scoring)
    given = await centre.order()
    other = await opened(scoring, client, "South Calls")
    path = f"{given['list_id']}/calls/{task_id}/outcome"
    assert (await other.send("GET", given["list_id"])).status_code == 404
    assert (await other.send("POST", path, disposition="refused")).status_code == 404
    assert (await other.send("PUT", given["list_id"], calls=1)).status_code == 409
    assert (await client.get(f"/v1/call-lists/{given['list_id']}")).status_code == 404
    assert (await client.get("/v1/nps", headers=centre.headers, auth=httpx2.Auth())).status_code == 403
    elsewhere = await centre.report(given, uuid7(), "outcome", disposition="refused")
    assert elsewhere.status_code == 404


async def test_supervisor_takes_a_list_for_a_centre_without_a_key(
    scoring: Scoring, client: httpx2.AsyncClient, centre: Centre
) -> None:
    task_id = await on_desk(scoring)
    by_hand = Centre(client, centre.key, {})
    given = await by_hand.order()
    assert [row["task_id"] for row in await by_hand.rows(given)] == [str(task_id)]
    assert (await centre.send("GET", given["list_id"])).status_code == 404
    assert await run_job(scoring, "call lists") == 0
    assert (await by_hand.report(given, task_id, "answer", score=10)).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"calls": 0},
        {"calls": 1001},
        {"calls": "1"},
        {"calls": 1, "hours": 0},
        {"calls": 1, "hours": 73},
        {"calls": 1, "program": ""},
        {"calls": 1, "operator": "Anna"},
    ],
)
async def test_bad_order_reserves_nothing(body: dict[str, Any], scoring: Scoring, centre: Centre) -> None:
    await on_desk(scoring)
    assert (await centre.send("PUT", str(uuid7()), **body)).status_code == 422
    assert await scoring.rows("SELECT 1 FROM call_tasks WHERE lease_until IS NOT NULL") == []


async def test_cells_of_the_csv_are_no_formulas(scoring: Scoring, centre: Centre) -> None:
    await on_desk(scoring, name="=cmd|' /C calc'!A0", summary="Order, the first\nof two")
    [row] = await centre.rows(await centre.order())
    assert (row["name"], row["summary"]) == ("'=cmd|' /C calc'!A0", "Order, the first\nof two")


async def test_old_lists_are_deleted(scoring: Scoring, centre: Centre) -> None:
    await on_desk(scoring)
    given = await centre.order()
    await scoring.rows("UPDATE call_lists SET expires_at = clock_timestamp() - interval '29 days'")
    assert await run_job(scoring, "old call lists") == 0
    await scoring.rows("UPDATE call_lists SET expires_at = clock_timestamp() - interval '31 days'")
    assert await run_job(scoring, "old call lists") == 1
    assert await scoring.rows("SELECT 1 FROM listed_calls") == []
    assert (await centre.send("GET", given["list_id"])).status_code == 404


async def test_reading_phones_of_a_list_is_in_the_audit_log(scoring: Scoring, centre: Centre) -> None:
    await on_desk(scoring)
    given = await centre.order()
    await centre.rows(given)
    said = await scoring.rows("SELECT action, actor FROM audit_log WHERE stage = 'asked' ORDER BY number")
    assert [(row["action"], row["actor"]) for row in said] == [
        ("PUT /v1/call-lists/{list_id}", str(centre.key)),
        ("GET /v1/call-lists/export", str(centre.key)),
    ]

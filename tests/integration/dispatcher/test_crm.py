"""Calls as tasks in Bitrix24: created once, read again, closed when the call is over."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest
from starlette.responses import JSONResponse, Response

from services.dispatcher import main
from services.dispatcher.config import DispatcherSettings
from services.dispatcher.jobs.bitrix24 import Bitrix24
from services.dispatcher.jobs.crm_tasks import CrmTasks
from shared.contract.events import SurveyRequested
from shared.contract.vocabulary import ChannelKind
from shared.web.http_client import HttpClient
from tests.fakes import Gateway, gateway
from tests.integration.dispatcher.conftest import Chain, answered, counted, plan, request

LIMIT = JSONResponse({"error": "QUERY_LIMIT_EXCEEDED", "error_description": "Too many requests"}, 503)


@dataclass
class Portal:
    """A fake Bitrix24 with its tasks; with `swallow` it carries out requests and sends unreadable replies."""

    server: Gateway
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    swallow: bool = False
    limited: bool = False
    empty: dict[str, Any] | None = None  # a reply of 200 that says nothing

    def answer(self, _fields: dict[str, str]) -> Response:
        if self.limited:
            return LIMIT
        if self.empty is not None:
            return JSONResponse(self.empty)
        method, body = self.server.paths[-1].rpartition("/")[2], json.loads(self.server.bodies[-1])
        reply = self._act(method, body)
        return Response("<html>", 502) if self.swallow else reply

    def _act(self, method: str, body: dict[str, Any]) -> Response:
        if method == "tasks.task.add":
            number = str(len(self.tasks) + 1)
            self.tasks[number] = {"id": number, "status": "2", **body["fields"]}
            return JSONResponse({"result": {"task": self.tasks[number]}})
        if method == "tasks.task.list":
            found = [task for task in self.tasks.values() if task["TITLE"] == body["filter"]["TITLE"]]
            return JSONResponse({"result": {"tasks": found}})
        task = self.tasks.get(str(body["taskId"]))
        if task is None:
            return JSONResponse({"error": "0", "error_description": "Task not found or not accessible"}, 400)
        if method == "tasks.task.complete":
            task["status"] = "5"
        return JSONResponse({"result": {"task": task}})

    def asked(self, method: str) -> int:
        return sum(path.endswith(method) for path in self.server.paths)


@pytest.fixture
async def portal() -> AsyncIterator[Portal]:
    async with gateway() as server:
        fake = Portal(server)
        server.answer = fake.answer
        yield fake


@pytest.fixture
async def crm(chain: Chain, portal: Portal) -> AsyncIterator[CrmTasks]:
    http = HttpClient(f"{portal.server.url}/rest/1/code/")
    yield CrmTasks(chain.database.sessions, chain.clock, Bitrix24(http, responsible=7), "https://nps.example.com/desk")
    await http.close()


async def called(chain: Chain, **changes: Any) -> SurveyRequested:
    asked = request(**{"plan": plan((ChannelKind.CALL, 0)), **changes})
    await chain.take(asked)
    await chain.tick()
    return asked


async def due_again(chain: Chain) -> None:
    await chain.rows("UPDATE crm_tasks SET look_at = clock_timestamp() WHERE look_at IS NOT NULL RETURNING 1")


async def test_call_becomes_one_task_with_script_phone_number_and_link(
    chain: Chain, portal: Portal, crm: CrmTasks
) -> None:
    asked = await called(chain)
    for _ in range(3):
        await crm()
    (task,) = portal.tasks.values()
    (call,) = await chain.published("call.requested")
    assert task["TITLE"].startswith("Kofe Point: ask Anna Petrova one question · ")
    assert task["RESPONSIBLE_ID"] == 7
    assert task["DEADLINE"] == asked.expires_at.isoformat()
    for part in (asked.question, "+15550001", f"https://nps.example.com/desk/{call.task_id}", "order 48213"):
        assert part in task["DESCRIPTION"]
    assert portal.server.paths == ["POST /rest/1/code/tasks.task.add"]


async def test_task_whose_reply_was_lost_is_found_and_not_created_again(
    chain: Chain, portal: Portal, crm: CrmTasks
) -> None:
    await called(chain)
    portal.swallow = True
    await crm()
    portal.swallow = False
    await due_again(chain)
    await crm()
    assert (portal.asked("task.add"), len(portal.tasks)) == (1, 1)
    assert await chain.rows("SELECT number FROM crm_tasks") == [{"number": "1"}]


@pytest.mark.parametrize("empty", [{}, {"error": "expired_token"}, {"result": None}, {"result": False}])
async def test_reply_of_200_without_a_result_is_no_success(
    chain: Chain, portal: Portal, crm: CrmTasks, empty: dict[str, Any]
) -> None:
    asked = await called(chain)
    portal.swallow = True
    await crm()
    portal.swallow, portal.empty = False, empty
    await due_again(chain)
    await crm()
    assert await chain.rows("SELECT number FROM crm_tasks") == [{"number": None}]
    portal.empty = None
    await due_again(chain)
    await crm()
    assert (portal.asked("task.add"), len(portal.tasks)) == (1, 1)
    portal.empty = empty
    await due_again(chain)
    await crm()
    assert await chain.outcome(asked.invitation_id) is None


async def test_task_is_tried_again_after_the_rate_limit(chain: Chain, portal: Portal, crm: CrmTasks) -> None:
    await called(chain, respondent="r1")
    await called(chain, respondent="r2")
    portal.limited = True
    await crm()
    assert len(portal.server.paths) == 1  # no more is asked of it now
    waits = await chain.rows("SELECT look_at > clock_timestamp() + interval '20 seconds' AS later FROM crm_tasks")
    assert [row["later"] for row in waits] == [True, True]
    portal.limited = False
    await due_again(chain)
    await crm()
    assert len(portal.tasks) == 2


async def test_task_completed_without_an_answer_exhausts_the_chain(chain: Chain, portal: Portal, crm: CrmTasks) -> None:
    asked = await called(chain)
    await crm()
    portal.tasks["1"]["status"] = "5"
    await due_again(chain)
    await crm()
    assert await chain.outcome(asked.invitation_id) == "exhausted"
    assert [each.reason for each in await chain.published("call.withdrawn")] == ["done_in_crm"]
    await chain.take(answered(asked))
    assert await chain.outcome(asked.invitation_id) == "answered"


async def test_task_in_progress_ends_nothing(chain: Chain, portal: Portal, crm: CrmTasks) -> None:
    asked = await called(chain)
    await crm()
    portal.tasks["1"]["status"] = "3"
    await due_again(chain)
    await crm()
    assert await chain.outcome(asked.invitation_id) is None


async def test_answer_closes_the_task(chain: Chain, portal: Portal, crm: CrmTasks) -> None:
    asked = await called(chain)
    await crm()
    await chain.take(answered(asked))
    for _ in range(2):
        await crm()
    assert portal.tasks["1"]["status"] == "5"
    assert portal.asked("task.complete") == 1


async def test_call_that_is_over_before_its_task_was_created_leaves_none(
    chain: Chain, portal: Portal, crm: CrmTasks
) -> None:
    asked = await called(chain)
    portal.limited = True
    await crm()
    portal.limited = False
    await chain.take(answered(asked))
    await due_again(chain)
    await crm()
    assert portal.tasks == {}


async def test_deleted_task_is_finished(chain: Chain, portal: Portal, crm: CrmTasks) -> None:
    asked = await called(chain)
    await crm()
    portal.tasks.clear()
    for _ in range(2):
        await due_again(chain)
        await crm()
    assert portal.asked("task.get") == 1
    assert await chain.outcome(asked.invitation_id) is None  # the desk still has it


async def test_callback_makes_the_task_due_again(chain: Chain, portal: Portal, crm: CrmTasks) -> None:
    asked = await called(chain)
    await crm()
    portal.tasks["1"]["status"] = "5"
    settings = DispatcherSettings(_env_file=None, bitrix24_token="token")
    app = main.build_app(settings, chain.database, chain.clock)
    form = {"event": "ONTASKUPDATE", "data[FIELDS_AFTER][ID]": "1", "auth[application_token]": "guess"}
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://inside") as hook:
        assert (await hook.post("/hooks/bitrix24", data=form)).status_code == 403
        await crm()
        assert await chain.outcome(asked.invitation_id) is None
        form["auth[application_token]"] = "token"
        for _ in range(2):
            assert (await hook.post("/hooks/bitrix24", data=form)).status_code == 204
    await crm()
    assert await chain.outcome(asked.invitation_id) == "exhausted"


async def test_call_whose_stored_request_cannot_be_read_stops_no_other_task(
    chain: Chain, portal: Portal, crm: CrmTasks
) -> None:
    bad, good = await called(chain, respondent="r1"), await called(chain, respondent="r2")
    await chain.rows("UPDATE invitations SET request = '{}' WHERE id = $1 RETURNING 1", bad.invitation_id)
    before = counted("crm_task")
    await crm()
    await due_again(chain)
    await crm()
    assert [task["TITLE"].partition(" · ")[2] != "" for task in portal.tasks.values()] == [True]
    rows = await chain.rows("SELECT invitation_id, finished_at IS NULL AS open FROM crm_tasks")
    assert {row["invitation_id"]: row["open"] for row in rows} == {bad.invitation_id: False, good.invitation_id: True}
    assert counted("crm_task") == before + 1

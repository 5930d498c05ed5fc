"""The staff gate, bounds, headers and problem details every app has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx2
import pytest
from fastapi import Body, FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from opentelemetry import trace
from sqlalchemy.exc import DBAPIError

from shared.contract.vocabulary import Service
from shared.health import Health, NotReady
from shared.web import app as web_app
from shared.web import problems
from shared.web.app import PlainRoute, create_app
from shared.web.staff import gate
from tests.staff import ACCESS, STAFF


def app_with(*, health: Health | None = None) -> FastAPI:
    async def plain(_request: Request) -> Response:
        return Response()

    app = create_app(
        Service.DISPATCHER,
        health=health or Health(),
        plain=[PlainRoute("/u/plain/{link}", plain, methods=["GET"])],
        access=ACCESS,
        max_body=1000,
    )

    @app.get("/u/page")
    @app.get("/uly")
    @app.get("/staff")
    @app.post("/staff")
    async def page() -> str:
        return "here"

    @app.post("/u/count")
    async def count(number: int = Body(embed=True)) -> int:
        return number

    @app.get("/u/hangs")
    async def hangs() -> None:
        await asyncio.Event().wait()

    @app.get("/u/stream")
    async def stream() -> StreamingResponse:
        async def slow() -> AsyncIterator[str]:
            yield "begun"
            await asyncio.sleep(0.1)
            yield ", done"

        return StreamingResponse(slow())

    @app.get("/u/broken/{kind}")
    async def broken(kind: str) -> None:
        raise {
            "bug": RuntimeError("olga@example.com"),
            "database": DBAPIError("SELECT", None, asyncpg.ConnectionDoesNotExistError("gone")),
            "unstorable": asyncpg.CharacterNotInRepertoireError("0x00"),
            "problem": problems.Conflict("Taken", "Choose another one."),
        }[kind]

    return app


def client(app: FastAPI, *, auth: httpx2.Auth | None = STAFF) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(app, client=("127.0.0.1", 5000), raise_app_exceptions=False)
    return httpx2.AsyncClient(auth=auth, transport=transport, base_url="http://127.0.0.1:8001")


@pytest.fixture
async def local() -> AsyncIterator[httpx2.AsyncClient]:
    async with client(app_with()) as made:
        yield made


async def test_staff_paths_and_those_of_the_application_itself_need_a_ticket() -> None:
    async with client(app_with(), auth=None) as stranger:
        for path in ("/staff", "/uly", "/metrics", "/docs", "/openapi.json"):
            assert (path, (await stranger.get(path)).status_code) == (path, 401)
        for path in ("/u/page", "/healthz"):
            assert (path, (await stranger.get(path)).status_code) == (path, 200)


@pytest.mark.parametrize("headers", [{"sec-fetch-site": "cross-site"}, {"origin": "http://evil.example"}])
async def test_form_of_another_site_changes_nothing(local: httpx2.AsyncClient, headers: dict[str, str]) -> None:
    assert (await local.post("/staff", headers=headers)).status_code == 403
    assert (await local.post("/staff", headers={"origin": "http://127.0.0.1:8001"})).status_code == 200


async def test_body_over_the_limit_is_refused_announced_or_not(local: httpx2.AsyncClient) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 100

    announced = await local.post("/u/count", content=b"x" * 1001)
    streamed = await local.post("/u/count", content=pieces(), headers={"content-type": "application/json"})
    assert (announced.status_code, streamed.status_code) == (413, 413)


@pytest.mark.parametrize(("header", "pieces_read"), [({}, 20), ({"expect": "100-continue"}, 0)])
async def test_refused_body_is_read_first_unless_the_client_waits_to_send_it(
    local: httpx2.AsyncClient, header: dict[str, str], pieces_read: int
) -> None:
    sent = []

    async def pieces() -> AsyncIterator[bytes]:
        for number in range(20):
            sent.append(number)
            yield b" " * 100_000

    headers = {"content-length": "2000000", **header}
    refused = await local.post("/open/echo", content=pieces(), headers=headers)
    assert (refused.status_code, len(sent)) == (413, pieces_read)


async def test_errors_are_problem_details_and_quote_nothing(local: httpx2.AsyncClient) -> None:
    answers = {kind: await local.get(f"/u/broken/{kind}") for kind in ("bug", "database", "unstorable", "problem")}
    assert {kind: answer.status_code for kind, answer in answers.items()} == {
        "bug": 500,
        "database": 503,
        "unstorable": 422,
        "problem": 409,
    }
    assert all(answer.headers["content-type"] == "application/problem+json" for answer in answers.values())
    assert "olga" not in answers["bug"].text
    assert answers["database"].headers["retry-after"] == "5"
    assert answers["problem"].json() == {
        "type": "about:blank",
        "title": "Taken",
        "status": 409,
        "detail": "Choose another one.",
    }


async def test_wrong_input_names_the_place_and_not_the_value(local: httpx2.AsyncClient) -> None:
    answer = await local.post("/u/count", json={"number": "olga@example.com"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["where"] == "body.number"
    assert "olga" not in answer.text


async def test_nul_in_an_address_is_refused(local: httpx2.AsyncClient) -> None:
    assert (await local.get("/u/page?x=%00")).status_code == 400
    assert (await local.get("/u/broken/%00")).status_code == 400


async def test_every_answer_carries_security_headers(local: httpx2.AsyncClient) -> None:
    for path in ("/u/page", "/nowhere", "/u/broken/bug"):
        headers = (await local.get(path)).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-content-type-options"] == "nosniff"


async def test_docs_load_nothing_from_outside(local: httpx2.AsyncClient) -> None:
    page = await local.get("/docs")
    assert page.status_code == 200
    assert "http://" not in page.text
    assert "https://" not in page.text


async def test_readiness_tells_of_an_outage() -> None:
    async def broken() -> None:
        raise OSError

    async def away() -> None:
        raise NotReady("does not commit")

    health = Health()
    health.for_service("trigger").require("database", away)
    health.require("event log", broken)
    async with client(app_with(health=health)) as local:
        told = await local.get("/readyz")
        assert (told.status_code, told.json()["problems"]) == (
            503,
            {"trigger.database": "does not commit", "event log": "OSError"},
        )
        assert [(await local.get(path)).status_code for path in ("/healthz", "/livez")] == [200, 200]


async def test_loop_that_stands_still_is_named() -> None:
    health = Health()
    health.for_service("dispatcher").heartbeat("relay", silent_s=-1)
    health.heartbeat("consumer").beat(rest_s=3600)
    async with client(app_with(health=health)) as local:
        alive, ready = await local.get("/livez"), await local.get("/readyz")
        assert (alive.status_code, alive.json()["loops"]) == (503, ["dispatcher.relay"])
        assert (ready.status_code, ready.json()["problems"]) == (503, {"dispatcher.relay": "is stuck"})
        assert (await local.get("/healthz")).status_code == 200


async def test_answer_that_does_not_begin_in_time_is_try_again(
    local: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_app, "ANSWER_S", 0.05)
    told = await local.get("/u/hangs")
    assert (told.status_code, told.headers["retry-after"]) == (503, "5")
    assert (await local.get("/u/stream")).text == "begun, done"


async def test_slow_body_does_not_count_as_time_to_answer(
    local: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_app, "ANSWER_S", 0.05)

    async def slow() -> AsyncIterator[bytes]:
        for piece in (b'{"num', b'ber":', b" 1}"):
            yield piece
            await asyncio.sleep(0.1)

    sent = await local.post("/u/count", content=slow(), headers={"content-type": "application/json"})
    assert (sent.status_code, sent.text) == (200, "1")


async def test_metrics_count_by_route_and_service(local: httpx2.AsyncClient) -> None:
    await local.get("/u/broken/problem")
    text = (await local.get("/metrics")).text
    assert 'route="/u/broken/{kind}",service="dispatcher",status="409"' in text


async def test_outside_listener_serves_public_paths_only() -> None:
    inside = app_with()
    transport = httpx2.ASGITransport(gate.PublicOnly(inside, service=Service.DISPATCHER), client=("127.0.0.1", 1))
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as outside:
        assert (await outside.get("/u/page")).status_code == 200
        assert (await outside.get("/staff")).status_code == 404


async def test_requests_are_measured_by_route_and_never_by_path(local: httpx2.AsyncClient) -> None:
    for path in ("/u/broken/bug", "/u/page/", "/u/plain/a-token", "/static/nothing", "/nowhere/a-token"):
        await local.get(path)
    measured = [line for line in (await local.get("/metrics")).text.splitlines() if "http_seconds_count" in line]
    assert {line.split('route="')[1].split('"')[0] for line in measured} >= {
        "/u/broken/{kind}",
        "/u/plain/{link}",
        "/static/{name}",
        "none",
    }
    assert not any("a-token" in line for line in measured)


async def test_no_trace_names_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    named: list[str] = []

    class Tracer(trace.NoOpTracer):
        def start_span(self, name: str, *args: Any, **options: Any) -> trace.Span:
            named.append(name)
            return super().start_span(name, *args, **options)

    class Provider(trace.TracerProvider):
        def get_tracer(self, *_args: Any, **_options: Any) -> trace.Tracer:
            return Tracer()

    monkeypatch.setattr(
        trace, "get_tracer_provider", Provider
    )  # as when a process is started with OpenTelemetry's agent
    async with client(app_with()) as asking:
        await asking.get("/u/page")
        await asking.get("/u/plain/a-token")
    assert named == []

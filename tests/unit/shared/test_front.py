"""The front of one address: each request reaches the app of its service, as it came."""

from __future__ import annotations

import httpx2
from fastapi import FastAPI, Request

from shared.contract.vocabulary import Service
from shared.web.front import Front


def app_of(service: Service) -> FastAPI:
    app = FastAPI(title=service)

    @app.api_route("/{path:path}", methods=["GET", "POST"])
    async def answer(path: str, request: Request) -> list[str]:
        return [service, request.method, path, request.url.query, (await request.body()).decode()]

    return app


def client(front: Front) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(front), base_url="http://127.0.0.1:8000")


async def test_request_reaches_the_app_of_its_service_unchanged() -> None:
    front = Front()
    for service in Service:
        front.add(service, app_of(service))
    async with client(front) as web:
        posted = await web.post("/v1/events?a=1", content=b"body")
        assert posted.json() == ["trigger", "POST", "v1/events", "a=1", "body"]
        assert (await web.get("/u/token")).json() == ["dispatcher", "GET", "u/token", "", ""]
        assert (await web.get("/")).json() == ["scoring", "GET", "", "", ""]
        assert (await web.get("/unknown")).json()[0] == "scoring"


async def test_path_of_a_service_that_has_not_started_is_answered_with_try_again() -> None:
    front = Front()
    front.add(Service.SCORING, app_of(Service.SCORING))
    async with client(front) as web:
        waiting = await web.get("/mailbox")
        assert (waiting.status_code, waiting.headers["retry-after"]) == (503, "1")
        assert waiting.json()["detail"] == "dispatcher has not started yet."
        front.add(Service.DISPATCHER, app_of(Service.DISPATCHER))
        assert (await web.get("/mailbox")).json()[0] == "dispatcher"

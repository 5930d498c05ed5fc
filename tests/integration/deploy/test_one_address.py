"""All services in one process: everything is at one address, and each port still answers for its own service."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest

from shared.web.routes import TABLE
from tests.integration.deploy.kept_files import KEPT, policies_of_files
from tests.integration.deploy.processes import Earshot, earshot
from tests.journey.stage import purchase
from tests.staff import NOBODY, PROCESS_STAFF

TOKEN = "A" * 22


@pytest.fixture
async def running(urls: Mapping[str, str], tmp_path: Path) -> AsyncIterator[Earshot]:
    async with earshot(urls, tmp_path) as process:
        await process.until_ready()
        yield process


async def test_every_page_and_api_is_at_one_address(running: Earshot) -> None:
    pages = [prefix.path for prefix in TABLE if prefix.label]
    for path in (*pages, "/docs", "/metrics", "/healthz", "/livez", "/readyz", "/static/earshot.css", "/v1/programs"):
        assert (path, await running.status(path)) == (path, 200)
    sent = await running.web.post(running.addresses["scoring"] + "/v1/events", json=purchase(at=datetime.now(UTC)))
    assert (sent.status_code, sent.json()["reason"]) == (202, "asked")
    for service, path in (("scoring", "/"), ("trigger", "/decisions"), ("dispatcher", "/mailbox")):
        assert await running.status(path, service=service) == 200
    assert await running.status("/mailbox", service="trigger") == 404
    for path in pages:
        assert (path, await policies_of_files(running.web, running.addresses["scoring"] + path)) == (path, KEPT)


async def test_docs_are_one_page_of_all_apis_at_the_one_address_and_each_services_own_at_its_port(
    running: Earshot,
) -> None:
    documents = {
        service: (await running.web.get(f"{address}/openapi.json")).json()
        for service, address in running.addresses.items()
    }
    paths = {service: set(document["paths"]) for service, document in documents.items()}
    assert {"/v1/events", "/v1/nps", "/v1/links", "/readyz"} <= paths["scoring"]
    assert paths["trigger"] | paths["dispatcher"] <= paths["scoring"]
    assert not paths["trigger"] & {"/v1/nps", "/v1/links"}
    schemas = documents["scoring"]["components"]["schemas"]
    described = json.dumps(documents["scoring"])
    referred = {part.split('"')[0] for part in described.split('"#/components/schemas/')[1:]}
    assert referred <= set(schemas)
    operations = [each for path in documents["scoring"]["paths"].values() for each in path.values()]
    assert len({each["operationId"] for each in operations}) == len(operations)
    titles = [(await running.web.get(f"{address}/docs")).text for address in running.addresses.values()]
    assert ["<title>Earshot API</title>" in page for page in titles] == [True, False, False]


async def test_odd_request_reaches_the_service_of_its_path_or_a_clear_error(running: Earshot) -> None:
    """Sent as it stands: a client library would clean the path."""
    expected = {
        f"HEAD /u/{TOKEN}": 404,
        f"HEAD /s/{TOKEN}.1": 404,
        "GET /v1": 404,
        "GET /v1/": 404,
        "GET //v1/events": 404,
        "GET /unknown": 404,
        "GET /mailbox/": 307,
        f"GET /u%2F{TOKEN}": 404,
        "GET /%75/service": 200,
        "GET /v1/events/service": 200,
        "DELETE /v1/events": 405,
        "OPTIONS /v1/nps": 405,
        "GET /s/../desk": 404,
        "GET *": 404,
    }
    assert {request: (await raw(running, *request.split()))[0] for request in expected} == expected


async def test_websocket_gets_a_clear_answer(running: Earshot) -> None:
    upgrade = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AA==")
    assert [(await raw(running, "GET", path, *upgrade))[0] for path in ("/live", "/v1/events")] == [200, 405]


async def test_nobody_reaches_a_page_for_staff_without_a_ticket_from_this_machine_neither(running: Earshot) -> None:
    for path in (*(prefix.path for prefix in TABLE if prefix.label), "/docs", "/v1/programs", "/v1/links", "/unknown"):
        for headers in ((), ("X-Forwarded-For: 203.0.113.9",)):
            assert (path, (await raw(running, "GET", path, *headers, staff=False))[0]) == (path, 401)
    for path in ("/s/service", "/u/service", "/hooks/service", "/v1/hooks/service", "/login"):
        assert (path, (await raw(running, "GET", path, staff=False))[0]) == (path, 200)


async def test_server_sent_events_come_at_once(running: Earshot) -> None:
    async with running.web.stream("GET", running.addresses["scoring"] + "/live") as stream, asyncio.timeout(20):
        assert (await anext(stream.aiter_lines())).startswith("event: ")


async def test_public_listener_at_the_one_port_serves_the_public_paths_of_all_services(
    urls: Mapping[str, str], tmp_path: Path
) -> None:
    async with earshot(urls, tmp_path, public_host="127.0.0.2") as running:
        await running.until_ready()
        outside = running.addresses["scoring"].replace("127.0.0.1", "127.0.0.2")
        seen = {path: (await running.web.get(outside + path)).status_code for path in ("/u/service", "/s/service")}
        assert seen == {"/u/service": 200, "/s/service": 200}
        for path in ("/", "/mailbox", "/decisions", "/docs", "/metrics", "/v1/nps", "/v1/programs"):
            assert (path, (await running.web.get(outside + path)).status_code) == (path, 404)
        assert (await running.web.post(f"{outside}/v1/events", json=purchase(), auth=NOBODY)).status_code == 401


async def test_addresses_are_printed_when_all_has_started_and_only_then(
    urls: Mapping[str, str], tmp_path: Path
) -> None:
    async with earshot(urls, tmp_path) as running:
        await running.until_it_says("API docs")
        assert [name for name in await running.problems() if name.endswith(".start")] == []
        assert re.search(rf"Dashboard +{re.escape(running.addresses['scoring'])}/\n", running.log.read_text())
        assert re.search(rf"Mailbox +{re.escape(running.addresses['scoring'])}/mailbox\n", running.log.read_text())


async def test_addresses_of_a_start_that_fails_are_never_printed(urls: Mapping[str, str], tmp_path: Path) -> None:
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources/broken.yaml").write_text("id: [")
    async with earshot(urls, tmp_path, sources=str(tmp_path / "sources")) as running:
        assert await running.process.wait() == 1
        assert "Dashboard" not in running.log.read_text()
        assert "broken.yaml" in running.log.read_text()


async def raw(running: Earshot, method: str, target: str, *headers: str, staff: bool = True) -> tuple[int, str]:
    """Send this request line and return the status and the first bytes of the body."""
    there = httpx2.URL(running.addresses["scoring"])
    reader, writer = await asyncio.open_connection(there.host, there.port)
    lines = (f"{method} {target} HTTP/1.1", f"Host: {there.netloc.decode()}", "Connection: close", *headers)
    if staff:
        lines = (*lines, f"Cookie: {PROCESS_STAFF.header()}")
    writer.write("\r\n".join((*lines, "", "")).encode())
    async with asyncio.timeout(20):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        body = await reader.read(200)
    writer.close()
    return int(head.split()[1]), body.decode(errors="replace")

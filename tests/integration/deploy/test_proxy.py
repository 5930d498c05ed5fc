"""A reverse proxy makes one address of three processes: its files say what the table of routes says, and work."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx2
import pytest

from deploy import all_in_one
from deploy.demo.simulated_people import LINK
from deploy.operations.replay import isolated_settings
from shared.clock import StoredClock
from shared.contract.api_keys import KeyScope, NewKey, digest, new_token
from shared.contract.vocabulary import Service
from shared.database import api_keys
from shared.database.db import Database
from shared.web.routes import TABLE, Audience
from tests.integration.deploy.kept_files import KEPT, policies_of_files
from tests.journey.stage import MONDAY, purchase
from tests.proxies import CADDYFILE, NGINX_CONF, PROXIES, proxy_port
from tests.staff import STAFF

TOKEN = "A" * 22


def prefixes(*services: Service) -> set[str]:
    return {prefix.path for prefix in TABLE if prefix.service in services}


def public_prefixes() -> set[str]:
    return {prefix.path for prefix in TABLE if prefix.audience not in (Audience.STAFF, Audience.VISITOR)}


def test_caddyfile_has_the_prefixes_of_the_table() -> None:
    named = {name: paths.split() for name, paths in re.findall(r"@(\w+) (?:not )?path (.+)", CADDYFILE.read_text())}
    found = {name: {path for path in paths if not path.endswith("/*")} for name, paths in named.items()}
    assert found == {
        "trigger": prefixes(Service.TRIGGER),
        "dispatcher": prefixes(Service.DISPATCHER),
        "staff": public_prefixes(),
    }
    for paths in named.values():
        assert {path.removesuffix("/*") for path in paths} == {path for path in paths if not path.endswith("/*")}
        assert len(paths) % 2 == 0


def test_nginx_conf_has_the_prefixes_of_the_table() -> None:
    lines = re.findall(r"~\^/\(\?:(.+)\)\(\?:/\|\$\) (\w+);", NGINX_CONF.read_text())
    assert {target: {f"/{path}" for path in paths.split("|")} for paths, target in lines} == {
        "earshot_trigger": prefixes(Service.TRIGGER),
        "earshot_dispatcher": prefixes(Service.DISPATCHER),
        "0": public_prefixes(),
    }


@dataclass(frozen=True, slots=True)
class Site:
    """What the world sees: the proxy's address; behind it three processes."""

    web: httpx2.AsyncClient
    urls: Mapping[str, str]

    async def key(self) -> dict[str, str]:
        database = Database(self.urls["trigger"], schema=Service.TRIGGER)
        async with database.sessions.begin() as session:
            token = new_token([Service.TRIGGER])
            scopes = frozenset({KeyScope.EVENTS_WRITE})
            await api_keys.add(session, NewKey(uuid4(), "shop", digest(token), scopes, lasting=None))
        await database.close()
        return {"authorization": f"Bearer {token}"}

    async def mail(self) -> str:
        async with asyncio.timeout(60):
            while True:
                kept = (await self.web.get("/v1/mailbox", auth=STAFF)).json()["messages"]
                if kept:
                    return str(kept[0]["text"])
                await asyncio.sleep(0.05)


@asynccontextmanager
async def site(
    proxy: str, urls: Mapping[str, str], folder: Path, *, staff: bool = True, **settings: object
) -> AsyncIterator[Site]:
    StoredClock.create(folder / "clock.json", start=MONDAY, speed=1)
    port = proxy_port()
    databases = {f"{service}_database_url": urls[service] for service in Service}
    given = isolated_settings(
        folder,
        events_url=urls["transport"],
        public_url=f"http://127.0.0.1:{port}",
        **databases,
        **settings,
    )
    ports = {service: given.port(service) for service in Service}
    async with AsyncExitStack() as resources:
        stop, tasks = asyncio.Event(), await resources.enter_async_context(asyncio.TaskGroup())
        resources.callback(stop.set)
        for service in Service:
            started = asyncio.get_running_loop().create_future()
            tasks.create_task(all_in_one.run(given, stop, services=[service], ready=started.set_result))
            await started
        await resources.enter_async_context(PROXIES[proxy](ports, port, folder, staff=staff))
        base = f"http://127.0.0.1:{port}"
        web = await resources.enter_async_context(httpx2.AsyncClient(base_url=base, timeout=30))
        yield Site(web, urls)


@pytest.mark.parametrize("proxy", PROXIES)
async def test_survey_goes_its_whole_way_through_a_proxy(proxy: str, urls: Mapping[str, str], tmp_path: Path) -> None:
    """An event with a key, the links of its mail, a callback of a provider, and every page for staff."""
    async with site(proxy, urls, tmp_path, postmark_hook="postmark:pass") as shown:
        sent = await shown.web.post("/v1/events", json=purchase(), headers=await shown.key())
        assert (sent.status_code, sent.json()["reason"]) == (202, "asked")
        mail = await shown.mail()
        answer = re.search(LINK, mail)
        assert answer is not None
        assert answer.group().startswith(str(shown.web.base_url).rstrip("/"))
        assert (await shown.web.get(answer.group())).status_code == 200
        leave = re.search(r"http://\S+/u/[\w-]{22}", mail)
        assert leave is not None
        assert (await shown.web.get(leave.group())).status_code == 200
        posted = await shown.web.post("/hooks/postmark", json={"RecordType": "Other"}, auth=("postmark", "pass"))
        assert posted.is_success
        assert (await shown.web.post("/v1/hooks/nobody", json={})).json()["title"] == "No such source"
        for prefix in TABLE:
            if prefix.label or prefix.path in ("/docs", "/v1/programs", "/v1/invitations", "/v1/nps"):
                assert (prefix.path, (await shown.web.get(prefix.path)).status_code) == (prefix.path, 401)
                assert (prefix.path, (await shown.web.get(prefix.path, auth=STAFF)).status_code) == (prefix.path, 200)
        for path in ("/login", urlsplit(leave.group()).path):
            assert await policies_of_files(shown.web, path) == KEPT
        named = {p: (await shown.web.get(f"{p}/service")).json() for p in ("/s", "/u", "/hooks", "/v1/hooks")}
        assert [each["service"] for each in named.values()] == ["scoring", "dispatcher", "dispatcher", "trigger"]


@pytest.mark.parametrize("proxy", PROXIES)
async def test_without_a_ticket_no_page_for_staff_answers_through_a_proxy(
    proxy: str, urls: Mapping[str, str], tmp_path: Path
) -> None:
    async with site(proxy, urls, tmp_path) as shown:
        for prefix in TABLE:
            if prefix.audience is Audience.STAFF:
                assert (prefix.path, (await shown.web.get(prefix.path)).status_code) == (prefix.path, 401)
        for odd in ("//mailbox", "/s/..%2fdesk", "/u/../mailbox", "/%6dailbox", "/MAILBOX", "/s/../v1/nps"):
            assert await raw_status(shown, odd) in (401, 404)
        assert (await shown.web.post("/v1/events", json=purchase())).status_code == 401


@pytest.mark.parametrize("proxy", PROXIES)
async def test_pages_for_staff_can_be_kept_off_a_site(proxy: str, urls: Mapping[str, str], tmp_path: Path) -> None:
    async with site(proxy, urls, tmp_path, staff=False) as shown:
        for prefix in TABLE:
            if prefix.audience is Audience.STAFF:
                assert (prefix.path, (await shown.web.get(prefix.path, auth=STAFF)).status_code) == (prefix.path, 404)
        for path in ("/s/service", "/u/service", "/hooks/service", "/v1/hooks/service", "/static/earshot.css"):
            assert (path, (await shown.web.get(path)).status_code) == (path, 200)
        assert (await shown.web.get("/v1/events/service")).status_code == 401


@pytest.mark.parametrize("proxy", PROXIES)
async def test_body_over_the_limit_is_refused_and_a_full_batch_is_not(
    proxy: str, urls: Mapping[str, str], tmp_path: Path
) -> None:
    async def pieces(size: int) -> AsyncIterator[bytes]:
        for _ in range(size // 100_000):
            yield b" " * 100_000

    async with site(proxy, urls, tmp_path) as shown:
        key = {**await shown.key(), "content-type": "application/json"}
        assert (await shown.web.post("/v1/events", content=b" " * 4_000_001, headers=key)).status_code == 413
        assert (await shown.web.post("/v1/events", content=pieces(4_100_000), headers=key)).status_code == 413
        assert (await shown.web.post("/v1/events", content=b" " * 3_900_000, headers=key)).status_code == 422
        assert (await shown.web.post(f"/s/{TOKEN}.1", content=b"a" * 100_001)).status_code == 413


@pytest.mark.parametrize("proxy", PROXIES)
async def test_server_sent_events_come_through_a_proxy_at_once(
    proxy: str, urls: Mapping[str, str], tmp_path: Path
) -> None:
    async with (
        site(proxy, urls, tmp_path) as shown,
        shown.web.stream("GET", "/live", auth=STAFF) as stream,
        asyncio.timeout(20),
    ):
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert (await anext(stream.aiter_lines())).startswith("event: ")


@pytest.mark.parametrize("proxy", PROXIES)
async def test_respondents_behind_a_proxy_are_limited_each_by_their_own_address(
    proxy: str, urls: Mapping[str, str], tmp_path: Path
) -> None:
    limits: dict[str, Any] = {
        "answer_client_burst": 1,
        "answer_client_rate": 0.001,
        "client_address_header": "X-Forwarded-For",
    }
    async with site(proxy, urls, tmp_path, **limits) as shown:
        first, second = (
            httpx2.AsyncClient(base_url=shown.web.base_url, transport=httpx2.AsyncHTTPTransport(local_address=source))
            for source in ("127.0.0.2", "127.0.0.3")
        )
        async with first, second:
            assert (await first.get(f"/s/{TOKEN}.1")).status_code == 404
            assert (await first.get(f"/s/{TOKEN}.1")).status_code == 429
            lies = {"x-forwarded-for": "198.51.100.7", "x-real-ip": "198.51.100.7", "forwarded": "for=198.51.100.7"}
            assert (await first.get(f"/s/{TOKEN}.1", headers=lies)).status_code == 429
            assert (await second.get(f"/s/{TOKEN}.1")).status_code == 404


async def raw_status(shown: Site, target: str) -> int:
    """Ask for this path as it is written: a client library would clean it."""
    there = shown.web.base_url
    reader, writer = await asyncio.open_connection(there.host, there.port)
    credentials = base64.b64encode(b"anybody:").decode()
    lines = (f"GET {target} HTTP/1.1", f"Host: {there.netloc.decode()}", f"Authorization: Basic {credentials}")
    writer.write("\r\n".join((*lines, "Connection: close", "", "")).encode())
    status = int((await reader.readline()).split()[1])
    writer.close()
    return status

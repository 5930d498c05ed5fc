"""Access: the outside listener serves public paths only, and staff pages are never served through a proxy."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urljoin

import httpx2
import pytest

from deploy import all_in_one
from deploy.addresses import address
from deploy.operations.replay import isolated_settings
from shared.clock import StoredClock
from shared.contract.vocabulary import Service
from shared.runtime import PortBusy
from shared.web.routes import TABLE
from tests.journey.stage import MONDAY, Stage, link_in, purchase
from tests.staff import NOBODY, STAFF

OUTSIDE = "127.0.0.2"


async def test_outside_listener_serves_public_paths_only(urls: Mapping[str, str], tmp_path: Path) -> None:
    own = {f"{service}_database_url": urls[service] for service in Service}
    settings = isolated_settings(tmp_path, events_url=urls["transport"], public_host=OUTSIDE, **own)
    StoredClock.create(tmp_path / "clock.json", start=MONDAY, speed=1)
    stop, ready = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(all_in_one.run(settings, stop, ready=lambda _urls: ready.set()))
        await ready.wait()
        async with httpx2.AsyncClient(auth=STAFF, timeout=20) as web:
            seen = {
                path: (await web.get(f"http://{OUTSIDE}:{settings.port(service)}{path}")).status_code
                for service, path in (
                    (Service.SCORING, f"/s/{'A' * 22}.1"),
                    (Service.SCORING, "/static/earshot.css"),
                    (Service.SCORING, "/desk"),
                    (Service.SCORING, "/v1/nps"),
                    (Service.DISPATCHER, "/mailbox"),
                    (Service.DISPATCHER, f"/u/{'A' * 22}"),
                    (Service.TRIGGER, "/v1/decisions"),
                    (Service.TRIGGER, "/docs"),
                )
            }
            titles = (await web.get(f"http://{OUTSIDE}:{settings.port(Service.SCORING)}/s/{'A' * 22}.1")).headers
            inside = (await web.get(f"{address(settings, Service.SCORING)}/desk")).status_code
        stop.set()
    assert titles["content-type"].startswith("text/html")
    assert inside == 200
    assert {path: status for path, status in seen.items() if status != 404} == {"/static/earshot.css": 200}


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded"])
async def test_proxy_reaches_no_staff_page_and_every_public_one(stage: Stage, header: str) -> None:
    await stage.happens(purchase())
    link = link_in((await stage.mailbox())[0])
    proxied: dict[str, Any] = {"headers": {header: "for=203.0.113.9"}, "auth": NOBODY}
    refused = [
        f"{stage.scoring}/",
        f"{stage.scoring}/desk",
        f"{stage.scoring}/v1/nps",
        f"{stage.dispatcher}/mailbox",
        f"{stage.dispatcher}/v1/mailbox",
        f"{stage.trigger}/v1/decisions",
        f"{stage.trigger}/metrics",
    ]
    assert {(await stage.web.get(path, **proxied)).status_code for path in refused} == {401}
    event = await stage.web.post(f"{stage.trigger}/v1/events", json=purchase(2), **proxied)
    assert event.status_code == 401
    assert (await stage.web.get(link, **proxied)).status_code == 200


async def test_every_staff_page_leads_to_all_others(stage: Stage) -> None:
    pages = (f"{stage.scoring}/", f"{stage.scoring}/mailbox", f"{stage.scoring}/decisions")
    menus = [await menu_of(stage, page) for page in pages]
    assert menus[0] == menus[1] == menus[2]
    assert list(menus[0]) == [prefix.label for prefix in TABLE if prefix.label]
    apis = await links(stage, pages[0], "Your menu")
    statuses = {url: (await stage.web.get(url)).status_code for url in (*menus[0].values(), *apis.values())}
    assert set(statuses.values()) == {200}


async def test_whatever_is_chosen_on_a_page_can_be_shown(stage: Stage) -> None:
    """Each form that changes the view is sent as it is, and with every other choice it offers."""
    await stage.happens(purchase())
    sent = {
        urljoin(page, f"{path}?{urlencode(fields)}")
        for page in (await menu_of(stage, f"{stage.scoring}/")).values()
        for path, form in re.findall(FORM, (await stage.web.get(page)).text, re.DOTALL)
        for fields in views_of(form)
    }
    refused = [url for url in sorted(sent) if (await stage.web.get(url)).status_code != 200]
    assert len(sent) > 20
    assert refused == []


FORM = r'<form(?= [^>]*method="get")[^>]* action="([^"]+)"[^>]*>(.*?)</form>'
FIELD = r'<(input|select)[^>]* name="([^"]+)"(?:[^>]* value="([^"]*)")?[^>]*>(.*?)(?=<input|<select|$)'


def views_of(form: str) -> list[dict[str, str]]:
    """Yield the fields of a form as it is, then with one other choice at a time."""
    fields = {name: (value, options) for _, name, value, options in re.findall(FIELD, form, re.DOTALL)}
    choices = {name: re.findall('<option value="([^"]*)"', options) for name, (_, options) in fields.items()}
    first = {name: (choices[name] or [value])[0] for name, (value, _) in fields.items()}
    return [first, *({**first, name: each} for name, offered in choices.items() for each in offered)]


async def menu_of(stage: Stage, page: str) -> dict[str, str]:
    """Return the URL of every page by its label: those of each group, where it has several, and the person's."""
    groups = await links(stage, page, "Groups")
    found = {label: url for group, first in groups.items() for label, url in (await pages_of(stage, group, first))}
    return found | {label: url for label, url in (await links(stage, page, "Your menu")).items() if label != "API"}


async def pages_of(stage: Stage, group: str, first: str) -> Iterable[tuple[str, str]]:
    return (await links(stage, first, group) or {group: first}).items()


async def links(stage: Stage, page: str, label: str) -> dict[str, str]:
    menu = re.search(rf'<nav[^>]* aria-label="{label}">(.+?)</nav>', (await stage.web.get(page)).text)
    shown = re.findall('<a href="([^"]+)"[^>]*>([^<]+)</a>', menu[1]) if menu else ()
    return {name: urljoin(page, path) for path, name in shown if name != "Your account"}


async def test_busy_port_is_one_line_with_its_cure(urls: Mapping[str, str], tmp_path: Path) -> None:
    own = {f"{service}_database_url": urls[service] for service in Service}
    settings = isolated_settings(tmp_path, events_url=urls["transport"], **own)
    with (
        socket.create_server(("127.0.0.1", settings.port(Service.TRIGGER))),
        pytest.raises(PortBusy, match="EARSHOT_TRIGGER_PORT"),
    ):
        await all_in_one.run(settings, asyncio.Event())

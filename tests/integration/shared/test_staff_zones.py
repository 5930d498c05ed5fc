"""The time zone of a page for staff: chosen by the person, told by the browser, or UTC."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx2
import pytest

from shared.contract.vocabulary import Service
from shared.health import Health
from shared.languages import formats
from shared.web.app import create_app
from shared.web.staff.zones import ZoneCookies
from tests.staff import ACCESS, STAFF

NIGHT = datetime(2026, 3, 1, 22, 30, tzinfo=UTC)
IN_UTC = "1 Mar 2026, 22:30 UTC"
IN_MOSCOW, IN_TOKYO = "2 Mar 2026, 01:30 Europe/Moscow", "2 Mar 2026, 07:30 Asia/Tokyo"


async def written(cookie: str, path: str = "/stores") -> str:
    app = create_app(Service.SCORING, health=Health(), access=ACCESS)

    @app.get("/stores")
    @app.get("/v1/stores")
    @app.get("/s/page")
    async def page() -> str:
        return f"{formats.moment(NIGHT)} {formats.zone()}"

    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(auth=STAFF, transport=transport, base_url="http://localhost") as client:
        return str((await client.get(path, headers={"cookie": cookie})).json())


@pytest.mark.parametrize(
    ("cookie", "text"),
    [
        ("", IN_UTC),
        ("earshot-browser-zone=Asia%2FTokyo", IN_TOKYO),
        ("earshot-browser-zone=Asia/Tokyo", IN_TOKYO),
        ("earshot-zone=Europe%2FMoscow; earshot-browser-zone=Asia%2FTokyo", IN_MOSCOW),
        ("earshot-zone=; earshot-browser-zone=Asia%2FTokyo", IN_TOKYO),
        ("earshot-zone=Nowhere%2FCity; earshot-browser-zone=Asia%2FTokyo", IN_TOKYO),
        ("earshot-browser-zone=undefined", IN_UTC),
        ("earshot-browser-zone=..%2F..%2Fetc%2Fpasswd", IN_UTC),
        ("earshot-browser-zone=%00%ff", IN_UTC),
        (f"earshot-browser-zone={'x' * 3000}", IN_UTC),
    ],
)
async def test_times_are_in_the_chosen_zone_else_in_that_of_the_browser(cookie: str, text: str) -> None:
    assert await written(cookie) == text


@pytest.mark.parametrize("path", ["/v1/stores", "/s/page"])
async def test_programs_and_respondents_read_no_zone_of_a_cookie(path: str) -> None:
    assert await written("earshot-zone=Europe%2FMoscow", path) == IN_UTC


def test_with_https_a_cookie_counts_that_no_other_host_can_set() -> None:
    cookies = ZoneCookies.of(https=True)
    assert cookies.zone_in("earshot-zone=Europe%2FMoscow").key == "UTC"
    assert cookies.zone_in("__Host-earshot-browser-zone=Europe%2FMoscow").key == "Europe/Moscow"

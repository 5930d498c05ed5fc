"""Style sheets and scripts: kept for a year under their version, asked for again without it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2
import pytest

from shared.contract.vocabulary import Service
from shared.health import Health
from shared.web.app import create_app
from shared.web.assets.files import FOLDER, asset
from tests.staff import ACCESS

STYLES = (FOLDER / "earshot.css").read_bytes()


@pytest.fixture
async def web() -> AsyncIterator[httpx2.AsyncClient]:
    app = create_app(Service.DISPATCHER, health=Health(), access=ACCESS)
    transport = httpx2.ASGITransport(app, client=("127.0.0.1", 5000))
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8001") as web:
        yield web


async def test_file_under_its_version_is_kept_for_a_year(web: httpx2.AsyncClient) -> None:
    response = await web.get(asset("earshot.css"))
    assert (response.status_code, response.content) == (200, STYLES)
    assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert response.headers["content-type"] == "text/css; charset=utf-8"
    assert (await web.get(asset("live.js"))).headers["content-type"] == "text/javascript; charset=utf-8"


@pytest.mark.parametrize("query", ["", "?v=", "?v=0123456789abcdef", "?w=1"])
async def test_file_under_another_version_is_asked_for_again(web: httpx2.AsyncClient, query: str) -> None:
    response = await web.get(f"/static/earshot.css{query}")
    assert (response.content, response.headers["cache-control"]) == (STYLES, "no-cache")
    again = await web.get(f"/static/earshot.css{query}", headers={"if-none-match": response.headers["etag"]})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", response.headers["etag"])
    other = await web.get(f"/static/earshot.css{query}", headers={"if-none-match": '"another"'})
    assert (other.status_code, other.content) == (200, STYLES)


async def test_only_files_of_the_folder_are_served_and_errors_are_not_kept(web: httpx2.AsyncClient) -> None:
    for path in ("/static", "/static/", "/static/nothing.css", "/static/..%2fapp.py", "/static/a/earshot.css"):
        response = await web.get(path)
        assert (path, response.status_code, response.headers["cache-control"]) == (path, 404, "no-store")
    head = await web.head(asset("earshot.css"))
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(STYLES)))
    assert (await web.post(asset("earshot.css"))).status_code == 405

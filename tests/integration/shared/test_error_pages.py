"""Errors are pages for people and problem details for programs, wherever in the app they arise."""

from __future__ import annotations

from uuid import UUID

import httpx2
import pytest
from fastapi import Depends, FastAPI

from shared.contract.vocabulary import Service
from shared.health import Health
from shared.web.app import create_app
from shared.web.problems import Conflict, Unprocessable
from shared.web.strict_input import SingleValued
from tests.staff import ACCESS, NOBODY, STAFF

BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def app() -> FastAPI:
    made = create_app(Service.SCORING, health=Health(), access=ACCESS, max_body=1000)

    @made.get("/stores/changed")
    async def changed() -> None:
        raise Conflict("Somebody <b>else</b> changed it", "Look & decide.")

    @made.get("/stores/broken")
    async def broken() -> None:
        raise RuntimeError("a secret of the program")

    @made.get("/stores/{id_}/sheet")
    async def sheet(id_: UUID) -> None:
        """Nothing reads it."""

    @made.get("/stores/number", dependencies=[Depends(SingleValued())])
    async def number(of: int) -> int:
        return of

    @made.get("/v1/stores/wrong")
    async def wrong() -> None:
        raise Unprocessable("Wrong")

    return made


def client_of(app: FastAPI, *, auth: httpx2.Auth = STAFF) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    return httpx2.AsyncClient(auth=auth, transport=transport, base_url="http://localhost", headers=BROWSER)


@pytest.mark.parametrize(
    ("path", "status", "shown"),
    [
        (
            "/stores/changed",
            409,
            ["Somebody &lt;b&gt;else&lt;/b&gt; changed it", "Look &amp; decide.", "how it is now"],
        ),
        ("/stores/broken", 500, ["Internal Server Error", "a fault of Earshot"]),
        ("/stores/number?of=x", 422, ["of: this is not a whole number", "The address of the page has a mistake"]),
        ("/stores/number", 422, ["of: this is missing"]),
        ("/stores/number?of=1&of=2", 422, ["of: It is taken once"]),
        ("/stores/nothing", 404, ["Not Found", "may have a mistake"]),
        ("/stores/%00", 400, ["NUL character", "Go back"]),
    ],
)
async def test_browser_gets_a_page_that_says_what_to_do(app: FastAPI, path: str, status: int, shown: list[str]) -> None:
    async with client_of(app) as browser:
        got = await browser.get(path)
        assert (got.status_code, got.headers["content-type"]) == (status, "text/html; charset=utf-8")
        assert [text for text in shown if text not in got.text] == []
        assert "secret" not in got.text
        assert "content-security-policy" in got.headers
        program = await browser.get(path, headers={"accept": "*/*"})
        assert (program.status_code, program.headers["content-type"]) == (status, "application/problem+json")


async def test_address_with_an_id_that_cannot_be_one_is_a_page_that_there_is_not(app: FastAPI) -> None:
    async with client_of(app) as browser:
        page = await browser.get("/stores/x/sheet")
        assert (page.status_code, "may have a mistake" in page.text) == (404, True)
        program = await browser.get("/stores/x/sheet", headers={"accept": "*/*"})
        assert (program.status_code, program.json()["errors"][0]["where"]) == (422, "path.id_")


async def test_wrong_values_are_told_in_the_language_of_the_reader(app: FastAPI) -> None:
    async with client_of(app) as browser:
        page = await browser.get("/stores/number?of=x", headers={"accept-language": "ru"})
    assert "of: это не целое число" in page.text


async def test_api_answers_browsers_in_json_too(app: FastAPI) -> None:
    async with client_of(app) as browser:
        got = await browser.get("/v1/stores/wrong")
        assert (got.status_code, got.json()["title"]) == (422, "Wrong")


async def test_refusals_of_the_gate_and_of_the_bounds_are_pages_too(app: FastAPI) -> None:
    async with client_of(app) as browser:
        crossed = await browser.post("/stores/changed", headers={"sec-fetch-site": "cross-site"})
        assert (crossed.status_code, "Another site sent this request" in crossed.text) == (403, True)
        large = await browser.post("/stores/changed", content=b"x" * 2000)
        assert (large.status_code, "Send less at once" in large.text) == (413, True)
    async with client_of(app, auth=NOBODY) as nobody:
        assert (await nobody.get("/stores/changed")).status_code == 307

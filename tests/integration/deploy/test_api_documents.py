"""The API documents say what a running Earshot answers: to the right request, and to every wrong one."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from shared.web.api_docs.answers import OWN
from tests.integration.deploy.processes import Earshot, earshot
from tests.staff import NOBODY

BODIES = ("POST", "PUT")
MORE_THAN_ANY = b" " * 7_900_000


@pytest.fixture
async def running(urls: Mapping[str, str], tmp_path: Path) -> AsyncIterator[Earshot]:
    async with earshot(urls, tmp_path) as process:
        await process.until_ready()
        yield process


async def operations(running: Earshot) -> dict[str, dict[str, Any]]:
    document = (await running.web.get(running.addresses["scoring"] + "/openapi.json")).raise_for_status().json()
    return {
        f"{method.upper()} {path}": each
        for path, methods in document["paths"].items()
        for method, each in methods.items()
    }


async def test_every_operation_is_told_in_a_sentence_and_says_who_may_call_it(running: Earshot) -> None:
    found = await operations(running)
    assert set(OWN) <= set(found)
    for name, each in found.items():
        assert re.fullmatch(r"[A-Z][a-z]+ .{10,}[^.]", each["summary"]), name
        is_open = name.split()[1] in ("/healthz", "/livez", "/readyz") or "/v1/hooks/" in name
        assert is_open == ("security" not in each), name
        assert is_open or "a person needs one of the roles: " in each["description"], name
    assert found["GET /v1/nps"]["security"] == [{"key": ["scores:read"]}, {"ticket": []}]


async def test_page_offers_to_authorize_and_every_reference_is_there(running: Earshot) -> None:
    for address in running.addresses.values():
        document = (await running.web.get(f"{address}/openapi.json")).json()
        assert {"key", "ticket"} == set(document["components"]["securitySchemes"])
        referred = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
        assert referred <= set(document["components"]["schemas"])
        assert "HTTPValidationError" not in document["components"]["schemas"]
        page = (await running.web.get(f"{address}/docs")).text
        assert re.findall(r"(?:src|href)=\"(?!/)", page) == []
        assert '<html lang="en">' in page


async def test_every_answer_to_a_wrong_request_is_in_the_document(running: Earshot) -> None:
    unlisted, answered = [], set[int]()
    for name, each in (await operations(running)).items():
        for wrong in wrongs(name):
            options = {"auth": running.web.auth, **wrong}
            url = running.addresses["scoring"] + options.pop("url")
            answer = await running.web.request(name.split()[0], url, **options)
            answered.add(answer.status_code)
            if str(answer.status_code) not in each["responses"]:
                unlisted.append((name, answer.status_code, answer.text[:200]))
            if answer.is_error and not url.endswith(("/livez", "/readyz")):
                assert answer.headers["content-type"] == "application/problem+json", (name, answer.text)
    assert unlisted == []
    assert answered >= {400, 401, 404, 413, 415, 422}


def wrongs(name: str) -> list[dict[str, Any]]:
    """Return requests that are wrong in one way each; what names no thing is asked for first."""
    method, path = name.split()
    url = re.sub(r"\{\w+_id\}", str(uuid4()), path)
    url = re.sub(r"\{\w+\}", "nothing", url)
    requests: list[dict[str, Any]] = [
        {"url": url},
        {"url": url, "auth": NOBODY},
        {"url": f"{url}?x=%00"},
        {"url": f"{url}?nowhere=1"},
        {"url": url, "headers": {"authorization": "Bearer esk_wrong"}},
    ]
    if method in BODIES:
        requests += [
            {"url": url, "json": {"nowhere": 1}},
            {"url": url, "content": b"{", "headers": {"content-type": "application/json"}},
            {"url": url, "content": b"x", "headers": {"content-encoding": "gzip"}},
            {"url": url, "content": MORE_THAN_ANY},
        ]
    return requests


async def test_every_thing_that_can_be_missing_is_answered_with_404(running: Earshot) -> None:
    bodiless = [name for name, own in OWN.items() if 404 in own and name.split()[0] in ("GET", "DELETE")]
    for name in bodiless:
        request: dict[str, Any] = wrongs(name)[0]
        answer = await running.web.request(name.split()[0], running.addresses["scoring"] + request["url"])
        assert (name, answer.status_code) == (name, 404)
    assert len(bodiless) > 5

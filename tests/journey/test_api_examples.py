"""The examples in the API documents: each request, sent to a running Earshot, gets the answer that is shown."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from shared.web.api_docs.examples import EXAMPLES, Example
from tests.journey.stage import MONDAY, Stage, open_stage, purchase

_ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_LINK = r"https?://[\w.:-]+/s/[\w-]{22}"
_WRITTEN_AT = r"\d{4}-\d\d-\d\dT[\d:]{8}\.\d{6}Z"
_SECRET = r"whsec_[\w+/]{43}="
MADE_UP = re.compile(f"{_ID}|{_LINK}|{_WRITTEN_AT}|{_SECRET}")


@pytest.fixture
async def stage(urls: Mapping[str, str], tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(urls, tmp_path, webhook_networks="127.0.0.0/8") as opened:
        yield opened


async def _a_call_is_due(stage: Stage) -> None:
    await stage.happens(purchase(2))
    for hours in (1, 73, 49, 49):  # the mail, the repeat, the SMS, the call
        await stage.after(hours=hours)


async def _the_call_is_taken_again(stage: Stage) -> None:
    await stage.after(hours=1)
    again = await stage.web.post(f"{stage.scoring}/v1/desk/take", json={"operator": "Oleg"})
    assert again.status_code == 200


async def _two_calls_are_due(stage: Stage) -> None:
    for number in (3, 4):
        await stage.happens(purchase(number, at=MONDAY + timedelta(days=7)))
    for hours in (1, 73, 49, 49):
        await stage.after(hours=hours)


SCENES: Mapping[str, Callable[[Stage], Awaitable[None]]] = {
    "POST /v1/desk/take": _a_call_is_due,
    "POST /v1/desk/{task_id}/answer": _the_call_is_taken_again,
    "PUT /v1/call-lists/{list_id}": _two_calls_are_due,
}


def comparable(answer: Any) -> str:
    """Write an answer with ids, links and times of the machine replaced, the same ones by the same text."""
    known: dict[str, str] = {}
    return MADE_UP.sub(lambda found: known.setdefault(found[0], f"#{len(known)}"), json.dumps(answer, indent=1))


def request_of(example: Example, made: Mapping[str, str]) -> dict[str, Any]:
    """Return the request of an example with ids that the running Earshot has `made`, and an address that is there."""
    method, path = example.operation.split()
    url = path.format(**{name: quote(made.get(text, text)) for name, text in example.path.items()})
    request: dict[str, Any] = {"method": method, "url": url, "params": example.query}
    if isinstance(example.body, str):
        return request | {"content": example.body}
    if example.body is None:
        return request
    return request | {"json": json.loads(json.dumps(example.body).replace("crm.example.com", "127.0.0.1"))}


async def test_every_example_is_what_a_running_earshot_answers(stage: Stage) -> None:
    made: dict[str, str] = {}
    for operation, example in EXAMPLES.items():
        if operation in SCENES:
            await SCENES[operation](stage)
        request = request_of(example, made)
        answer = await stage.web.request(**request | {"url": stage.scoring + request["url"]})
        await stage.settle()
        shown = (example.status, comparable(example.answer))
        assert (answer.status_code, comparable(answer.json())) == shown, f"{operation}: {answer.text}"
        made |= zip(MADE_UP.findall(json.dumps(example.answer)), MADE_UP.findall(answer.text), strict=True)


async def test_every_operation_with_a_body_has_an_example(stage: Stage) -> None:
    document = (await stage.web.get(f"{stage.scoring}/openapi.json")).json()
    bodies = {
        f"{method.upper()} {path}"
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if "requestBody" in operation
    }
    assert bodies - set(EXAMPLES) == set()


async def test_documents_show_the_examples(stage: Stage) -> None:
    document = (await stage.web.get(f"{stage.scoring}/openapi.json")).json()
    for operation, example in EXAMPLES.items():
        method, path = operation.split()
        described = document["paths"][path][method.lower()]
        assert described["responses"][str(example.status)]["content"]["application/json"]["example"] == example.answer
        if example.body is not None:
            first, *_ = described["requestBody"]["content"].values()
            assert first["example"] == example.body
        given = {each["name"]: each["example"] for each in described.get("parameters", ()) if "example" in each}
        assert given == {**example.path, **example.query}

"""The examples in the API documents: each request, sent to a running Earshot, gets the answer that is shown."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

from shared.web.api_docs.examples import EXAMPLES
from tests.journey.stage import Stage

_ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_LINK = r"https?://[\w.:-]+/s/[\w-]{22}"
_WRITTEN_AT = r"\d{4}-\d\d-\d\dT[\d:]{8}\.\d{6}Z"
MADE_UP = re.compile(f"{_ID}|{_LINK}|{_WRITTEN_AT}")


def comparable(answer: Any) -> str:
    """Write an answer with ids, links and times of the machine replaced, the same ones by the same text."""
    known: dict[str, str] = {}
    return MADE_UP.sub(lambda found: known.setdefault(found[0], f"#{len(known)}"), json.dumps(answer, indent=1))


async def test_every_example_is_what_a_running_earshot_answers(stage: Stage) -> None:
    for operation, example in EXAMPLES.items():
        method, path = operation.split()
        url = path.format(**{name: quote(text) for name, text in example.path.items()})
        body = {} if example.body is None else {"json": example.body}
        answer = await stage.web.request(method, stage.scoring + url, params=example.query, **body)
        await stage.settle()
        shown = (example.status, comparable(example.answer))
        assert (answer.status_code, comparable(answer.json())) == shown, f"{operation}: {answer.text}"


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

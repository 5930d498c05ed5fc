"""Examples of requests and their answers, for the API documents; a test sends each in this order to a new Earshot."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Example:
    operation: str  # method and path, `GET /v1/stores/{code}`
    status: int
    answer: Any
    path: dict[str, str] = field(default_factory=dict)  # parameters by name
    query: dict[str, str] = field(default_factory=dict)
    body: Any = None  # None: the request has none


EXAMPLES = {
    example["operation"]: Example(**example)
    for example in json.loads((Path(__file__).parent / "examples.json").read_text())
}


def with_example(operation: Document, name: str) -> Document:
    """Return an operation of a document with its example, unchanged if there is none."""
    example = EXAMPLES.get(name)
    if example is None:
        return operation
    given = {**example.path, **example.query}
    status = str(example.status)
    shown = {
        "parameters": [
            {**each, "example": given[each["name"]]} if each["name"] in given else each
            for each in operation.get("parameters", ())
        ],
        "responses": operation["responses"] | {status: _shown(operation["responses"][status], example.answer)},
    }
    if example.body is not None:
        shown["requestBody"] = _shown(operation["requestBody"], example.body)
    return operation | shown


def _shown(part: Document, example: Any) -> Document:
    """Add an example to the first content of a request or an answer."""
    (kind, content), *others = part["content"].items()
    return {**part, "content": {kind: {**content, "example": example}, **dict(others)}}

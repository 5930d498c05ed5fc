"""The AsyncAPI document: its references resolve, and it describes what is published."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from deploy import asyncapi
from shared.contract.events import BY_TYPE
from shared.contract.topics import TOPICS

SAMPLES = sorted((Path(__file__).parent / "samples").glob("*.json"))
DOCUMENT: dict[str, Any] = json.loads(asyncapi.document())


def references(part: object) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for value in part.values():
            yield from references(value)
    if isinstance(part, list):
        for value in part:
            yield from references(value)


def found(reference: str) -> Any:
    part: Any = DOCUMENT
    for name in reference.removeprefix("#/").split("/"):
        part = part[name]
    return part


def test_every_reference_leads_somewhere() -> None:
    named = set(references(DOCUMENT))
    assert len(named) > len(BY_TYPE)
    assert all(found(reference) is not None for reference in named)


def test_every_event_is_a_message_of_its_topic_and_of_no_other() -> None:
    told = {name: set(channel["messages"]) for name, channel in DOCUMENT["channels"].items()}
    assert told == {
        topic.name: {name for name, model in BY_TYPE.items() if model.topic == topic.name} for topic in TOPICS
    }


def test_only_the_events_of_shops_are_received() -> None:
    received = [name for name, operation in DOCUMENT["operations"].items() if operation["action"] == "receive"]
    assert received == ["crm.events"]


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_sample_satisfies_its_message(path: Path) -> None:
    sample = json.loads(path.read_text())
    payload = DOCUMENT["components"]["messages"][sample["type"]]["payload"]
    jsonschema_rs.validate({**payload, "components": DOCUMENT["components"]}, sample)
    with pytest.raises(jsonschema_rs.ValidationError):
        jsonschema_rs.validate({**payload, "components": DOCUMENT["components"]}, {**sample, "type": "another"})

"""Writes the contract down in `docs/events/`: a JSON Schema per event type, a page of them, an AsyncAPI document."""

from __future__ import annotations

import json
from pathlib import Path

from deploy import asyncapi
from shared.contract.events import BY_TYPE

FOLDER = Path(__file__).parent.parent / "docs/events"

_INTRODUCTION = """# Events

Generated from `shared/contract/events.py` by `earshot schemas`; do not edit. On the wire each is a CloudEvents 1.0
message in structured JSON mode, and what stands here is its `data`. [asyncapi.json](asyncapi.json) says the same to
tools, with topics, keys and retention.

| type | topic | version | what it says |
| --- | --- | --- | --- |
"""


def documents() -> dict[str, str]:
    """File name → content of everything in `docs/events/`."""
    rows, files = [], {}
    for name, model in sorted(BY_TYPE.items(), key=lambda item: (item[1].topic, item[0])):
        schema = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": f"earshot:{name}:{model.schema_version}",
            **model.model_json_schema(),
        }
        files[f"{name}.json"] = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        words = " ".join((model.__doc__ or "").split()) if "__doc__" in model.__dict__ else ""
        rows.append(f"| [{name}]({name}.json) | `{model.topic}` | {model.schema_version} | {words} |\n")
    return {**files, "README.md": _INTRODUCTION + "".join(rows), "asyncapi.json": asyncapi.document()}


def write(folder: Path = FOLDER) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    wanted = documents()
    for name in {path.name for path in folder.iterdir()} - set(wanted):
        (folder / name).unlink()
    for name, content in wanted.items():
        (folder / name).write_text(content)


def drift(folder: Path = FOLDER) -> list[str]:
    """Names of files that are not what the code would write, missing and left-over ones included."""
    wanted = documents()
    there = {path.name: path.read_text() for path in folder.glob("*")}
    return sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name))

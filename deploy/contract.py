"""Writes `docs/events/`: a JSON Schema per event type, a page that lists them, and an AsyncAPI document."""

from __future__ import annotations

import json
from pathlib import Path

from deploy import asyncapi
from shared.contract.events import BY_TYPE

FOLDER = Path(__file__).parent.parent / "docs/events"

_INTRODUCTION = """# Events

Generated from `shared/contract/events.py` by `earshot schemas`; do not edit. Each event is sent as a CloudEvents 1.0
message in structured JSON mode; the schemas describe its `data`. [asyncapi.json](asyncapi.json) has the same for
tools, with topics, keys and retention.

| type | topic | version | meaning |
| --- | --- | --- | --- |
"""


def documents() -> dict[str, str]:
    """Return the content of every file in `docs/events/`, by file name."""
    rows, files = [], {}
    for name, model in sorted(BY_TYPE.items(), key=lambda item: (item[1].topic, item[0])):
        schema = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": f"earshot:{name}:{model.schema_version}",
            **model.model_json_schema(),
        }
        files[f"{name}.json"] = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        meaning = " ".join((model.__doc__ or "").split()) if "__doc__" in model.__dict__ else ""
        rows.append(f"| [{name}]({name}.json) | `{model.topic}` | {model.schema_version} | {meaning} |\n")
    return {**files, "README.md": _INTRODUCTION + "".join(rows), "asyncapi.json": asyncapi.document()}


def write(folder: Path = FOLDER) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    wanted = documents()
    for name in {path.name for path in folder.iterdir()} - set(wanted):
        (folder / name).unlink()
    for name, content in wanted.items():
        (folder / name).write_text(content)


def drift(folder: Path = FOLDER) -> list[str]:
    """Return the names of files that differ from what `write` would write, or are missing, or do not belong there."""
    wanted = documents()
    present = {path.name: path.read_text() for path in folder.glob("*")}
    return sorted(name for name in wanted.keys() | present.keys() if wanted.get(name) != present.get(name))

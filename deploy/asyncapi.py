"""The event contract as an AsyncAPI 3 document, from which tools generate clients, mocks and catalogues.

Source: https://www.asyncapi.com/docs/reference/specification/v3.0.0 and its Kafka bindings, version 0.5.0.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pydantic.json_schema import models_json_schema

from shared.contract.events import BY_TYPE, Payload
from shared.contract.topics import CRM_EVENTS, TOPICS, Topic

_BINDING = "0.5.0"
_ENVELOPE: dict[str, Any] = {
    "title": "CloudEvent",
    "description": "CloudEvents 1.0 in structured JSON mode: https://github.com/cloudevents/spec",
    "type": "object",
    "required": ["specversion", "id", "source", "type", "time", "data"],
    "properties": {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "description": "Together with `source` it identifies the event."},
        "source": {"type": "string", "description": "`earshot/<service>`; in crm.events the shop's own name."},
        "type": {"type": "string"},
        "time": {"type": "string", "format": "date-time"},
        "subject": {"type": "string", "description": "The id of the invitation, if there is one."},
        "datacontenttype": {"type": "string"},
        "data": {"type": "object"},
    },
}


def document() -> str:
    """Return the document as JSON."""
    _, definitions = models_json_schema(
        [(model, "validation") for model in BY_TYPE.values()], ref_template="#/components/schemas/{model}"
    )
    whole = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Earshot",
            "version": "0.1.0",
            "license": {"name": "Apache-2.0"},
            "description": "Every event of Earshot. Its services write the topics; your own events go to `crm.events`.",
        },
        "defaultContentType": "application/cloudevents+json",
        "channels": {topic.name: _channel(topic) for topic in TOPICS},
        "operations": {topic.name: _operation(topic) for topic in TOPICS},
        "components": {
            "messages": {name: _message(model) for name, model in sorted(BY_TYPE.items())},
            "schemas": {"CloudEvent": _ENVELOPE, **definitions["$defs"]},
        },
    }
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def _channel(topic: Topic) -> dict[str, Any]:
    settings = topic.settings
    configuration: dict[str, Any] = {"cleanup.policy": [settings["cleanup.policy"]]}
    if "retention.ms" in settings:
        configuration["retention.ms"] = int(settings["retention.ms"])
    return {
        "address": topic.name,
        "description": "Compacted: the latest message of each key is kept."
        if topic.retention is None
        else "Kept 7 days.",
        "messages": {model.type: _reference("messages", model.type) for model in _payloads(topic)},
        "bindings": {
            "kafka": {"partitions": topic.partitions, "topicConfiguration": configuration, "bindingVersion": _BINDING}
        },
    }


def _operation(topic: Topic) -> dict[str, Any]:
    return {
        "action": "receive" if topic is CRM_EVENTS else "send",
        "channel": {"$ref": f"#/channels/{topic.name}"},
        "messages": [{"$ref": f"#/channels/{topic.name}/messages/{model.type}"} for model in _payloads(topic)],
    }


def _message(model: type[Payload]) -> dict[str, Any]:
    summary = " ".join((model.__doc__ or "").split()) if "__doc__" in model.__dict__ else model.type
    data = _reference("schemas", model.__name__)
    return {
        "name": model.type,
        "title": model.type,
        "summary": summary,
        "contentType": "application/cloudevents+json",
        "payload": {
            "allOf": [
                _reference("schemas", "CloudEvent"),
                {"properties": {"type": {"const": model.type}, "data": data}},
            ]
        },
        "bindings": {"kafka": {"key": {"type": "string"}, "bindingVersion": _BINDING}},
    }


def _payloads(topic: Topic) -> Sequence[type[Payload]]:
    return [model for _, model in sorted(BY_TYPE.items()) if model.topic == topic.name]


def _reference(kind: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{kind}/{name}"}

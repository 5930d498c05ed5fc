"""Avro messages of a schema registry: a zero byte, four bytes with the schema's id, then the datum.

Formats: docs.confluent.io, "Formats, Serializers, and Deserializers", wire format; avro.apache.org, specification 1.12.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import fastavro
import msgspec

_HEADER = 5
_MAGIC = b"\0"


class UndecodableAvro(ValueError):
    """A message cannot be decoded with its schema. The text quotes no value of the message."""


class UnusableSchema(ValueError):
    """A registered schema cannot be used to read events; the text says why."""


@dataclass(frozen=True, slots=True)
class RegisteredSchema:
    """A schema of the registry. `parsed` is None for JSON Schema, whose messages are JSON after the header."""

    parsed: Any = None


# why a schema cannot be used, instead of the schema
Schemas = Mapping[int, RegisteredSchema | UnusableSchema]


def is_framed(body: bytes) -> bool:
    """Say whether a body begins as serializers of a schema registry write it; no JSON begins with a zero byte."""
    return body[:1] == _MAGIC


def schema_id(body: bytes) -> int | None:
    """Return the id of the schema that a message was written with; None if it names none."""
    return int.from_bytes(body[1:_HEADER]) if is_framed(body) and len(body) >= _HEADER else None


def parse_schema(text: str, kind: str, *, referenced: Sequence[str] = ()) -> RegisteredSchema:
    """Parse a schema of the registry; `referenced` are the schemas it refers to, in order. Raises UnusableSchema."""
    if kind == "JSON":
        return RegisteredSchema()
    if kind != "AVRO":
        raise UnusableSchema(f"{kind.capitalize()[:20]} is not supported, send Avro or JSON")
    named: dict[str, Any] = {}
    try:
        for each in referenced:
            fastavro.parse_schema(json.loads(each), named_schemas=named)
        parsed = fastavro.parse_schema(json.loads(text), named_schemas=named)
    except Exception as error:  # noqa: BLE001 - fastavro raises many kinds
        raise UnusableSchema(f"the schema cannot be parsed: {type(error).__name__}") from None
    if _has_items_without_bytes(json.loads(text)):
        raise UnusableSchema("an array of null has no bytes that bound its length")
    return RegisteredSchema(parsed)


def _has_items_without_bytes(schema: Any) -> bool:
    match schema:
        case {"type": "array", "items": "null" | {"type": "record", "fields": []}}:
            return True
        case dict():
            return any(map(_has_items_without_bytes, schema.values()))
        case list():
            return any(map(_has_items_without_bytes, schema))
    return False


def to_json(body: bytes, schemas: Schemas) -> bytes:
    """Return a framed message as JSON: decimals and times as text, bytes in base64. Raises UndecodableAvro."""
    number = schema_id(body)
    schema = None if number is None else schemas.get(number)
    if number is None or schema is None:
        raise UndecodableAvro("the schema is unknown")
    if isinstance(schema, UnusableSchema):
        raise UndecodableAvro(f"schema {number}: {schema}")
    if schema.parsed is None:
        return body[_HEADER:]
    try:
        return msgspec.json.encode(fastavro.schemaless_reader(io.BytesIO(body[_HEADER:]), schema.parsed, None))
    except Exception as error:  # noqa: BLE001 - fastavro raises many kinds for bytes that are no datum
        raise UndecodableAvro(f"not a datum of schema {number}: {type(error).__name__}") from None

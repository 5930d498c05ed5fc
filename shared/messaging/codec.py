"""Events as messages: CloudEvents 1.0 JSON. Structured mode is written; structured and binary mode are read.

Source: https://github.com/cloudevents/spec, `spec.md`, `formats/json-format.md`, `bindings/kafka-protocol-binding.md`.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, TypeVar

import msgspec
from pydantic import ValidationError

from shared.contract.cloudevents import Event, EventPayload, IgnoredField
from shared.contract.events import BY_TYPE, CrmPayload, Part, Payload
from shared.messaging.lenient import Undecidable, decode_json, read_leniently, whole_number
from shared.messaging.transport import Message

MAX_BODY = 1_000_000
_STRUCTURED = "application/cloudevents"


class InvalidEvent(ValueError):
    """A message is not an event of the contract; the text says which field is wrong and why, and quotes no `data`."""


class _Wire(msgspec.Struct, omit_defaults=True):
    specversion: str
    id: str
    source: str
    type: str
    time: datetime
    data: msgspec.Raw = msgspec.Raw()
    subject: str | None = None
    datacontenttype: str | None = None
    data_base64: str | None = None


_wire_decoder = msgspec.json.Decoder(_Wire)
_any_decoder = msgspec.json.Decoder()
_raw_decoder = msgspec.json.Decoder(msgspec.Raw)

_REQUIRED = ("specversion", "id", "source", "type", "time")
_OPTIONAL = ("subject", "datacontenttype", "data_base64")
_NO_NAME = "must be 1 to 200 printable characters"
_TIME = "time: must be RFC 3339 with a zone, such as 2026-03-02T09:30:00Z, in the years 1900 to 2199"


def encode(event: Event[EventPayload]) -> Message:
    wire = _Wire(
        specversion="1.0",
        id=event.id,
        source=event.source,
        type=event.payload.type,
        time=event.time.astimezone(UTC),
        subject=event.subject,
        datacontenttype="application/json",
        data=msgspec.Raw(event.data or encode_part(event.payload)),
    )
    return Message(
        topic=event.payload.topic,
        key=event.payload.key,
        body=msgspec.json.encode(wire),
        headers={"content-type": "application/cloudevents+json; charset=utf-8"},
    )


def encode_part(part: Part | EventPayload) -> bytes:
    """Serialize a part of an event to the same JSON as pydantic, in a third of the time."""
    return msgspec.json.encode(part, enc_hook=vars)


def parse(message: Message) -> Event[Payload]:
    """Parse a message in structured or binary mode; raises InvalidEvent."""
    return parse_body(message.body, message.headers)


def parse_body(body: bytes, headers: Mapping[str, str] | None = None) -> Event[Payload]:
    """Parse the body of a message or request, in structured mode when there are no headers; raises InvalidEvent.

    Details of a crm.* event that cannot be read are left out and named in the event's `ignored`.
    """
    if len(body) > MAX_BODY:
        raise InvalidEvent(f"body: {len(body)} bytes, at most {MAX_BODY} are accepted")
    named = {name.lower(): value for name, value in headers.items()} if headers else {}
    binary = "ce_specversion" in named and not named.get("content-type", "").startswith(_STRUCTURED)
    attributes = _attributes(named) if binary else None
    try:
        wire = _decode(body, _wire_decoder) if attributes is None else _with_data(attributes, body)
    except InvalidEvent as error:
        return _parse_leniently(body, attributes, error)
    _check_attributes(wire)
    model = _model(wire)
    raw = bytes(wire.data)
    if wire.data_base64 is not None and raw in (b"", b"null"):
        raw = _from_base64(wire.data_base64)
    return _event(wire, *_payload(model, raw))


def _model(wire: _Wire) -> type[Payload]:
    model = BY_TYPE.get(wire.type)
    if model is None:
        raise InvalidEvent(_no_such_type(wire.type[:100]))
    return model


def _event(wire: _Wire, payload: Payload, ignored: tuple[IgnoredField, ...] = ()) -> Event[Payload]:
    subject = wire.subject
    if subject is not None and not _is_name(subject):
        ignored = (*ignored, IgnoredField("subject", _NO_NAME)) if subject.strip() else ignored
        subject = None
    return Event(wire.id, wire.source, wire.time.astimezone(UTC), payload, subject, ignored=ignored)


def _parse_leniently(body: bytes, attributes: Mapping[str, str] | None, error: InvalidEvent) -> Event[Payload]:
    """Parse a crm.* event that is not strictly JSON, or whose optional attributes are wrong; else raises `error`."""
    try:
        found = decode_json(body)
    except (ValueError, RecursionError):
        raise error from None
    event = {**attributes, "data": found} if attributes is not None else found
    if not isinstance(event, dict) or not issubclass(BY_TYPE.get(str(event.get("type")), Payload), CrmPayload):
        raise error
    event = {**event, "id": whole_number(event.get("id")) or event.get("id")}
    wire = _convert({name: event[name] for name in _REQUIRED if name in event})
    texts = {name: event[name] for name in _OPTIONAL if isinstance(event.get(name), str)}
    wrong = [name for name in _OPTIONAL if name not in texts and event.get(name) is not None]
    wire.subject, wire.data_base64 = texts.get("subject"), texts.get("data_base64")
    _check_attributes(wire)
    data = event.get("data")
    if data is None and wire.data_base64 is not None:
        data = _decoded(_from_base64(wire.data_base64))
    payload, ignored = _read_leniently(_model(wire), data)
    return _event(wire, payload, (*(IgnoredField(name, _NO_NAME) for name in wrong), *ignored))


@lru_cache(maxsize=100)  # a producer sends the same wrong type many times
def _no_such_type(named: str) -> str:
    meant = "".join(f"; did you mean {each}?" for each in get_close_matches(named, BY_TYPE, n=1))
    return f"type: {named!r} is not an event of this contract{meant}"


def _attributes(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the attributes of an event in binary mode; raises InvalidEvent if its data is not JSON."""
    content_type = headers.get("content-type", "application/json").split(";")[0].strip()
    if content_type != "application/json" and not content_type.endswith("+json"):
        raise InvalidEvent(f"content-type: {content_type[:100]!r} cannot be read, send JSON")
    return {name.removeprefix("ce_"): value for name, value in headers.items() if name.startswith("ce_")}


def _with_data(attributes: Mapping[str, str], body: bytes) -> _Wire:
    _decode(body, _raw_decoder)
    return _convert({**attributes, "data": msgspec.Raw(body)}, "CloudEvents headers")


def _convert(event: Mapping[str, Any], place: str = "body") -> _Wire:
    try:
        return msgspec.convert(event, _Wire)
    except msgspec.ValidationError as error:
        raise InvalidEvent(_TIME if "RFC3339" in str(error) else f"{place}: {error}") from None
    except UnicodeEncodeError:
        raise InvalidEvent(f"{place}: an attribute is not Unicode") from None


def _from_base64(text: str) -> bytes:
    """Decode `data_base64` of the JSON format, also without padding and in the alphabet for URLs."""
    plain = "".join(text.split()).rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except ValueError:
        raise InvalidEvent("data_base64: not base64") from None


T = TypeVar("T")


def _decode(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    try:
        body.decode()  # msgspec does not check the encoding of what it skips, and PostgreSQL stores only UTF-8
        return decoder.decode(body)
    except UnicodeDecodeError:
        raise InvalidEvent("body: not UTF-8") from None
    except msgspec.MsgspecError as error:
        raise InvalidEvent(_TIME if "RFC3339" in str(error) else f"body: {error}") from None
    except RecursionError:
        raise InvalidEvent("body: nested too deeply") from None


def _check_attributes(wire: _Wire) -> None:
    if wire.specversion != "1.0":
        raise InvalidEvent("specversion: only 1.0 is supported")
    if not (_is_name(wire.id) and _is_name(wire.source) and (wire.type in BY_TYPE or _is_name(wire.type))):
        wrong = next(name for name in ("id", "source", "type") if not _is_name(getattr(wire, name)))
        raise InvalidEvent(f"{wrong}: {_NO_NAME}")
    if wire.time.tzinfo is None or not 1900 <= wire.time.year < 2200:
        raise InvalidEvent(_TIME)


def _is_name(value: str) -> bool:
    return value.isprintable() and 0 < len(value) <= 200 and not value.isspace()


def _payload(model: type[Payload], raw: bytes) -> tuple[Payload, tuple[IgnoredField, ...]]:
    try:
        if b"\\u0000" not in raw:
            return model.model_validate_json(raw), ()
        if not issubclass(model, CrmPayload):
            _refuse_nul(raw)
            return model.model_validate_json(raw), ()
    except ValidationError as error:
        if not issubclass(model, CrmPayload):
            raise InvalidEvent(describe_errors(error)) from None
    except RecursionError:
        raise InvalidEvent("data: nested too deeply") from None
    return _read_leniently(model, _decoded(raw))


def _decoded(raw: bytes) -> Any:
    try:
        found = decode_json(raw)
        return decode_json(found.encode(errors="replace")) if isinstance(found, str) else found  # encoded twice
    except ValueError:
        raise InvalidEvent("data: not JSON") from None
    except RecursionError:
        raise InvalidEvent("data: nested too deeply") from None


def _read_leniently(model: type[Payload], found: Any) -> tuple[Payload, tuple[IgnoredField, ...]]:
    try:
        return read_leniently(model, found)
    except Undecidable as error:
        raise InvalidEvent(str(error)) from None


def _refuse_nul(raw: bytes) -> None:
    if any("\0" in text for text in _texts(_decode(raw, _any_decoder))):
        raise InvalidEvent("data: contains a NUL character")


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for pair in value.items() for part in pair for text in _texts(part)]
    return [text for part in value for text in _texts(part)] if isinstance(value, list) else []


def describe_errors(error: ValidationError) -> str:
    """Describe the first five wrong fields without their values, which may be personal data."""
    found = [
        f"{'.'.join(map(str, e['loc'])) or 'data'}: {e['msg']}"
        for e in error.errors(include_input=False, include_url=False)
    ]
    return "; ".join(found[:5])

"""Turns messages in a foreign format into our events, by the mapping of their source."""

from __future__ import annotations

import codecs
import hashlib
import json
import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec
from msgspec import structs

from services.trigger.domain.deciding.stored_decision import EventKey
from services.trigger.domain.sources import avro
from services.trigger.domain.sources.avro import Schemas, UndecodableAvro
from services.trigger.domain.sources.mapping import MappedEvent, Unmappable
from services.trigger.domain.sources.source import SOURCE_HEADER, Source
from services.trigger.handlers.events import check_crm_event, read_event
from services.trigger.repository import decisions
from shared import metrics
from shared.contract.cloudevents import Event, IgnoredField
from shared.contract.events import CrmPayload, CustomerErased
from shared.contract.topics import CRM_EVENTS
from shared.contract.vocabulary import SHARED_NAMESPACE, Service, split_respondent_id
from shared.database.session import Session
from shared.health import Heartbeat
from shared.messaging.codec import MAX_BODY, InvalidEvent
from shared.messaging.lenient import check_nesting, decode_json
from shared.messaging.transport import Batch, Message, Readable

_FORM = re.compile(rb"[\w.%+\[\]-]{1,80}=")
_BINARY = ("avro", "protobuf")


@dataclass(frozen=True, slots=True)
class EventWithoutCustomer:
    """A mapped event without a customer: its customer is that of an earlier event of the same source."""

    mapped: MappedEvent
    source: Source
    earlier: EventKey
    received: datetime

    def with_customer_of(self, respondent_id: str) -> Event[CrmPayload]:
        """Return the event with the customer who is this respondent; raises InvalidEvent if it is not valid."""
        customer_id, namespace = split_respondent_id(respondent_id)
        customer = {"id": customer_id, "namespace": namespace}
        event = {**self.mapped.event, "data": {**self.mapped.event["data"], "customer": customer}}
        return _checked(replace(self.mapped, event=event), self.source, received=self.received)


class NeedsEarlierEvent(InvalidEvent):
    """Only a reader with access to the database finds the customer of the earlier event."""

    def __init__(self, event: EventWithoutCustomer) -> None:
        super().__init__("customer.id: only a webhook can take the customer of an earlier event")
        self.event = event


async def find_customer(session: Session, event: EventWithoutCustomer) -> Event[CrmPayload]:
    """Add the customer of the earlier event; raises InvalidEvent if there is no decision about that event."""
    earlier = (await decisions.find(session, [event.earlier])).get(event.earlier)
    if earlier is None:
        raise InvalidEvent(f"customer.id: no earlier event has the id at {event.mapped.places['customer.id']}")
    return event.with_customer_of(earlier.respondent_id)


def read_message(
    message: Message, sources: Mapping[str, Source], *, received: datetime, schemas: Schemas | None = None
) -> Event[CrmPayload] | None:
    """Read a message of any source from a log, None if its mapping ignores it; raises InvalidEvent, NeedsEarlierEvent.

    `schemas` are those of the schema registry, None without one.
    """
    read = read_mapped(_as_json(message, schemas), sources, received=received)
    if isinstance(read, EventWithoutCustomer):
        raise NeedsEarlierEvent(read)
    return read


def read_mapped(
    message: Message, sources: Mapping[str, Source], *, received: datetime
) -> Event[CrmPayload] | EventWithoutCustomer | None:
    """Read a message of any source, None if its mapping ignores it; raises InvalidEvent."""
    name = message.headers.get(SOURCE_HEADER)
    if name is None:
        return read_event(message, now=received)
    source = sources.get(name)
    if source is None:
        raise InvalidEvent(f"{SOURCE_HEADER}: this source is not configured any more")
    if source.read is None:
        return _in_namespace(read_event(message, now=received), source)
    event = _map(source, message, received=received)
    if event is None:
        metrics.EVENTS.labels(Service.TRIGGER, "", "ignored").inc()
    return event


def _in_namespace(event: Event[CrmPayload], source: Source) -> Event[CrmPayload]:
    """Return the event with the namespace of its source, unless it names one; raises InvalidEvent if ids get long."""
    customer = event.payload.customer
    if customer.namespace or source.namespace == SHARED_NAMESPACE:
        return event
    named = customer.model_copy(update={"namespace": source.namespace})
    return check_crm_event(structs.replace(event, payload=event.payload.model_copy(update={"customer": named})))


def from_source(source: Source, message: Message) -> Message:
    """Return the message with the topic crm.events and a header that names its source."""
    return structs.replace(message, topic=CRM_EVENTS.name, headers={**message.headers, SOURCE_HEADER: source.id})


def _as_json(message: Message, schemas: Schemas | None) -> Message:
    """Decode a message of a schema registry to JSON; raises InvalidEvent for what is neither this nor JSON."""
    framed = avro.is_framed(message.body)
    if not message.headers and not framed:
        return message
    types = {name: value.lower() for name, value in message.headers.items() if name.lower() == "content-type"}
    if not framed:
        if any(name in value for name in _BINARY for value in types.values()):
            raise InvalidEvent(
                "body: Avro and Protobuf can only be read as serializers of a schema registry write them"
            )
        return message
    if schemas is None:
        raise InvalidEvent("body: set EARSHOT_SCHEMA_REGISTRY_URL to read Avro, or send JSON")
    try:
        body = avro.to_json(message.body, schemas)
    except UndecodableAvro as error:
        raise InvalidEvent(f"body: {error}") from None
    return structs.replace(
        message, body=body, headers={**message.headers, **{name: _json_type(types[name]) for name in types}}
    )


def _json_type(content_type: str) -> str:
    return "application/cloudevents+json" if content_type.startswith("application/cloudevents") else "application/json"


def _map(source: Source, message: Message, *, received: datetime) -> Event[CrmPayload] | EventWithoutCustomer | None:
    found = _document(message, received, is_webhook=source.kind.is_webhook)
    try:
        mapped = source.read(found) if source.read else None
    except Unmappable as error:
        raise InvalidEvent(str(error)) from None
    if mapped is None:
        return None
    if mapped.by_header and mapped.event["type"] == CustomerErased.type and source.kind.is_webhook:
        raise InvalidEvent("type: an erasure needs a condition on a field of the body, because headers are not signed")
    if mapped.customer_of is not None:
        return EventWithoutCustomer(mapped, source, EventKey(source.id, mapped.customer_of), received)
    return _in_namespace(_checked(mapped, source, received=received), source)


def _document(message: Message, received: datetime, *, is_webhook: bool) -> Any:
    """Decode the body, and add the headers, the key, the time of arrival and a webhook's digest to its fields."""
    if not message.body:
        return None
    if len(message.body) > MAX_BODY:
        raise InvalidEvent(f"body: {len(message.body)} bytes, at most {MAX_BODY} are allowed")
    try:
        found = msgspec.json.decode(message.body.removeprefix(codecs.BOM_UTF8))
        check_nesting(message.body, found)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        found = _decoded_leniently(message.body, error)
    except RecursionError:
        raise InvalidEvent("body: nested too deeply") from None
    if not isinstance(found, dict):
        return found
    headers = {name.lower(): value for name, value in message.headers.items()}
    added = {"$headers": headers, "$key": message.key, "$received": received.isoformat()}
    if is_webhook:
        added["$digest"] = hashlib.sha256(message.body).hexdigest()[:32]
    return {**found, **added}


def _other_format(body: bytes) -> str | None:
    """Name the format of a body that is not JSON, and what to do; None if it looks like JSON."""
    start = body.removeprefix(codecs.BOM_UTF8).lstrip()[:100]
    if start.startswith(b"<"):
        return "expected JSON, found XML: choose JSON as the format of this webhook or topic"
    if _FORM.match(start):
        return "expected JSON, found a form: choose application/json as the content type of this webhook"
    return None


def _decoded_leniently(body: bytes, error: Exception) -> Any:
    try:
        return decode_json(body)
    except (ValueError, RecursionError):
        raise InvalidEvent(f"body: {_other_format(body) or error}") from None


def _encoded(event: Mapping[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(event)
    except UnicodeEncodeError:  # broken Unicode, which only this encoder writes, and which the reader leaves out
        return json.dumps(event).encode()


def _checked(mapped: MappedEvent, source: Source, *, received: datetime) -> Event[CrmPayload]:
    """Validate a mapped event by the contract; an error also names the path in the foreign document."""
    try:
        body = _encoded({**mapped.event, "source": source.id})
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError, TypeError):
        raise InvalidEvent("body: contains a value that cannot be encoded as JSON") from None
    try:
        event = read_event(Message(CRM_EVENTS.name, "", body), now=received)
    except InvalidEvent as error:
        place = mapped.places.get(str(error).partition(":")[0])
        raise InvalidEvent(f"{error} (from {place})" if place else str(error)) from None
    if not mapped.ignored:
        return event
    return structs.replace(
        event, ignored=(*event.ignored, *(IgnoredField(field, why) for field, why in mapped.ignored))
    )


@dataclass(frozen=True, slots=True)
class ForeignLog:
    """Reads the topics of sources under their own names; only the consumer group has this installation's prefix."""

    inner: Readable
    source_of: Callable[[str], Source]
    group_prefix: str = ""

    async def read(
        self, group: str, topics: Sequence[str], *, limit: int = 500, heartbeat: Heartbeat | None = None
    ) -> AsyncGenerator[Batch, None]:
        reading = self.inner.read(self.group_prefix + group, topics, limit=limit, heartbeat=heartbeat)
        async with aclosing(reading) as batches:
            async for batch in batches:
                messages = [from_source(self.source_of(message.topic), message) for message in batch.messages]
                yield Batch(messages, batch.ack)

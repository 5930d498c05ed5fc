"""`POST /v1/events`: one CloudEvent or a batch of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import msgspec
from fastapi import APIRouter, Request
from starlette.datastructures import Headers

from services.trigger.api.keys import ApiKeyVerifier
from services.trigger.domain.deciding.stored_decision import StoredDecision
from services.trigger.handlers.events import EventIdConflict, read_event
from services.trigger.handlers.intake import INVALID, REUSED, EventIntake
from services.trigger.schemas import BatchResults, Decided, RefusedEvent
from shared.contract.cloudevents import Event
from shared.contract.events import BY_TYPE, CrmPayload
from shared.contract.topics import CRM_EVENTS
from shared.messaging.codec import InvalidEvent
from shared.messaging.transport import Message
from shared.web import problems

MAX_EVENTS = 1000
_BATCH = "application/cloudevents-batch+json"
_STRUCTURED = ("application/cloudevents+json", "application/json", "")

_EXAMPLE: dict[str, Any] = {
    "specversion": "1.0",
    "id": "1",
    "source": "my-shop",
    "type": "crm.purchase.completed",
    "time": "2026-03-01T12:00:00Z",
    "data": {
        "customer": {"id": "42", "name": "Ann", "email": "ann@shop.example"},
        "order": {"id": "48213", "amount": "19.90", "currency": "EUR"},
        "touchpoint": {"store": "Riverside", "channel": "store"},
    },
}
_ID = {"type": "string", "minLength": 1, "maxLength": 200}
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "A CloudEvent; the fields of `data` by type are in docs/events.",
    "required": ["specversion", "id", "source", "type", "time", "data"],
    "properties": {
        "specversion": {"const": "1.0"},
        "id": _ID,
        "source": _ID,
        "type": {"enum": sorted(type_ for type_, model in BY_TYPE.items() if issubclass(model, CrmPayload))},
        "time": {"type": "string", "format": "date-time"},
        "data": {
            "type": "object",
            "required": ["customer"],
            "properties": {"customer": {"type": "object", "required": ["id"], "properties": {"id": _ID}}},
        },
    },
}
_BODY = {
    "required": True,
    "content": {
        "application/cloudevents+json": {"schema": _SCHEMA, "example": _EXAMPLE},
        _BATCH: {"schema": {"type": "array", "items": _SCHEMA, "maxItems": MAX_EVENTS}, "example": [_EXAMPLE]},
    },
}


@dataclass(frozen=True, slots=True)
class EventApi:
    intake: EventIntake
    keys: ApiKeyVerifier

    def router(self) -> APIRouter:
        router = APIRouter(tags=["events"])
        router.add_api_route(
            "/v1/events",
            self.post_events,
            methods=["POST"],
            status_code=HTTPStatus.ACCEPTED,
            openapi_extra={"requestBody": _BODY},
        )
        return router

    async def post_events(self, request: Request) -> Decided | BatchResults:
        """Accept one event (structured or binary) or an array of up to 1,000, and return the decision about each."""
        body = await request.body()
        if not _is_array(request.headers, body):
            self.keys.count(request, 1)
            event = _read_one(request.headers, body, now=self.intake.clock.now())
            return Decided.of(await self.intake.decide_one(event))
        items = _items(body)
        self.keys.count(request, len(items))
        return await self._decide_batch(items)

    async def _decide_batch(self, items: Sequence[msgspec.Raw]) -> BatchResults:
        now = self.intake.clock.now()
        read = [_read_item(item, now=now) for item in items]
        verdicts = iter(await self.intake.decide_each([event for event in read if isinstance(event, Event)]))
        return BatchResults(
            results=[_result(next(verdicts)) if isinstance(one, Event) else _refused(one) for one in read]
        )


def _media_type(headers: Headers) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _is_array(headers: Headers, body: bytes) -> bool:
    if _media_type(headers) == _BATCH:
        return True
    return "ce-specversion" not in headers and body.lstrip().startswith(b"[")


def _read_one(headers: Headers, body: bytes, *, now: datetime) -> Event[CrmPayload]:
    if "ce-specversion" not in headers and _media_type(headers) not in _STRUCTURED:
        raise problems.Unprocessable(INVALID, "content-type: expected application/cloudevents+json")
    # `read_event` expects headers of the Kafka binding: `ce_` and plain UTF-8; in HTTP, `ce-` and percent-encoding
    wire = {
        f"ce_{name.removeprefix('ce-')}" if name.startswith("ce-") else name: unquote(value)
        for name, value in headers.items()
    }
    try:
        return read_event(Message(CRM_EVENTS.name, "", body, wire), now=now)
    except InvalidEvent as error:
        raise problems.Unprocessable(INVALID, str(error)) from None


def _items(body: bytes) -> list[msgspec.Raw]:
    try:
        items = msgspec.json.decode(body, type=list[msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise problems.Unprocessable(INVALID, f"body: {error}") from None
    except RecursionError:
        raise problems.Unprocessable(INVALID, "body: nested too deeply") from None
    if len(items) > MAX_EVENTS:
        raise problems.Unprocessable("Too many events", f"A batch holds at most {MAX_EVENTS} events.")
    return items


def _read_item(item: msgspec.Raw, *, now: datetime) -> Event[CrmPayload] | InvalidEvent:
    try:
        return read_event(Message(CRM_EVENTS.name, "", bytes(item)), now=now)
    except InvalidEvent as error:
        return error


def _result(verdict: StoredDecision | EventIdConflict | Exception) -> Decided | RefusedEvent:
    if isinstance(verdict, Exception):
        problem = problems.as_problem(verdict)
        return RefusedEvent(
            status=problem.status, title=problem.title, detail="This event was not stored; the others were."
        )
    if isinstance(verdict, EventIdConflict):
        title, detail = REUSED
        return RefusedEvent(status=HTTPStatus.CONFLICT, title=title, detail=detail)
    return Decided.of(verdict)


def _refused(error: InvalidEvent) -> RefusedEvent:
    return RefusedEvent(status=HTTPStatus.UNPROCESSABLE_ENTITY, title=INVALID, detail=str(error))

"""`POST /v1/events`: one CloudEvent or a batch of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import unquote

import msgspec
from fastapi import APIRouter, Query, Request, Response
from starlette.datastructures import Headers

from services.trigger.domain.deciding.stored_decision import StoredDecision
from services.trigger.handlers.events import EventIdConflict, read_event
from services.trigger.handlers.intake import INVALID, REUSED, EventIntake, EventVerdict
from services.trigger.handlers.survey_links import SurveyLinks
from services.trigger.schemas import BatchResults, Decided, RefusedEvent, ShownLink, TriedEvent
from shared.contract.cloudevents import Event
from shared.contract.events import BY_TYPE, CrmPayload
from shared.contract.topics import CRM_EVENTS
from shared.messaging.codec import InvalidEvent
from shared.messaging.lenient import decode_json
from shared.messaging.transport import Message
from shared.web import problems
from shared.web.rate_limit import RateLimit

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
_DRY_RUN = "Decide without storing anything; the reply has the trail of the decision."
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
    limit: RateLimit
    links: SurveyLinks

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

    async def post_events(
        self, request: Request, response: Response, *, dry_run: Annotated[bool, Query(description=_DRY_RUN)] = False
    ) -> Decided | TriedEvent | BatchResults:
        """Accept one event (structured or binary) or an array of up to 1,000, and return the decision about each."""
        body = await request.body()
        response.status_code = HTTPStatus.OK if dry_run else HTTPStatus.ACCEPTED
        if not _is_array(request.headers, body):
            self._count(request, 1)
            event = _read_one(request.headers, body, now=self.intake.clock.now())
            if dry_run:
                return await self._try(event)
            return self._decided(await self.intake.decide_one(event), with_picture=True)
        items = _items(body)
        self._count(request, len(items))
        return await self._decide_batch(items, dry_run=dry_run)

    def _count(self, request: Request, events: int) -> None:
        """Count events against the rate limit of their key; raises TooManyRequests. Staff have no limit."""
        key = getattr(request.state, "key", None)
        if key is not None:
            self.limit.check(key, events)

    async def _try(self, event: Event[CrmPayload]) -> TriedEvent:
        (verdict,) = await self.intake.try_each([event])
        match verdict:
            case StoredDecision():
                return TriedEvent.of(verdict)
            case EventIdConflict():
                raise problems.Conflict(*REUSED)
        raise verdict

    async def _decide_batch(self, items: Sequence[msgspec.Raw], *, dry_run: bool) -> BatchResults:
        now = self.intake.clock.now()
        read = [_read_item(item, now=now) for item in items]
        decide = self.intake.try_each if dry_run else self.intake.decide_each
        verdicts = iter(await decide([event for event in read if isinstance(event, Event)]))
        return BatchResults(
            results=[
                self._result(next(verdicts), dry_run=dry_run) if isinstance(one, Event) else _refused(one)
                for one in read
            ]
        )

    def _decided(self, stored: StoredDecision, *, with_picture: bool) -> Decided:
        decided, url = Decided.of(stored), self.links.of(stored)
        if url is None:
            return decided
        return decided.model_copy(update={"link": ShownLink.of(url, with_picture=with_picture)})

    def _result(self, verdict: EventVerdict | Exception, *, dry_run: bool) -> Decided | TriedEvent | RefusedEvent:
        if not isinstance(verdict, StoredDecision):
            return _failed(verdict)
        return TriedEvent.of(verdict) if dry_run else self._decided(verdict, with_picture=False)


def _media_type(headers: Headers) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _is_array(headers: Headers, body: bytes) -> bool:
    if _media_type(headers) == _BATCH:
        return True
    return "ce-specversion" not in headers and body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[")


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
        items = _items_leniently(body, error)
    except RecursionError:
        raise problems.Unprocessable(INVALID, "body: nested too deeply") from None
    if len(items) > MAX_EVENTS:
        raise problems.Unprocessable("Too many events", f"A batch holds at most {MAX_EVENTS} events.")
    return items


def _items_leniently(body: bytes, error: Exception) -> list[msgspec.Raw]:
    """Split an array that is not strict JSON, so that only the event that is wrong is read leniently."""
    try:
        items = decode_json(body)
    except (ValueError, RecursionError):
        items = None
    if not isinstance(items, list):
        raise problems.Unprocessable(INVALID, f"body: {error}")
    return [msgspec.Raw(json.dumps(item, ensure_ascii=False).encode(errors="surrogatepass")) for item in items]


def _read_item(item: msgspec.Raw, *, now: datetime) -> Event[CrmPayload] | InvalidEvent:
    try:
        return read_event(Message(CRM_EVENTS.name, "", bytes(item)), now=now)
    except InvalidEvent as error:
        return error


def _failed(verdict: EventIdConflict | Exception) -> RefusedEvent:
    if isinstance(verdict, Exception):
        problem = problems.as_problem(verdict)
        return RefusedEvent(
            status=problem.status, title=problem.title, detail="This event was not stored; the others were."
        )
    title, detail = REUSED
    return RefusedEvent(status=HTTPStatus.CONFLICT, title=title, detail=detail)


def _refused(error: InvalidEvent) -> RefusedEvent:
    return RefusedEvent(status=HTTPStatus.UNPROCESSABLE_ENTITY, title=INVALID, detail=str(error))

"""`POST /v1/hooks/{source}`: webhooks of shops and CRMs, verified by their signatures.

A verified webhook is always answered with 202, because vendors disable webhooks that fail. A message that cannot be
mapped is parked with the path that failed.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Literal

import structlog
from fastapi import APIRouter, Request
from pydantic import BaseModel

from services.trigger.domain.sources.signatures import is_signed
from services.trigger.domain.sources.source import Source, SourceKind
from services.trigger.handlers.intake import EventIntake
from services.trigger.handlers.mapped_events import EventWithoutCustomer, find_customer, from_source, read_mapped
from services.trigger.repository import arrivals, deal_fetches
from services.trigger.sources.bitrix24 import DealNotice, read_notice
from shared import metrics
from shared.contract.cloudevents import Event
from shared.contract.events import CrmPayload
from shared.contract.vocabulary import Service
from shared.database.isolated import isolated
from shared.messaging import parking
from shared.messaging.codec import InvalidEvent
from shared.messaging.transport import Message
from shared.web.problems import Conflict, NotFound, Unauthorized

log = structlog.get_logger()

NOT_CONFIGURED = (
    "The last part of the path is the id of a source: describe it in a file in the folder of EARSHOT_SOURCES "
    "(id: my-shop, kind: shopify, woocommerce, bitrix24 or generic), set EARSHOT_SOURCE_SECRETS=my-shop:..., and "
    "restart trigger. docs/sources has a page on each kind."
)

_PING = re.compile(rb"webhook_id=\d{1,20}")  # WooCommerce tests the URL with an unsigned form


class WebhookResult(StrEnum):
    DECIDED = "decided"
    KNOWN = "known"  # the id belongs to another event, whose decision is kept
    IGNORED = "ignored"
    PARKED = "parked"
    QUEUED = "queued"  # the deal will be fetched from the CRM
    REFUSED = "refused"


class AcceptedWebhook(BaseModel):
    result: Literal[
        WebhookResult.DECIDED, WebhookResult.KNOWN, WebhookResult.IGNORED, WebhookResult.PARKED, WebhookResult.QUEUED
    ]


@dataclass(frozen=True, slots=True)
class SourceWebhooks:
    intake: EventIntake
    sources: Mapping[str, Source]

    def router(self) -> APIRouter:
        router = APIRouter(tags=["events"])
        path = "/v1/hooks/{source}"
        router.add_api_route(path, self.post_hook, methods=["POST"], status_code=HTTPStatus.ACCEPTED)
        return router

    async def post_hook(self, source: str, request: Request) -> AcceptedWebhook:
        """Accept a webhook of a configured source."""
        found = self.sources.get(source)
        if found is None or not found.kind.is_webhook:
            raise NotFound("No such source", NOT_CONFIGURED)
        return AcceptedWebhook(result=await self._measured(found, await request.body(), dict(request.headers)))

    async def _measured(self, source: Source, body: bytes, headers: Mapping[str, str]) -> WebhookResult:
        try:
            result = await self._handle(source, body, headers)
        except Unauthorized:
            await self._count(source, WebhookResult.REFUSED)
            raise
        await self._count(source, result)
        return result

    async def _count(self, source: Source, result: WebhookResult) -> None:
        """Count a message, and store the count of those that are neither decided nor parked."""
        metrics.HOOKS.labels(Service.TRIGGER, source.id, result).inc()
        if result not in (WebhookResult.DECIDED, WebhookResult.PARKED):
            async with self.intake.sessions.begin() as session:
                await arrivals.count(session, source.id, result)

    async def _handle(self, source: Source, body: bytes, headers: Mapping[str, str]) -> WebhookResult:
        if source.kind is SourceKind.BITRIX24:
            return await self._queue(source, read_notice(body, source.secrets))
        if source.kind is SourceKind.WOOCOMMERCE and _PING.fullmatch(body):
            return WebhookResult.IGNORED
        if source.signature is None or not is_signed(
            body, headers, signature=source.signature, secrets=source.secrets, at=time.time()
        ):
            raise Unauthorized("The signature is wrong", "It was made with another secret or over another body.")
        return await self.decide(source, body, {name: headers[name] for name in headers if name.startswith("x-")})

    async def _queue(self, source: Source, notice: DealNotice | None) -> WebhookResult:
        """Queue a deal to be fetched from the CRM, because the notice contains only its id."""
        if notice is None:
            return WebhookResult.IGNORED
        async with self.intake.sessions.begin() as session:
            await deal_fetches.add(session, source.id, notice.deal)
        return WebhookResult.QUEUED

    async def decide(self, source: Source, body: bytes, headers: Mapping[str, str]) -> WebhookResult:
        """Decide about a message of a source, or park it."""
        position = f"hooks/{source.id}/{hashlib.sha256(body).hexdigest()[:16]}"
        message = from_source(source, Message("", "", body, headers, position))
        passing, ids = (InvalidEvent, Conflict), {"source": source.id, "position": position}
        try:
            with isolated("webhook", service=Service.TRIGGER, passing=passing, outages=True, **ids) as guarded:
                event = await self._read(message)
                if event is None:
                    return WebhookResult.IGNORED
                await self.intake.decide_one(event)
                return WebhookResult.DECIDED
        except InvalidEvent as error:
            reason = str(error)
        except Conflict:
            return WebhookResult.KNOWN
        else:
            reason = f"could not be handled: {type(guarded.error).__name__}"
        await self._park(source, message, reason)
        return WebhookResult.PARKED

    async def _read(self, message: Message) -> Event[CrmPayload] | None:
        read = read_mapped(message, self.sources, received=self.intake.clock.now())
        if not isinstance(read, EventWithoutCustomer):
            return read
        async with self.intake.sessions() as session:
            return await find_customer(session, read)

    async def _park(self, source: Source, message: Message, reason: str) -> None:
        async with self.intake.sessions.begin() as session:
            await parking.park(session, [(message, reason)])
        metrics.PARKED.labels(Service.TRIGGER, "invalid").inc()
        log.warning("message.parked", source=source.id, position=message.position, reason=reason)

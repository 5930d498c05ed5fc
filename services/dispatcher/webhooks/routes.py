"""The one route of all hooks."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.dispatcher.repository import crm_tasks, receipts
from services.dispatcher.webhooks.verifier import Incoming, ParsedCallback, WebhookVerifier
from shared import metrics
from shared.contract.vocabulary import Service
from shared.database.db import Sessions
from shared.database.isolated import isolated
from shared.web import problems
from shared.web.problems import Forbidden, Unavailable


def router(sessions: Sessions, doors: Mapping[str, WebhookVerifier]) -> APIRouter:
    routes = APIRouter(include_in_schema=False)

    @routes.post("/hooks/{provider}")
    async def hook(provider: str, request: Request) -> Response:
        """Hear a provider out before a transaction is opened: its certificate may have to be fetched."""
        door = doors.get(provider)
        if door is None:
            raise problems.NotFound("No such provider", "Its secret is not set.")
        said = await _heard(door, Incoming(request.url.query, request.headers, await request.body()), provider)
        if said.receipts or said.changed_tasks:
            async with sessions.begin() as session:
                await receipts.add(session, said.receipts)
                await crm_tasks.look_again(session, said.changed_tasks)
        for receipt in said.receipts:
            metrics.RECEIPTS.labels(Service.DISPATCHER, receipt.provider, receipt.kind).inc()
        return Response(said.reply, media_type="text/xml") if said.reply else Response(status_code=204)

    return routes


async def _heard(door: WebhookVerifier, incoming: Incoming, provider: str) -> ParsedCallback:
    """Hear a provider; what cannot be read is refused, so that it is nobody's fault but the sender's."""
    with isolated("callback", service=Service.DISPATCHER, passing=(Forbidden, Unavailable), provider=provider):
        return await door.hear(incoming)
    raise problems.BadRequest("The message cannot be read")

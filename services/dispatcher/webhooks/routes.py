"""`POST /hooks/{provider}`: a callback is verified, its receipts are stored, and a job applies them later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.dispatcher.repository import receipts, replies
from services.dispatcher.repository.crm import crm_tasks
from services.dispatcher.webhooks.verifier import ParsedCallback, WebhookRequest, WebhookVerifier
from shared import metrics
from shared.contract.vocabulary import Service
from shared.database.isolated import isolated
from shared.database.session import Sessions
from shared.web import problems
from shared.web.problems import Forbidden, Unavailable


@dataclass(frozen=True, slots=True)
class WebhookRoutes:
    """`verifiers` are by the provider's name in the path."""

    sessions: Sessions
    verifiers: Mapping[str, WebhookVerifier]

    def router(self) -> APIRouter:
        router = APIRouter(include_in_schema=False)
        router.add_api_route("/hooks/{provider}", self.receive, methods=["POST"])
        return router

    async def receive(self, provider: str, request: Request) -> Response:
        """Verify before the transaction begins: SNS's certificate may have to be fetched."""
        verifier = self.verifiers.get(provider)
        if verifier is None:
            raise problems.NotFound("No such provider", "The provider is unknown, or its secret is not set.")
        callback = WebhookRequest(
            request.scope["query_string"].decode("latin-1"), request.headers, await request.body()
        )
        parsed = await _verified(verifier, callback, provider)
        await self._store(parsed)
        return Response(parsed.reply, media_type="text/xml") if parsed.reply else Response(status_code=204)

    async def _store(self, parsed: ParsedCallback) -> None:
        if parsed.receipts or parsed.changed_tasks or parsed.texts:
            async with self.sessions.begin() as session:
                await replies.keep(session, parsed.texts)
                await receipts.add(session, parsed.receipts)
                await crm_tasks.make_due(session, parsed.changed_tasks)
        for receipt in parsed.receipts:
            metrics.RECEIPTS.labels(Service.DISPATCHER, receipt.provider, receipt.kind).inc()


async def _verified(verifier: WebhookVerifier, callback: WebhookRequest, provider: str) -> ParsedCallback:
    """Verify and parse; a callback that cannot be parsed is answered with 400, not with a failure of ours."""
    with isolated("callback", service=Service.DISPATCHER, passing=(Forbidden, Unavailable), provider=provider):
        return await verifier.verify(callback)
    raise problems.BadRequest("The message cannot be read")

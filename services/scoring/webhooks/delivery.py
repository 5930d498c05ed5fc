"""Delivers webhooks: claim, send outside any transaction, record. One endpoint's slowness is nobody else's.

Standard Webhooks (standardwebhooks.com): `webhook-id` is the event's id, and what is signed is what is sent, byte for
byte, which is the event as Kafka carries it.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession
from standardwebhooks import Webhook
from uuid_utils.compat import uuid7

from services.scoring.domain.webhooks import Delivery, DeliveryResult, Endpoint, result
from services.scoring.repository import webhooks
from shared import metrics
from shared.contract.vocabulary import Service
from shared.database.db import Sessions, is_transient
from shared.database.isolated import isolated
from shared.database.until_stopped import until_stopped
from shared.health import Heartbeat
from shared.web import addresses
from shared.web.addresses import ForbiddenAddress, Network, Resolve
from shared.web.client import MaybeSent, NotSent, post_pinned, tls

log = structlog.get_logger()

AT_ONCE = 8  # to one endpoint
WITHIN_S = 15.0
BUDGET_S = 10.0  # of a try at hand when told to stop
LEASE = timedelta(seconds=60)
EVERY_S = 0.5
GIVEN_UP = "it took nothing for three days"
GONE = 410


class PlainHttp(ForbiddenAddress):
    """Unencrypted is for networks that were named."""


@dataclass(slots=True)
class WebhookSender:
    """`networks` are private ones that endpoints may be in, and may be reached in without TLS."""

    sessions: Sessions
    networks: Sequence[Network] = ()
    resolve: Resolve = addresses.look_up
    context: ssl.SSLContext = field(default_factory=tls)
    within_s: float = WITHIN_S
    _running: dict[UUID, asyncio.Task[None]] = field(default_factory=dict, init=False)
    _stop: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    async def run(self, stop: asyncio.Event, heartbeat: Heartbeat) -> None:
        """Deliver until told to stop; tries at hand keep their budget and are recorded first."""
        self._stop = stop
        await until_stopped(self.start_due, stop, heartbeat=heartbeat, longest_s=EVERY_S)
        await self.finish()

    async def start_due(self) -> None:
        """Begin with every endpoint that something is due for and that is not being served already."""
        async with self.sessions.begin() as session:
            due = await webhooks.with_work(session)
        for done in [endpoint_id for endpoint_id, task in self._running.items() if task.done()]:
            self._running.pop(done).result()  # whatever it could not wait out ends this process too
        for endpoint_id in due:
            if endpoint_id not in self._running:
                self._running[endpoint_id] = asyncio.create_task(self._serve(endpoint_id))

    async def finish(self) -> None:
        """Let the tries at hand end within their budget; what takes longer comes again when its lease has ended."""
        running = list(self._running.values())
        if running:
            await asyncio.wait(running, timeout=BUDGET_S)
        for task in running:
            if task.done():
                task.result()
            else:
                task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _serve(self, endpoint_id: UUID) -> None:
        try:
            while not self._stop.is_set() and await self._deliver_some(endpoint_id):
                pass
        except Exception as error:
            if not is_transient(error):
                raise
            _waits(error)

    async def _deliver_some(self, endpoint_id: UUID) -> bool:
        """Try what is due; False when nothing was."""
        async with self.sessions.begin() as session:
            endpoint = await webhooks.load(session, endpoint_id)
            if endpoint is None or endpoint.disabled is not None:
                return False
            deliveries = await webhooks.claim(session, endpoint_id, limit=AT_ONCE, lease=LEASE)
        if not deliveries:
            return False
        outcomes = await asyncio.gather(*(self.send(endpoint, delivery) for delivery in deliveries))
        results = [result(*each) for each in zip(deliveries, outcomes, strict=True)]
        async with self.sessions.begin() as session:
            given_up = await self._record(session, endpoint_id, results, gone=GONE in outcomes)
        self._count(endpoint_id, results, given_up=given_up)
        return True

    async def _record(
        self, session: AsyncSession, endpoint_id: UUID, results: list[DeliveryResult], *, gone: bool
    ) -> bool:
        given_up = await webhooks.record(session, endpoint_id, results, reason=GIVEN_UP)
        return (gone and await webhooks.disable(session, endpoint_id, reason="it answered 410 Gone")) or given_up

    def _count(self, endpoint_id: UUID, results: list[DeliveryResult], *, given_up: bool) -> None:
        for each in results:
            metrics.WEBHOOKS.labels(Service.SCORING, each.state).inc()
        if given_up:
            metrics.WEBHOOKS_DISABLED.labels(Service.SCORING).inc()
            log.error("webhook.disabled", endpoint_id=str(endpoint_id))

    async def send(self, endpoint: Endpoint, delivery: Delivery) -> int | str:
        """Make one try; returns the status of the reply, or why there is none."""
        about, event_id = str(endpoint.id), delivery.event_id
        with isolated("webhook", service=Service.SCORING, endpoint_id=about, event_id=event_id):
            return await self._try(endpoint, delivery)
        return "no request can be made of it"

    async def _try(self, endpoint: Endpoint, delivery: Delivery) -> int | str:
        headers = _headers(endpoint, delivery, at=datetime.now(UTC))
        try:
            async with asyncio.timeout(self.within_s):
                address = await self.permitted(endpoint.url)
                return await post_pinned(
                    endpoint.url, delivery.body, address=address, headers=headers, context=self.context
                )
        except (MaybeSent, TimeoutError):
            return "no reply in time"
        except (ForbiddenAddress, NotSent, OSError) as error:
            return unreachable(error)

    async def permitted(self, url: str) -> str:
        """Find the address to connect to; raises ForbiddenAddress, and OSError when the name leads nowhere."""
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        address = await addresses.permitted(parts.hostname or "", port, networks=self.networks, resolve=self.resolve)
        if parts.scheme == "http" and not addresses.is_in(address, self.networks):
            raise PlainHttp
        return str(address)


def unreachable(error: Exception) -> str:
    """Say why nothing could be sent there."""
    match error:
        case PlainHttp():
            return "plain http is only for networks in EARSHOT_WEBHOOK_NETWORKS"
        case ForbiddenAddress():
            return "the address is private, and in none of EARSHOT_WEBHOOK_NETWORKS"
        case socket.gaierror():
            return "the name does not resolve"
    return "no connection"


def _waits(error: Exception) -> None:
    metrics.RETRIES.labels(Service.SCORING).inc()
    log.warning("webhooks.wait", exc_info=error)


def _headers(endpoint: Endpoint, delivery: Delivery, *, at: datetime) -> dict[str, str]:
    text = delivery.body.decode()
    signatures = [Webhook(secret).sign(delivery.event_id, at, text) for secret in endpoint.secrets]
    return {
        "webhook-id": delivery.event_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
        "content-type": "application/cloudevents+json; charset=utf-8",
        "user-agent": "Earshot-Webhooks",
    }


def sample() -> Delivery:
    """Make a delivery that says nothing, to try an endpoint with."""
    event_id = str(uuid7())
    wire = {
        "specversion": "1.0",
        "id": event_id,
        "source": Service.SCORING.source,
        "type": "webhook.tested",
        "time": datetime.now(UTC).isoformat(),
        "data": {},
    }
    return Delivery(event_id, json.dumps(wire).encode())


async def forget_old(session: AsyncSession, *, now: datetime) -> int:  # noqa: ARG001 - what is kept is kept in machine time
    """Delete what is too old to be replayed."""
    return await webhooks.forget_old(session)

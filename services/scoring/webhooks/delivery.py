"""Delivers webhooks: claims due deliveries, sends them outside a transaction, and records the results.

Each endpoint has its own task. Requests are signed as in Standard Webhooks (standardwebhooks.com), with the event id as
`webhook-id`.
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
from standardwebhooks import Webhook
from uuid_utils.compat import uuid7

from services.scoring.domain.webhooks import Delivery, DeliveryResult, Endpoint, delivery_result
from services.scoring.repository import webhooks
from shared import metrics
from shared.contract.vocabulary import Service
from shared.database.db import is_transient
from shared.database.isolated import isolated
from shared.database.session import Session, Sessions
from shared.database.until_stopped import Pause, until_stopped
from shared.health import Heartbeat
from shared.web import addresses
from shared.web.addresses import ForbiddenAddress, Network, Resolve
from shared.web.http_client import MaybeSent, NotSent, post_pinned, tls

log = structlog.get_logger()

MAX_CONCURRENT = 8  # deliveries to one endpoint
TIMEOUT_S = 15.0  # of one delivery, with name resolution
STOP_TIMEOUT_S = 10.0  # for deliveries in flight when the process stops
LEASE = timedelta(seconds=60)  # a claimed delivery without a recorded result is due again after this time
POLL_S = 0.5
GIVEN_UP = "no delivery succeeded for three days"
GONE = 410


class PlainHttp(ForbiddenAddress):
    """The endpoint uses plain HTTP and its address is not in the allowed private networks."""


@dataclass(slots=True)
class WebhookSender:
    """Sends due deliveries; `networks` are the private networks allowed for endpoints, also over plain HTTP."""

    sessions: Sessions
    networks: Sequence[Network] = ()
    resolve: Resolve = addresses.look_up
    context: ssl.SSLContext = field(default_factory=tls)
    timeout_s: float = TIMEOUT_S
    _running: dict[UUID, asyncio.Task[None]] = field(default_factory=dict, init=False)
    _stop: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    async def run(self, stop: asyncio.Event, heartbeat: Heartbeat, pause: Pause = Pause(POLL_S)) -> None:  # noqa: B008 - frozen
        """Send due deliveries until `stop` is set, then wait up to `STOP_TIMEOUT_S` for deliveries in flight."""
        self._stop = stop
        await until_stopped(self.start_due, stop, heartbeat=heartbeat, pause=pause)
        await self.finish()

    async def start_due(self) -> None:
        """Start a task for each endpoint with due deliveries and no running task; raises the error of a failed task."""
        async with self.sessions.begin() as session:
            due = await webhooks.with_due_deliveries(session)
        for done in [endpoint_id for endpoint_id, task in self._running.items() if task.done()]:
            self._running.pop(done).result()  # an error that is not transient ends the process
        for endpoint_id in due:
            if endpoint_id not in self._running:
                self._running[endpoint_id] = asyncio.create_task(self._serve(endpoint_id))

    async def finish(self) -> None:
        """Wait up to `STOP_TIMEOUT_S` for deliveries in flight; cancelled ones are due again after `LEASE`."""
        running = list(self._running.values())
        if running:
            await asyncio.wait(running, timeout=STOP_TIMEOUT_S)
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
            _log_retry(error)

    async def _deliver_some(self, endpoint_id: UUID) -> bool:
        """Send up to `MAX_CONCURRENT` due deliveries; False when none is due or the endpoint is removed or disabled."""
        async with self.sessions.begin() as session:
            endpoint = await webhooks.load(session, endpoint_id)
            if endpoint is None or endpoint.disabled is not None:
                return False
            deliveries = await webhooks.claim(session, endpoint_id, limit=MAX_CONCURRENT, lease=LEASE)
        if not deliveries:
            return False
        outcomes = await asyncio.gather(*(self.send(endpoint, delivery) for delivery in deliveries))
        results = [delivery_result(*each) for each in zip(deliveries, outcomes, strict=True)]
        async with self.sessions.begin() as session:
            given_up = await self._record(session, endpoint_id, results, gone=GONE in outcomes)
        self._count(endpoint_id, results, given_up=given_up)
        return True

    async def _record(self, session: Session, endpoint_id: UUID, results: list[DeliveryResult], *, gone: bool) -> bool:
        given_up = await webhooks.record(session, endpoint_id, results, reason=GIVEN_UP)
        return (gone and await webhooks.disable(session, endpoint_id, reason="it answered 410 Gone")) or given_up

    def _count(self, endpoint_id: UUID, results: list[DeliveryResult], *, given_up: bool) -> None:
        for each in results:
            metrics.WEBHOOKS.labels(Service.SCORING, each.state).inc()
        if given_up:
            metrics.WEBHOOKS_DISABLED.labels(Service.SCORING).inc()
            log.error("webhook.disabled", endpoint_id=str(endpoint_id))

    async def send(self, endpoint: Endpoint, delivery: Delivery) -> int | str:
        """Send one delivery; return the HTTP status of the response, or the reason why there is no response."""
        about, event_id = str(endpoint.id), delivery.event_id
        with isolated("webhook", service=Service.SCORING, endpoint_id=about, event_id=event_id):
            return await self._post(endpoint, delivery)
        return "the request cannot be built"

    async def _post(self, endpoint: Endpoint, delivery: Delivery) -> int | str:
        headers = _headers(endpoint, delivery, at=datetime.now(UTC))
        try:
            async with asyncio.timeout(self.timeout_s):
                address = await self.permitted(endpoint.url)
                return await post_pinned(
                    endpoint.url, delivery.body, address=address, headers=headers, context=self.context
                )
        except (MaybeSent, TimeoutError):
            return "no reply in time"
        except (ForbiddenAddress, NotSent, OSError) as error:
            return unreachable(error)

    async def permitted(self, url: str) -> str:
        """Return the IP address to connect to; raises ForbiddenAddress, or OSError if the name does not resolve."""
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        address = await addresses.permitted_address(
            parts.hostname or "", port, networks=self.networks, resolve=self.resolve
        )
        if parts.scheme == "http" and not addresses.is_in(address, self.networks):
            raise PlainHttp
        return str(address)


def unreachable(error: Exception) -> str:
    """Return a message for the error that prevented the connection to an endpoint."""
    match error:
        case PlainHttp():
            return "plain http is only allowed to networks in EARSHOT_WEBHOOK_NETWORKS"
        case ForbiddenAddress():
            return "the address is private and not in EARSHOT_WEBHOOK_NETWORKS"
        case socket.gaierror():
            return "the name does not resolve"
    return "no connection"


def _log_retry(error: Exception) -> None:
    metrics.RETRIES.labels(Service.SCORING).inc()
    log.warning("webhooks.retry", exc_info=error)


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


def sample_delivery() -> Delivery:
    """Return a delivery of a `webhook.tested` event with empty data."""
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


async def delete_old(session: Session, *, now: datetime) -> int:  # noqa: ARG001 - deliveries have the database's time
    """Delete deliveries older than the retention period, by the database clock; return the number deleted."""
    return await webhooks.delete_old_deliveries(session)

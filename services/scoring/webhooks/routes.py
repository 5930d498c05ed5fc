"""Routes for staff to manage webhook endpoints, their secrets and deliveries."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from uuid import UUID

from fastapi import APIRouter
from uuid_utils.compat import uuid7

from services.scoring.domain.webhooks import Endpoint, InvalidEndpoint, checked_types, checked_url, new_secret
from services.scoring.repository import webhooks
from services.scoring.repository.people import accounts
from services.scoring.repository.webhooks import EndpointSummary
from services.scoring.webhooks.delivery import WebhookSender, sample_delivery, unreachable
from services.scoring.webhooks.schemas import (
    EndpointTest,
    Replay,
    Replayed,
    WebhookAct,
    WebhookIn,
    WebhookListed,
    WebhookSecret,
)
from shared.database.session import Session, Sessions
from shared.languages.marking import mark
from shared.web.addresses import ForbiddenAddress
from shared.web.api_keys.page import ShownWebhook
from shared.web.audit.acts import note, note_unchanged
from shared.web.audit.last_acts import LastAct, last_acts
from shared.web.problems import Conflict, NotFound, Unprocessable

BY_HAND = "by hand"
_MADE = dict.fromkeys(("POST /v1/webhooks", "earshot webhooks add"), mark("added"))
_CHANGED = {
    action: text
    for route, text in {
        "disable": mark("turned off"),
        "enable": mark("turned on"),
        "rotate": mark("given another secret"),
    }.items()
    for action in (f"POST /v1/webhooks/{{endpoint_id}}/{route}", f"earshot webhooks {route}")
}


@dataclass(frozen=True, slots=True)
class Webhooks:
    sessions: Sessions
    sender: WebhookSender

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])
        router.add_api_route("", self.list, methods=["GET"])
        router.add_api_route("", self.add, methods=["POST"], status_code=HTTPStatus.CREATED)
        router.add_api_route("/{endpoint_id}", self.remove, methods=["DELETE"], status_code=HTTPStatus.NO_CONTENT)
        router.add_api_route("/{endpoint_id}/disable", self.disable, methods=["POST"], status_code=204)
        router.add_api_route("/{endpoint_id}/enable", self.enable, methods=["POST"], status_code=204)
        router.add_api_route("/{endpoint_id}/rotate", self.rotate, methods=["POST"])
        router.add_api_route("/{endpoint_id}/replay", self.replay, methods=["POST"])
        router.add_api_route("/{endpoint_id}/test", self.test, methods=["POST"])
        return router

    async def list(self) -> list[WebhookListed]:
        """List all endpoints, with counts of their deliveries, who made them and who changed them last."""
        async with self.sessions.begin() as session:
            found = await _with_acts(session)
        return [
            WebhookListed(
                id=each.endpoint.id,
                url=each.endpoint.url,
                types=list(each.endpoint.types),
                disabled=each.endpoint.disabled,
                due=each.due,
                delivered=each.delivered,
                failed=each.failed,
                last_outcome=each.last_outcome,
                succeeded_at=each.succeeded_at,
                made=_act(made),
                changed=_act(changed),
            )
            for each, made, changed in found
        ]

    async def add(self, body: WebhookIn) -> WebhookSecret:
        """Add an endpoint; the response holds the secret that signs its deliveries."""
        try:
            endpoint = Endpoint(uuid7(), checked_url(body.url), checked_types(tuple(body.types)), (new_secret(),))
            await self.sender.permitted(endpoint.url)
        except InvalidEndpoint as error:
            raise Unprocessable("The endpoint is not valid", str(error)) from None
        except (ForbiddenAddress, OSError) as error:
            raise Unprocessable("The address cannot be sent to", unreachable(error)) from None
        async with self.sessions.begin() as session:
            if not await webhooks.add(session, endpoint):
                raise Conflict("The maximum number of endpoints is reached", "Remove one first.")
        note(endpoint.id)
        return WebhookSecret(id=endpoint.id, secret=endpoint.secrets[0])

    async def remove(self, endpoint_id: UUID) -> None:
        """Remove an endpoint with the deliveries that wait for it."""
        async with self.sessions.begin() as session:
            _known(await webhooks.remove(session, endpoint_id))

    async def disable(self, endpoint_id: UUID) -> None:
        """Stop sending; events are kept for at most seven days and sent when the endpoint is enabled again."""
        async with self.sessions.begin() as session:
            _known(await webhooks.load(session, endpoint_id))
            disabled = await webhooks.disable(session, endpoint_id, reason=BY_HAND)
        if not disabled:
            note_unchanged()

    async def enable(self, endpoint_id: UUID) -> None:
        """Resume sending, with the events kept meanwhile."""
        async with self.sessions.begin() as session:
            _known(await webhooks.load(session, endpoint_id))
            enabled = await webhooks.enable(session, endpoint_id)
        if not enabled:
            note_unchanged()

    async def rotate(self, endpoint_id: UUID) -> WebhookSecret:
        """Make a new secret; for 24 hours every delivery is signed with the old one as well."""
        secret = new_secret()
        async with self.sessions.begin() as session:
            _known(await webhooks.rotate(session, endpoint_id, secret=secret))
        return WebhookSecret(id=endpoint_id, secret=secret)

    async def replay(self, endpoint_id: UUID, body: Replay) -> Replayed:
        """Send failed deliveries again from a time on; deliveries of the last seven days are kept."""
        async with self.sessions.begin() as session:
            _known(await webhooks.load(session, endpoint_id))
            count = await webhooks.replay(session, endpoint_id, since=body.since, delivered_too=body.delivered_too)
        if not count:
            note_unchanged()
        return Replayed(deliveries=count)

    async def test(self, endpoint_id: UUID) -> EndpointTest:
        """Send one signed test event now and return the outcome."""
        async with self.sessions.begin() as session:
            endpoint = await webhooks.load(session, endpoint_id)
        if endpoint is None:
            raise NotFound("No such endpoint")
        return EndpointTest(outcome=await self.sender.send(endpoint, sample_delivery()))


async def shown_webhooks(session: Session) -> list[ShownWebhook]:
    """Read the endpoints for the page of keys."""
    return [
        ShownWebhook(
            each.endpoint.url,
            each.endpoint.types,
            each.endpoint.disabled,
            each.succeeded_at,
            [act for act in (made, changed) if act is not None],
        )
        for each, made, changed in await _with_acts(session)
    ]


async def _with_acts(session: Session) -> list[tuple[EndpointSummary, LastAct | None, LastAct | None]]:
    """Read each endpoint with how it was made and how it was changed last, as far as that is recorded."""
    found = await webhooks.summaries(session)
    ids = [str(each.endpoint.id) for each in found]
    made = await last_acts(session, ids, _MADE, names=accounts.names)
    changed = await last_acts(session, ids, _CHANGED, names=accounts.names)
    return [(each, made.get(id_), changed.get(id_)) for each, id_ in zip(found, ids, strict=True)]


def _act(act: LastAct | None) -> WebhookAct | None:
    return WebhookAct(what=act.what, at=act.at, by=act.by) if act else None


def _known(found: object) -> None:
    if not found:
        raise NotFound("No such endpoint")

"""Bitrix24: a webhook contains only the id of the changed deal, which is then fetched by REST, in no transaction.

Formats: apidocs.bitrix24.com, events onCrmDealAdd, onCrmDealUpdate and onCrmDealMoveToCategory, methods crm.deal.get
and crm.contact.get over an incoming webhook.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

import structlog

from services.trigger.domain.sources.source import Source, SourceKind
from services.trigger.repository import deal_fetches
from services.trigger.repository.deal_fetches import DealFetch
from shared.contract.vocabulary import Service
from shared.database.db import Sessions
from shared.database.isolated import isolated
from shared.web.http_client import HttpClient, MaybeSent, NotSent
from shared.web.problems import Unauthorized

log = structlog.get_logger()

_EVENTS = ("ONCRMDEALADD", "ONCRMDEALUPDATE", "ONCRMDEALMOVETOCATEGORY")
LEASE_S = 60.0  # more than it takes to fetch a deal and its contact and to decide
TIMEOUT_S = 10.0
IDLE_S = 0.5
MAX_BACKOFF_S = 3600.0
MAX_ATTEMPTS = 100  # about four days


@dataclass(frozen=True, slots=True)
class DealNotice:
    deal: str


class FetchFailed(Exception):
    """The CRM did not return the deal: try again later."""


def read_notice(body: bytes, tokens: Sequence[str]) -> DealNotice | None:
    """Read the form of a webhook, None if it is not about a changed deal; raises Unauthorized if the token is wrong."""
    try:
        form = dict(parse_qsl(body.decode(), max_num_fields=200))
    except ValueError:
        form = {}
    given = form.get("auth[application_token]", "").encode()
    if not any(hmac.compare_digest(given, token.encode()) for token in tokens):
        raise Unauthorized("The application token is wrong", "Set it in EARSHOT_SOURCE_SECRETS.")
    deal = form.get("data[FIELDS][ID]", "")
    if form.get("event", "").upper() not in _EVENTS or not (deal.isascii() and deal.isdigit() and len(deal) <= 20):
        return None
    return DealNotice(deal)


@dataclass(slots=True)
class DealFetcher:
    """Fetches the queued deals, one after another, and calls `decide` with each: (source, body, headers).

    A deal that cannot be fetched or decided is tried again with growing pauses. After MAX_ATTEMPTS it is dropped, with
    an error in the log.
    """

    sessions: Sessions
    sources: Mapping[str, Source]
    decide: Callable[[Source, bytes, Mapping[str, str]], Awaitable[object]]
    _clients: dict[str, HttpClient] = field(default_factory=dict, init=False)

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()

    async def tick(self) -> int:
        """Fetch the deal that has been due longest; return the number of deals fetched, 0 or 1."""
        async with self.sessions.begin() as session:
            fetch = await deal_fetches.claim(session, lease_s=LEASE_S)
        if fetch is None:
            return 0
        await self._perform(fetch)
        return 1

    async def _perform(self, fetch: DealFetch) -> None:
        try:
            with isolated(
                "deal", service=Service.TRIGGER, passing=(FetchFailed,), outages=True, ref=fetch.ref
            ) as guarded:
                await self._read(fetch)
        except FetchFailed as error:
            await self._put_off(fetch, str(error))
            return
        if guarded.error is not None:
            await self._put_off(fetch, type(guarded.error).__name__)
            return
        async with self.sessions.begin() as session:
            await deal_fetches.done(session, fetch)

    async def _read(self, fetch: DealFetch) -> None:
        source = self.sources.get(fetch.source)
        if source is None or source.kind is not SourceKind.BITRIX24:
            raise FetchFailed("the source is not configured")
        deal = await _call(self._client(source), "crm.deal.get.json", fetch.ref)
        if deal is None:
            log.warning("deal_fetch.deleted", source=fetch.source, ref=fetch.ref)
            return
        found = {"deal": deal, "contact": await self._contact(source, deal)}
        await self.decide(source, json.dumps(found).encode(), {})

    async def _put_off(self, fetch: DealFetch, reason: str) -> None:
        given_up = fetch.attempts >= MAX_ATTEMPTS
        write = log.error if given_up else log.warning
        write("deal_fetch.failed", source=fetch.source, ref=fetch.ref, attempts=fetch.attempts, reason=reason)
        async with self.sessions.begin() as session:
            if given_up:
                await deal_fetches.done(session, fetch)
            else:
                await deal_fetches.put_off(session, fetch, seconds=min(2.0**fetch.attempts, MAX_BACKOFF_S))

    def _client(self, source: Source) -> HttpClient:
        client = self._clients.get(source.id)
        if client is None:
            client = self._clients[source.id] = HttpClient(source.url, max_connections=2)
        return client

    async def _contact(self, source: Source, deal: Mapping[str, Any]) -> dict[str, Any] | None:
        contact = str(deal.get("CONTACT_ID") or "0").strip()
        return await _call(self._client(source), "crm.contact.get.json", contact) if contact not in ("", "0") else None


async def _call(client: HttpClient, method: str, id_: str) -> dict[str, Any] | None:
    """Return a deal or contact, None if it was deleted; raises FetchFailed, also for a 200 without a result."""
    try:
        reply = await client.post_form(method, {"id": id_}, within_s=TIMEOUT_S)
    except (NotSent, MaybeSent) as error:
        raise FetchFailed(type(error).__name__) from error
    body = reply.json()
    if reply.status == HTTPStatus.BAD_REQUEST and "not found" in str(body.get("error_description")).lower():
        return None
    if reply.status != HTTPStatus.OK:
        raise FetchFailed(f"HTTP {reply.status}")
    if not isinstance(found := body.get("result"), dict):
        raise FetchFailed("HTTP 200 without a result")
    return found

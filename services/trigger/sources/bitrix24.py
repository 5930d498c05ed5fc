"""Bitrix24: a webhook contains only the id of the changed deal, which is then fetched by REST, in no transaction.

Formats: apidocs.bitrix24.com, events onCrmDealAdd, onCrmDealUpdate and onCrmDealMoveToCategory, methods crm.deal.get
and crm.contact.get over an incoming webhook.
"""

from __future__ import annotations

import contextlib
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
from shared.database.isolated import isolated
from shared.database.session import Sessions
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


class Deleted(Exception):
    """The CRM has no such deal or contact any more."""


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
        try:
            found = await self._fetch(source, fetch.ref)
        except Deleted:
            log.warning("deal_fetch.deleted", source=fetch.source, ref=fetch.ref)
            return
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

    async def _fetch(self, source: Source, deal_id: str) -> dict[str, Any]:
        """Fetch a deal and its contact, which may be deleted; raises FetchFailed, or Deleted for the deal."""
        client = self._clients.get(source.id)
        if client is None:
            client = self._clients[source.id] = HttpClient(source.url, max_connections=2)
        deal = await _call(client, "crm.deal.get.json", deal_id)
        contact = str(deal.get("CONTACT_ID") or "0").strip()
        if contact in ("", "0"):
            return {"deal": deal, "contact": None}
        with contextlib.suppress(Deleted):
            return {"deal": deal, "contact": await _call(client, "crm.contact.get.json", contact)}
        return {"deal": deal, "contact": None}


async def _call(client: HttpClient, method: str, id_: str) -> dict[str, Any]:
    """Return a deal or contact; raises Deleted, or FetchFailed, also for a reply of 200 without a result."""
    try:
        reply = await client.post_form(method, {"id": id_}, within_s=TIMEOUT_S)
    except (NotSent, MaybeSent) as error:
        raise FetchFailed(type(error).__name__) from error
    body = reply.json()
    if reply.status == HTTPStatus.BAD_REQUEST and "not found" in str(body.get("error_description")).lower():
        raise Deleted
    if reply.status != HTTPStatus.OK:
        raise FetchFailed(f"HTTP {reply.status}")
    if not isinstance(found := body.get("result"), dict):
        raise FetchFailed("HTTP 200 without a result")
    return found

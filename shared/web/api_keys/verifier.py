"""Checks the API keys of requests: scope, expiry and revocation; wrong keys are counted and slowed."""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import nullcontext
from datetime import datetime

from starlette.requests import Request
from starlette.types import Scope

from shared.clock import utc_now
from shared.contract.api_keys import ApiKey, KeyScope, KeyState, digest
from shared.contract.staff_scope import StaffScope
from shared.contract.vocabulary import Service
from shared.database import api_keys
from shared.database.db import is_transient
from shared.database.session import Sessions
from shared.web.api_keys.refusals import Refusals
from shared.web.api_keys.scopes import is_limited, needed_scope
from shared.web.api_keys.uses import KeyUses
from shared.web.client_address import ClientAddress

CACHE_S = 5.0  # for this long a revoked key may still work
CACHE_SIZE = 1000
OUTAGE_S = 3600.0  # for this long after its last check a key may read metrics while the database is away


class ApiKeyVerifier:
    """Checks keys for the app of one service; a valid key is cached for CACHE_S seconds.

    A key is looked up before it can count as a guess, so that guesses of others never keep a valid key out. Keys from
    an address of too many guesses are looked up one after another.
    """

    def __init__(
        self,
        service: Service,
        sessions: Sessions,
        clients: ClientAddress,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._service, self._sessions, self._clients, self._monotonic = service, sessions, clients, monotonic
        self._refusals = Refusals(service, monotonic=monotonic)
        self.uses = KeyUses(sessions, now=now)
        self._one_by_one = asyncio.Lock()
        self._cache: OrderedDict[bytes, tuple[ApiKey, float]] = OrderedDict()

    async def admit(self, request: Scope, token: str) -> StaffScope:
        """Check the key of a request and return what it sees; raises Unauthorized, Forbidden or TooManyRequests.

        The request's state gets the id of a key that is stored, also if it is refused.
        """
        path = request["path"]
        needed = needed_scope(self._service, request["method"], path)
        key = await self._find(request, digest(token), needed=needed)
        if key is None:
            raise self._refusals.unknown(token, path, client=self._client(request), needed=needed)
        request.setdefault("state", {})["key"] = key.id
        if key.state is not KeyState.VALID:
            raise self._refusals.ended(key, path)
        seen = key.seen_with(needed) if needed else None
        if seen is None:
            raise self._refusals.without_scope(key, path, needed=needed)
        if not (seen.is_whole or is_limited(request["method"], path)):
            raise self._refusals.limited(key, path)
        self.uses.note(key.id)
        return seen

    async def _find(self, request: Scope, hashed: bytes, *, needed: KeyScope | None) -> ApiKey | None:
        now = self._monotonic()
        known, until = self._cache.get(hashed, (None, -math.inf))
        if now < until:
            return known
        try:
            key = await self._load(request, hashed)
        except Exception as error:
            # metrics are wanted most while the database is away
            if needed is KeyScope.METRICS_READ and now < until + OUTAGE_S and is_transient(error):
                return known
            raise
        self._remember(hashed, key, until=now + CACHE_S)
        return key

    async def _load(self, request: Scope, hashed: bytes) -> ApiKey | None:
        line = self._one_by_one if self._refusals.has_too_many(self._client(request)) else nullcontext()
        async with line, self._sessions() as session:
            return await api_keys.find(session, hashed)

    def _client(self, request: Scope) -> str:
        return self._clients.of(Request(request))

    def _remember(self, hashed: bytes, key: ApiKey | None, *, until: float) -> None:
        self._cache.pop(hashed, None)
        if key is not None and key.state is KeyState.VALID:
            self._cache[hashed] = key, until
            if len(self._cache) > CACHE_SIZE:
                self._cache.popitem(last=False)

"""HTTP client for providers, and the only module that uses httpx2. Its errors say whether a request may have been read.

The pool of httpx 0.28, from which httpx2 comes, lost slots for ever when a request was cancelled or timed out waiting
for one. So requests wait for a semaphore of the pool's size, never for the pool, and a request that exceeds its time is
not cancelled: it ends by itself.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import httpx2
import tenacity

MOST_BYTES = 5_000_000  # of a reply
LATE_S = 10.0  # how long a reply is still read after the deadline of its request


class NotSent(Exception):
    """The other side has read nothing of the request: it may be tried again."""


class MaybeSent(Exception):
    """No reply came, and the other side may have read the request and acted on it: do not repeat it."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The names of `headers` are in lower case."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        """Parse the body as a JSON object; returns an empty dict if the body is something else."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


@dataclass(frozen=True, slots=True)
class Call:
    """One request; at most one of `form`, `json` and `content` is its body."""

    method: str
    path: str
    query: Mapping[str, str] | None = None
    form: Mapping[str, str] | None = None
    json: Any = None
    content: bytes | None = None
    headers: Mapping[str, str] | None = None


@cache
def _tls() -> ssl.SSLContext:
    """Return the TLS settings of all clients: reading the certificates takes as long as a hundred requests."""
    return httpx2.create_ssl_context(trust_env=False)


class HttpClient:
    """Client of one base URL, with optional HTTP Basic authentication; follows no redirects."""

    def __init__(
        self,
        base_url: str,
        *,
        auth: tuple[str, str] | None = None,
        max_connections: int = 20,
        late_s: float = LATE_S,
    ) -> None:
        self._client = httpx2.AsyncClient(
            base_url=base_url,
            auth=auth,
            limits=httpx2.Limits(max_connections=max_connections, max_keepalive_connections=max_connections),
            timeout=httpx2.Timeout(connect=3, write=5, read=8, pool=None),
            trust_env=False,
            verify=_tls(),
        )
        self._late_s = late_s
        self._slots = asyncio.Semaphore(max_connections)
        self._free = max_connections
        self._running: set[asyncio.Task[Reply]] = set()

    @property
    def free_slots(self) -> int:
        return self._free

    async def post_form(self, path: str, form: Mapping[str, str], *, within_s: float) -> Reply:
        return await self.send(Call("POST", path, form=form), within_s=within_s)

    async def send(self, call: Call, *, within_s: float) -> Reply:
        """Send a request and wait at most `within_s` seconds for its reply; raises NotSent or MaybeSent.

        A request that still waits for a free connection after that time is never sent.
        """
        request = asyncio.create_task(self._send(call, time.monotonic() + within_s))
        self._running.add(request)
        request.add_done_callback(self._forget)
        done, _ = await asyncio.wait({request}, timeout=within_s)
        if not done:
            raise MaybeSent
        return request.result()

    def _forget(self, request: asyncio.Task[Reply]) -> None:
        self._running.discard(request)
        if not request.cancelled():
            request.exception()  # asyncio would log the error of a timed-out request if it were never retrieved

    async def _send(self, call: Call, deadline: float) -> Reply:
        async with self._slots:
            self._free -= 1
            try:
                reply: Reply = await _connecting()(self._send_once, call, deadline)
            except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.UnsupportedProtocol, httpx2.InvalidURL) as error:
                raise NotSent from error
            except httpx2.HTTPError as error:
                raise MaybeSent from error
            finally:
                self._free += 1
        return reply

    async def _send_once(self, call: Call, deadline: float) -> Reply:
        if time.monotonic() >= deadline:
            raise NotSent
        async with self._client.stream(
            call.method,
            call.path,
            params=dict(call.query) if call.query else None,
            data=dict(call.form) if call.form is not None else None,
            json=call.json,
            content=call.content,
            headers=dict(call.headers) if call.headers else None,
        ) as response:
            body = await _bounded(response, until=deadline + self._late_s)
            return Reply(response.status_code, body, dict(response.headers))

    async def close(self, *, within_s: float = LATE_S) -> None:
        """Wait at most `within_s` seconds for running requests, then cancel them and close the connections."""
        running = set(self._running)
        if running:
            await asyncio.wait(running, timeout=within_s)
            for request in running:
                request.cancel()  # the pool is closed next, so lost slots do not matter
            await asyncio.wait(running)
        await self._client.aclose()


async def _bounded(response: httpx2.Response, *, until: float) -> bytes:
    """Read a body; raises MaybeSent when it is longer than MOST_BYTES or still arrives at `until`, machine time."""
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MOST_BYTES or time.monotonic() >= until:
            raise MaybeSent
    return bytes(body)


def _connecting() -> tenacity.AsyncRetrying:
    """Retry once after a failed connection: the other side cannot have read anything."""
    return tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception_type((httpx2.ConnectError, httpx2.ConnectTimeout)),
        stop=tenacity.stop_after_attempt(2),
        wait=tenacity.wait_random(0, 0.2),
        reraise=True,
    )


def tls() -> ssl.SSLContext:
    """Return a TLS context that verifies certificates; by the authorities of the system, or of `SSL_CERT_FILE`."""
    return _verifying(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@cache
def _verifying(_file: str | None, _folder: str | None) -> ssl.SSLContext:
    """Make a context; httpx2 itself reads the variables of these values."""
    return httpx2.create_ssl_context()


async def post_pinned(
    url: str, body: bytes, *, address: str, headers: Mapping[str, str], context: ssl.SSLContext
) -> int:
    """Post to a URL at this IP address, whatever its host name resolves to now; returns the status of the response.

    Follows no redirect and reads no body. Each call uses a client of its own, so it may be cancelled: limit its time
    with `asyncio.timeout`. Raises NotSent or MaybeSent.
    """
    there = httpx2.URL(url)
    try:
        async with (
            httpx2.AsyncClient(verify=context, timeout=None, trust_env=False) as client,
            client.stream(
                "POST",
                there.copy_with(host=address),
                content=body,
                headers={**headers, "host": there.netloc.decode()},
                extensions={"sni_hostname": there.raw_host.decode()},
            ) as response,
        ):
            return response.status_code
    except (httpx2.ConnectError, httpx2.UnsupportedProtocol, httpx2.InvalidURL) as error:
        raise NotSent from error
    except httpx2.HTTPError as error:
        raise MaybeSent from error

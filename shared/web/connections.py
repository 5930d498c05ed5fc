"""Bounds of the HTTP server's connections: size of a request's head, time of each of its stages, number of connections.

Uvicorn's httptools protocol has none of these. Deadlines are numbers that one loop compares every second, because a
timer for each request would cost more than the rest of this module.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from enum import StrEnum
from http import HTTPStatus
from math import inf
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from shared import metrics
from shared.contract.vocabulary import Service
from shared.web.client_address import network_of, parsed
from shared.web.connection_limits import ConnectionLimits

CHECK_S = 1.0
LINGER_S, MAX_LINGER = 2.0, 8_000_000  # how long, and how many bytes, a refused client may still send
STREAM_PATH = "/live"


class Cut(StrEnum):
    """Why the server ended a connection; a value of the metric."""

    INVALID = "invalid"
    HEAD_SIZE = "head_size"
    HEAD_TIME = "head_time"
    BODY_TIME = "body_time"
    STALLED = "stalled"  # the client does not read
    MOST = "most"  # in favour of a newer connection, or because all others are busy
    CLIENT = "client"  # one address has too many


class _Stage(StrEnum):
    IDLE = "idle"  # nothing of a request has come
    HEAD = "head"
    BODY = "body"
    ANSWER = "answer"
    REFUSED = "refused"


_PHRASES = {
    HTTPStatus.BAD_REQUEST: "The request is not HTTP",
    HTTPStatus.REQUEST_TIMEOUT: "The request took too long",
    HTTPStatus.REQUEST_URI_TOO_LONG: "The URL is too long",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "The headers are too large",
    HTTPStatus.SERVICE_UNAVAILABLE: "Too many connections",
}


class HeadTooLarge(Exception):
    """Stops the parser; the refusal is in `BoundedProtocol.send_400_response`."""


class BoundedConfig(uvicorn.Config):
    """The server's configuration with the limits of its connections; other options are uvicorn's."""

    def __init__(self, app: ASGIApp, *, limits: ConnectionLimits, service: Service, **options: Any) -> None:
        super().__init__(app, http=BoundedProtocol, ws="none", timeout_keep_alive=int(limits.idle_s), **options)
        self.limits, self.service = limits, service


class BoundedProtocol(HttpToolsProtocol):
    """A connection that refuses large heads, and that `cut_late` ends when its stage takes too long."""

    def __init__(
        self,
        config: BoundedConfig,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.limits, self.service = config.limits, config.service
        self.stage, self.deadline, self.stalled_at = _Stage.IDLE, inf, inf
        self.is_stream, self.peer = False, ""
        self._received, self._unanswered, self._refusal = 0, 0, HTTPStatus.BAD_REQUEST

    # --- the connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        super().connection_made(transport)
        self._enter(_Stage.IDLE, self.limits.head_s)
        address = parsed(self.client[0]) if self.client else None
        self.peer = network_of(address) if address is not None and address.is_global else ""
        others = [each for each in self.connections if isinstance(each, BoundedProtocol) and each is not self]
        if self.peer and sum(each.peer == self.peer for each in others) >= self.limits.client_connections:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, Cut.CLIENT)
        elif sum(not each.is_stream for each in others) >= self.limits.connections and not _make_room(others):
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, Cut.MOST)

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        if self.stage is _Stage.REFUSED:
            if self._received > MAX_LINGER:
                self.transport.abort()
            return
        super().data_received(data)
        if self.stage is _Stage.HEAD and self._received > self.limits.head_bytes:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, Cut.HEAD_SIZE)

    def pause_writing(self) -> None:
        self.stalled_at = self.loop.time() + self.limits.stalled_s
        super().pause_writing()

    def resume_writing(self) -> None:
        self.stalled_at = inf
        super().resume_writing()

    # --- the stages of a request

    def on_message_begin(self) -> None:
        self._received = 0
        self._enter(_Stage.HEAD, self.limits.head_s)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._check_head()
        self._enter(_Stage.BODY, self.limits.body_s)
        super().on_headers_complete()
        self._unanswered += 1
        self.is_stream = self.scope["path"] == STREAM_PATH

    def on_message_complete(self) -> None:
        self._enter(_Stage.ANSWER, inf)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self._unanswered -= 1
        self.is_stream = False
        if self.stage is _Stage.ANSWER:
            self._enter(_Stage.IDLE, self.limits.idle_s + self.limits.head_s)
        super().on_response_complete()

    # --- the end

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the text of uvicorn, for what its parser refuses
        cut = Cut.INVALID if self._refusal is HTTPStatus.BAD_REQUEST else Cut.HEAD_SIZE
        self._refuse(self._refusal, cut)

    def end_if_late(self, now: float) -> None:
        """End the connection if its stage, or the reading of the response, takes too long; `now` is the loop's time."""
        if now > self.stalled_at:
            self._count(Cut.STALLED)
            self.transport.abort()
        elif now > self.deadline:
            self._end_stage()

    def _end_stage(self) -> None:
        match self.stage:
            case _Stage.HEAD:
                self._refuse(HTTPStatus.REQUEST_TIMEOUT, Cut.HEAD_TIME)
            case _Stage.BODY:
                self._refuse(HTTPStatus.REQUEST_TIMEOUT, Cut.BODY_TIME)
            case _Stage.REFUSED:
                self.transport.abort()
            case _:
                self.transport.close()

    def give_way(self) -> None:
        """Close a connection whose request has not come whole."""
        self._count(Cut.MOST)
        self.transport.close()

    def _check_head(self) -> None:
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if len(self.url) > self.limits.url_bytes:
            self._refusal = HTTPStatus.REQUEST_URI_TOO_LONG
        elif size > self.limits.head_bytes or len(self.headers) > self.limits.headers:
            self._refusal = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        else:
            return
        raise HeadTooLarge

    def _enter(self, stage: _Stage, seconds: float) -> None:
        self.stage, self.deadline = stage, self.loop.time() + seconds

    def _refuse(self, status: HTTPStatus, cut: Cut) -> None:
        """Answer and close; the client may go on to send for a moment, or it would not see the answer."""
        self._count(cut)
        if self._unanswered and (self.cycle.response_started or self.stage is not _Stage.BODY):
            self.transport.close()  # another response is being written
            return
        self.transport.write(_refusal(status))
        if self._unanswered or not self.transport.can_write_eof():
            self.transport.close()
        else:
            self.transport.write_eof()
        self._received = 0
        self._enter(_Stage.REFUSED, LINGER_S)

    def _count(self, cut: Cut) -> None:
        metrics.CONNECTIONS_CUT.labels(self.service, cut).inc()


def cut_late(connections: Iterable[object], *, now: float) -> None:
    """End the connections of a server that are late."""
    for each in list(connections):
        if isinstance(each, BoundedProtocol):
            each.end_if_late(now)


def _make_room(others: Iterable[BoundedProtocol]) -> bool:
    """Close the connection that has waited longest for a request or the rest of one; False if all are answering."""
    waiting = [each for each in others if each.stage in (_Stage.IDLE, _Stage.HEAD, _Stage.BODY)]
    if not waiting:
        return False
    min(waiting, key=lambda each: each.deadline).give_way()
    return True


def _refusal(status: HTTPStatus) -> bytes:
    body = json.dumps({"type": "about:blank", "title": _PHRASES[status], "status": int(status)}).encode()
    head = f"HTTP/1.1 {status} {status.phrase}\r\ncontent-type: application/problem+json\r\nconnection: close\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body

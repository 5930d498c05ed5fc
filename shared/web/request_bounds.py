"""Refuses, in front of every route, requests that no route may have to read: size, coding, Host, NUL.

Names of codecs and quoted cookies of the sender are left out: Python's decoders for some of them take quadratic time.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from urllib.parse import urlsplit

from python_multipart.multipart import parse_options_header
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.languages.marking import mark
from shared.web.errors.pages import error_response
from shared.web.problems import BadRequest, Problem, TooLarge, UnsupportedMediaType

MAX_DISCARDED, DISCARD_S = 8_000_000, 5.0  # bytes and seconds spent on a body that is refused
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~%!$&'()*+,;=-]*)(?::[0-9]{0,5})?")
_CHECKED = frozenset((b"host", b"content-length", b"content-encoding", b"content-type", b"cookie"))
_OWN_HEAD = ("/s/", "/u/", "/static/", "/logos/", "/static-offline-docs/")


class RequestBounds:
    """Refuses bodies over the limit or compressed ones, hosts that are none, and NUL in paths and queries.

    `larger` has the limits of paths that take more than `max_body` bytes.
    The app gets every form as UTF-8, whatever codec the sender names.
    """

    def __init__(self, app: ASGIApp, *, max_body: int, larger: Mapping[str, int]) -> None:
        self._app, self._max_body, self._larger = app, max_body, larger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            most = self._larger.get(scope["path"], self._max_body)
            bounded = _bounded(scope, most)
        except Problem as refusal:
            if isinstance(refusal, TooLarge) and not any(name == b"expect" for name, _ in scope["headers"]):
                await _discard_body(receive)
            await error_response(scope, refusal)(scope, receive, send)
        else:
            await self._app(bounded, _counting(receive, most), send)


def _bounded(scope: Scope, most: int) -> Scope:
    """Return the scope, with other headers where they name a codec or quote a cookie; raises Problem."""
    if "\0" in scope["path"] or b"%00" in scope["query_string"]:
        raise BadRequest(mark("The URL contains a NUL character"))
    hosts, changed = 0, False
    for name, value in scope["headers"]:
        if name not in _CHECKED:
            continue
        if name == b"host":
            hosts += 1
            _check_host(value)
        elif name == b"content-length":
            _check_length(value, most)
        elif name == b"content-encoding":
            _check_coding(value)
        else:
            changed = changed or (b"\\" in value if name == b"cookie" else b"charset" in value.lower())
    if hosts > 1:
        raise BadRequest(mark("The request names two hosts"))
    return {**scope, "headers": [_cleaned(*header) for header in scope["headers"]]} if changed else scope


def _check_length(value: bytes, most: int) -> None:
    if not value.isdigit() or len(value) > 15 or int(value) > most:
        raise _too_large(most)


def _counting(receive: Receive, most: int) -> Receive:
    taken = 0

    async def counted() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > most:
            if message.get("more_body", False):
                await _discard_body(receive)
            raise _too_large(most)
        return message

    return counted


def _too_large(most: int) -> Problem:
    return TooLarge(mark("The body is too large"), f"At most {most} bytes are accepted.")


class HeadAsGet:
    """Answers HEAD as GET without the body, for browsers and monitors; some routes answer HEAD themselves."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD" or _answers_head(scope["path"]):
            await self._app(scope, receive, send)
            return

        async def without_body(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        await self._app({**scope, "method": "GET"}, receive, without_body)


def _answers_head(path: str) -> bool:
    return path == "/live" or path.startswith(_OWN_HEAD)  # a stream has no end


def path_of_redirect(location: bytes) -> bytes:
    """Return the path and query of a URL: one built from the Host header leads where the sender wants."""
    rest = re.sub(rb"^https?://[^/?#]*", b"", location)
    return b"/" + rest.lstrip(b"/\\")


@lru_cache(maxsize=1000)
def _is_host(value: bytes) -> bool:
    try:
        _ = urlsplit(f"//{value.decode('latin-1')}").port
    except ValueError:
        return False
    return _HOST.fullmatch(value) is not None


def _check_host(value: bytes) -> None:
    if len(value) > 300 or not _is_host(value):
        raise BadRequest(mark("The Host header is not a host"))


def _check_coding(value: bytes) -> None:
    if value.strip().lower() not in (b"", b"identity"):
        raise UnsupportedMediaType(mark("The body is compressed"), mark("Send it without Content-Encoding."))


def _cleaned(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    match name:
        case b"content-type":
            return name, _without_charset(value)
        case b"cookie":
            return name, b";".join(cookie for cookie in value.split(b";") if b"\\" not in cookie)
        case _:
            return name, value


def _without_charset(value: bytes) -> bytes:
    """Return the media type with its boundary only, as Starlette reads them."""
    media_type, options = parse_options_header(value)
    boundary = options.get(b"boundary")
    if boundary is None:
        return media_type
    return media_type + b'; boundary="' + boundary.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


async def _discard_body(receive: Receive) -> None:
    """Read a body to its end, within limits: a proxy that cannot finish sending it answers 502 in place of ours."""
    discarded, more = 0, True
    with suppress(TimeoutError):
        async with asyncio.timeout(DISCARD_S):
            while more and discarded < MAX_DISCARDED:
                message = await receive()
                discarded += len(message.get("body", b""))
                more = message.get("more_body", False)

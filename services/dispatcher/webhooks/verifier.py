"""What came in at a hook, and what a provider's door makes of it."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol
from urllib.parse import parse_qsl

from services.dispatcher.domain.receipts import Receipt
from shared.web.problems import BadRequest, Forbidden


@dataclass(frozen=True)
class Incoming:
    """A request as it was signed: the raw query and body, the headers in lower case."""

    query: str
    headers: Mapping[str, str]
    body: bytes

    @cached_property
    def fields(self) -> list[tuple[str, str]]:
        try:
            return parse_qsl(self.body.decode(), keep_blank_values=True, max_num_fields=200)
        except ValueError as error:
            raise BadRequest("A form is wanted") from error

    @cached_property
    def form(self) -> dict[str, str]:
        return dict(self.fields)

    @cached_property
    def json(self) -> dict[str, Any]:
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise BadRequest("JSON is wanted") from error
        if not isinstance(found, dict):
            raise BadRequest("A JSON object is wanted")
        return found

    @property
    def basic(self) -> str:
        """The `user:password` of the Authorization header; empty when there is none."""
        scheme, _, credentials = self.headers.get("authorization", "").partition(" ")
        try:
            return base64.b64decode(credentials, validate=True).decode() if scheme.lower() == "basic" else ""
        except ValueError:
            return ""


@dataclass(frozen=True, slots=True)
class ParsedCallback:
    """What a provider told us. `reply` is the body it gets, as XML, once everything is stored."""

    receipts: Sequence[Receipt] = ()
    reply: str = ""
    changed_tasks: Sequence[str] = ()  # numbers of CRM tasks to be read again


class WebhookVerifier(Protocol):
    async def hear(self, incoming: Incoming) -> ParsedCallback:
        """Verify and read; raises Forbidden for what is not genuine. Nothing is stored here."""


def check(given: str, expected: str) -> None:
    if not expected or not hmac.compare_digest(given.encode(), expected.encode()):
        raise Forbidden("Not genuine", "The signature or the password does not fit.")

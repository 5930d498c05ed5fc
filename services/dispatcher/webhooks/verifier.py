"""The protocol of webhook verifiers: the request they get, and the parsed callback they return."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, Self
from urllib.parse import parse_qsl

from services.dispatcher.domain.receipts import Receipt
from services.dispatcher.domain.replies import Reply
from shared.web.problems import BadRequest, Forbidden


@dataclass(frozen=True)
class WebhookRequest:
    """A request as the provider signed it: raw query and body; header names are in lower case.

    Reading the body as a form or as JSON raises BadRequest when it is none.
    """

    query: str
    headers: Mapping[str, str]
    body: bytes

    @cached_property
    def fields(self) -> list[tuple[str, str]]:
        try:
            return parse_qsl(self.body.decode(), keep_blank_values=True, max_num_fields=200)
        except ValueError as error:
            raise BadRequest("The body must be a form") from error

    @cached_property
    def form(self) -> dict[str, str]:
        return dict(self.fields)

    @cached_property
    def json(self) -> dict[str, Any]:
        try:
            body = json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise BadRequest("The body must be JSON") from error
        if not isinstance(body, dict):
            raise BadRequest("The body must be a JSON object")
        return body

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
    """What a callback reports. `reply` is the XML to answer with once everything is stored; empty answers 204."""

    receipts: Sequence[Receipt] = ()
    reply: str = ""
    changed_tasks: Sequence[str] = ()  # ids of CRM tasks to read again
    texts: Sequence[Reply] = ()  # what respondents wrote, for somebody to read

    @classmethod
    def of(cls, found: Sequence[Receipt | Reply], *, reply: str = "") -> Self:
        """Make it of receipts and of what respondents wrote, which may be a receipt, a text to read, or both."""
        texts = [each for each in found if isinstance(each, Reply)]
        asking = [each.receipt for each in texts if each.asks is not None]
        receipts = [each for each in found if isinstance(each, Receipt)]
        return cls([*receipts, *asking], reply, texts=[each for each in texts if each.is_for_a_reader])


class WebhookVerifier(Protocol):
    async def verify(self, request: WebhookRequest) -> ParsedCallback:
        """Check the signature and parse the callback, storing nothing.

        Raises Forbidden when the signature is wrong, BadRequest when the body is, Unavailable to be called again.
        """


def check_secret(given: str, expected: str) -> None:
    """Compare in constant time; raises Forbidden when they differ, or when no secret is expected."""
    if not expected or not hmac.compare_digest(given.encode(), expected.encode()):
        raise Forbidden("Not genuine", "The signature or the password does not match.")

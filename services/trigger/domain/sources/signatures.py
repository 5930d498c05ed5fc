"""Verifies the signatures of webhooks over the raw body; several secrets may be valid while one is replaced."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

_Header = Annotated[str, StringConstraints(min_length=1, max_length=100, to_lower=True)]


class Signature(BaseModel):
    """An HMAC in a header, over the text `signed`.

    With a `timestamp_header`, a webhook whose time (Unix seconds) differs from machine time by more than `tolerance_s`
    is rejected.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    header: _Header
    algorithm: Literal["sha1", "sha256", "sha512"] = "sha256"
    encoding: Literal["hex", "base64"] = "hex"
    prefix: str = ""
    signed: str = "{body}"
    timestamp_header: _Header | None = None
    tolerance_s: Annotated[int, Field(ge=1, le=86_400)] = 300

    @field_validator("signed")
    @classmethod
    def _contains_the_body(cls, signed: str) -> str:
        if signed.count("{body}") != 1 or signed.replace("{body}", "").replace("{timestamp}", "").count("{"):
            raise ValueError("expected a text with {body} and optionally {timestamp} in it")
        return signed

    @model_validator(mode="after")
    def _time_is_signed(self) -> Self:
        """Refuse a time that the signature does not cover: whoever sends a captured webhook again would change it."""
        if ("{timestamp}" in self.signed) != (self.timestamp_header is not None):
            raise ValueError(
                "timestamp_header: the signature must cover the time: write {timestamp} into signed, or omit both"
            )
        return self


SHOPIFY = Signature(header="x-shopify-hmac-sha256", encoding="base64")
WOOCOMMERCE = Signature(header="x-wc-webhook-signature", encoding="base64")


def is_signed(
    body: bytes, headers: Mapping[str, str], *, signature: Signature, secrets: Sequence[str], at: float
) -> bool:
    """Whether the body is signed with one of the secrets; `at` is machine time in Unix seconds."""
    given = headers.get(signature.header, "")
    timestamp = headers.get(signature.timestamp_header, "") if signature.timestamp_header else ""
    if signature.timestamp_header and not _is_recent(timestamp, at=at, tolerance_s=signature.tolerance_s):
        return False
    before, _, after = signature.signed.replace("{timestamp}", timestamp).partition("{body}")
    message = before.encode() + body + after.encode()
    return any(hmac.compare_digest(given.encode(), _expected(message, secret, signature)) for secret in secrets)


def _expected(message: bytes, secret: str, signature: Signature) -> bytes:
    digest = hmac.new(secret.encode(), message, getattr(hashlib, signature.algorithm)).digest()
    text = digest.hex().encode() if signature.encoding == "hex" else base64.b64encode(digest)
    return signature.prefix.encode() + text


def _is_recent(timestamp: str, *, at: float, tolerance_s: int) -> bool:
    return (
        timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 15 and abs(at - int(timestamp)) <= tolerance_s
    )

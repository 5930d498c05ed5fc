"""Capability links: their token cannot be guessed and lets its holder answer or unsubscribe.

token = base64url(HMAC-SHA256(link key, purpose "|" invitation id)[:16]), 22 characters. Dispatcher derives it for
every send; scoring stores only its SHA-256. No event contains a token.

Sample and test messages are about no invitation: their token is `test-`, the language of the
message, and hyphens up to the length of others.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from enum import StrEnum
from uuid import UUID

from shared.locales import primary_language

TOKEN_LENGTH = 22
SAMPLE_KEY = ":sample"  # the key id of samples; EARSHOT_LINK_KEYS cannot have it
_OF_SAMPLES = re.compile(r"test-([a-z]{2,3})-{14,15}")


class Purpose(StrEnum):
    ANSWER = "answer"
    UNSUBSCRIBE = "unsubscribe"


class UnknownLinkKey(Exception):
    """A request names a key id that EARSHOT_LINK_KEYS does not have: add it, a key must outlive its invitations."""


def token(keys: Mapping[str, str], key_id: str, purpose: Purpose, invitation_id: UUID) -> str:
    secret = keys.get(key_id)
    if secret is None:
        raise UnknownLinkKey(key_id)
    digest = hmac.digest(secret.encode(), f"{purpose}|{invitation_id}".encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest[:16]).rstrip(b"=").decode()


def answer_url(base: str, keys: Mapping[str, str], key_id: str, invitation_id: UUID, *, step: int) -> str:
    """Return `answer_url_of` the link of an invitation; raises UnknownLinkKey."""
    return answer_url_of(base, token(keys, key_id, Purpose.ANSWER, invitation_id), step=step)


def sample_token(locale: str) -> str:
    """Return the token of links in sample and test messages."""
    return f"test-{primary_language(locale)}".ljust(TOKEN_LENGTH, "-")


def sample_language(link_token: str) -> str | None:
    """Return the language of a sample or test message whose link this is; None for all other links."""
    found = _OF_SAMPLES.fullmatch(link_token)
    return found[1] if found else None


def answer_url_of(base: str, link_token: str, *, step: int) -> str:
    """Return the URL of the answer page below `base`; `step` is that of the message with the link, 0 for no message."""
    return f"{base}/s/{link_token}.{step}"


def unsubscribe_url(base: str, keys: Mapping[str, str], answer_token: str, invitation_id: UUID) -> str | None:
    """Return the URL of the unsubscribe page for who holds an answer link; None if no key made the link."""
    made = (key_id for key_id in keys if token(keys, key_id, Purpose.ANSWER, invitation_id) == answer_token)
    key_id = next(made, None)
    return key_id and f"{base}/u/{token(keys, key_id, Purpose.UNSUBSCRIBE, invitation_id)}"


def fingerprint(link_token: str) -> bytes:
    """Return the SHA-256 of a token, which may be stored."""
    return hashlib.sha256(link_token.encode()).digest()

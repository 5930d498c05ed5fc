"""API keys for machines: shown once, kept as a digest, good for what their scopes say and until they expire."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from shared.contract.vocabulary import KEY_PREFIX


class Scope(StrEnum):
    EVENTS_WRITE = "events:write"
    DECISIONS_READ = "decisions:read"
    PROGRAMS_READ = "programs:read"
    PROGRAMS_WRITE = "programs:write"
    RESPONDENTS_ERASE = "respondents:erase"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """Times are machine time: a business clock that runs fast must not lock anybody out."""

    id: UUID
    name: str
    scopes: frozenset[Scope]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


def new_token() -> str:
    return KEY_PREFIX + secrets.token_urlsafe(32)


def digest(token: str) -> bytes:
    """Hash a token of 256 random bits: there is nothing to guess, so nothing slower than SHA-256 is needed."""
    return hashlib.sha256(token.encode()).digest()

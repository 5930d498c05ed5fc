"""API keys for machines: shown once and stored as a digest, limited by scopes and an expiry time."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from shared.contract.vocabulary import KEY_PREFIX


class KeyScope(StrEnum):
    EVENTS_WRITE = "events:write"
    DECISIONS_READ = "decisions:read"
    PROGRAMS_READ = "programs:read"
    PROGRAMS_WRITE = "programs:write"
    RESPONDENTS_ERASE = "respondents:erase"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """Times are machine time, so that an accelerated business clock does not expire keys early."""

    id: UUID
    name: str
    scopes: frozenset[KeyScope]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


def new_token() -> str:
    return KEY_PREFIX + secrets.token_urlsafe(32)


def digest(token: str) -> bytes:
    """Hash a token; it has 256 random bits, so a slow password hash is not needed."""
    return hashlib.sha256(token.encode()).digest()

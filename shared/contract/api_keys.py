"""API keys for machines: shown once and stored as a digest, limited by scopes and an expiry time."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from shared.contract.staff_scope import WHOLE, StaffScope
from shared.contract.vocabulary import KEY_PREFIX, Service

_INITIALS = {service.value[0]: service for service in Service}
_NAMES_SERVICES = re.compile(f"{KEY_PREFIX}([{''.join(sorted(_INITIALS))}]+)_.+")


class KeyScope(StrEnum):
    """What a key allows; the table of routes says at which paths."""

    EVENTS_WRITE = "events:write"
    DECISIONS_READ = "decisions:read"
    PROGRAMS_READ = "programs:read"
    PROGRAMS_WRITE = "programs:write"
    RESPONDENTS_READ = "respondents:read"
    CONSENT_READ = "consent:read"
    RESPONDENTS_ERASE = "respondents:erase"
    SCORES_READ = "scores:read"
    ANSWERS_READ = "answers:read"
    ANSWERS_WRITE = "answers:write"
    DESK_WORK = "desk:work"
    CALLS_WORK = "calls:work"
    STORES_READ = "stores:read"
    STORES_WRITE = "stores:write"
    WEBHOOKS_MANAGE = "webhooks:manage"
    SETTINGS_WRITE = "settings:write"
    INVITATIONS_READ = "invitations:read"
    LINKS_READ = "links:read"
    MAILBOX_READ = "mailbox:read"
    SUPPRESSIONS_READ = "suppressions:read"
    SUPPRESSIONS_WRITE = "suppressions:write"
    METRICS_READ = "metrics:read"
    AUDIT_READ = "audit:read"


class KeyState(StrEnum):
    VALID = "valid"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as one service stores it, with the scopes that this service knows.

    Times are machine time, so that an accelerated business clock does not expire keys early. A scope may be one of a
    newer version. Of a key that is limited to programs it is stored as `scope@program`, once for each: a process that
    does not know such scopes refuses the key.
    """

    id: UUID
    name: str
    scopes: frozenset[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    used_at: datetime | None  # the beginning of the hour in which a request came with it last
    state: KeyState

    def seen_with(self, scope: KeyScope) -> StaffScope | None:
        """Return what the key sees by a scope, None if it lacks the scope."""
        if scope in self.scopes:
            return WHOLE
        programs = frozenset(each.removeprefix(f"{scope}@") for each in self.scopes if each.startswith(f"{scope}@"))
        return StaffScope(programs) if programs else None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key to store, which expires after `lasting`, None: never; it sees these programs, or all if there are none."""

    id: UUID
    name: str
    digest: bytes
    scopes: frozenset[KeyScope]
    lasting: timedelta | None
    programs: frozenset[str] = frozenset()

    @property
    def stored_scopes(self) -> list[str]:
        """The scopes as they are stored."""
        limited = (f"{scope}@{program}" for scope in self.scopes for program in self.programs)
        return sorted(limited if self.programs else self.scopes)


def new_token(services: Collection[Service]) -> str:
    """Make a token that names the services that store it by their initials."""
    initials = "".join(sorted(service.value[0] for service in services))
    return f"{KEY_PREFIX}{initials}_{secrets.token_urlsafe(32)}"


def services_named(token: str) -> frozenset[Service]:
    """Return the services that a token claims to be stored in; keys of earlier versions name none."""
    found = _NAMES_SERVICES.fullmatch(token)
    return frozenset(_INITIALS[initial] for initial in found[1]) if found else frozenset()


def digest(token: str) -> bytes:
    """Hash a token; it has 256 random bits, so a slow password hash is not needed."""
    return hashlib.sha256(token.encode()).digest()

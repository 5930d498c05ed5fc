"""The table of routes: which service answers each path, and who may use it.

`Gate`, `PublicOnly`, `Front` and the menu of the staff pages use the table; tests compare every app's routes and the
files in `deploy/proxy` with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from shared.contract.api_keys import KeyScope
from shared.contract.vocabulary import Service


class Audience(StrEnum):
    RESPONDENT = "respondent"  # holds a link
    PROVIDER = "provider"  # signs its callbacks
    MACHINE = "machine"  # sends events with an API key
    PROBE = "probe"  # asks whether the process works
    STAFF = "staff"  # knows the staff secret, is on this machine, or has an API key for this path


_NEEDS_NO_SECRET = (Audience.RESPONDENT, Audience.PROVIDER, Audience.PROBE)


@dataclass(frozen=True, slots=True)
class Prefix:
    """A path and all paths under it; `/` stands only for itself."""

    path: str
    service: Service  # answers the path on the common address of all services
    audience: Audience
    label: str = ""  # in the menu of staff pages
    everywhere: bool = False  # on its own port, every service answers the path about itself
    key_reads: KeyScope | None = None  # the scope with which an API key may read; None: no key may
    key_writes: KeyScope | None = None

    def answered_by(self, service: Service) -> bool:
        """Say whether this service's app answers the prefix."""
        return self.everywhere or self.service is service


_S, _T, _D = Service.SCORING, Service.TRIGGER, Service.DISPATCHER
_K = KeyScope
TABLE = (
    Prefix("/s", _S, Audience.RESPONDENT),
    Prefix("/logos", _S, Audience.RESPONDENT),
    Prefix("/static", _S, Audience.RESPONDENT, everywhere=True),
    Prefix("/u", _D, Audience.RESPONDENT),
    Prefix("/hooks", _D, Audience.PROVIDER),
    Prefix("/v1/hooks", _T, Audience.PROVIDER),
    Prefix("/v1/events", _T, Audience.MACHINE, key_writes=_K.EVENTS_WRITE),
    Prefix("/healthz", _S, Audience.PROBE, everywhere=True),
    Prefix("/livez", _S, Audience.PROBE, everywhere=True),
    Prefix("/readyz", _S, Audience.PROBE, everywhere=True),
    # for staff, in the order of the menu
    Prefix("/", _S, Audience.STAFF, "Dashboard", everywhere=True),
    Prefix("/desk", _S, Audience.STAFF, "Desk"),
    Prefix("/suspects", _S, Audience.STAFF, "Suspects"),
    Prefix("/stores", _S, Audience.STAFF, "Stores"),
    Prefix("/sources", _T, Audience.STAFF, "Sources"),
    Prefix("/decisions", _T, Audience.STAFF, "Decisions"),
    Prefix("/mailbox", _D, Audience.STAFF, "Mailbox"),
    Prefix("/replies", _D, Audience.STAFF, "Replies"),
    Prefix("/invitations", _D, Audience.STAFF, "Invitations"),
    Prefix("/mail", _D, Audience.STAFF, "Mails"),
    Prefix("/suppressions", _D, Audience.STAFF, "Suppressions"),
    Prefix("/annotations", _S, Audience.STAFF),
    Prefix("/benchmarks", _S, Audience.STAFF),
    Prefix("/live", _S, Audience.STAFF),
    Prefix("/statistics", _S, Audience.STAFF),
    Prefix("/target", _S, Audience.STAFF),
    Prefix("/v1/annotations", _S, Audience.STAFF, key_reads=_K.SCORES_READ, key_writes=_K.SETTINGS_WRITE),
    Prefix("/v1/answers", _S, Audience.STAFF, key_reads=_K.ANSWERS_READ, key_writes=_K.ANSWERS_WRITE),
    Prefix("/v1/benchmarks", _S, Audience.STAFF, key_reads=_K.SCORES_READ, key_writes=_K.SETTINGS_WRITE),
    Prefix("/v1/desk", _S, Audience.STAFF, key_writes=_K.DESK_WORK),
    Prefix("/v1/funnel", _S, Audience.STAFF, key_reads=_K.SCORES_READ),
    Prefix("/v1/nps", _S, Audience.STAFF, key_reads=_K.SCORES_READ),
    Prefix("/v1/returns", _S, Audience.STAFF, key_reads=_K.SCORES_READ),
    Prefix("/v1/stores", _S, Audience.STAFF, key_reads=_K.STORES_READ, key_writes=_K.STORES_WRITE),
    Prefix("/v1/webhooks", _S, Audience.STAFF, key_reads=_K.WEBHOOKS_MANAGE, key_writes=_K.WEBHOOKS_MANAGE),
    Prefix("/v1/decisions", _T, Audience.STAFF, key_reads=_K.DECISIONS_READ),
    Prefix("/v1/programs", _T, Audience.STAFF, key_reads=_K.PROGRAMS_READ, key_writes=_K.PROGRAMS_WRITE),
    Prefix("/v1/respondents", _T, Audience.STAFF, key_writes=_K.RESPONDENTS_ERASE),
    Prefix("/v1/invitations", _D, Audience.STAFF, key_reads=_K.INVITATIONS_READ),
    Prefix("/v1/links", _D, Audience.STAFF, key_writes=_K.LINKS_READ),
    Prefix("/v1/mailbox", _D, Audience.STAFF, key_reads=_K.MAILBOX_READ),
    Prefix("/v1/suppressions", _D, Audience.STAFF, key_reads=_K.SUPPRESSIONS_READ, key_writes=_K.SUPPRESSIONS_WRITE),
    Prefix("/docs", _S, Audience.STAFF, everywhere=True),
    Prefix("/openapi.json", _S, Audience.STAFF, everywhere=True),
    Prefix("/static-offline-docs", _S, Audience.STAFF, everywhere=True),
    Prefix("/metrics", _S, Audience.STAFF, everywhere=True, key_reads=_K.METRICS_READ),
)
_BY_PATH = {prefix.path: prefix for prefix in TABLE}


class Paths:
    """All paths that are one of the prefixes, or under it."""

    def __init__(self, prefixes: Iterable[str]) -> None:
        self._exact = frozenset(prefixes)
        self._under = tuple(f"{prefix}/" for prefix in self._exact)

    def __contains__(self, path: str) -> bool:
        return path in self._exact or path.startswith(self._under)


def find(path: str) -> Prefix | None:
    """Return the longest prefix that equals this path or contains it; prefixes have at most two segments."""
    if path.startswith("//"):
        return None
    segments = path.split("/", 3)
    return _BY_PATH.get("/".join(segments[:3])) or _BY_PATH.get("/".join(segments[:2]))


def service_of(path: str) -> Service:
    """Return the service that answers a path on the common address; scoring answers unknown paths, with 404."""
    prefix = find(path)
    return prefix.service if prefix else Service.SCORING


def without_secret(service: Service) -> Paths:
    """Return the paths of a service's app that its gate serves without a secret."""
    return Paths(p.path for p in TABLE if p.answered_by(service) and p.audience in _NEEDS_NO_SECRET)


def public(service: Service | None = None) -> Paths:
    """Return the paths that a public listener serves: those of one service's app, or of all."""
    shown = (p for p in TABLE if p.audience is not Audience.STAFF)
    return Paths(p.path for p in shown if service is None or p.answered_by(service))


def identity_paths(service: Service) -> frozenset[str]:
    """Return the paths at which this service answers GET with its name, one for each public prefix of its own.

    They hide no other path: no token is `service`, and hooks and events accept only POST.
    """
    own = (p for p in TABLE if p.service is service and not p.everywhere)
    return frozenset(f"{p.path}/service" for p in own if p.audience is not Audience.STAFF)

"""The table of routes: which service answers each path, and who may use it.

`Gate`, `PublicOnly`, `Front` and the menu of the staff pages use the table; tests compare every app's routes and the
files in `deploy/proxy` with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import parse_qsl

from shared.contract.api_keys import KeyScope
from shared.contract.vocabulary import EMPLOYEE, Role, Service
from shared.languages.marking import mark


class Audience(StrEnum):
    RESPONDENT = "respondent"  # holds a link
    PROVIDER = "provider"  # signs its callbacks
    MACHINE = "machine"  # sends events with an API key
    PROBE = "probe"  # asks whether the process works
    VISITOR = "visitor"  # of the staff, and not known yet: at the log-in
    STAFF = "staff"  # has logged in and has one of the prefix's roles, or has an API key for this path


_NEEDS_NO_TICKET = (Audience.RESPONDENT, Audience.PROVIDER, Audience.PROBE)
_FOR_STAFF = (Audience.STAFF, Audience.VISITOR)
SAFE = ("GET", "HEAD", "OPTIONS")


class Group(StrEnum):
    """The groups of the menu of staff pages; those of PERSON stand in the person's own menu."""

    SCORE = mark("Score")
    CUSTOMERS = mark("Customers")
    DESK = mark("Desk")
    SURVEYS = mark("Programs")
    PERSON = mark("Person")


@dataclass(frozen=True, slots=True)
class Prefix:
    """A path and all paths under it; `/` stands only for itself."""

    path: str
    service: Service  # answers the path on the common address of all services
    audience: Audience
    group: Group | None = None  # is marked in the menu of staff pages while one of the prefix's pages is open
    label: str = ""  # of the page in this group; without one, the menu has no link to it
    reads: frozenset[Role] = frozenset()  # may send GET, HEAD and OPTIONS
    writes: frozenset[Role] = frozenset()  # may send all other methods
    everywhere: bool = False  # on its own port, every service answers the path about itself
    key_reads: KeyScope | None = None  # the scope with which an API key may read; None: no key may
    key_writes: KeyScope | None = None
    scoped_reads: bool = False  # reading shows each person and key only the programs and stores that they may see
    scoped_writes: bool = False  # writing changes only these; where it is False, it is for those who see everything

    @property
    def is_for_staff(self) -> bool:
        """Say whether staff open it, those at the log-in too."""
        return self.audience in _FOR_STAFF

    def answered_by(self, service: Service) -> bool:
        """Say whether this service's app answers the prefix."""
        return self.everywhere or self.service is service

    def is_scoped(self, method: str) -> bool:
        """Say whether who sees only some programs or stores may send a request with this method."""
        return self.scoped_reads if method in SAFE else self.scoped_writes

    def roles(self, method: str) -> frozenset[Role]:
        """Return the roles of staff that may send a request with this method."""
        return self.reads if method in SAFE else self.writes


_S, _T, _D = Service.SCORING, Service.TRIGGER, Service.DISPATCHER
_OPERATOR, _SUPERVISOR, _ANALYST, _MANAGER, _PRIVACY, _ADMIN, _EMPLOYEE = (
    Role.OPERATOR,
    Role.SUPERVISOR,
    Role.ANALYST,
    Role.MANAGER,
    Role.PRIVACY_OFFICER,
    Role.ADMINISTRATOR,
    Role.EMPLOYEE,
)
_EVERYBODY = frozenset(Role)
_K = KeyScope


def _public(path: str, service: Service, audience: Audience, *, everywhere: bool = False) -> Prefix:
    return Prefix(path, service, audience, everywhere=everywhere)


def _staff(  # noqa: PLR0913 - the columns of the table
    path: str,
    service: Service,
    reads: Iterable[Role],
    writes: Iterable[Role] = (),
    *,
    menu: tuple[Group | None, str] = (None, ""),
    everywhere: bool = False,
    keys: tuple[KeyScope | None, KeyScope | None] = (None, None),  # for reading and for writing
    scoped: tuple[bool, bool] = (False, False),  # for reading and for writing
) -> Prefix:
    return Prefix(path, service, Audience.STAFF, *menu, frozenset(reads), frozenset(writes), everywhere, *keys, *scoped)


_FIGURES = (_MANAGER, _ANALYST, _SUPERVISOR, _PRIVACY)
_MEASURES = (_MANAGER, _ANALYST)  # set what the figures are compared with
_TAGS = (_SUPERVISOR, _MANAGER, _ANALYST)  # give tags to comments
_SURVEYS = (_MANAGER, _ANALYST, _SUPERVISOR, _ADMIN)  # see what programs ask and send
_SWITCHES = (_MANAGER, _SUPERVISOR, _ADMIN)  # switch and stop them
_CALLS = (_OPERATOR, _SUPERVISOR)
_CASES = (_SUPERVISOR, _MANAGER, _PRIVACY, _ADMIN)  # look up what one customer was sent
_CONTACTS = (_SUPERVISOR, _PRIVACY)  # decide who is not contacted
_READS, _BOTH = (True, False), (True, True)  # what those may do who see only some programs or stores
_AUDITORS = (_PRIVACY, _ADMIN)
_BY_ADMIN = (frozenset((_ADMIN,)), frozenset((_ADMIN,)))
TABLE = (
    _public("/s", _S, Audience.RESPONDENT),
    _public("/logos", _S, Audience.RESPONDENT),
    _public("/shared", _S, Audience.RESPONDENT),
    _public("/static", _S, Audience.RESPONDENT, everywhere=True),
    _public("/u", _D, Audience.RESPONDENT),
    _public("/hooks", _D, Audience.PROVIDER),
    _public("/v1/hooks", _T, Audience.PROVIDER),
    Prefix(
        "/v1/events",
        _T,
        Audience.MACHINE,
        reads=frozenset((_ADMIN,)),
        writes=frozenset((_ADMIN,)),
        key_writes=_K.EVENTS_WRITE,
    ),
    _public("/healthz", _S, Audience.PROBE, everywhere=True),
    _public("/livez", _S, Audience.PROBE, everywhere=True),
    _public("/readyz", _S, Audience.PROBE, everywhere=True),
    _public("/login", _S, Audience.VISITOR),
    _public("/join", _S, Audience.VISITOR),
    # for staff, in the order of the menu
    _staff("/", _S, _FIGURES, menu=(Group.SCORE, mark("Dashboard")), everywhere=True, scoped=_READS),
    _staff("/export", _S, _FIGURES, menu=(Group.SCORE, ""), scoped=_READS),
    _staff("/shares", _S, _FIGURES, _MEASURES, menu=(Group.SCORE, mark("Shared figures")), scoped=_BOTH),
    _staff("/mine", _S, (_EMPLOYEE,), menu=(Group.SCORE, mark("My score")), scoped=_READS),
    _staff("/stores", _S, (*_FIGURES, _ADMIN), (_ADMIN,), menu=(Group.SCORE, mark("Stores")), scoped=_READS),
    _staff("/comments", _S, _FIGURES, _TAGS, menu=(Group.SCORE, mark("Comments")), scoped=_BOTH),
    _staff("/tags", _S, _FIGURES, _TAGS, menu=(Group.SCORE, ""), scoped=_READS),
    _staff(
        "/suspects", _S, (_SUPERVISOR, _ANALYST), (_SUPERVISOR,), menu=(Group.SCORE, mark("Suspects")), scoped=_BOTH
    ),
    _staff("/customers", _T, (_PRIVACY,), (_PRIVACY,), menu=(Group.CUSTOMERS, mark("Find a customer"))),
    _staff("/customer/trigger", _T, (_PRIVACY,), menu=(Group.CUSTOMERS, "")),
    _staff("/customer/dispatcher", _D, (_PRIVACY,), menu=(Group.CUSTOMERS, "")),
    _staff("/customer/scoring", _S, (_PRIVACY,), menu=(Group.CUSTOMERS, "")),
    _staff("/decisions", _T, (*_CASES, _ANALYST), menu=(Group.CUSTOMERS, mark("Decisions"))),
    _staff("/invitations", _D, _CASES, menu=(Group.CUSTOMERS, mark("Invitations")), scoped=_READS),
    _staff("/replies", _D, _CONTACTS, _CONTACTS, menu=(Group.CUSTOMERS, mark("Replies"))),
    _staff("/suppressions", _D, _CONTACTS, _CONTACTS, menu=(Group.CUSTOMERS, mark("Suppressions"))),
    _staff("/mailbox", _D, (_SUPERVISOR,), menu=(Group.CUSTOMERS, mark("Mailbox"))),
    _staff("/desk", _S, _CALLS, _CALLS, menu=(Group.DESK, mark("Desk")), scoped=_BOTH),
    _staff("/promised-calls", _S, (*_CALLS, _MANAGER), menu=(Group.DESK, mark("Promised calls")), scoped=_READS),
    _staff("/desk-team", _S, (_SUPERVISOR,), (_SUPERVISOR,), menu=(Group.DESK, mark("Team")), scoped=_BOTH),
    _staff("/programs", _T, _SURVEYS, _SWITCHES, menu=(Group.SURVEYS, mark("Programs"))),
    _staff("/previews", _S, _SURVEYS, menu=(Group.SURVEYS, "")),
    _staff("/mail", _D, _SURVEYS, (_MANAGER, _ADMIN), menu=(Group.SURVEYS, mark("Mails"))),
    _staff("/sources", _T, (_ADMIN,), (_ADMIN,), menu=(Group.SURVEYS, mark("Sources"))),
    _staff("/people", _S, *_BY_ADMIN, menu=(Group.PERSON, mark("People"))),
    _staff("/keys/scoring", _S, *_BY_ADMIN, menu=(Group.PERSON, mark("Keys and webhooks"))),
    _staff("/keys/trigger", _T, *_BY_ADMIN),
    _staff("/keys/dispatcher", _D, *_BY_ADMIN),
    _staff("/audit/scoring", _S, _AUDITORS, menu=(Group.PERSON, mark("Audit"))),
    _staff("/audit/trigger", _T, _AUDITORS),
    _staff("/audit/dispatcher", _D, _AUDITORS),
    _staff("/account", _S, _EVERYBODY, _EVERYBODY, scoped=_BOTH),
    _staff("/annotations", _S, _FIGURES, _MEASURES),
    _staff("/benchmarks", _S, _FIGURES, _MEASURES),
    _staff("/live", _S, _FIGURES, scoped=_READS),
    _staff("/statistics", _S, _FIGURES, menu=(Group.SCORE, ""), scoped=_READS),
    _staff("/target", _S, _FIGURES, _MEASURES),
    _staff("/v1/annotations", _S, _FIGURES, _MEASURES, keys=(_K.SCORES_READ, _K.SETTINGS_WRITE), scoped=_READS),
    _staff("/v1/answers", _S, _FIGURES, (_SUPERVISOR,), keys=(_K.ANSWERS_READ, _K.ANSWERS_WRITE), scoped=_BOTH),
    _staff("/v1/audit-scoring", _S, _AUDITORS, keys=(_K.AUDIT_READ, None)),
    _staff("/v1/audit-trigger", _T, _AUDITORS, keys=(_K.AUDIT_READ, None)),
    _staff("/v1/audit-dispatcher", _D, _AUDITORS, keys=(_K.AUDIT_READ, None)),
    _staff("/v1/benchmarks", _S, _FIGURES, _MEASURES, keys=(_K.SCORES_READ, _K.SETTINGS_WRITE), scoped=_READS),
    _staff("/v1/call-lists", _S, (_SUPERVISOR,), (_SUPERVISOR,), keys=(_K.CALLS_WORK, _K.CALLS_WORK), scoped=_BOTH),
    _staff("/v1/desk", _S, _CALLS, _CALLS, keys=(None, _K.DESK_WORK), scoped=_BOTH),
    _staff("/v1/funnel", _S, _FIGURES, keys=(_K.SCORES_READ, None), scoped=_READS),
    _staff("/v1/nps", _S, _FIGURES, keys=(_K.SCORES_READ, None), scoped=_READS),
    _staff("/v1/returns", _S, _FIGURES, keys=(_K.SCORES_READ, None), scoped=_READS),
    _staff("/v1/stores", _S, (*_FIGURES, _ADMIN), (_ADMIN,), keys=(_K.STORES_READ, _K.STORES_WRITE), scoped=_READS),
    _staff("/v1/webhooks", _S, (_ADMIN,), (_ADMIN,), keys=(_K.WEBHOOKS_MANAGE, _K.WEBHOOKS_MANAGE)),
    _staff("/v1/customer-trigger", _T, (_PRIVACY,), keys=(_K.RESPONDENTS_READ, None)),
    _staff("/v1/customer-dispatcher", _D, (_PRIVACY,), keys=(_K.RESPONDENTS_READ, None)),
    _staff("/v1/customer-scoring", _S, (_PRIVACY,), keys=(_K.RESPONDENTS_READ, None)),
    _staff("/v1/decisions", _T, (*_CASES, _ANALYST), keys=(_K.DECISIONS_READ, None)),
    _staff(
        "/v1/programs", _T, (_MANAGER, _ANALYST, _ADMIN), (_MANAGER, _ADMIN), keys=(_K.PROGRAMS_READ, _K.PROGRAMS_WRITE)
    ),
    _staff("/v1/respondents", _T, (_PRIVACY,), (_PRIVACY,), keys=(_K.CONSENT_READ, _K.RESPONDENTS_ERASE)),
    _staff("/v1/invitations", _D, _CASES, keys=(_K.INVITATIONS_READ, None), scoped=_READS),
    _staff("/v1/links", _D, (_SUPERVISOR,), (_SUPERVISOR,), keys=(None, _K.LINKS_READ)),
    _staff("/v1/mailbox", _D, (_SUPERVISOR,), keys=(_K.MAILBOX_READ, None)),
    _staff("/v1/suppressions", _D, _CONTACTS, _CONTACTS, keys=(_K.SUPPRESSIONS_READ, _K.SUPPRESSIONS_WRITE)),
    _staff("/docs", _S, _EVERYBODY, everywhere=True, scoped=_READS),
    _staff("/openapi.json", _S, _EVERYBODY, everywhere=True, scoped=_READS),
    _staff("/static-offline-docs", _S, _EVERYBODY, everywhere=True, scoped=_READS),
    _staff("/metrics", _S, (_ADMIN,), everywhere=True, keys=(_K.METRICS_READ, None)),
)
_FORMS_OF_DASHBOARD = frozenset({"/annotations", "/benchmarks", "/target"})
_BY_PATH = {prefix.path: prefix for prefix in TABLE}

# What staff and keys change is written to the audit log, but for this:
UNRECORDED = {
    "/v1/events": "every event is stored with what was decided",
    "/desk/{task_id}/keep": "keeps a call reserved while its page is open; a call that it gives back is recorded",
    "/login/renew": "sends a form again, to a path that is recorded",
}
# What is read and yet written there, because many rows leave at once:
EXPORTS = frozenset(
    {
        "/export",
        "/stores/export",
        "/comments/export",
        "/v1/answers",
        "/v1/call-lists/export",
        *(f"/audit/{service}/export" for service in Service),
        *(f"/customer/{service}" for service in Service),
        *(f"/v1/customer-{service}" for service in Service),
    }
)
# What is read and yet written there if a parameter names the dimension `employee`: it is about people of the staff.
OF_EMPLOYEES = frozenset({"/", "/export", "/v1/nps", "/v1/funnel", "/v1/returns"})
_SPLITS = frozenset({"by", "segment"})
# What is read and always written there: it is about operators.
OF_OPERATORS = frozenset({"/desk-team/figures"})
# What is read and yet written there if this parameter is given; what it says is not.
SEARCHES = {"/comments": "words"}
BY_PARAMETER = OF_EMPLOYEES | SEARCHES.keys()


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


def page_of(path: str) -> str:
    """Return the page that has the form of an address; "" for an address of nobody."""
    prefix = find(path)
    if prefix is None:
        return ""
    return "/" if prefix.path in _FORMS_OF_DASHBOARD else prefix.path


def service_of(path: str) -> Service:
    """Return the service that answers a path on the common address; scoring answers unknown paths, with 404."""
    prefix = find(path)
    return prefix.service if prefix else Service.SCORING


def audit_page(service: Service) -> str:
    """Return the path of the page of a service's audit log."""
    return f"/audit/{service}"


def audit_api(service: Service) -> str:
    return f"/v1/audit-{service}"


def keys_page(service: Service) -> str:
    """Return the path of the page of a service's API keys."""
    return f"/keys/{service}"


def customer_page(service: Service) -> str:
    """Return the path of the page of what a service holds about a customer."""
    return f"/customer/{service}"


def customer_api(service: Service) -> str:
    return f"/v1/customer-{service}"


def is_recorded(method: str, path: str) -> bool:
    """Say whether requests to a path are written to the audit log if a route answers them."""
    prefix = find(path)
    if prefix is None or prefix.audience in _NEEDS_NO_TICKET or path in UNRECORDED:
        return False
    return method not in SAFE or (method == "GET" and path in EXPORTS | OF_OPERATORS)


def is_search(method: str, path: str, query: str) -> bool:
    """Say whether a request searches in what customers wrote."""
    return method == "GET" and SEARCHES.get(path) in dict(parse_qsl(query))


def asked_of_employees(method: str, path: str, query: str) -> str | None:
    """Return what a request reads of employees, such as `employee:e-7`, None if it reads nothing of them."""
    if method != "GET" or path not in OF_EMPLOYEES:
        return None
    asked = [value for name, value in parse_qsl(query) if name in _SPLITS and EMPLOYEE in value]
    return ", ".join(asked) or None


def is_log_in(path: str) -> bool:
    """Say whether staff are at the log-in here, and not known yet."""
    prefix = find(path)
    return prefix is not None and prefix.audience is Audience.VISITOR


def without_ticket(service: Service) -> Paths:
    """Return the paths of a service's app that its gate serves to everybody."""
    return Paths(p.path for p in TABLE if p.answered_by(service) and p.audience in _NEEDS_NO_TICKET)


def at_log_in(service: Service) -> Paths:
    """Return the paths of a service's app at which staff say who they are."""
    return Paths(p.path for p in TABLE if p.answered_by(service) and p.audience is Audience.VISITOR)


def public(service: Service | None = None) -> Paths:
    """Return the paths that a public listener serves: those of one service's app, or of all."""
    shown = (p for p in TABLE if not p.is_for_staff)
    return Paths(p.path for p in shown if service is None or p.answered_by(service))


def identity_paths(service: Service) -> frozenset[str]:
    """Return the paths at which this service answers GET with its name, one for each public prefix of its own.

    They hide no other path: no token is `service`, and hooks and events accept only POST.
    """
    own = (p for p in TABLE if p.service is service and not p.everywhere)
    return frozenset(f"{p.path}/service" for p in own if not p.is_for_staff)

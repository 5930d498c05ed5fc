"""The one table of routes against the three apps: nothing is served that is not in it, and nothing in it is missing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from deploy.all_settings import AllSettings
from services.dispatcher import main as dispatcher
from services.scoring import main as scoring
from services.trigger import main as trigger
from shared.clock import SystemClock
from shared.contract.api_keys import KeyScope
from shared.contract.vocabulary import Role, Service
from shared.database.db import Database
from shared.web import routes
from shared.web.api_keys.scopes import needed_scope, scopes_of
from shared.web.audit.action_words import ACTIONS
from shared.web.audit.recorded_routes import NOT_WRITTEN, WORDS, RecordedRoutes
from shared.web.routes import TABLE, Audience
from shared.web.staff.menu import StaffPages, asked_path
from shared.web.staff.tickets import Ticket, signed_in
from tests.staff import STAFF


@pytest.fixture(scope="module")
def apps() -> Mapping[Service, FastAPI]:
    settings, clock = AllSettings.from_environment(), SystemClock()
    options = settings.trigger.database_options
    nowhere = {each: Database("postgresql://nobody@127.0.0.1:1/x", schema=each, options=options) for each in Service}
    return {
        Service.TRIGGER: trigger.build_app(settings.trigger, nowhere[Service.TRIGGER], clock),
        Service.DISPATCHER: dispatcher.build_app(settings.dispatcher, nowhere[Service.DISPATCHER], clock),
        Service.SCORING: scoring.build_app(settings.scoring, database=nowhere[Service.SCORING], clock=clock),
    }


def paths_of(app: FastAPI) -> set[str]:
    return {str(route.path) for route in iter_route_contexts(app.routes)}


def opened(app: FastAPI) -> httpx2.AsyncClient:
    """Return a client of an app, signed in as staff with all roles."""
    transport = httpx2.ASGITransport(app, client=("127.0.0.1", 1))
    return httpx2.AsyncClient(auth=STAFF, transport=transport, base_url="http://127.0.0.1")


def for_staff(app: FastAPI, service: Service) -> set[tuple[str, str]]:
    """Return method and path of every route that is not open to everybody."""
    return {
        (method, path)
        for route in iter_route_contexts(app.routes)
        for method in route.methods or ()
        if (path := str(route.path)) not in routes.without_ticket(service)
    }


@pytest.mark.parametrize("service", Service)
def test_every_route_of_an_app_lies_under_a_prefix_of_its_service(
    apps: Mapping[Service, FastAPI], service: Service
) -> None:
    strange = {
        path
        for path in paths_of(apps[service])
        if (prefix := routes.find(path)) is None or not prefix.answered_by(service)
    }
    assert strange == set()
    assert len(paths_of(apps[service])) > 10


@pytest.mark.parametrize("service", Service)
def test_every_prefix_of_a_service_has_a_route_in_its_app(apps: Mapping[Service, FastAPI], service: Service) -> None:
    served = {prefix.path for path in paths_of(apps[service]) if (prefix := routes.find(path))}
    assert {prefix.path for prefix in TABLE if prefix.answered_by(service)} == served


WITHOUT_KEYS: frozenset[tuple[str, str]] = frozenset()  # method and path of APIs that deliberately have no scope


@pytest.mark.parametrize("service", Service)
def test_every_api_route_has_a_scope_with_which_a_key_may_use_it(
    apps: Mapping[Service, FastAPI], service: Service
) -> None:
    """A prefix without the scope that one of its routes needs would leave that route to people alone."""
    asked = {(method, path) for method, path in for_staff(apps[service], service) if path.startswith("/v1/")}
    lacking = {(method, path) for method, path in asked if needed_scope(service, method, path) is None}
    assert lacking == {each for each in WITHOUT_KEYS if each in asked}
    assert len(asked) > 5


# Paths of staff and keys whose requests have a ledger of their own, or change nothing but a reservation.
WITHOUT_AUDIT = {"/v1/events", "/desk/{task_id}/keep"}


@pytest.mark.parametrize("service", Service)
def test_every_route_with_which_staff_change_something_is_recorded(
    apps: Mapping[Service, FastAPI], service: Service
) -> None:
    asked = {(method, path) for method, path in for_staff(apps[service], service) if method not in routes.SAFE}
    recorded = {(each.method, each.template) for each in RecordedRoutes(apps[service]).all}
    assert {path for _, path in asked - recorded} == {path for path in routes.UNRECORDED if ("POST", path) in asked}
    assert len(asked & recorded) > 3
    assert {path for path in routes.UNRECORDED if not routes.is_log_in(path)} == WITHOUT_AUDIT


def test_every_form_of_staff_belongs_to_a_page(apps: Mapping[Service, FastAPI]) -> None:
    read = {path for service, app in apps.items() for method, path in for_staff(app, service) if method == "GET"}
    forms = {path for service, app in apps.items() for method, path in for_staff(app, service) if method == "POST"}
    pages = {path: routes.page_of(path) for path in forms - read if not path.startswith("/v1/")}
    assert {path for path, page in pages.items() if page not in read} == set()
    assert pages["/desk/{task_id}/outcome"] == "/desk"
    assert pages["/target"] == "/"
    assert pages["/login/code"] == "/login"


@pytest.mark.parametrize("service", Service)
async def test_address_of_every_form_leads_a_browser_to_its_page(
    apps: Mapping[Service, FastAPI], service: Service
) -> None:
    """Also where a page of another address would match it, as `/desk/{task_id}` matches `/desk/take`."""
    asked = for_staff(apps[service], service)
    read = {path for method, path in asked if method == "GET"}
    forms = {path for method, path in asked if method == "POST" and not path.startswith("/v1/")} - read
    async with opened(apps[service]) as web:
        for value in ("01999999-0000-7000-8000-000000000001", "42"):
            paths = {re.sub(r"\{[^}]+\}", value, path) for path in forms}
            answers = {path: await web.get(path, headers={"accept": "text/html"}) for path in paths}
            led = {path: (each.status_code, each.headers.get("location")) for path, each in answers.items()}
            assert led == {path: (303, routes.page_of(path)) for path in paths}
    assert forms


def test_every_act_on_a_page_for_staff_is_undone_or_asks_first(apps: Mapping[Service, FastAPI]) -> None:
    table = Path("docs/operate.md").read_text().partition("\n## Undo\n")[2].partition("\n## ")[0]
    said = dict(re.findall(r"^\| `(\w+ /[^`]*)` \| (.+) \|$", table, re.MULTILINE))
    acts = {
        f"{method} {path}"
        for service, app in apps.items()
        for method, path in for_staff(app, service)
        if method not in routes.SAFE and not path.startswith("/v1/") and not routes.is_log_in(path)
    }
    assert said.keys() == acts
    assert {each for each, text in said.items() if not re.match(r"(undone by|asked (first|for)) ?", text)} == set()


def test_every_act_of_the_audit_log_is_said_in_words(apps: Mapping[Service, FastAPI]) -> None:
    recorded = {each.action for app in apps.values() for each in RecordedRoutes(app).all}
    assert ACTIONS.keys() == recorded | {"POST /desk/{task_id}/keep"}, "which is recorded where it gives a call back"


def test_every_export_is_recorded(apps: Mapping[Service, FastAPI]) -> None:
    read = {str(route.path) for app in apps.values() for route in iter_route_contexts(app.routes)}
    recorded = {each.template for app in apps.values() for each in RecordedRoutes(app).all if each.method == "GET"}
    assert recorded == routes.EXPORTS | routes.BY_PARAMETER | routes.OF_OPERATORS
    assert {path for path in read if "export" in path} <= recorded


def test_path_parameters_that_are_written_are_ids_of_ours_or_words_of_the_staff(
    apps: Mapping[Service, FastAPI],
) -> None:
    """Another parameter is not written unless it is a UUID, so that a new one is looked at before it is."""
    recorded = [each for app in apps.values() for each in RecordedRoutes(app).all]
    named = {name for each in recorded for name in each.pattern.groupindex}
    ids = {name for name in named if name.endswith("_id")} - NOT_WRITTEN
    assert named == ids | WORDS | NOT_WRITTEN
    example = "01999999-0000-7000-8000-000000000001"
    for each in recorded:
        for value in ("anna@shop.example", "+79161234567", "42", example):
            path = re.sub(r"\{[^}]+\}", value, each.template)
            expected = value if WORDS & set(each.pattern.groupindex) else example if value == example else None
            assert each.subject_in(path) == (expected if each.pattern.groupindex.keys() - NOT_WRITTEN else None)


def test_keys_are_for_apis_and_metrics_alone() -> None:
    keyed = {prefix.path for prefix in TABLE if prefix.key_reads or prefix.key_writes}
    assert {path for path in keyed if not path.startswith("/v1/")} == {"/metrics"}
    assert all(prefix.audience in (Audience.STAFF, Audience.MACHINE) for prefix in TABLE if prefix.path in keyed)


def test_every_scope_is_of_one_service_but_for_those_of_all() -> None:
    owners = {scope: [service for service in Service if scope in scopes_of(service)] for scope in KeyScope}
    for scope in (KeyScope.METRICS_READ, KeyScope.AUDIT_READ, KeyScope.RESPONDENTS_READ):
        assert owners.pop(scope) == list(Service)
    assert {len(services) for services in owners.values()} == {1}


def test_no_prefix_for_staff_lies_under_a_public_one_nor_the_other_way_round() -> None:
    """So the gate may look whether a path lies under any public prefix, in place of the longest one."""
    for outer in TABLE:
        inner = [each.path for each in TABLE if each.path.startswith(f"{outer.path}/")]
        assert inner == []
    assert len({prefix.path for prefix in TABLE}) == len(TABLE)
    assert max(prefix.path.count("/") for prefix in TABLE) <= 2


def test_what_is_open_without_a_ticket_is_what_respondents_providers_and_probes_ask_for() -> None:
    shared = {"/static", "/healthz", "/livez", "/readyz"}
    opened = {
        service: {prefix.path for prefix in TABLE if prefix.path in routes.without_ticket(service)}
        for service in Service
    }
    assert opened == {
        Service.TRIGGER: {"/v1/hooks", *shared},
        Service.DISPATCHER: {"/u", "/hooks", *shared},
        Service.SCORING: {"/s", "/shared", "/logos", *shared},
    }


def test_public_listener_serves_events_too_and_nothing_for_staff() -> None:
    shared = {"/static", "/healthz", "/livez", "/readyz"}
    own = {service: {p.path for p in TABLE if p.path in routes.public(service)} - shared for service in Service}
    assert own == {
        Service.TRIGGER: {"/v1/events", "/v1/hooks"},
        Service.DISPATCHER: {"/u", "/hooks"},
        Service.SCORING: {"/s", "/shared", "/logos"},
    }
    assert {p.path for p in TABLE if p.path in routes.public()} == set.union(shared, *own.values())


@pytest.mark.parametrize(
    ("path", "service"),
    [
        ("/", Service.SCORING),
        ("/s/token.1/stop", Service.SCORING),
        ("/u/token", Service.DISPATCHER),
        ("/u", Service.DISPATCHER),
        ("/mail", Service.DISPATCHER),
        ("/mailbox/1/html", Service.DISPATCHER),
        ("/v1/events", Service.TRIGGER),
        ("/v1/events/", Service.TRIGGER),
        ("/v1/respondents/a/b/erase", Service.TRIGGER),
        ("/v1/suppressions", Service.DISPATCHER),
    ],
)
def test_path_is_answered_by_the_service_of_its_longest_prefix(path: str, service: Service) -> None:
    assert routes.find(path) is not None
    assert routes.service_of(path) is service


@pytest.mark.parametrize(
    "path", ["", "*", "/v1", "/v1/", "//v1/events", "//", "/unknown", "/ux", "/S/token", "/v1/eventsx"]
)
def test_unknown_path_has_no_prefix_and_gets_its_404_from_scoring(path: str) -> None:
    assert routes.find(path) is None
    assert routes.service_of(path) is Service.SCORING


async def test_each_service_says_its_name_under_its_public_prefixes(apps: Mapping[Service, FastAPI]) -> None:
    for service, app in apps.items():
        async with opened(app) as web:
            for prefix in (
                p
                for p in TABLE
                if p.audience not in (Audience.STAFF, Audience.PROBE, Audience.VISITOR) and not p.everywhere
            ):
                answer = await web.get(f"{prefix.path}/service")
                named = answer.json().get("service") if answer.status_code == 200 else None
                assert named == (service if prefix.service is service else None)


def url_by_label(pages: StaffPages) -> dict[str, str]:
    return {page.label: page.url for group in pages.groups for page in group.pages} | {
        page.label: page.url for page in pages.of_person
    }


def test_menu_shows_every_labelled_page_at_the_one_address() -> None:
    settings = AllSettings.from_environment(public_url="https://nps.example", scoring_port=1).scoring
    shown = StaffPages.of(settings, Service.TRIGGER)
    assert url_by_label(shown) == {
        prefix.label: prefix.path if prefix.service is Service.TRIGGER else f"https://nps.example{prefix.path}"
        for prefix in TABLE
        if prefix.label
    }
    assert shown.log_out == "/account/log-out"


def test_menu_follows_the_addresses_that_are_set() -> None:
    settings = AllSettings.from_environment(
        public_url="https://nps.example",
        dashboard_url="http://staff.example:8000",
        decisions_url="http://trigger.example/decisions",
        invitations_url="http://dispatcher.example/invitations",
    ).trigger
    shown = StaffPages.of(settings, Service.TRIGGER)
    assert url_by_label(shown) == {
        "Dashboard": "http://staff.example:8000/",
        "Shared figures": "http://staff.example:8000/shares",
        "My score": "http://staff.example:8000/mine",
        "Stores": "http://staff.example:8000/stores",
        "Comments": "http://staff.example:8000/comments",
        "Suspects": "http://staff.example:8000/suspects",
        "Find a customer": "/customers",
        "Decisions": "/decisions",
        "Invitations": "http://dispatcher.example/invitations",
        "Replies": "http://dispatcher.example/replies",
        "Suppressions": "http://dispatcher.example/suppressions",
        "Mailbox": "http://staff.example:8000/mailbox",
        "Desk": "http://staff.example:8000/desk",
        "Promised calls": "http://staff.example:8000/promised-calls",
        "Team": "http://staff.example:8000/desk-team",
        "Programs": "/programs",
        "Mails": "http://dispatcher.example/mail",
        "Sources": "/sources",
        "People": "http://staff.example:8000/people",
        "Keys and webhooks": "http://staff.example:8000/keys/scoring",
        "Audit": "http://staff.example:8000/audit/scoring",
    }
    assert shown.log_out == ""  # a form would come from another site


@pytest.fixture
def ask() -> Iterator[Callable[..., StaffPages]]:
    """Return the menu on a page of scoring, for somebody with these roles."""
    settings, resets = AllSettings.from_environment().scoring, ExitStack()

    def ask(path: str, *roles: Role, is_scoped: bool = False) -> StaffPages:
        ticket = Ticket(UUID(int=1), "Anna", frozenset(roles), datetime(2026, 1, 1, tzinfo=UTC), is_scoped=is_scoped)
        resets.callback(signed_in.reset, signed_in.set(ticket))
        resets.callback(asked_path.reset, asked_path.set(path))
        return StaffPages.of(settings, Service.SCORING)

    with resets:
        yield ask


def test_a_group_leads_to_the_first_of_its_pages_that_the_person_may_open(ask: Callable[..., StaffPages]) -> None:
    menu = ask("/stores/edit", Role.ADMINISTRATOR)
    assert [(group.label, group.url, group.is_current) for group in menu.groups] == [
        ("Score", "/stores", True),
        ("Customers", menu.url("/decisions"), False),
        ("Programs", menu.url("/programs"), False),
    ]
    assert menu.home == "/stores"
    assert [page.is_current for page in menu.groups[0].pages] == [True]


def test_who_sees_some_stores_is_offered_only_pages_that_show_these(ask: Callable[..., StaffPages]) -> None:
    menu = ask("/statistics", Role.MANAGER, is_scoped=True)
    shown = [(group.label, group.is_current, [page.label for page in group.pages]) for group in menu.groups]
    assert shown == [
        ("Score", True, ["Dashboard", "Shared figures", "Stores", "Comments"]),
        ("Customers", False, ["Invitations"]),
        ("Desk", False, ["Promised calls"]),
    ]


def test_home_of_somebody_without_pages_is_the_account(ask: Callable[..., StaffPages]) -> None:
    menu = ask("/account")
    assert (menu.groups, menu.home) == ([], "/account")

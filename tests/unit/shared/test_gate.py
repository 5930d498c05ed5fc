"""Who passes the gate of the staff paths, without an app behind it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlsplit
from uuid import uuid4

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from shared.contract.staff_scope import WHOLE, StaffScope
from shared.contract.vocabulary import Role, Service
from shared.web import routes
from shared.web.problems import Forbidden, Unavailable
from shared.web.routes import TABLE, Audience, Prefix
from shared.web.staff.gate import FindScope, Gate, StaffAccess
from shared.web.staff.shared_sessions import FindSession, SharedSessions
from shared.web.staff.tickets import (
    LASTING,
    RENEWED_AFTER,
    Device,
    StaffCookie,
    Ticket,
    TicketSigner,
    signed_in,
    staff_scope,
    ticket_cookie,
)
from tests.staff import sees_everything

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
SECRET = "tickets-of-these-tests-0123456789"
SIGNER = TicketSigner({"k2": SECRET, "k1": "an-older-key-0123456789"})
TICKET = Ticket(uuid4(), "Olga", frozenset([Role.SUPERVISOR]), NOW, uuid4())
PAGE = {"accept": "text/html,*/*;q=0.8"}


async def who(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the name of who is signed in."""
    person = signed_in.get()
    await JSONResponse(person.name if person else None)(scope, receive, send)


def client(
    *,
    service: Service = Service.DISPATCHER,
    https: bool = False,
    find_session: FindSession | None = None,
    find_scope: FindScope = sees_everything,
) -> httpx2.AsyncClient:
    cookie_of_staff = ticket_cookie(https=https)
    access = StaffAccess(
        SIGNER, cookie_of_staff, "https://nps.example/", find_scope, find_session=find_session, now=lambda: NOW
    )
    transport = httpx2.ASGITransport(Gate(who, service=service, access=access))
    return httpx2.AsyncClient(transport=transport, base_url="http://nps.example")


def cookie(text: str, *, name: str = "earshot") -> dict[str, str]:
    return {"cookie": f"theme=dark; {name}={text}"}


def of(ticket: Ticket, **more: str) -> dict[str, str]:
    return cookie(SIGNER.sign(ticket), **more)


async def test_ticket_with_a_role_of_the_path_passes_and_the_page_knows_whose_it_is() -> None:
    async with client() as asking:
        assert (await asking.get("/suppressions", headers=of(TICKET))).json() == "Olga"
        assert (await asking.get("/u/page", headers=of(TICKET))).json() is None
    assert signed_in.get() is None


@pytest.mark.parametrize("prefix", TABLE, ids=lambda prefix: prefix.path)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_every_path_is_open_to_exactly_the_roles_of_the_table(prefix: Prefix, method: str) -> None:
    async with client(service=prefix.service) as asking:
        for role in Role:
            headers = of(replace(TICKET, roles=frozenset([role])))
            status = (await asking.request(method, prefix.path, headers=headers)).status_code
            is_open = prefix.audience not in (Audience.STAFF, Audience.MACHINE)
            assert (role, status) == (role, 200 if is_open or role in prefix.roles(method) else 403)


@pytest.mark.parametrize("prefix", TABLE, ids=lambda prefix: prefix.path)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_who_sees_only_some_stores_reaches_only_paths_that_show_only_those(prefix: Prefix, method: str) -> None:
    async def find_scope(_ticket: Ticket) -> StaffScope:
        return StaffScope(stores=frozenset({"Arbat"}))

    async with client(service=prefix.service, find_scope=find_scope) as asking:
        for role in Role:
            headers = of(replace(TICKET, roles=frozenset([role]), is_scoped=True))
            status = (await asking.request(method, prefix.path, headers=headers)).status_code
            is_open = prefix.audience not in (Audience.STAFF, Audience.MACHINE)
            may = role in prefix.roles(method) and prefix.is_scoped(method)
            assert (role, status) == (role, 200 if is_open or may else 403)


async def test_outdated_ticket_is_renewed_and_nobody_passes_while_the_scope_is_not_known() -> None:
    async def outdated(_ticket: Ticket) -> StaffScope | None:
        return None

    async def unknown(_ticket: Ticket) -> StaffScope | None:
        raise Unavailable("not yet")

    async with client(find_scope=outdated) as asking:
        renewed = await asking.get("/invitations", headers=of(TICKET) | PAGE)
        assert (renewed.status_code, urlsplit(renewed.headers["location"]).path) == (307, "/login/renew")
    async with client(find_scope=unknown) as asking:
        assert (await asking.get("/invitations", headers=of(TICKET))).status_code == 503


async def test_page_knows_what_the_person_sees_and_nothing_of_it_stays() -> None:
    seen: list[StaffScope] = []

    async def find_scope(_ticket: Ticket) -> StaffScope:
        return StaffScope(programs=frozenset({"bank"}))

    async def page(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(staff_scope.get())
        await who(scope, receive, send)

    access = StaffAccess(SIGNER, ticket_cookie(https=False), "", find_scope, now=lambda: NOW)
    transport = httpx2.ASGITransport(Gate(page, service=Service.DISPATCHER, access=access))
    async with httpx2.AsyncClient(transport=transport, base_url="http://nps.example") as asking:
        await asking.get("/invitations", headers=of(TICKET))
    assert seen == [StaffScope(programs=frozenset({"bank"}))]
    assert staff_scope.get() == WHOLE


@pytest.mark.parametrize(
    "headers", [{}, {"x-forwarded-for": "127.0.0.1"}, {"authorization": "Basic YTphLWxvbmctc2VjcmV0"}]
)
@pytest.mark.parametrize("peer", ["127.0.0.1", "10.0.0.9"])
async def test_nobody_passes_without_a_ticket_whatever_the_machine(headers: dict[str, str], peer: str) -> None:
    access = StaffAccess(SIGNER, ticket_cookie(https=False), "http://localhost:8000", sees_everything, now=lambda: NOW)
    gate = Gate(who, service=Service.SCORING, access=access)
    transport = httpx2.ASGITransport(gate, client=(peer, 5000))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost:8000") as asking:
        for prefix in TABLE:
            if prefix.audience in (Audience.STAFF, Audience.MACHINE):
                assert (prefix.path, (await asking.get(prefix.path, headers=headers)).status_code) == (prefix.path, 401)
        assert (await asking.get("/nothing-there", headers=headers)).status_code == 401


def _forged() -> Iterable[tuple[str, str]]:
    good = SIGNER.sign(TICKET)
    head, claims, signature = good.split(".")
    stranger = TicketSigner({"k2": "somebody-else-0123456789abcdef"})
    wide = jwt.encode({"alg": "HS512", "kid": "k2"}, jwt.decode(good, OctKey.import_key(SECRET)).claims,
                      OctKey.import_key(SECRET), algorithms=["HS512"])  # fmt: skip
    yield "another key", stranger.sign(TICKET)
    yield "no signature", f"{head}.{claims}."
    yield "algorithm none", f"eyJhbGciOiJub25lIiwia2lkIjoiazIifQ.{claims}."
    yield "another algorithm", wide
    yield "another head", f"{stranger.sign(TICKET).split('.')[0][:-4]}AAAA.{claims}.{signature}"
    yield "other claims", f"{head}.{SIGNER.sign(replace(TICKET, name='Eve')).split('.')[1]}.{signature}"
    yield "unknown key", TicketSigner({"k9": SECRET}).sign(TICKET)
    claimed = jwt.decode(good, OctKey.import_key(SECRET)).claims
    yield "no ticket by its head", jwt.encode({"alg": "HS256", "kid": "k2"}, claimed, OctKey.import_key(SECRET))
    yield "a device's", SIGNER.sign_device(Device(uuid4(), uuid4()))
    yield "text", "x"
    yield "nothing", ""
    yield "odd", quote("ä" * 2000)
    yield "null", "bnVsbA.bnVsbA.bnVsbA"


@pytest.mark.parametrize(("kind", "text"), list(_forged()), ids=lambda each: each[:20])
async def test_what_no_key_of_ours_signed_as_a_ticket_is_none(kind: str, text: str) -> None:
    async with client() as asking:
        assert (kind, (await asking.get("/suppressions", headers=cookie(text))).status_code) == (kind, 401)


async def test_ticket_of_the_key_before_counts_until_that_key_is_taken_out() -> None:
    before = TicketSigner({"k1": "an-older-key-0123456789"})
    async with client() as asking:
        assert (await asking.get("/suppressions", headers=cookie(before.sign(TICKET)))).status_code == 200


@pytest.mark.parametrize(
    ("age", "status"),
    [
        (timedelta(0), 200),
        (LASTING - timedelta(seconds=1), 200),
        (LASTING, 401),
        (timedelta(days=9), 401),
        (timedelta(seconds=-50), 200),  # the other machine's clock is a little ahead
        (timedelta(minutes=-10), 401),
    ],
)
async def test_ticket_counts_for_ten_minutes(age: timedelta, status: int) -> None:
    async with client() as asking:
        assert (
            await asking.get("/suppressions", headers=of(replace(TICKET, issued_at=NOW - age)))
        ).status_code == status


async def test_page_that_asks_by_itself_gets_no_later_ticket_for_its_person() -> None:
    used_at = NOW - LASTING
    ticket = SIGNER.read(SIGNER.sign(replace(TICKET, used_at=used_at)))
    assert ticket.used_at == used_at
    async with client() as asking:
        by_itself = {"x-earshot-background": "1"}
        assert (await asking.get("/suppressions", headers=of(ticket) | by_itself)).status_code == 200
        assert (await asking.get("/suppressions", headers=of(ticket))).status_code == 401  # is renewed for the person
    assert ticket.renewed(NOW, is_background=True) == ticket
    assert ticket.renewed(NOW, is_background=False) == replace(TICKET, used_at=None)
    later = NOW + LASTING
    assert TICKET.renewed(later, is_background=True) == replace(TICKET, issued_at=later, used_at=NOW)


async def test_where_sessions_are_known_they_say_what_a_ticket_is_worth() -> None:
    old = replace(TICKET, issued_at=NOW - timedelta(hours=1))
    renewed = replace(TICKET, roles=frozenset([Role.MANAGER]))
    lasting = {old.session: renewed}

    async def find(ticket: Ticket) -> Ticket | None:
        return lasting.get(ticket.session)

    async with client(service=Service.SCORING, find_session=find) as asking:
        first = await asking.get("/", headers=of(old))
        assert (first.status_code, first.json()) == (200, "Olga")
        stored = StaffCookie("earshot", https=False).text_in(first.headers["set-cookie"])
        assert SIGNER.read(str(stored)) == renewed
        assert "set-cookie" not in (await asking.get("/", headers=of(renewed))).headers
        assert (await asking.get("/desk", headers=of(old))).status_code == 403  # what it allows is asked anew
        lasting.clear()
        assert (await asking.get("/", headers=of(TICKET))).status_code == 401


async def test_services_of_one_process_share_the_sessions_of_scoring() -> None:
    async def find(_ticket: Ticket) -> Ticket | None:
        return None

    shared = SharedSessions()
    access = StaffAccess(SIGNER, ticket_cookie(https=False), "", sees_everything, now=lambda: NOW, shared=shared)
    transport = httpx2.ASGITransport(Gate(who, service=Service.DISPATCHER, access=access))
    async with httpx2.AsyncClient(transport=transport, base_url="http://nps.example") as asking:
        assert (await asking.get("/suppressions", headers=of(TICKET))).status_code == 200  # scoring has not started
        shared.find = find
        assert (await asking.get("/suppressions", headers=of(TICKET))).status_code == 401


async def test_person_without_the_role_is_told_on_a_page_and_a_program_in_json() -> None:
    operator = of(replace(TICKET, roles=frozenset([Role.OPERATOR])))
    async with client() as asking:
        told = await asking.get("/suppressions", headers=operator | PAGE)
        assert (told.status_code, told.headers["location"]) == (303, "https://nps.example/account/refused")
        assert (await asking.post("/suppressions/1/release", headers=operator | PAGE)).status_code == 403
        assert (await asking.get("/suppressions", headers=operator)).status_code == 403


async def test_program_with_the_keys_needs_no_session_and_no_longer_than_its_ticket() -> None:
    async def find(_ticket: Ticket) -> Ticket | None:
        raise AssertionError

    program = replace(TICKET, session=None)
    async with client(service=Service.SCORING, find_session=find) as asking:
        assert (await asking.get("/", headers=of(program))).status_code == 200
        late = replace(program, issued_at=NOW - LASTING)
        assert (await asking.get("/", headers=of(late))).status_code == 401


async def test_over_tls_only_a_cookie_that_no_other_host_can_set_counts() -> None:
    async with client(https=True) as asking:
        assert (await asking.get("/suppressions", headers=of(TICKET))).status_code == 401
        assert (await asking.get("/suppressions", headers=of(TICKET, name="__Host-earshot"))).status_code == 200
    set_cookie = ticket_cookie(https=True).setting("x")
    assert sorted(set_cookie.split("; ")) == ["HttpOnly", "Path=/", "SameSite=Lax", "Secure", "__Host-earshot=x"]


async def test_browser_without_a_ticket_is_sent_to_the_log_in_with_its_form() -> None:
    async with client() as asking:
        sent = await asking.post("/suppressions/1/release?a=b", headers=PAGE, data={"why": "a mistake"})
        assert sent.status_code == 307
        assert sent.headers["location"] == "https://nps.example/login/renew?next=%2Fsuppressions%2F1%2Frelease%3Fa%3Db"
        program = await asking.post("/suppressions/1/release")
        assert (program.status_code, program.headers["www-authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "http://["},
        {"origin": "null"},
    ],
)
@pytest.mark.parametrize("path", ["/suppressions/1/release", "/desk/take", "/login", "/login/renew", "/people"])
async def test_what_another_site_sends_is_refused_also_at_the_log_in(headers: dict[str, str], path: str) -> None:
    service = routes.service_of(path)
    everything = of(replace(TICKET, roles=frozenset(Role)))
    async with client(service=service) as asking:
        assert (await asking.post(path, headers=everything | headers)).status_code == 403
        assert (await asking.post(path, headers=everything | {"sec-fetch-site": "same-origin"})).status_code == 200
        assert (await asking.get(path, headers=everything | headers)).status_code == 200


async def test_key_is_asked_for_what_it_may_and_a_ticket_beside_it_does_not_count() -> None:
    seen = []

    async def admit(scope: Scope, token: str) -> StaffScope:
        seen.append((scope["path"], token))
        if scope["path"] != "/v1/suppressions":
            raise Forbidden("no")
        return WHOLE

    access = StaffAccess(SIGNER, ticket_cookie(https=False), "", sees_everything, admit=admit, now=lambda: NOW)
    transport = httpx2.ASGITransport(Gate(who, service=Service.DISPATCHER, access=access))
    async with httpx2.AsyncClient(transport=transport, base_url="http://nps.example") as asking:
        key = {"authorization": "Bearer esk_x", **of(TICKET)}
        assert (await asking.get("/v1/suppressions", headers=key)).json() is None
        assert (await asking.get("/suppressions", headers=key)).status_code == 403
    assert seen == [("/v1/suppressions", "esk_x"), ("/suppressions", "esk_x")]


def test_ticket_is_renewed_long_before_it_ends() -> None:
    assert RENEWED_AFTER * 2 <= LASTING


def test_role_that_this_version_does_not_know_is_left_out() -> None:
    claims = {"sub": str(uuid4()), "name": "x", "roles": ["operator", "astronaut"], "iat": 1, "sid": None}
    head = {"alg": "HS256", "kid": "k2", "typ": "earshot-ticket+jwt"}
    text = jwt.encode(head, claims, OctKey.import_key(SECRET))
    assert SIGNER.read(text).roles == {Role.OPERATOR}

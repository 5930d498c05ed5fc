"""Access control by the table of routes: staff paths need a ticket with one of the path's roles, or an API key."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.clock import utc_now
from shared.config import Settings
from shared.contract.staff_scope import WHOLE, StaffScope
from shared.contract.vocabulary import KEY_PREFIX, Role, Service
from shared.languages.catalogue import ENGLISH
from shared.languages.current import gettext, lookup
from shared.languages.marking import mark
from shared.web import routes
from shared.web.audit.trail import AuditTrail
from shared.web.errors.pages import error_response
from shared.web.problems import (
    STAFF_ONLY,
    Forbidden,
    NotFound,
    TooManyRequests,
    Unauthorized,
    as_problem,
)
from shared.web.staff.done_acts import DoneActCookie
from shared.web.staff.menu import asked_path
from shared.web.staff.shared_sessions import FindSession, SharedSessions
from shared.web.staff.tickets import (
    InvalidTicket,
    StaffCookie,
    Ticket,
    TicketSigner,
    signed_in,
    staff_scope,
    ticket_cookie,
)

RENEW = "/login/renew"
BACKGROUND = "x-earshot-background"  # of requests that no person has sent

Admit = Callable[[Scope, str], Awaitable[StaffScope]]
FindScope = Callable[[Ticket], Awaitable[StaffScope | None]]


@dataclass(frozen=True, slots=True)
class StaffAccess:
    """How a service recognizes staff.

    `log_in_origin` is the address of the service that renews tickets and asks who somebody is: scoring. There,
    `find_session` says what a ticket of any age is worth: it returns the ticket with what its person may do now, None
    if its session has ended. `shared` are the sessions of scoring in the same process. `admit` checks an API key for a
    request and returns what the key sees; it raises a Problem unless the key permits the request. `find_scope` returns
    what the person of a ticket may see, None for a ticket that has to be renewed; `remember` stores who sends a request
    that changes something, where the accounts are not. `trail` is where changes, exports and refusals are recorded.
    """

    signer: TicketSigner
    cookie: StaffCookie
    log_in_origin: str
    find_scope: FindScope
    find_session: FindSession | None = None
    remember: Callable[[Ticket], Awaitable[None]] | None = None
    admit: Admit | None = None
    now: Callable[[], datetime] = utc_now
    shared: SharedSessions | None = None
    trail: AuditTrail | None = None
    language: str = ENGLISH  # of pages, for a browser that asks for none that there is
    origins: frozenset[str] = frozenset()  # of all pages for staff, to which one page may send to another

    @classmethod
    def of(cls, settings: Settings, find_scope: FindScope, **more: Any) -> StaffAccess:
        cookie = ticket_cookie(https=settings.dashboard_url.startswith("https://"))
        pages = (settings.dashboard_url, settings.decisions_url, settings.mailbox_url, settings.invitations_url)
        origins = frozenset("{0.scheme}://{0.netloc}".format(urlsplit(url)) for url in pages)
        signer = TicketSigner(settings.ticket_secrets)
        more |= {"language": settings.language, "origins": origins}
        return cls(signer, cookie, settings.dashboard_url, find_scope, **more)

    def ticket_in(self, headers: Headers) -> Ticket | None:
        """Return the ticket of a request, of any age."""
        text = self.cookie.text_in(headers.get("cookie", ""))
        try:
            return self.signer.read(text) if text else None
        except InvalidTicket:
            return None

    @property
    def done_acts(self) -> DoneActCookie:
        """The cookie that keeps what somebody has just done."""
        return DoneActCookie(self.signer, StaffCookie("earshot-act", self.cookie.https))

    def cookie_of(self, ticket: Ticket) -> str:
        """Return the `Set-Cookie` header that stores a ticket."""
        return self.cookie.setting(self.signer.sign(ticket))

    async def current(self, ticket: Ticket | None, *, is_background: bool = False) -> Ticket | None:
        """Return the ticket as it is to be now, None if it does not count."""
        find = self.find_session or (self.shared.find if self.shared else None)
        if ticket is None or ticket.session is None or find is None:
            return ticket if ticket and ticket.is_fresh(self.now(), is_background=is_background) else None
        found = await find(ticket)
        return found.renewed(self.now(), is_background=is_background) if found else None


def is_background(headers: Headers) -> bool:
    """Say whether a page sent a request by itself, which does not keep a session: a script says so in a header.

    A browser opens an event stream again after each end, and sends no header of ours with that.
    """
    return BACKGROUND in headers or headers.get("accept") == "text/event-stream"


class Gate:
    """Lets requests to the paths of respondents, providers and probes pass; all others need a ticket or an API key.

    A browser without a ticket that counts is sent to the log-in together with its form (307, RFC 9110 15.4.8); other
    clients get 401. What another site's page sends is refused, also at the log-in.
    """

    def __init__(self, app: ASGIApp, *, service: Service, access: StaffAccess) -> None:
        self._app, self._access = app, access
        self._open, self._log_in = routes.without_ticket(service), routes.at_log_in(service)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in self._open:
            await self._app(scope, receive, send)
            return
        try:
            held, ticket, seen = await self._admitted(scope, Headers(scope=scope))
        except Exception as error:  # noqa: BLE001 - only an inner layer turns errors into responses
            if self._access.trail is not None and isinstance(error, Unauthorized | Forbidden | TooManyRequests):
                await self._access.trail.refuse(scope, self._access.ticket_in(Headers(scope=scope)), error)
            await self._refusal(scope, error)(scope, receive, send)
            return
        who, what, where = signed_in.set(ticket), staff_scope.set(seen), asked_path.set(scope["path"])
        try:
            with self._access.done_acts.opened(scope, ticket, self._access.now()) as request:
                renewed = ticket != held and not is_background(Headers(scope=scope))
                await self._app(request, receive, self._storing(request, ticket, send, renewed=renewed))
        finally:
            signed_in.reset(who)
            staff_scope.reset(what)
            asked_path.reset(where)

    async def _admitted(self, scope: Scope, headers: Headers) -> tuple[Ticket | None, Ticket | None, StaffScope]:
        """Return the ticket of a request, the ticket as it is to be now, and what the person or the key sees.

        Both tickets are None for a program with a key, and for somebody at the log-in. Raises Problem if the request
        may not pass.
        """
        if (token := _key_in(headers)) and self._access.admit is not None:
            return None, None, await self._access.admit(scope, token)
        if scope["method"] not in routes.SAFE and _is_cross_site(headers):
            raise Forbidden(
                mark("Another site sent this request"), mark("Only Earshot's own pages may send forms for staff.")
            )
        if scope["path"] in self._log_in:
            return None, None, WHOLE
        held = self._access.ticket_in(headers)
        ticket = await self._access.current(held, is_background=is_background(headers))
        seen = await self._access.find_scope(ticket) if ticket is not None else None
        if ticket is None or seen is None:
            raise Unauthorized(STAFF_ONLY, "Log in, or send an API key.", headers={"www-authenticate": "Bearer"})
        prefix = routes.find(scope["path"])
        if prefix is not None and not ticket.has_any(allowed := prefix.roles(scope["method"])):
            needed = gettext("It needs one of: %(roles)s.", roles=_labels(allowed))
            detail = needed if allowed else mark("Nothing is changed at this address.")
            raise _NotAllowed(mark("Your roles do not allow this"), detail)
        if prefix is not None and not (seen.is_whole or prefix.is_scoped(scope["method"])):
            raise _NotScoped(
                mark("You see only some stores or programs"), mark("This path shows or changes all of them.")
            )
        if self._access.remember is not None and routes.is_recorded(scope["method"], scope["path"]):
            await self._access.remember(ticket)
        return held, ticket, seen

    def _refusal(self, scope: Scope, error: Exception) -> Response:
        is_page = "text/html" in Headers(scope=scope).get("accept", "")
        origin = self._access.log_in_origin.rstrip("/") if self._access.find_session is None else ""
        if isinstance(error, Unauthorized) and is_page:
            query = scope["query_string"].decode("latin-1")
            target = f"{scope['path']}?{query}" if query else scope["path"]
            url = f"{origin}{RENEW}?{urlencode({'next': target})}"
            return RedirectResponse(url, HTTPStatus.TEMPORARY_REDIRECT)
        if isinstance(error, _NotAllowed) and is_page and scope["method"] == "GET":
            refused = "/account/refused?part=1" if isinstance(error, _NotScoped) else "/account/refused"
            page = "/account" if scope["path"] == "/" else refused
            return RedirectResponse(f"{origin}{page}", HTTPStatus.SEE_OTHER)
        return error_response(scope, as_problem(error))

    def _storing(self, request: Scope, ticket: Ticket | None, send: Send, *, renewed: bool) -> Send:
        """Add the cookies with a new ticket, and with what was done, to the response."""
        if ticket is None:
            return send
        ticket_cookie = self._access.cookie_of(ticket) if renewed else None

        async def with_cookies(message: Message) -> None:
            if message["type"] == "http.response.start":
                done = self._access.done_acts.setting(request, message, ticket, self._access.now())
                for cookie in (ticket_cookie, done):
                    if cookie is not None:
                        MutableHeaders(scope=message).append("set-cookie", cookie)
            await send(message)

        return with_cookies


class _NotAllowed(Forbidden):
    """The person who is signed in has no role of the path."""


class _NotScoped(_NotAllowed):
    """The person who is signed in sees only a part of what the path shows."""


def _key_in(headers: Headers) -> str | None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" and token.startswith(KEY_PREFIX) else None


def _labels(roles: frozenset[Role]) -> str:
    return ", ".join(lookup(role.label) for role in Role if role in roles)


def _is_cross_site(headers: Headers) -> bool:
    site = headers.get("sec-fetch-site")
    if site is not None:  # our referrer policy makes a form's Origin "null", so it is only used without this header
        return site not in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is not None and _netloc(origin) != (headers.get("host") or None)


def _netloc(url: str) -> str:
    """Return host and port of a URL, "" for what is no URL."""
    try:
        return urlsplit(url).netloc
    except ValueError:
        return ""


class PublicOnly:
    """Serves the paths of a service that are not for staff, for the public listener; others get 404.

    With `service` None, the paths of all services.
    """

    def __init__(self, app: ASGIApp, *, service: Service | None) -> None:
        self._app, self._public = app, routes.public(service)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in self._public:
            await error_response(scope, NotFound(mark("Not Found")))(scope, receive, send)
            return
        await self._app(scope, receive, send)

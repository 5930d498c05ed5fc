"""The pages at which staff say who they are: log-in, renewal of a ticket, and one-time links.

`oidc/pages.py` has those of identity providers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from services.scoring.domain.people import codes
from services.scoring.domain.people.passwords import SHORTEST, WeakPassword
from services.scoring.domain.people.person import LONGEST
from services.scoring.people.accounts import digest
from services.scoring.people.kept_forms import NOTHING, Kept, checked_target, kept_in, page_above, sent
from services.scoring.people.link_mailer import RESET_LASTS, LinkMailer
from services.scoring.people.log_in import HalfEnded, LinkUsed, LogIn, SecondStep, TooManyGuesses, WrongLogIn
from services.scoring.people.oidc.settings import ProviderSettings
from services.scoring.people.samples import SAMPLES, sample_person
from services.scoring.repository.people import accounts
from services.scoring.web import forms, rendering
from shared.contract.vocabulary import Role, Service
from shared.languages.current import gettext
from shared.languages.marking import mark
from shared.web import routes
from shared.web.addresses import is_loopback_host
from shared.web.client_address import ClientAddress
from shared.web.problems import NotFound
from shared.web.qr import qr_svg
from shared.web.staff.gate import StaffAccess, is_background
from shared.web.staff.menu import StaffPages
from shared.web.staff.tickets import RENEWED_AFTER, Device, StaffCookie, Ticket

_DEVICE_LASTS = timedelta(days=180)
_BEGIN_AGAIN = mark("The log-in took too long, or your account has changed meanwhile. Begin again.")
_Path = Annotated[str, Query(max_length=8192)]


@dataclass(frozen=True, slots=True)
class LogInPages:
    """`samples`: everybody may become a sample person, in the demo. `link_mailer`: None where mail to staff is off.

    `providers` have a button each.
    """

    log_in: LogIn
    access: StaffAccess
    staff_pages: StaffPages
    clients: ClientAddress
    samples: bool = False
    link_mailer: LinkMailer | None = None
    providers: Sequence[ProviderSettings] = ()

    def router(self) -> APIRouter:
        router = APIRouter(include_in_schema=False)
        router.add_api_route("/login", self.show, methods=["GET"])
        router.add_api_route("/login", self.enter, methods=["POST"])
        router.add_api_route("/login/renew", self.renew, methods=["GET", "POST"])
        router.add_api_route("/login/kept", self.show_kept, methods=["POST"])
        router.add_api_route("/login/code", self.enter_code, methods=["POST"])
        router.add_api_route("/login/set-up", self.set_up, methods=["POST"])
        router.add_api_route("/login/forgot", self.show_forgot, methods=["GET"])
        router.add_api_route("/login/forgot", self.forgot, methods=["POST"])
        router.add_api_route("/login/sample", self.become, methods=["POST"])
        router.add_api_route("/join/{secret}", self.show_link, methods=["GET"])
        router.add_api_route("/join/{secret}", self.use_link, methods=["POST"])
        return router

    async def show(self, request: Request, next: _Path = "", left: str = "") -> Response:  # noqa: A002 - of the URL
        """Ask who this is; `left` is the provider by which somebody who has just logged out had logged in."""
        providers = {each.id: each for each in self.providers}
        return self.form(request, target=checked_target(next), left=providers.get(left))

    async def renew(self, request: Request, next: _Path = "") -> Response:  # noqa: A002 - see above
        """Renew a ticket whose session lasts and go back with the same form, else ask who this is."""
        target = checked_target(next)
        held = self.access.ticket_in(request.headers)
        ticket = await self.access.current(held, is_background=is_background(request.headers))
        if ticket is None:
            kept = await sent(request, target, held)
            target = page_above(target) if request.method == "POST" and not kept.fields else target
            return self.form(request, target=target, kept=kept, expired=held is not None)
        if held == ticket and routes.service_of(target) is not Service.SCORING and self._is_new(ticket):
            return self._page("login_refused.html", status=HTTPStatus.CONFLICT, target=target)
        response = RedirectResponse(self.staff_pages.url(target or "/"), HTTPStatus.TEMPORARY_REDIRECT)
        response.headers.append("set-cookie", self.access.cookie_of(ticket))
        return response

    def _is_new(self, held: Ticket) -> bool:
        """Say whether a service should have taken this ticket instead of asking for another."""
        return self.access.now() - held.issued_at < RENEWED_AFTER

    async def enter(self, request: Request) -> Response:
        form = await forms.read(request)
        target, kept = checked_target(str(form.get("next", ""))), kept_in(str(form.get("kept", "")))
        login, password = str(form.get("login", "")), str(form.get("password", ""))
        if not self.is_safe(request):
            return self.form(request, target=target)
        try:
            ticket = await self.log_in.with_password(
                login,
                password,
                client=self.clients.of(request),
                device=self._device(request),
                browser=browser_of(request),
            )
        except WrongLogIn:
            return self.form(request, target=target, kept=kept, login=login, wrong=True)
        except TooManyGuesses as error:
            return self.form(request, target=target, kept=kept, login=login, wait_s=error.wait_s)
        return await self.next_step(request, ticket, target=target, kept=kept)

    async def show_kept(self, request: Request) -> Response:
        """Offer what was typed before to the same person, who has logged in meanwhile in another tab."""
        form = await forms.read(request)
        target, kept = checked_target(str(form.get("next", ""))), kept_in(str(form.get("kept", "")))
        ticket = await self.access.current(self.access.ticket_in(request.headers))
        if ticket is None:
            return self.form(request, target=target, kept=kept)
        return await self._entered(request, ticket, target=target, kept=kept)

    async def enter_code(self, request: Request) -> Response:
        """Take the second factor of somebody whose password was right."""
        form = await forms.read(request)
        target, kept = checked_target(str(form.get("next", ""))), kept_in(str(form.get("kept", "")))
        signed = str(form.get("half", ""))
        half = self.access.signer.read_half(signed, self.access.now())
        if half is None or not self.is_safe(request):
            return self._begin_again(request, target=target, kept=kept)
        try:
            ticket = await self.log_in.with_code(
                half,
                str(form.get("code", "")),
                client=self.clients.of(request),
                device=self._device(request),
                browser=browser_of(request),
            )
        except HalfEnded:
            return self._begin_again(request, target=target, kept=kept)
        except WrongLogIn:
            return self._code_form(signed, target=target, kept=kept, wrong=True)
        except TooManyGuesses as error:
            return self._code_form(signed, target=target, kept=kept, wait_s=error.wait_s)
        return await self._entered(request, ticket, target=target, kept=kept)

    async def set_up(self, request: Request) -> Response:
        """Store the second factor of somebody who needs one, and begin the session."""
        form = await forms.read(request)
        signed = str(form.get("half", ""))
        half = self.access.signer.read_half(signed, self.access.now(), sets_up=True)
        if half is None or not self.is_safe(request):
            return self._begin_again(request)
        secret, code = str(form.get("secret", "")), str(form.get("code", ""))
        try:
            ticket, recovery = await self.log_in.with_new_codes(half, secret, code, browser=browser_of(request))
        except HalfEnded:
            return self._begin_again(request)
        except WrongLogIn:
            return self._set_up_form(signed, login=str(form.get("login", "")), secret=secret, wrong=True)
        page = self._page("codes_recovery.html", codes=recovery, url=self.staff_pages.start(ticket))
        await self._store(request, page, ticket)
        return page

    async def show_forgot(self) -> Response:
        self._mailer()
        return self._forgot_form()

    async def forgot(self, request: Request) -> Response:
        """Have a link mailed; the answer is the same for every login."""
        mailer, form = self._mailer(), await forms.read(request)
        try:
            mailer.ask(str(form.get("login", "")), client=self.clients.of(request))
        except TooManyGuesses as error:
            return self._forgot_form(wait_s=error.wait_s)
        return self._page("login_asked.html", hours=RESET_LASTS // timedelta(hours=1))

    def _forgot_form(self, *, wait_s: int = 0) -> Response:
        status = HTTPStatus.TOO_MANY_REQUESTS if wait_s else HTTPStatus.OK
        return self._page("login_forgot.html", status=status, wait_s=wait_s)

    def _mailer(self) -> LinkMailer:
        if self.link_mailer is None:
            raise NotFound(mark("Not Found"))
        return self.link_mailer

    async def become(self, request: Request) -> Response:
        """Begin a session of the sample person of a role."""
        form = await forms.read(request)
        role = str(form.get("role", ""))
        if not self.samples or role not in set(Role):
            raise NotFound(mark("Not Found"))
        async with self.log_in.sessions.begin() as session:
            person = await sample_person(session, Role(role))
            ticket = await self.log_in.begin(session, person, browser=browser_of(request))
        kept = kept_in(str(form.get("kept", "")))
        return await self._entered(request, ticket, target=checked_target(str(form.get("next", ""))), kept=kept)

    async def show_link(self, request: Request, secret: str) -> Response:
        """Show the form of a one-time link; it is spent when the form is sent."""
        return await self._link_form(request, secret)

    async def use_link(self, request: Request, secret: str) -> Response:
        form = await forms.read(request)
        password, again = str(form.get("password", "")), str(form.get("again", ""))
        if not self.is_safe(request):
            return self.form(request)
        if password != again:
            return await self._link_form(request, secret, why=gettext("the two are not the same"))
        try:
            ticket = await self.log_in.with_link(secret, password, browser=browser_of(request))
        except WeakPassword as error:
            return await self._link_form(request, secret, why=str(error))
        except LinkUsed:
            return await self._link_form(request, secret)
        return await self.next_step(request, ticket)

    async def next_step(
        self, request: Request, step: Ticket | SecondStep, *, target: str = "", kept: Kept = NOTHING
    ) -> Response:
        if isinstance(step, Ticket):
            return await self._entered(request, step, target=target, kept=kept)
        signed = self.access.signer.sign_half(step.half)
        if step.half.sets_up:
            return self._set_up_form(signed, login=step.person.login)
        return self._code_form(signed, target=target, kept=kept)

    def _begin_again(self, request: Request, *, target: str = "", kept: Kept = NOTHING) -> Response:
        status = HTTPStatus.UNAUTHORIZED
        return self.form(request, target=target, kept=kept, problem=gettext(_BEGIN_AGAIN), status=status)

    def _code_form(
        self,
        half: str,
        *,
        target: str,
        kept: Kept,
        wrong: bool = False,
        wait_s: int = 0,
    ) -> Response:
        return self._page(
            "login_code.html",
            status=HTTPStatus.TOO_MANY_REQUESTS if wait_s else HTTPStatus.UNAUTHORIZED if wrong else HTTPStatus.OK,
            half=half,
            target=target,
            kept=kept.text,
            wrong=wrong,
            wait_minutes=math.ceil(wait_s / 60),
        )

    def _set_up_form(self, half: str, *, login: str, secret: str = "", wrong: bool = False) -> Response:
        secret = secret if codes.is_secret(secret) else codes.new_secret()
        return self._page(
            "login_set_up.html",
            status=HTTPStatus.UNPROCESSABLE_ENTITY if wrong else HTTPStatus.OK,
            half=half,
            login=login,
            secret=secret,
            picture=qr_svg(codes.enrolment_uri(secret, login=login[:LONGEST])),
            wrong=wrong,
        )

    async def _entered(self, request: Request, ticket: Ticket, *, target: str = "", kept: Kept = NOTHING) -> Response:
        """Answer somebody who is known from here on: go to the page, or offer what was typed before."""
        if kept.fields and kept.person == str(ticket.person):
            url = self.staff_pages.url(target)
            response = self._page("login_kept.html", url=url, kept=kept.fields, start=self.staff_pages.start(ticket))
        else:
            target = page_above(target) if kept.fields else target
            is_somewhere = target not in ("", "/")  # which not everybody may open
            url = self.staff_pages.url(target) if is_somewhere else self.staff_pages.start(ticket)
            response = RedirectResponse(url, HTTPStatus.SEE_OTHER)
        await self._store(request, response, ticket)
        return response

    async def _store(self, request: Request, response: Response, ticket: Ticket) -> None:
        """Give the browser its ticket in place of another, and the mark that the person has logged in here."""
        ticket = await self.log_in.replace_session(self.access.ticket_in(request.headers), ticket)
        device = self._device(request)
        if device is None or device.person != ticket.person:
            device = Device(uuid4(), ticket.person)
        response.headers.append("set-cookie", self.access.cookie_of(ticket))
        text = self.access.signer.sign_device(device)
        response.headers.append("set-cookie", self._device_cookie.setting(text, lasting=_DEVICE_LASTS))

    def form(  # noqa: PLR0913 - what a log-in may say
        self,
        request: Request,
        *,
        target: str = "",
        kept: Kept = NOTHING,
        login: str = "",
        wrong: bool = False,
        wait_s: int = 0,
        expired: bool = False,
        left: ProviderSettings | None = None,
        problem: str = "",
        status: int = HTTPStatus.OK,
    ) -> Response:
        """Show the log-in; `problem` is a sentence about what went wrong at an identity provider."""
        if not self.is_safe(request):
            port = request.headers.get("host", "").rpartition(":")[2]
            return self._page("login_unsafe.html", status=HTTPStatus.FORBIDDEN, port=port if port.isdecimal() else 8000)
        if request.method == "GET" and (elsewhere := self._other_name(request)):
            return RedirectResponse(f"{elsewhere}?{urlencode({'next': target})}", HTTPStatus.SEE_OTHER)
        return self._page(
            "login.html",
            status=HTTPStatus.TOO_MANY_REQUESTS if wait_s else HTTPStatus.UNAUTHORIZED if wrong else status,
            target=target,
            kept=kept.text,
            login=login,
            wrong=wrong,
            wait_s=wait_s,
            expired=expired,
            samples=SAMPLES if self.samples else {},
            providers=self.providers,
            left=left,
            problem=problem,
            mails=self.link_mailer is not None,
        )

    async def _link_form(self, request: Request, secret: str, *, why: str = "") -> Response:
        if not self.is_safe(request):
            return self.form(request)
        async with self.log_in.sessions.begin() as session:
            person = await accounts.by_link(session, digest(secret))
        status = HTTPStatus.GONE if person is None else HTTPStatus.UNPROCESSABLE_ENTITY if why else HTTPStatus.OK
        return self._page("join.html", status=status, person=person, why=why, shortest=SHORTEST)

    def is_safe(self, request: Request) -> bool:
        """Say whether what is typed here is read by nobody on the way: over TLS, or on this machine."""
        return self.access.cookie.https or is_loopback_host(request.headers.get("host", ""))

    def _other_name(self, request: Request) -> str:
        """Return the log-in at the name of this machine that links to pages use: a cookie counts for one name."""
        own, host = urlsplit(self.staff_pages.dashboard), request.headers.get("host", "")
        if own.scheme == "https" or own.netloc == host or not is_loopback_host(own.netloc):
            return ""
        return f"{own.scheme}://{own.netloc}/login"

    @property
    def _device_cookie(self) -> StaffCookie:
        return StaffCookie("earshot-device", self.access.cookie.https)

    def _device(self, request: Request) -> Device | None:
        text = self._device_cookie.text_in(request.headers.get("cookie", ""))
        return self.access.signer.read_device(text) if text else None

    def _page(self, template: str, *, status: int = HTTPStatus.OK, **values: object) -> Response:
        return rendering.page(template, status=status, pages=self.staff_pages, **values)


def browser_of(request: Request) -> str:
    return request.headers.get("user-agent", "")

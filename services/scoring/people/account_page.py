"""The page of one's own account: password, sessions, log-out."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from services.scoring.domain.people import codes
from services.scoring.domain.people.passwords import SHORTEST, WeakPassword
from services.scoring.domain.people.person import CALL_ROLES
from services.scoring.people.log_in import LogIn, TooManyGuesses, WrongLogIn
from services.scoring.people.oidc.settings import ProviderSettings, issuer_label
from services.scoring.repository import programs
from services.scoring.repository.people import accounts, sessions
from services.scoring.web import forms, rendering
from shared.database.audit.search import refusals
from shared.database.session import Session
from shared.languages import current as languages
from shared.languages.current import gettext, language_name, ngettext
from shared.languages.marking import mark
from shared.languages.zone_names import near_zones
from shared.web.audit.acts import note, note_unchanged
from shared.web.languages import LASTING, chosen_language, chosen_zone, language_cookie
from shared.web.problems import STAFF_ONLY, Unauthorized
from shared.web.qr import qr_svg
from shared.web.staff.gate import StaffAccess
from shared.web.staff.menu import StaffPages
from shared.web.staff.tickets import Ticket, signed_in
from shared.web.staff.zones import ZoneCookies, cookie_text
from shared.zones import is_time_zone, time_zone_names

_WRONG_CODE = mark("the code is another; look whether the clocks of the phone and of this machine are right")

_TOLD_FOR = timedelta(days=30)  # about wrong codes
_HAS_CODES = mark("there is a second factor already: remove it first")


@dataclass(frozen=True, slots=True)
class AccountPage:
    log_in: LogIn
    access: StaffAccess
    staff_pages: StaffPages
    providers: Mapping[str, ProviderSettings]  # by issuer

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/account", include_in_schema=False)
        router.add_api_route("", self.show, methods=["GET"])
        router.add_api_route("/password", self.change_password, methods=["POST"])
        router.add_api_route("/codes", self.show_set_up, methods=["GET"])
        router.add_api_route("/codes", self.set_up, methods=["POST"])
        router.add_api_route("/codes/remove", self.remove_codes, methods=["POST"])
        router.add_api_route("/sessions/{session_id}/end", self.end_session, methods=["POST"])
        router.add_api_route("/refused", self.refused, methods=["GET"])
        router.add_api_route("/language", self.choose_language, methods=["POST"])
        router.add_api_route("/zone", self.choose_zone, methods=["POST"])
        router.add_api_route("/spoken", self.choose_spoken, methods=["POST"])
        router.add_api_route("/log-out", self.log_out, methods=["POST"])
        return router

    async def show(self, changed: bool = False) -> Response:  # noqa: FBT001, FBT002 - a parameter of the URL
        return await self._page(changed=changed)

    async def refused(self, part: bool = False) -> Response:  # noqa: FBT001, FBT002 - a parameter of the URL
        """Say that a page is not open to the person; `part`: because the person sees only a part of the chain."""
        person = _person()
        return rendering.page(
            "account_refused.html",
            status=HTTPStatus.FORBIDDEN,
            pages=self.staff_pages,
            roles=sorted(gettext(role.label) for role in person.roles),
            is_scoped=part and person.is_scoped,
        )

    async def change_password(self, request: Request) -> Response:
        form = await forms.read(request)
        old, new, again = (str(form.get(name, "")) for name in ("old", "password", "again"))
        if new != again:
            return await self._page(why=gettext("the two new ones are not the same"))
        try:
            browser = request.headers.get("user-agent", "")
            ticket = await self.log_in.change_password(_person(), old, new, browser=browser)
        except WrongLogIn:
            return await self._page(why=gettext("the present one is another"))
        except TooManyGuesses as error:
            return await self._page(why=_too_many(error))
        except WeakPassword as error:
            return await self._page(why=str(error))
        response = RedirectResponse("/account?changed=1", HTTPStatus.SEE_OTHER)
        response.headers.append("set-cookie", self.access.cookie_of(ticket))
        return response

    async def show_set_up(self) -> Response:
        return self._set_up_form()

    def _set_up_form(self, *, secret: str = "", why: str = "") -> Response:
        secret = secret if codes.is_secret(secret) else codes.new_secret()
        return rendering.page(
            "codes_set_up.html",
            status=HTTPStatus.UNPROCESSABLE_ENTITY if why else HTTPStatus.OK,
            pages=self.staff_pages,
            secret=secret,
            picture=qr_svg(codes.enrolment_uri(secret, login=_person().name)),
            why=why,
        )

    async def set_up(self, request: Request) -> Response:
        """Store a second factor, if the password and the first code are right, and show the recovery codes."""
        form = await forms.read(request)
        password, secret, code = (str(form.get(name, "")) for name in ("old", "secret", "code"))
        try:
            person = await self.log_in.confirm_password(_person(), password)
        except WrongLogIn:
            return self._set_up_form(secret=secret, why=gettext("the password is another"))
        except TooManyGuesses as error:
            return self._set_up_form(secret=secret, why=_too_many(error))
        recovery = await self.log_in.set_up_codes(person.id, secret, code)
        if recovery is None:
            return self._set_up_form(secret=secret, why=gettext(_HAS_CODES if person.has_codes else _WRONG_CODE))
        return rendering.page("codes_recovery.html", pages=self.staff_pages, codes=recovery, url="/account")

    async def remove_codes(self, request: Request) -> Response:
        """Take the second factor away, and end the person's other sessions."""
        form = await forms.read(request)
        try:
            person = await self.log_in.confirm_password(_person(), str(form.get("old", "")))
        except WrongLogIn:
            return await self._page(why=gettext("the password is another"))
        except TooManyGuesses as error:
            return await self._page(why=_too_many(error))
        async with self.log_in.sessions.begin() as session:
            if not await accounts.drop_codes(session, person.id):
                note_unchanged()
            await sessions.end_all(session, person.id, but=_person().session)
        return RedirectResponse("/account", HTTPStatus.SEE_OTHER)

    async def end_session(self, session_id: UUID) -> Response:
        async with self.log_in.sessions.begin() as session:
            ended = await sessions.end(session, session_id, person=_person().person)
        if not ended:
            note_unchanged()
        return RedirectResponse("/account", HTTPStatus.SEE_OTHER)

    async def choose_language(self, request: Request) -> Response:
        """Let this browser ask for pages in a language; without one, the browser's own languages count."""
        chosen = str((await forms.read(request)).get("language", ""))
        cookie = language_cookie(https=self.access.cookie.https)
        response = RedirectResponse("/account", HTTPStatus.SEE_OTHER)
        known = chosen in languages.known()
        response.headers.append("set-cookie", cookie.setting(chosen, lasting=LASTING) if known else cookie.deletion())
        return response

    async def choose_zone(self, request: Request) -> Response:
        """Write times in a zone in this browser; without one, the browser's own zone counts."""
        chosen = str((await forms.read(request)).get("zone", "")).strip()
        if chosen and not is_time_zone(chosen):
            near = await asyncio.to_thread(near_zones, chosen)
            why = mark("there is no time zone %(zone)s; names are those of IANA, such as %(near)s")
            return await self._page(why=gettext(why, zone=chosen, near=", ".join(near or ["Europe/Moscow"])))
        cookie = ZoneCookies.of(https=self.access.cookie.https).chosen
        response = RedirectResponse("/account", HTTPStatus.SEE_OTHER)
        stored = cookie.setting(cookie_text(chosen), lasting=LASTING) if chosen else cookie.deletion()
        response.headers.append("set-cookie", stored)
        return response

    async def choose_spoken(self, request: Request) -> Response:
        """Let only calls in these languages come to the person at the desk; without any, calls in all of them."""
        form, ticket = await forms.read(request), _person()
        chosen = {each for each in form.getlist("language") if isinstance(each, str)}
        async with self.log_in.sessions.begin() as session:
            unknown = chosen - await self._offered(session, ticket)
            if not unknown:
                await accounts.set_spoken(session, ticket.person, chosen)
        if unknown:
            return await self._page(why=gettext("no program speaks %(language)s", language=min(unknown)))
        note(ticket.person, spoken=sorted(chosen))
        return RedirectResponse("/account", HTTPStatus.SEE_OTHER)

    async def _offered(self, session: Session, ticket: Ticket) -> set[str]:
        """Return the languages of programs, and those that the person chose before."""
        return await programs.languages(session) | {*await accounts.spoken(session, ticket.person)}

    async def log_out(self) -> Response:
        ticket = _person()
        async with self.log_in.sessions.begin() as session:
            person = await accounts.by_id(session, ticket.person)
            if ticket.session is not None:
                await sessions.end(session, ticket.session, person=ticket.person)
        provider = self.providers.get(person.issuer) if person else None
        response = RedirectResponse(f"/login?left={provider.id}" if provider else "/login", HTTPStatus.SEE_OTHER)
        response.headers.append("set-cookie", self.access.cookie.deletion())
        return response

    async def _page(self, *, changed: bool = False, why: str = "") -> Response:
        ticket = _person()
        async with self.log_in.sessions.begin() as session:
            person = await accounts.by_id(session, ticket.person)
            open_sessions = await sessions.of_person(session, ticket.person)
            spoken = await accounts.spoken(session, ticket.person)
            titles = await programs.titles(session)
            offered = await self._offered(session, ticket) if ticket.has_any(CALL_ROLES) else set()
            since = self.access.now() - _TOLD_FOR
            wrong_codes = await refusals(session, "POST /login/code", ticket.person, since=since)
        return rendering.page(
            "account.html",
            status=HTTPStatus.UNPROCESSABLE_ENTITY if why else HTTPStatus.OK,
            pages=self.staff_pages,
            person=person,
            titles=titles,
            sessions=open_sessions,
            wrong_codes=wrong_codes,
            told_days=_TOLD_FOR.days,
            issuer=issuer_label(self.providers, person.issuer) if person else "",
            here=ticket.session,
            roles=sorted(gettext(role.label) for role in ticket.roles),
            changed=changed,
            why=why,
            shortest=SHORTEST,
            languages={code: languages.name_of(code) for code in languages.known()},
            language=chosen_language.get(),
            zones=sorted(time_zone_names()),
            chosen_zone=chosen_zone.get(),
            offered=sorted((language_name(code), code) for code in offered) if person else [],
            spoken=spoken,
        )


def _too_many(error: TooManyGuesses) -> str:
    return ngettext(
        "too many wrong ones: wait %(num)s second", "too many wrong ones: wait %(num)s seconds", error.wait_s
    )


def _person() -> Ticket:
    ticket = signed_in.get()
    if ticket is None:  # a key, which no path of this page admits
        raise Unauthorized(STAFF_ONLY)
    return ticket

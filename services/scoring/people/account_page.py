"""The page of one's own account: password, sessions, log-out."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from services.scoring.domain.people.passwords import SHORTEST, WeakPassword
from services.scoring.people.log_in import LogIn, TooManyGuesses, WrongLogIn
from services.scoring.repository.people import accounts, sessions
from services.scoring.web import forms, rendering
from shared.web.problems import STAFF_ONLY, Unauthorized
from shared.web.staff.gate import StaffAccess
from shared.web.staff.menu import StaffPages
from shared.web.staff.tickets import Ticket, signed_in


@dataclass(frozen=True, slots=True)
class AccountPage:
    log_in: LogIn
    access: StaffAccess
    staff_pages: StaffPages

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/account", include_in_schema=False)
        router.add_api_route("", self.show, methods=["GET"])
        router.add_api_route("/password", self.change_password, methods=["POST"])
        router.add_api_route("/sessions/{session_id}/end", self.end_session, methods=["POST"])
        router.add_api_route("/log-out", self.log_out, methods=["POST"])
        return router

    async def show(self, changed: bool = False) -> Response:  # noqa: FBT001, FBT002 - a parameter of the URL
        return await self._page(changed=changed)

    async def change_password(self, request: Request) -> Response:
        form = await forms.read(request)
        old, new, again = (str(form.get(name, "")) for name in ("old", "password", "again"))
        if new != again:
            return await self._page(why="the two new ones are not the same")
        try:
            await self.log_in.change_password(_person(), old, new)
        except WrongLogIn:
            return await self._page(why="the present one is another")
        except TooManyGuesses as error:
            return await self._page(why=f"too many wrong ones: wait {error.wait_s} seconds")
        except WeakPassword as error:
            return await self._page(why=str(error))
        return RedirectResponse("/account?changed=1", HTTPStatus.SEE_OTHER)

    async def end_session(self, session_id: UUID) -> Response:
        async with self.log_in.sessions.begin() as session:
            await sessions.end(session, session_id, person=_person().person)
        return RedirectResponse("/account", HTTPStatus.SEE_OTHER)

    async def log_out(self) -> Response:
        ticket = _person()
        if ticket.session is not None:
            async with self.log_in.sessions.begin() as session:
                await sessions.end(session, ticket.session, person=ticket.person)
        response = RedirectResponse("/login", HTTPStatus.SEE_OTHER)
        response.headers.append("set-cookie", self.access.cookie.deletion())
        return response

    async def _page(self, *, changed: bool = False, why: str = "") -> Response:
        ticket = _person()
        async with self.log_in.sessions.begin() as session:
            person = await accounts.by_id(session, ticket.person)
            open_sessions = await sessions.of_person(session, ticket.person)
        return rendering.page(
            "account.html",
            status=HTTPStatus.UNPROCESSABLE_ENTITY if why else HTTPStatus.OK,
            pages=self.staff_pages,
            person=person,
            sessions=open_sessions,
            here=ticket.session,
            roles=sorted(role.label for role in ticket.roles),
            changed=changed,
            why=why,
            shortest=SHORTEST,
        )


def _person() -> Ticket:
    ticket = signed_in.get()
    if ticket is None:  # a key, which no path of this page admits
        raise Unauthorized(STAFF_ONLY)
    return ticket

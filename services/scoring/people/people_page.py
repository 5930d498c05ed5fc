"""The page on which administrators add people, and change what they may do."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from starlette.datastructures import FormData

from services.scoring.domain.people.person import InvalidPerson, Person
from services.scoring.domain.people.scope import EVERYTHING
from services.scoring.files.people import MOST_PEOPLE
from services.scoring.people import accounts as actions
from services.scoring.people.accounts import LINK_LASTS, Invited
from services.scoring.people.importing import PeopleImport, import_people
from services.scoring.people.link_mailer import LinkMailer
from services.scoring.people.oidc.settings import ProviderSettings, issuer_label
from services.scoring.people.samples import login_of
from services.scoring.people.scope_form import SentScope, known_scopes
from services.scoring.repository import programs
from services.scoring.repository.people import accounts, sessions
from services.scoring.web import forms, rendering
from services.scoring.web.forms import MOST_UPLOADED, uploaded
from shared.contract.vocabulary import Role
from shared.database.session import Sessions
from shared.languages.current import gettext, lookup
from shared.languages.marking import mark
from shared.staff_mail import Delivery
from shared.tables.opening import InvalidFile
from shared.web.audit.acts import note_instead, note_unchanged
from shared.web.audit.last_acts import last_acts, newest_acts
from shared.web.problems import NotFound, Unprocessable
from shared.web.qr import qr_svg
from shared.web.staff.done_acts import tell, tell_unchanged
from shared.web.staff.menu import StaffPages

_CHANGES = {
    **dict.fromkeys(("POST /people", "earshot people add"), mark("added")),
    **dict.fromkeys(("POST /people/{person_id}", "POST /people/{person_id}/codes/remove"), mark("changed")),
    **dict.fromkeys(("POST /people/{person_id}/off", "earshot people off"), mark("turned off")),
    **dict.fromkeys(("POST /people/{person_id}/on", "earshot people on"), mark("turned on")),
    **dict.fromkeys(("POST /people/{person_id}/link", "earshot people reset"), mark("got a link")),
}
_OTHERS = {
    "POST /people/import": mark("a file was imported"),
    "POST /people/mail": mark("links were sent by mail"),
}
_TYPED = ("login", "name", "email", "employees")


@dataclass(frozen=True, slots=True)
class PeoplePage:
    """`link_mailer` is None where mail to staff is off. With `samples`, everybody may become a sample person."""

    sessions: Sessions
    staff_pages: StaffPages
    providers: Mapping[str, ProviderSettings]  # by issuer
    link_mailer: LinkMailer | None = None
    samples: bool = False

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/people", include_in_schema=False)
        router.add_api_route("", self.show, methods=["GET"])
        router.add_api_route("", self.add, methods=["POST"])
        router.add_api_route("/import", self.upload, methods=["GET"])
        router.add_api_route("/import", self.import_csv, methods=["POST"])
        router.add_api_route("/mail", self.mail_links, methods=["POST"])
        router.add_api_route("/{person_id}", self.show_person, methods=["GET"])
        router.add_api_route("/{person_id}", self.change, methods=["POST"])
        router.add_api_route("/{person_id}/link", self.invite, methods=["POST"])
        router.add_api_route("/{person_id}/off", self.turn_off, methods=["POST"])
        router.add_api_route("/{person_id}/on", self.turn_on, methods=["POST"])
        router.add_api_route("/{person_id}/codes/remove", self.remove_codes, methods=["POST"])
        router.add_api_route("/{person_id}/sessions/end", self.end_sessions, methods=["POST"])
        return router

    async def show(self) -> Response:
        return await self._list()

    async def add(self, request: Request) -> Response:
        form = await forms.read(request)
        typed, roles = {name: str(form.get(name, "")) for name in _TYPED}, _roles(form)
        sent = SentScope.of_form(form)
        try:
            async with self.sessions.begin() as session:
                scope = sent.checked(await known_scopes(session)) if sent else EVERYTHING
                invited = await actions.add(session, roles=roles, scope=scope, **typed)
        except InvalidPerson as error:
            return await self._list(error=error, typed=typed, roles=roles, sent=sent)
        person = invited.person
        undo, fields = f"/people/{person.id}/off", {"version": person.version}
        tell(gettext("You added %(name)s.", name=person.name), page="/people", undo=undo, fields=fields)
        return self._show_link(invited)

    async def upload(self) -> Response:
        return await self._import_page()

    async def import_csv(self, request: Request) -> Response:
        """Say what a file would change; store it when that was seen and confirmed, and show its links once."""
        async with request.form(max_files=1, max_fields=10, max_part_size=MOST_UPLOADED) as form:
            content, confirmed = await uploaded(form), str(form.get("store", ""))
        try:
            result = await import_people(self.sessions, content, dry_run=not confirmed, good_only=confirmed == "good")
        except InvalidFile as error:
            return await self._import_page(problem=str(error))
        return await self._import_page(
            result=result, file=base64.b64encode(content).decode(), confirmed=bool(confirmed)
        )

    async def _import_page(
        self, *, problem: str = "", result: PeopleImport | None = None, file: str = "", confirmed: bool = False
    ) -> Response:
        async with self.sessions() as session:
            titles = await programs.titles(session)
        return self._page(
            "people_import.html",
            titles=titles,
            status=HTTPStatus.UNPROCESSABLE_ENTITY if problem else HTTPStatus.OK,
            problem=problem,
            result=result,
            file=file,
            confirmed=confirmed,
            origin=self.staff_pages.dashboard,
            days=LINK_LASTS.days,
            most=MOST_PEOPLE,
        )

    async def show_person(self, person_id: UUID, saved: bool = False) -> Response:  # noqa: FBT001, FBT002 - of the URL
        return await self._person(person_id, saved=saved)

    async def change(self, request: Request, person_id: UUID) -> Response:
        form = await forms.read(request)
        name, sent = str(form.get("name", "")), SentScope.of_form(form)
        try:
            async with self.sessions.begin() as session:
                person = _found(await accounts.by_id(session, person_id, locked=True))
                known = await known_scopes(session)
                _refuse_stale(form, person, known.programs)
                scope = sent.checked(known) if sent else person.scope
                typed = {each: str(form[each]) for each in ("email", "employees") if each in form}
                given = actions.change(session, person_id, name=name, roles=_roles(form), scope=scope, **typed)
                changed = _found(await given)
        except InvalidPerson as error:
            return await self._person(person_id, error=error, sent=sent)
        page = f"/people/{person_id}"
        if changed == person:
            tell_unchanged(page=page)
            return _back(person_id)
        said = gettext("You changed %(name)s.", name=changed.name)
        tell(said, page=page, undo=page, fields={**_fields(person), "version": changed.version})
        return _back(person_id)

    async def invite(self, person_id: UUID) -> Response:
        """Make a one-time link and show it: this is the only time."""
        try:
            async with self.sessions.begin() as session:
                invited = await actions.invite(session, _found(await accounts.by_id(session, person_id)))
        except InvalidPerson as error:
            return await self._person(person_id, error=error)
        return self._show_link(invited)

    async def mail_links(self, request: Request) -> Response:
        """Mail a new link to each of the people named by their ids, and show the links whose mail was not accepted."""
        if self.link_mailer is None:
            raise NotFound(mark("Mail to staff is off"))
        form = await forms.read(request)
        mailed = await self.link_mailer.send(_ids(str(form.get("people", ""))))
        sent = sum(each.delivery is Delivery.SENT for each in mailed)
        note_instead(people=[str(each.invited.person.id) for each in mailed], sent=sent)
        return self._page("people_mailed.html", mailed=mailed, origin=self.staff_pages.dashboard, days=LINK_LASTS.days)

    async def turn_off(self, request: Request, person_id: UUID) -> Response:
        return await self._turn(request, person_id, off=True)

    async def turn_on(self, request: Request, person_id: UUID) -> Response:
        return await self._turn(request, person_id, off=False)

    async def _turn(self, request: Request, person_id: UUID, *, off: bool) -> Response:
        form = await forms.read(request)
        try:
            async with self.sessions.begin() as session:
                person, titles = await accounts.by_id(session, person_id, locked=True), await programs.titles(session)
                before = _found(person)
                _refuse_stale(form, before, titles)
                person = _found(await actions.turn(session, person_id, off=off))
        except InvalidPerson as error:
            return await self._person(person_id, error=error)
        page = f"/people/{person_id}"
        if before.is_off is off:
            tell_unchanged(page=page)
            return _back(person_id)
        done = mark("You turned %(name)s off.") if off else mark("You turned %(name)s on.")
        undo, fields = f"{page}/{'on' if off else 'off'}", {"version": person.version}
        tell(gettext(done, name=person.name), page=page, undo=undo, fields=fields)
        return _back(person_id)

    async def remove_codes(self, person_id: UUID) -> Response:
        """Take the second factor of somebody away who has lost it, and end the sessions."""
        async with self.sessions.begin() as session:
            if not await accounts.drop_codes(session, person_id):
                note_unchanged()
            await sessions.end_all(session, person_id)
        return _back(person_id)

    async def end_sessions(self, person_id: UUID) -> Response:
        async with self.sessions.begin() as session:
            ended = await sessions.end_all(session, person_id)
        if not ended:
            note_unchanged()
        return _back(person_id)

    async def _list(
        self,
        *,
        error: InvalidPerson | None = None,
        typed: dict[str, str] | None = None,
        roles: tuple[str, ...] = (),
        sent: SentScope | None = None,
    ) -> Response:
        async with self.sessions.begin() as session:
            people = await accounts.load_all(session)
            known = await known_scopes(session)
            changed = await last_acts(session, [str(each.id) for each in people], _CHANGES, names=accounts.names)
            latest = await newest_acts(session, _OTHERS, names=accounts.names)
        return self._page(
            "people.html",
            status=HTTPStatus.UNPROCESSABLE_ENTITY if error else HTTPStatus.OK,
            people=people,
            error=error,
            typed=typed or dict.fromkeys(_TYPED, ""),
            chosen=roles,
            labels={person.issuer: issuer_label(self.providers, person.issuer) for person in people},
            roles=list(Role),
            sees=sent or SentScope.of(EVERYTHING),
            known=known,
            changed=changed,
            latest=latest,
        )

    async def _person(
        self,
        person_id: UUID,
        *,
        error: InvalidPerson | None = None,
        saved: bool = False,
        sent: SentScope | None = None,
    ) -> Response:
        async with self.sessions.begin() as session:
            person = _found(await accounts.by_id(session, person_id))
            known = await known_scopes(session)
            open_sessions = await sessions.of_person(session, person_id)
        return self._page(
            "person.html",
            status=HTTPStatus.UNPROCESSABLE_ENTITY if error else HTTPStatus.OK,
            person=person,
            issuer=issuer_label(self.providers, person.issuer),
            sessions=open_sessions,
            error=error,
            saved=saved,
            roles=list(Role),
            sees=sent or SentScope.of(person.scope),
            known=known,
        )

    def _page(self, template: str, *, status: int = HTTPStatus.OK, **values: object) -> Response:
        shown = {"mails": self.link_mailer is not None, "samples": set(map(login_of, Role)) if self.samples else set()}
        return rendering.page(template, status=status, pages=self.staff_pages, **shown, **values)

    def _show_link(self, invited: Invited) -> Response:
        url = invited.url(self.staff_pages.dashboard)
        return self._page(
            "person_link.html",
            person=invited.person,
            url=url,
            picture=qr_svg(url),
            days=LINK_LASTS.days,
        )


def _fields(person: Person) -> dict[str, object]:
    """Return the fields of the form that sets a person to this."""
    scope = SentScope.of(person.scope)
    return {
        "name": person.name,
        "email": person.email,
        "employees": ", ".join(sorted(person.employees)),
        "role": sorted(person.roles),
        "sees": "part" if scope.is_part else "all",
        "program": sorted(scope.programs),
        "stores": scope.stores,
        "region": sorted(scope.regions),
    }


def _refuse_stale(form: FormData, person: Person, titles: Mapping[str, str]) -> None:
    """Raise InvalidPerson for a form that was opened before the person was changed."""
    if form.get("version", person.version) != person.version:
        roles = ", ".join(sorted(lookup(role.label) for role in person.roles))
        sees = person.sees(titles)
        stored = gettext("%(name)s, %(roles)s, sees %(scope)s", name=person.name, roles=roles, scope=sees)
        why = gettext("somebody has changed this person meanwhile (%(stored)s): look at what holds", stored=stored)
        raise InvalidPerson("version", why)


def _ids(text: str) -> list[UUID]:
    """Read ids with spaces between them; raises Unprocessable."""
    try:
        return [UUID(each) for each in text.split()]
    except ValueError:
        raise Unprocessable(mark("The form cannot be read"), mark("Each person is named by an id.")) from None


def _found(person: Person | None) -> Person:
    if person is None:
        raise NotFound(mark("No such person"))
    return person


def _roles(form: FormData) -> tuple[str, ...]:
    return tuple(role for role in form.getlist("role") if isinstance(role, str))


def _back(person_id: UUID) -> Response:
    return RedirectResponse(f"/people/{person_id}?saved=1", HTTPStatus.SEE_OTHER)

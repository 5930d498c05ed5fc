"""The staff pages of the list of stores; they need no JavaScript."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from io import StringIO
from typing import Annotated
from urllib.parse import urlencode
from zoneinfo import available_timezones

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from starlette.datastructures import FormData

from services.scoring.domain.stores.hours import hours_text
from services.scoring.domain.stores.imports import ImportPlan
from services.scoring.domain.stores.store import FIELDS, InvalidStore, Store
from services.scoring.domain.stores.texts import store_of, texts_of
from services.scoring.files import stores as files
from services.scoring.repository.people import accounts
from services.scoring.repository.stores import listed
from services.scoring.stores import saving
from services.scoring.stores.saving import ImportResult, StaleStore, StoreInUse
from services.scoring.web import forms, rendering
from services.scoring.web.forms import MOST_UPLOADED, uploaded
from shared.database.session import Sessions
from shared.languages.current import gettext
from shared.languages.marking import mark
from shared.tables.opening import InvalidFile
from shared.web.audit.last_acts import last_acts, newest_acts
from shared.web.problems import Conflict, Forbidden, NotFound
from shared.web.staff.done_acts import tell, tell_unchanged
from shared.web.staff.menu import StaffPages

_PAGE = "/stores"
MOST_SHOWN, MOST_UNLISTED, MOST_LINES = 500, 100, 1000
_LABELS = {
    "code": mark("Code"),
    "name": mark("Name"),
    "spellings": mark("Other spellings"),
    "region": mark("Region"),
    "time_zone": mark("Time zone"),
    "hours": mark("Opening hours"),
    "manager": mark("Manager"),
    "deputy": mark("Deputy"),
    "review_links": mark("Review links"),
    "closed_since": mark("Closed since"),
}
_CHANGES = dict.fromkeys(("POST /stores/edit", "POST /stores/spelling", "PUT /v1/stores/{code}"), mark("changed"))
_OTHERS = {  # what leaves nothing in the line of a store, or changes many
    "POST /stores/delete": mark("a store was deleted"),
    "DELETE /v1/stores/{code}": mark("a store was deleted"),
    "POST /stores/import": mark("a file was imported"),
    "POST /v1/stores/import": mark("a file was imported"),
    "earshot stores import": mark("a file was imported"),
}
_Text = Annotated[str, Query(max_length=200)]


@dataclass(frozen=True, slots=True)
class StorePages:
    sessions: Sessions
    staff_pages: StaffPages

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/stores", include_in_schema=False)
        router.add_api_route("", self.show, methods=["GET"])
        router.add_api_route("/edit", self.edit, methods=["GET"])
        router.add_api_route("/edit", self.save, methods=["POST"])
        router.add_api_route("/delete", self.delete, methods=["POST"])
        router.add_api_route("/spelling", self.add_spelling, methods=["POST"])
        router.add_api_route("/import", self.upload, methods=["GET"])
        router.add_api_route("/import", self.import_csv, methods=["POST"])
        router.add_api_route("/export", self.export, methods=["GET"])
        return router

    async def show(self, find: _Text = "", saved: _Text = "", deleted: _Text = "") -> Response:
        return await self._list(find=find.strip(), saved=saved, deleted=deleted)

    async def _list(
        self, *, find: str = "", saved: str = "", deleted: str = "", refused: InvalidStore | None = None
    ) -> Response:
        async with self.sessions.begin() as session:
            known, unlisted = await listed.read(session), await listed.unlisted(session)
            found = [store for store in known.values() if _matches(store, find.casefold())]
            codes = [store.code for store in found[:MOST_SHOWN]]
            changed = await last_acts(session, codes, _CHANGES, names=accounts.names)
            latest = await newest_acts(session, _OTHERS, names=accounts.names)
        return self._page(
            "stores.html",
            status=HTTPStatus.UNPROCESSABLE_ENTITY if refused else HTTPStatus.OK,
            stores=found[:MOST_SHOWN],
            more=len(found[MOST_SHOWN:]),
            known=known,
            find=find,
            saved=known.get(saved),
            deleted=deleted if deleted and deleted not in known else "",
            unlisted=unlisted[:MOST_UNLISTED],
            more_unlisted=len(unlisted[MOST_UNLISTED:]),
            refused=refused,
            changed=changed,
            latest=latest,
        )

    async def edit(self, code: _Text = "", name: _Text = "") -> Response:
        """Show the form of a store, or without `code` that of a new one."""
        if not code:
            return self._form({**dict.fromkeys(FIELDS, ""), "name": name})
        async with self.sessions.begin() as session:
            store = (await listed.read(session)).get(code)
        if store is None:
            raise NotFound(mark("No such store"))
        return self._form(texts_of(store), version=store.version)

    async def save(self, request: Request) -> Response:
        form = await forms.read(request)
        texts, version = {name: _field(form, name) for name in FIELDS}, _field(form, "version")
        try:
            store = store_of(texts)
            async with self.sessions.begin() as session:
                before = await saving.save(session, store, expected=lambda current: _version_of(current) == version)
        except InvalidStore as error:
            return self._form(texts, version=version, error=error)
        except StaleStore as error:
            return self._stale(texts, error.current, version=version)
        if before is None:
            said = gettext("You added the store %(name)s.", name=store.name)
            fields = {"code": store.code, "version": store.version}
            tell(said, page=_PAGE, undo=f"{_PAGE}/delete", fields=fields)
        elif before == store:
            tell_unchanged(page=_PAGE)
        else:
            _tell_change(gettext("You changed the store %(name)s.", name=store.name), before, store)
        return _back(saved=store.code)

    def _stale(self, texts: Mapping[str, str], current: Store | None, *, version: str) -> Response:
        """Show the form again as it was typed, with what is stored now; the next press replaces that."""
        if not version:
            why = gettext("a store with this code is in the list already; open it there to change it")
            error = InvalidStore("code", why)
            return self._form(texts, error=error)
        stored = texts_of(current) if current else {}
        differ = {name: stored[name] for name in stored if stored[name].split() != texts[name].split()}
        return self._form(texts, version=_version_of(current), stale=True, differ=differ, gone=current is None)

    async def delete(self, request: Request) -> Response:
        form = await forms.read(request)
        code, version = _field(form, "code"), _field(form, "version")
        try:
            async with self.sessions.begin() as session:
                removed = await saving.remove(session, code, expected=lambda each: _version_of(each) == version)
            if removed is not None:
                _tell_change(gettext("You deleted the store %(name)s.", name=removed.name), removed, None)
        except StaleStore as error:
            if error.current is not None:
                return self._form(texts_of(error.current), version=error.current.version, kept=True)
        except StoreInUse as error:
            raise Conflict(mark("The store is in use"), str(error)) from None
        return _back(deleted=code)

    async def add_spelling(self, request: Request) -> Response:
        """Give a name that events have to the store whose code or name was chosen."""
        form = await forms.read(request)
        try:
            async with self.sessions.begin() as session:
                value, named = _field(form, "value"), _field(form, "store").strip()
                before, store = await saving.add_spelling(session, value, named=named)
        except InvalidStore as error:
            return await self._list(refused=error)
        if before == store:
            tell_unchanged(page=_PAGE)
        else:
            _tell_change(gettext("You said that %(value)s is %(name)s.", value=value, name=store.name), before, store)
        return _back(saved=store.code)

    async def upload(self) -> Response:
        if not self.staff_pages.may_write("/stores"):
            raise Forbidden(mark("Your role does not allow this"), mark("An administrator imports stores."))
        return self._import_page()

    async def import_csv(self, request: Request) -> Response:
        """Say what a file would change, and store it when that was seen and confirmed."""
        async with request.form(max_files=1, max_fields=10, max_part_size=MOST_UPLOADED) as form:
            content, confirmed = await uploaded(form), _field(form, "store")
        try:
            result = await saving.import_file(
                self.sessions, content, dry_run=not confirmed, good_only=confirmed == "good"
            )
        except InvalidFile as error:
            return self._import_page(problem=str(error))
        return self._import_page(result=result, file=base64.b64encode(content).decode(), confirmed=bool(confirmed))

    async def export(self) -> Response:
        async with self.sessions.begin() as session:
            known = await listed.read(session)
        text = StringIO()
        files.write(text, known.values())
        headers = {"content-disposition": 'attachment; filename="stores.csv"'}
        return Response(text.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)

    def _form(
        self, texts: Mapping[str, str], *, version: str = "", error: InvalidStore | None = None, **more: object
    ) -> Response:
        status = HTTPStatus.CONFLICT if more else HTTPStatus.UNPROCESSABLE_ENTITY if error else HTTPStatus.OK
        shown = {"stale": False, "differ": {}, "gone": False, "kept": False} | more
        zones = sorted(available_timezones())
        return self._page("store.html", status=status, texts=texts, version=version, error=error, zones=zones, **shown)

    def _import_page(
        self, *, problem: str = "", result: ImportResult | None = None, file: str = "", confirmed: bool = False
    ) -> Response:
        status = HTTPStatus.UNPROCESSABLE_ENTITY if problem else HTTPStatus.OK
        return self._page(
            "stores_import.html",
            status=status,
            problem=problem,
            result=result,
            lists=_lists(result.plan) if result else [],
            most_lines=MOST_LINES,
            file=file,
            confirmed=confirmed,
        )

    def _page(self, template: str, *, status: HTTPStatus, **values: object) -> Response:
        shown = {"pages": self.staff_pages, "labels": _LABELS, "hours": hours_text}
        return rendering.page(template, status=status, **shown, **values)


def _tell_change(said: str, before: Store, after: Store | None) -> None:
    """Say what was done to a store; undoing saves it as it was, unless somebody has changed it meanwhile."""
    fields = {**texts_of(before), "version": after.version if after else ""}
    tell(said, page=_PAGE, undo=f"{_PAGE}/edit", fields=fields)


def _lists(plan: ImportPlan) -> list[tuple[str, str, list[str]]]:
    """Return title, id and lines of each list that says what a file would do."""
    bad = [gettext("Line %(line)s: %(why)s", line=each.line, why=each.reason) for each in plan.bad[:MOST_LINES]]
    changed = [
        f"{each.store.name} ({each.store.code}): {', '.join(gettext(_LABELS[name]).lower() for name in each.fields)}"
        for each in plan.changed[:MOST_LINES]
    ]
    added = [f"{store.name} ({store.code})" for store in plan.added[:MOST_LINES]]
    return [
        (gettext("Bad lines"), "bad", bad),
        (gettext("Changes"), "changes", changed),
        (gettext("New stores"), "new", added),
    ]


def _matches(store: Store, text: str) -> bool:
    return any(text in each.casefold() for each in (*store.names, store.region or "", store.manager or ""))


def _version_of(store: Store | None) -> str:
    return store.version if store else ""


def _field(form: FormData, name: str) -> str:
    """Return a field with line feeds between its lines; browsers send carriage returns too."""
    value = form.get(name)
    return value.replace("\r\n", "\n") if isinstance(value, str) else ""


def _back(**shown: str) -> Response:
    return RedirectResponse(f"/stores?{urlencode(shown)}", HTTPStatus.SEE_OTHER)

"""The page and the API of a service's audit log: search, and an export with the hashes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, date, datetime, time, timedelta
from http import HTTPStatus
from io import StringIO
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from fastapi.responses import HTMLResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, field_validator

from shared.contract.address_keys import AddressKeys
from shared.contract.vocabulary import Service
from shared.database.audit import search
from shared.database.audit.rows import ActorKind, AuditRow
from shared.database.audit.search import AuditFilter, RecordedAct
from shared.database.session import Session, Sessions
from shared.languages.current import gettext
from shared.languages.marking import mark
from shared.tables.writing import BOM, SpreadsheetWriter
from shared.web import routes
from shared.web.audit.action_words import action_in_words, actions_named, details_in_words
from shared.web.audit.last_acts import Names, all_names, no_names
from shared.web.staff.menu import StaffPages
from shared.web.strict_input import SingleValued, refuse_unknown
from shared.web.templates import template_environment
from shared.zones import current_zone

SHOWN = 100
SOON_OVER = timedelta(minutes=1)  # what began so long ago or less may still be under way
_COLUMNS = [field.name for field in fields(AuditRow)]
_environment = template_environment(Path(__file__).parent / "templates", styles="audit", lstrip_blocks=True)
_KINDS = {
    ActorKind.PERSON: mark("person"),
    ActorKind.KEY: mark("key"),
    ActorKind.COMMAND: mark("command"),
    ActorKind.PROGRAM: mark("software"),
    ActorKind.NOBODY: mark("nobody"),
}
_REFUSED = mark("refused (%(status)s)")
_Text = Annotated[str, Field(max_length=200)]
OwnIds = Callable[[Session, Sequence[str]], Awaitable[Sequence[UUID]]]


async def no_ids(_session: Session, _respondents: Sequence[str]) -> Sequence[UUID]:
    return ()


class AuditQuery(BaseModel):
    """Days are in the reader's zone, for programs in UTC.

    `who` is a part of a name or a login, or an id, `what` a part of an action.
    """

    model_config = ConfigDict(frozen=True)

    from_: Annotated[date | None, Field(alias="from", ge=date(2000, 1, 1), le=date(2199, 1, 1))] = None
    to: Annotated[date | None, Field(ge=date(2000, 1, 1), le=date(2199, 1, 1))] = None
    who: _Text = ""
    what: _Text = ""
    customer: _Text = ""

    @field_validator("from_", "to", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        """Take an empty field of the form as no limit."""
        return value or None


class PageQuery(AuditQuery):
    before: Annotated[int, Field(ge=1, le=search.NEWEST)] = search.NEWEST


class RowsQuery(AuditQuery):
    after: Annotated[int, Field(ge=0, le=search.NEWEST)] = 0
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class AuditRowOut(BaseModel):
    number: int
    at: datetime
    stage: str
    of: int | None = Field(description="The number of the row `asked` of the same act.")
    actor_kind: str
    actor: str
    action: str
    subject: str | None
    customer: UUID | None = Field(description="A random id, which an erasure of the customer makes meaningless.")
    details: str
    status: int | None
    hash: str = Field(description="SHA-256, in hex, of the hash of the row before and of this row.")


class AuditRows(BaseModel):
    rows: list[AuditRowOut]


@dataclass(frozen=True, slots=True)
class AuditPages:
    """`names` returns how programs and, in scoring, people are called, by the ids that are subjects and actors.

    `logins` returns as whom people log in, which only scoring knows, and `own_ids` the ids of what respondents have
    here and acts are about, such as calls.
    """

    service: Service
    sessions: Sessions
    staff_pages: StaffPages
    address_keys: AddressKeys
    names: Names = no_names
    logins: Names = no_names
    own_ids: OwnIds = no_ids

    def router(self) -> APIRouter:
        router = APIRouter(dependencies=[Depends(SingleValued()), Depends(refuse_unknown)])
        page = routes.audit_page(self.service)
        router.add_api_route(page, self.show, methods=["GET"], include_in_schema=False)
        router.add_api_route(f"{page}/export", self.export, methods=["GET"], include_in_schema=False)
        router.add_api_route(routes.audit_api(self.service), self.rows, methods=["GET"], tags=["audit"])
        return router

    async def show(self, query: Annotated[PageQuery, Query()]) -> HTMLResponse:
        async with self.sessions.begin() as session:
            names = await all_names(session, self.names)
            wanted = await self._filter(session, query, names)
            found = await search.acts(session, wanted, before=query.before, limit=SHOWN + 1)
        page = _environment.get_template("audit.html").render(
            pages=self.staff_pages,
            service=self.service,
            logs={each: self.staff_pages.url(routes.audit_page(each)) for each in Service},
            own=routes.audit_page(self.service),
            acts=found[:SHOWN],
            more=found[SHOWN - 1].number if len(found) > SHOWN else None,
            names=names,
            now=datetime.now(UTC),
            outcome=outcome,
            action_in_words=action_in_words,
            details_in_words=details_in_words,
            kinds=_KINDS,
            person_url=self._person_url,
            **{name: value for name, value in query.model_dump().items() if name != "before"},
        )
        return HTMLResponse(page)

    async def rows(self, query: Annotated[RowsQuery, Query()]) -> AuditRows:
        """Read rows in the order in which they were written; `after` is the number of the last one read before."""
        async with self.sessions.begin() as session:
            wanted = await self._filter(session, query, await all_names(session, self.names))
            found = await search.rows(session, wanted, after=query.after, limit=query.limit)
        return AuditRows(rows=[AuditRowOut(**asdict(row) | {"hash": row.hash.hex()}) for row in found])

    async def export(self, query: Annotated[AuditQuery, Query()]) -> StreamingResponse:
        """Write all rows that are wanted to a CSV file, with their hashes."""
        async with self.sessions.begin() as session:
            wanted = await self._filter(session, query, await all_names(session, self.names))
        headers = {"content-disposition": f'attachment; filename="audit-{self.service}.csv"'}
        return StreamingResponse(self._lines(wanted), HTTPStatus.OK, headers, media_type="text/csv; charset=utf-8")

    async def _lines(self, wanted: AuditFilter) -> AsyncIterator[str]:
        yield BOM + _csv([_COLUMNS])
        async for page in search.every_row(self.sessions, wanted):
            yield _csv([_cells(row) for row in page])

    async def _filter(self, session: Session, query: AuditQuery, names: Mapping[str, str]) -> AuditFilter:
        known = await self._customers(session, query.customer.strip()) if query.customer.strip() else None
        return AuditFilter(
            since=_midnight(query.from_) if query.from_ else None,
            until=_midnight(query.to + timedelta(days=1)) if query.to else None,
            actors=_actors(query.who.strip(), [names, await self.logins(session)]),
            action=query.what.strip(),
            actions=actions_named(query.what.strip()),
            customers=known,
        )

    async def _customers(self, session: Session, customer: str) -> Sequence[UUID]:
        respondents = self.address_keys.respondents_like(customer)
        return [*await search.customers(session, respondents), *await self.own_ids(session, respondents)]

    def _person_url(self, act: RecordedAct) -> str:
        """Return the page of the person who did it, "" for what is no person."""
        return self.staff_pages.url(f"/people/{act.actor}") if act.actor_kind == ActorKind.PERSON else ""


def outcome(act: RecordedAct, now: datetime) -> str:
    """Say in words what became of an act."""
    if act.status is None:
        return gettext("under way") if now - act.at <= SOON_OVER else gettext("outcome unknown")
    if act.actor_kind == ActorKind.COMMAND:
        return gettext("done") if act.status == 0 else gettext("failed (%(status)s)", status=act.status)
    if act.status < HTTPStatus.BAD_REQUEST:
        return gettext("done")
    refused = act.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS)
    return gettext(_REFUSED if refused else "failed (%(status)s)", status=act.status)


def _actors(who: str, known: Sequence[Mapping[str, str]]) -> list[str] | None:
    if not who:
        return None
    return [who, *(id_ for names in known for id_, name in names.items() if who.casefold() in name.casefold())]


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), current_zone.get())


def _cells(row: AuditRow) -> list[Any]:
    return [row.hash.hex() if name == "hash" else getattr(row, name) for name in _COLUMNS]


def _csv(rows: list[list[Any]]) -> str:
    text = StringIO()
    SpreadsheetWriter(text).write(rows)
    return text.getvalue()

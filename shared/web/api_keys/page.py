"""The page of a service's API keys, in scoring with the webhooks: who made each, what it allows, and a revocation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from uuid import UUID

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse, RedirectResponse

from shared.contract.api_keys import KeyState
from shared.contract.vocabulary import Service
from shared.database import api_keys
from shared.database.session import Session, Sessions
from shared.languages.current import gettext
from shared.languages.marking import mark
from shared.web import routes
from shared.web.audit.last_acts import LastAct, Names, last_acts
from shared.web.problems import NotFound
from shared.web.staff.done_acts import tell, tell_unchanged
from shared.web.staff.menu import StaffPages
from shared.web.strict_input import SingleValued, refuse_unknown
from shared.web.templates import template_environment

MADE = {"earshot keys create": mark("made")}
REVOKED = dict.fromkeys(
    ("earshot keys revoke", *(f"POST {routes.keys_page(each)}/{{key_id}}/revoke" for each in Service)), mark("revoked")
)
_NO_KEY = mark("No such key"), mark("This service stores no key with this id.")
_environment = template_environment(Path(__file__).parent / "templates", lstrip_blocks=True)


@dataclass(frozen=True, slots=True)
class ShownWebhook:
    """An endpoint without its secrets; `acts` are who added it and who changed it last."""

    url: str
    types: Sequence[str]
    disabled: str | None
    succeeded_at: datetime | None
    acts: Sequence[LastAct]


ReadWebhooks = Callable[[Session], Awaitable[Sequence[ShownWebhook]]]


@dataclass(frozen=True, slots=True)
class KeyPages:
    """`names` returns how people are called; `webhooks` reads those of scoring."""

    service: Service
    sessions: Sessions
    staff_pages: StaffPages
    names: Names
    webhooks: ReadWebhooks | None = None

    def router(self) -> APIRouter:
        router = APIRouter(
            prefix=self._page,
            include_in_schema=False,
            default_response_class=HTMLResponse,
            dependencies=[Depends(SingleValued()), Depends(refuse_unknown)],
        )
        router.add_api_route("", self.show, methods=["GET"])
        router.add_api_route("/{key_id}/revoke", self.ask, methods=["GET"])
        router.add_api_route("/{key_id}/revoke", self.revoke, methods=["POST"])
        return router

    @property
    def _page(self) -> str:
        return routes.keys_page(self.service)

    async def show(self) -> str:
        async with self.sessions.begin() as session:
            keys = await api_keys.load_all(session)
            ids = [str(key.id) for key in keys]
            made = await last_acts(session, ids, MADE, names=self.names)
            revoked = await last_acts(session, ids, REVOKED, names=self.names)
            webhooks = await self.webhooks(session) if self.webhooks else None
        return self._render("keys.html", keys=keys, made=made, revoked=revoked, webhooks=webhooks)

    async def ask(self, key_id: UUID) -> str:
        """Ask whether a key is to be revoked, and say what that does."""
        async with self.sessions.begin() as session:
            key = next((each for each in await api_keys.load_all(session) if each.id == key_id), None)
        if key is None:
            raise NotFound(*_NO_KEY)
        return self._render("key_revoke.html", key=key)

    async def revoke(self, key_id: UUID) -> RedirectResponse:
        """Revoke a key in this service; a repeated request changes nothing."""
        async with self.sessions.begin() as session:
            revoked = await api_keys.revoke(session, key_id)
        if revoked is None:
            raise NotFound(*_NO_KEY)
        if revoked:
            tell(gettext("You revoked the key in %(service)s.", service=self.service), page=self._page)
        else:
            tell_unchanged(page=self._page)
        return RedirectResponse(self._page, HTTPStatus.SEE_OTHER)

    def _render(self, template: str, **values: object) -> str:
        pages = {each: self.staff_pages.url(routes.keys_page(each)) for each in Service}
        shown = {"pages": self.staff_pages, "service": self.service, "own": self._page, "all_pages": pages}
        return _environment.get_template(template).render(**shown, State=KeyState, **values)

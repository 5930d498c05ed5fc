"""The pages of sources: what arrived from each, and what became of it; a press handles a parked message again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse

from services.trigger.domain.deciding.explanations import title
from services.trigger.domain.sources.source import Source
from services.trigger.handlers.replay_parked import ParkedReplay
from services.trigger.pages.rendering import page
from services.trigger.repository import arrivals, touchpoints
from services.trigger.schemas import DecisionView
from shared.contract.event_words import event_in_words
from shared.database import staff
from shared.database.session import Sessions
from shared.languages.marking import mark
from shared.web.audit.last_acts import last_acts, newest_acts
from shared.web.problems import NotFound
from shared.web.staff.menu import StaffPages

PLAIN = "crm.events"  # the page of messages that name no source: events on Kafka that could not be read
_SHOWN = 50
_Name = Annotated[str, Query(max_length=200)]
_TRIES = {"POST /sources/replay/{parked_id}": mark("tried again")}
_LATEST = dict.fromkeys([*_TRIES, "earshot parked replay"], mark("parked messages were tried again"))
_OUTCOMES = {
    "refused": mark("the signature or token was wrong"),
    "ignored": mark("nothing in them concerns surveys"),
    "known": mark("their id belongs to another event"),
    "queued": mark("their deal is fetched from the CRM"),
}


@dataclass(frozen=True, slots=True)
class SourcePages:
    sessions: Sessions
    sources: Mapping[str, Source]
    replay: ParkedReplay
    staff_pages: StaffPages
    hooks_url: str

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/sources", include_in_schema=False, default_response_class=HTMLResponse)
        router.add_api_route("", self.show, methods=["GET"])
        router.add_api_route("/replay/{parked_id}", self.press, methods=["POST"])
        return router

    async def show(self, source: _Name = "") -> HTMLResponse:
        """Show the latest arrivals of a source; without one, list those configured and those of recent events."""
        return await self._source(source) if source else await self._overview()

    async def press(self, parked_id: UUID, source: _Name) -> HTMLResponse:
        """Handle a parked message again; a repeated request finds it handled."""
        return await self._source(source, result=await self.replay.replay(parked_id))

    async def _overview(self) -> HTMLResponse:
        async with self.sessions() as session:
            seen = await arrivals.seen(session)
            latest = await newest_acts(session, _LATEST, names=staff.names)
        names = [*self.sources, *(each.source for each in seen if each.source not in self.sources), PLAIN]
        last_seen = {name: next((each for each in seen if each.source == name), None) for name in names}
        return self._page("sources.html", seen=last_seen, names=names, sources=self.sources, latest=latest)

    async def _source(self, name: str, *, result: str = "") -> HTMLResponse:
        async with self.sessions() as session:
            counts = await arrivals.counts(session, name)
            decided = [] if name == PLAIN else await arrivals.decided(session, name, limit=_SHOWN)
            known_as = await touchpoints.known_as(session, decided)
            parked = await arrivals.parked(session, None if name == PLAIN else name, limit=_SHOWN)
            pressed = await last_acts(session, [str(each.id) for each in parked], _TRIES, names=staff.names)
        configured = self.sources.get(name)
        if configured is None and name != PLAIN and not (counts or decided or parked):
            raise NotFound(
                mark("No such source"), mark("None is configured under this name, and no recent event names it.")
            )
        return self._page(
            "source.html",
            name=name,
            configured=configured,
            hook=f"{self.hooks_url}/v1/hooks/{name}" if configured and configured.kind.is_webhook else "",
            counts=counts,
            outcomes=_OUTCOMES,
            decisions=[DecisionView.of(stored) for stored in decided],
            parked=parked,
            pressed=pressed,
            title=title,
            in_words=event_in_words,
            known_as=known_as,
            result=result,
        )

    def _page(self, template: str, **values: object) -> HTMLResponse:
        return page(template, pages=self.staff_pages, plain=PLAIN, **values)

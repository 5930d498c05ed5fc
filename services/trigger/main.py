"""Composition root of trigger."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from sqlalchemy.ext.asyncio import AsyncSession

from services.trigger import scheduler
from services.trigger.api.door import Door
from services.trigger.api.events import events_router
from services.trigger.api.programs import programs_router
from services.trigger.api.respondents import respondents_router
from services.trigger.config import TriggerSettings
from services.trigger.domain.reading import read_program
from services.trigger.handlers.batch import Terms
from services.trigger.handlers.events import on_crm_events, read_event
from services.trigger.handlers.feedback import on_feedback
from services.trigger.handlers.programs import install
from services.trigger.pages import decision_pages
from shared import housekeeping, topics, web
from shared.clock import Clock
from shared.cloudevents import Event
from shared.consumer import Consumer
from shared.db import Database
from shared.events import Payload
from shared.outbox import Relay
from shared.runtime import Surroundings, open_event_log, serve
from shared.transport import EventLog
from shared.vocabulary import Service

CRM_TOPICS = (topics.CRM_EVENTS.name,)
FEEDBACK_TOPICS = (topics.SURVEY_ANSWERS.name, topics.SURVEY_DELIVERIES.name)
PROGRAMS = Path(__file__).parent / "programs"
PUBLIC = ("/v1/events",)  # served outside too, to whoever has the secret: there are no other keys yet
MAX_BODY = 4_000_000  # a thousand events


def build_app(settings: TriggerSettings, database: Database, event_log: EventLog, clock: Clock) -> FastAPI:
    async def ready() -> None:
        await database.ping()
        await event_log.ping()

    app = web.create_app(
        Service.TRIGGER,
        ready=ready,
        staff_secret=settings.staff_secret.get_secret_value(),
        max_body=MAX_BODY,
    )
    door = Door(database.sessions, clock, terms_of(settings))
    for router in (events_router(door), respondents_router(door), programs_router(door)):
        app.include_router(router)
    app.include_router(decision_pages(database.sessions))

    @app.get("/", include_in_schema=False)
    async def root() -> RedirectResponse:
        return RedirectResponse("/decisions")

    return app


def terms_of(settings: TriggerSettings) -> Terms:
    return Terms(link_key=settings.signing_key, phone_region=settings.phone_region)


def consumers(
    settings: TriggerSettings, database: Database, *, crm_log: EventLog, event_log: EventLog, clock: Clock
) -> list[Consumer]:
    async def crm(session: AsyncSession, events: Sequence[Event[Payload]]) -> None:
        await on_crm_events(session, events, now=clock.now(), terms=terms_of(settings))

    async def feedback(session: AsyncSession, events: Sequence[Event[Payload]]) -> None:
        await on_feedback(session, events, now=clock.now(), terms=terms_of(settings))

    return [
        Consumer(Service.TRIGGER, CRM_TOPICS, crm_log, database.sessions, crm, decode=read_event),
        Consumer(Service.TRIGGER, FEEDBACK_TOPICS, event_log, database.sessions, feedback),
    ]


async def install_programs(database: Database, clock: Clock) -> None:
    """Give a new installation the program it comes with."""
    documents = [read_program(path.read_bytes()) for path in sorted(PROGRAMS.glob("*.yaml"))]
    async with database.sessions.begin() as session:
        await install(session, documents, now=clock.now())


async def run(settings: TriggerSettings, around: Surroundings) -> None:
    """Run API, consumers, relay and housekeeping until told to stop."""
    database = Database(around.database_url, schema=Service.TRIGGER)
    event_log, clock, stop = around.event_log, around.clock, around.stop
    async with AsyncExitStack() as resources:
        resources.push_async_callback(database.close)
        crm_log = event_log
        if settings.crm_events_url:
            crm_log = open_event_log(settings, settings.crm_events_url)
            resources.push_async_callback(crm_log.close)
        await install_programs(database, clock)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(serve(build_app(settings, database, event_log, clock), around, public=PUBLIC))
            for consumer in consumers(settings, database, crm_log=crm_log, event_log=event_log, clock=clock):
                tasks.create_task(consumer.run(stop))
            tasks.create_task(Relay(database, event_log, service=Service.TRIGGER).run(stop))
            cadences = scheduler.run(
                database.sessions, stop, clock=clock, terms=terms_of(settings), every_s=settings.cadence_tick_s
            )
            tasks.create_task(cadences)
            tasks.create_task(housekeeping.run(database.sessions, stop))

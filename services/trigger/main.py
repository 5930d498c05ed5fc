"""Composition root of trigger."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog
import tenacity
from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from sqlalchemy.ext.asyncio import AsyncSession

from services.trigger.api.events import MAX_EVENTS, events_router
from services.trigger.api.keys import ApiKeyVerifier
from services.trigger.api.programs import programs_router
from services.trigger.api.respondents import respondents_router
from services.trigger.config import TriggerSettings, load_sources
from services.trigger.domain.programs.reading import read_program
from services.trigger.domain.sources.source import Source, SourceKind
from services.trigger.handlers.events import on_crm_events
from services.trigger.handlers.feedback import on_feedback
from services.trigger.handlers.intake import EventIntake
from services.trigger.handlers.mapped_events import ForeignLog, read_message
from services.trigger.handlers.programs import install, publish_again
from services.trigger.jobs.cadence import CadenceJob
from services.trigger.pages import decision_pages
from services.trigger.sources.bitrix24 import IDLE_S, DealFetcher
from services.trigger.sources.webhooks import SourceWebhooks
from shared.clock import Clock
from shared.contract import topics
from shared.contract.cloudevents import Event
from shared.contract.events import CrmPayload, Payload
from shared.contract.vocabulary import Service
from shared.database.compared_clock import compared
from shared.database.db import Database, until_it_answers
from shared.database.until_stopped import while_busy
from shared.health import OUTSIDE_SILENT_S, Health
from shared.messaging.consumer import Consumer
from shared.messaging.transport import EventLog, Message
from shared.runtime import ServiceContext, open_event_log
from shared.supervisor import Supervisor
from shared.web.app import create_app

log = structlog.get_logger()

CRM_TOPICS = (topics.CRM_EVENTS.name,)
FEEDBACK_TOPICS = (topics.SURVEY_ANSWERS.name, topics.SURVEY_DELIVERIES.name)
PROGRAMS = Path(__file__).parent / "programs"
HOOKS = ("/v1/hooks",)  # each is signed
MIGRATIONS = Path(__file__).parent / "migrations"
PUBLIC = ("/v1/events", *HOOKS)  # served outside too, events to whoever has a key
MAX_BODY = 4_000_000  # a thousand events


def build_app(settings: TriggerSettings, database: Database, clock: Clock, *, health: Health | None = None) -> FastAPI:
    keys = ApiKeyVerifier(database.sessions, per_second=settings.events_per_second, burst=MAX_EVENTS)
    app = create_app(
        Service.TRIGGER,
        health=health or Health(),
        public=HOOKS,
        staff_secret=settings.staff_secret.get_secret_value(),
        admit=keys.admit,
        max_body=MAX_BODY,
    )
    intake = EventIntake(database.sessions, clock, settings.installation)
    hooks = SourceWebhooks(intake, load_sources(settings))
    for router in (hooks.router(), events_router(intake, keys), respondents_router(intake), programs_router(intake)):
        app.include_router(router)
    app.include_router(decision_pages(database.sessions, settings.staff_pages))

    @app.get("/", include_in_schema=False)
    async def root() -> RedirectResponse:
        return RedirectResponse("/decisions")

    return app


@dataclass(frozen=True, slots=True)
class EventLogs:
    """Our own topics; `crm.events`, which may be elsewhere; and that cluster's topics under their own names."""

    ours: EventLog
    crm: EventLog
    foreign: EventLog


def consumers(
    settings: TriggerSettings,
    database: Database,
    logs: EventLogs,
    *,
    sources: Mapping[str, Source],
    clock: Clock,
) -> dict[str, Consumer]:
    """Make each consumer, by name."""

    async def crm(session: AsyncSession, events: Sequence[Event[Payload]]) -> None:
        await on_crm_events(session, events, now=clock.now(), settings=settings.installation)

    async def feedback(session: AsyncSession, events: Sequence[Event[Payload]]) -> None:
        await on_feedback(session, events, now=clock.now(), settings=settings.installation)

    def decode(message: Message) -> Event[CrmPayload] | None:
        return read_message(message, sources, received=clock.now())

    by_topic = {topic: source for source in sources.values() for topic in source.topics}
    made = {
        "crm": Consumer(Service.TRIGGER, CRM_TOPICS, logs.crm, database.sessions, crm, decode=decode, batch_size=1000),
        "feedback": Consumer(Service.TRIGGER, FEEDBACK_TOPICS, logs.ours, database.sessions, feedback),
    }
    if by_topic:
        foreign = ForeignLog(logs.foreign, by_topic.__getitem__, settings.topic_prefix)
        made["foreign"] = Consumer(Service.TRIGGER, list(by_topic), foreign, database.sessions, crm, decode=decode)
    return made


def open_logs(settings: TriggerSettings, ours: EventLog, resources: AsyncExitStack) -> EventLogs:
    """Open the CRM's cluster, where it is another or has topics of another form; ours is open already."""

    def opened(topic_prefix: str) -> EventLog:
        found = open_event_log(settings.for_crm(topic_prefix), url)
        resources.push_async_callback(found.close)
        return found

    url = settings.crm_events_url or settings.events_url
    crm = opened(settings.topic_prefix) if settings.crm_events_url else ours
    return EventLogs(ours, crm, opened("") if url and settings.sources else crm)


async def install_programs(database: Database, clock: Clock) -> None:
    """Give a new installation the program it comes with."""
    documents = [read_program(path.read_bytes()) for path in sorted(PROGRAMS.glob("*.yaml"))]
    async with database.sessions.begin() as session:
        await install(session, documents, now=clock.now())


def _say_so(state: tenacity.RetryCallState) -> None:
    log.warning("start.waits", attempt=state.attempt_number, cure="earshot doctor")


async def run(settings: TriggerSettings, around: ServiceContext) -> None:
    """Run API, consumers, relay and housekeeping until told to stop."""
    sources = load_sources(settings)
    database = Database(around.database_url, schema=Service.TRIGGER, options=settings.database_options)
    event_log, health = around.event_log, around.health
    async with AsyncExitStack() as resources:
        resources.push_async_callback(database.close)
        logs = open_logs(settings, event_log, resources)
        await until_it_answers(before_sleep=_say_so)(install_programs, database, around.clock)
        clock = await compared(around.clock, database)
        hooks = SourceWebhooks(EventIntake(database.sessions, clock, settings.installation), sources)
        rereading = DealFetcher(database.sessions, sources, hooks.decide)
        resources.push_async_callback(rereading.close)
        if logs.crm is not event_log:
            health.require("crm event log", logs.crm.ping)
        async with asyncio.TaskGroup() as tasks:
            running = Supervisor(tasks, around, Service.TRIGGER)
            app = build_app(settings, database, clock, health=health)
            again = partial(publish_again, clock=clock)
            running.start(app, database, public=PUBLIC, migrations=MIGRATIONS, again=again)
            running.watch(clock)
            for name, consumer in consumers(settings, database, logs, sources=sources, clock=clock).items():
                running.consume(f"consumer.{name}", consumer)
            if any(source.kind is SourceKind.BITRIX24 for source in sources.values()):
                asking = health.heartbeat("bitrix24", silent_s=OUTSIDE_SILENT_S)
                running.loop(asking, while_busy(rereading.tick), longest_s=IDLE_S)
            cadences = CadenceJob(
                database.sessions, clock, settings.installation, around.stop, health.heartbeat("cadences")
            )
            running.loop(cadences.heartbeat, cadences.tick, longest_s=settings.cadence_tick_s)

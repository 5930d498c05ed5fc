"""Builds the parts of trigger and runs them until told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog
from fastapi import APIRouter, Depends, FastAPI
from fastapi.responses import RedirectResponse

from services.trigger.api.events import MAX_EVENTS, EventApi
from services.trigger.api.programs import ProgramApi
from services.trigger.api.respondents import RespondentApi
from services.trigger.config import TriggerSettings, load_sources
from services.trigger.domain.programs.reading import read_program
from services.trigger.domain.sources.source import Source, SourceKind
from services.trigger.handlers.events import on_crm_events
from services.trigger.handlers.feedback import on_feedback
from services.trigger.handlers.intake import EventIntake
from services.trigger.handlers.mapped_events import ForeignLog, NeedsEarlierEvent, find_customer, read_message
from services.trigger.handlers.programs import install, publish_again
from services.trigger.handlers.replay_parked import ParkedReplay
from services.trigger.handlers.survey_links import SurveyLinks
from services.trigger.jobs import retention
from services.trigger.jobs.cadence import CadenceJob
from services.trigger.jobs.retention import RetentionJob
from services.trigger.pages.customers import CustomerSearch
from services.trigger.pages.decisions import DecisionPages
from services.trigger.pages.programs import ProgramPages
from services.trigger.pages.sources import SourcePages
from services.trigger.repository import programs
from services.trigger.sources.bitrix24 import IDLE_S, DealFetcher
from services.trigger.sources.schema_registry import SchemaLog, SchemaRegistry
from services.trigger.sources.webhooks import SourceWebhooks
from shared.clock import Clock
from shared.contract import topics
from shared.contract.cloudevents import Event
from shared.contract.events import CrmPayload, Payload
from shared.contract.vocabulary import Service
from shared.database import staff
from shared.database.compared_clock import guard_clock
from shared.database.db import Database, retry_outages
from shared.database.session import Session, Sessions
from shared.database.until_stopped import while_busy
from shared.health import OUTSIDE_SILENT_S, Health
from shared.messaging.audit_anchors import AuditAnchors
from shared.messaging.codec import InvalidEvent
from shared.messaging.consumer import Consumer
from shared.messaging.staff_changes import staff_consumer
from shared.messaging.transport import EventLog, Message, Readable
from shared.runtime import ServiceContext, open_event_log
from shared.supervisor import Supervisor
from shared.web.api_keys.page import KeyPages
from shared.web.api_keys.verifier import ApiKeyVerifier
from shared.web.app import add_router, create_app
from shared.web.audit.page import AuditPages
from shared.web.audit.trail import AuditTrail
from shared.web.client_address import ClientAddress
from shared.web.http_client import HttpClient
from shared.web.rate_limit import RateLimit
from shared.web.staff.gate import StaffAccess
from shared.web.staff.menu import StaffPages
from shared.web.staff.scopes import ReceivedScopes
from shared.web.staff.shared_sessions import SharedSessions
from shared.web.strict_input import SingleValued, refuse_unknown

log = structlog.get_logger()

CRM_TOPICS = (topics.CRM_EVENTS.name,)
FEEDBACK_TOPICS = (topics.SURVEY_ANSWERS.name, topics.SURVEY_DELIVERIES.name, topics.SURVEY_ERASURES.name)
PROGRAMS = Path(__file__).parent / "programs"
MIGRATIONS = Path(__file__).parent / "migrations"
MAX_BODY = 4_000_000  # bytes; enough for MAX_EVENTS events of 4,000 bytes


def build_app(
    settings: TriggerSettings,
    database: Database,
    clock: Clock,
    *,
    health: Health | None = None,
    sessions: SharedSessions | None = None,
) -> FastAPI:
    keys = ApiKeyVerifier(Service.TRIGGER, database.sessions, ClientAddress.of_settings(settings))
    received = ReceivedScopes(database.sessions)
    app = create_app(
        Service.TRIGGER,
        health=health or Health(),
        catalogues=Path(__file__).parent / "locales",
        access=StaffAccess.of(
            settings,
            find_scope=received.find,
            remember=received.remember,
            admit=keys.admit,
            shared=sessions,
            trail=AuditTrail(database.sessions),
        ),
        https=settings.public_url.startswith("https://"),
        max_body=MAX_BODY,
    )
    app.state.keys = keys
    intake = EventIntake(database.sessions, clock, settings.installation)
    sources = load_sources(settings)
    add_router(app, SourceWebhooks(intake, sources).router())  # a vendor may add parameters
    for router in _routers(settings, database, intake, sources=sources):
        app.include_router(router, dependencies=[Depends(SingleValued()), Depends(refuse_unknown)])
    add_router(app, CustomerSearch(intake, StaffPages.of(settings, Service.TRIGGER)).router())
    app.add_api_route("/", _root, include_in_schema=False)
    return app


def _routers(
    settings: TriggerSettings,
    database: Database,
    intake: EventIntake,
    *,
    sources: Mapping[str, Source],
) -> Sequence[APIRouter]:
    pages = StaffPages.of(settings, Service.TRIGGER)
    limit = RateLimit(per_second=settings.events_per_second, burst=MAX_EVENTS)
    return [
        EventApi(intake, limit, SurveyLinks(settings.public_url, settings.link_secrets)).router(),
        RespondentApi(intake).router(),
        ProgramApi(database.sessions, intake.clock).router(),
        ProgramPages(database.sessions, intake.clock, pages).router(),
        DecisionPages(database.sessions, settings.address_fingerprints, pages).router(),
        KeyPages(Service.TRIGGER, database.sessions, pages, staff.names).router(),
        AuditPages(Service.TRIGGER, database.sessions, pages, settings.address_fingerprints, _names).router(),
        SourcePages(database.sessions, sources, ParkedReplay(intake, sources), pages, settings.public_url).router(),
    ]


async def _names(session: Session) -> dict[str, str]:
    return {**await programs.titles(session), **await staff.names(session)}


async def _root() -> RedirectResponse:
    return RedirectResponse("/decisions")


@dataclass(frozen=True, slots=True)
class EventLogs:
    """The event logs that trigger reads.

    `ours` has the topics of Earshot, `crm` the topic crm.events, and `foreign` the topics of the configured sources,
    whose names have no prefix. `registry` has the schemas of their Avro messages, if one is configured.
    """

    ours: EventLog
    crm: EventLog
    foreign: EventLog
    registry: SchemaRegistry | None = None


def consumers(
    settings: TriggerSettings,
    database: Database,
    logs: EventLogs,
    *,
    sources: Mapping[str, Source],
    clock: Clock,
) -> dict[str, Consumer]:
    """Return the consumers by name; there is a consumer `foreign` only if a source has topics."""
    installation = settings.installation
    registry = logs.registry

    async def crm(session: Session, events: Sequence[Event[Payload]]) -> None:
        await on_crm_events(session, events, now=clock.now(), settings=installation)

    async def feedback(session: Session, events: Sequence[Event[Payload]]) -> None:
        await on_feedback(session, events, now=clock.now(), settings=installation)

    def decode(message: Message) -> Event[CrmPayload] | None:
        return read_message(message, sources, received=clock.now(), schemas=registry.known if registry else None)

    def with_schemas(event_log: Readable) -> Readable:
        return SchemaLog(event_log, registry) if registry else event_log

    by_topic = {topic: source for source in sources.values() for topic in source.topics}
    by_name = {
        "crm": Consumer(
            Service.TRIGGER, CRM_TOPICS, with_schemas(logs.crm), database.sessions, crm, decode=decode, batch_size=2000
        ),
        "feedback": Consumer(Service.TRIGGER, FEEDBACK_TOPICS, logs.ours, database.sessions, feedback),
    }
    if by_topic:
        foreign = ForeignLog(with_schemas(logs.foreign), by_topic.__getitem__, settings.topic_prefix)
        by_name["foreign"] = Consumer(Service.TRIGGER, list(by_topic), foreign, database.sessions, crm, decode=decode)
    return by_name


async def with_earlier_customer(sessions: Sessions, error: InvalidEvent) -> Event[Payload]:
    """Return a parked webhook's event with the customer of an earlier event; raises any other error again."""
    if not isinstance(error, NeedsEarlierEvent):
        raise error
    async with sessions() as session:
        return await find_customer(session, error.event)


def open_logs(settings: TriggerSettings, ours: EventLog, resources: AsyncExitStack) -> EventLogs:
    """Open the event logs of the CRM and of the sources if the settings name them, else reuse `ours`, which is open.

    `resources` closes the logs that were opened.
    """

    def opened(topic_prefix: str) -> EventLog:
        event_log = open_event_log(settings.for_crm(topic_prefix), url)
        resources.push_async_callback(event_log.close)
        return event_log

    url = settings.crm_events_url or settings.events_url
    crm = opened(settings.topic_prefix) if settings.crm_events_url else ours
    foreign = opened("") if url and settings.sources else crm
    return EventLogs(ours, crm, foreign, open_registry(settings, resources))


def open_registry(settings: TriggerSettings, resources: AsyncExitStack) -> SchemaRegistry | None:
    """Open the client of the schema registry if the settings name one; `resources` closes it."""
    if not settings.schema_registry_url:
        return None
    username, password = settings.schema_registry_username, settings.schema_registry_password.get_secret_value()
    auth = (username, password) if username else None
    client = HttpClient(settings.schema_registry_url, auth=auth, max_connections=4)
    resources.push_async_callback(client.close)
    return SchemaRegistry(client)


async def install_programs(database: Database, clock: Clock) -> None:
    """Apply the built-in programs if no program was ever applied."""
    documents = [read_program(path.read_bytes()) for path in sorted(PROGRAMS.glob("*.yaml"))]
    async with database.sessions.begin() as session:
        await install(session, documents, now=clock.now())


async def run(settings: TriggerSettings, context: ServiceContext) -> None:
    """Run the API, consumers, relay and jobs until `context.stop` is set."""
    sources = load_sources(settings)
    database = Database(context.database_url, schema=Service.TRIGGER, options=settings.database_options)
    event_log, health = context.event_log, context.health
    async with AsyncExitStack() as resources:
        resources.push_async_callback(database.close)
        logs = open_logs(settings, event_log, resources)
        await retry_outages(database.url)(install_programs, database, context.clock)
        clock = await guard_clock(context.clock, database)
        hooks = SourceWebhooks(EventIntake(database.sessions, clock, settings.installation), sources)
        fetcher = DealFetcher(database.sessions, sources, hooks.decide)
        resources.push_async_callback(fetcher.close)
        if logs.crm is not event_log:
            health.require("crm event log", logs.crm.ping)
        async with asyncio.TaskGroup() as tasks:
            supervisor = Supervisor(tasks, context, Service.TRIGGER)
            app = build_app(settings, database, clock, health=health, sessions=context.staff_sessions)
            republish = partial(publish_again, clock=clock)
            supervisor.start(
                app,
                database,
                migrations=MIGRATIONS,
                anchors=AuditAnchors.of(settings, database.sessions, Service.TRIGGER),
                republish=republish,
            )
            supervisor.watch(clock)
            for name, consumer in consumers(settings, database, logs, sources=sources, clock=clock).items():
                supervisor.consume(f"consumer.{name}", consumer)
            supervisor.consume("consumer.staff", staff_consumer(Service.TRIGGER, event_log, database.sessions))
            _start_jobs(supervisor, settings, database, clock, fetcher=fetcher)
            context.started.set()


def _start_jobs(
    supervisor: Supervisor, settings: TriggerSettings, database: Database, clock: Clock, *, fetcher: DealFetcher
) -> None:
    if any(source.kind is SourceKind.BITRIX24 for source in fetcher.sources.values()):
        heartbeat = supervisor.health.heartbeat("bitrix24", silent_s=OUTSIDE_SILENT_S)
        supervisor.loop(heartbeat, while_busy(fetcher.tick), longest_s=IDLE_S)
    heartbeat = supervisor.health.heartbeat("cadences")
    cadences = CadenceJob(database.sessions, clock, settings.installation, supervisor.stop, heartbeat)
    supervisor.loop(heartbeat, cadences.tick, longest_s=settings.cadence_tick_s)
    heartbeat = supervisor.health.heartbeat("retention")
    job = RetentionJob(database.sessions, settings.decisions_kept, supervisor.stop, heartbeat)
    supervisor.loop(heartbeat, job.tick, longest_s=retention.EVERY_S)

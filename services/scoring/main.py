"""Composition root of scoring: makes everything once, runs it in one task group."""

from __future__ import annotations

import asyncio
from functools import partial

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from services.scoring import alerts, calls, courier, journeys, publisher, statistics
from services.scoring.api import Api
from services.scoring.config import ScoringSettings
from services.scoring.courier import Courier
from services.scoring.dashboard import Dashboard
from services.scoring.desk import Desk
from services.scoring.handlers import TOPICS, Handlers
from services.scoring.limits import Limits
from services.scoring.pages import AnswerPages
from services.scoring.repository import invitations
from services.scoring.scheduler import every
from services.scoring.score_api import ScoreApi
from services.scoring.suspects import Suspects
from services.scoring.views import Views
from services.scoring.webhooks import Webhooks
from services.scoring.writer import Writer
from services.scoring.yardstick_forms import YardstickForms
from shared import housekeeping, web
from shared.clock import Clock
from shared.consumer import Consumer
from shared.db import Database
from shared.groups import Group, in_transaction
from shared.outbox import Relay
from shared.rate_limit import RateLimit
from shared.runtime import Surroundings, serve
from shared.transport import EventLog
from shared.vocabulary import Service

PUBLIC = ("/s", "/static", "/logos")
MAX_BODY = 100_000
PUBLISH_S, CALLS_S, JOURNEYS_S, ALERTS_S, FORGET_S = 0.05, 0.5, 0.2, 5.0, 3600.0


def build_app(
    settings: ScoringSettings,
    *,
    database: Database,
    event_log: EventLog,
    clock: Clock,
    stop: asyncio.Event | None = None,
) -> FastAPI:
    """Make the app; `stop` ends what pages listen to."""

    async def ready() -> None:
        await database.ping()
        await event_log.ping()

    sessions, writer = database.sessions, Writer(database.sessions)
    door = Group(in_transaction(sessions, invitations.visited))
    app = web.create_app(
        Service.SCORING,
        ready=ready,
        public=PUBLIC,
        plain=AnswerPages(sessions, door, writer, clock, Views(sessions), _limits(settings)).routes(),
        staff_secret=settings.staff_secret.get_secret_value(),
        max_body=MAX_BODY,
    )
    app.mount("/logos", StaticFiles(directory=settings.logos_dir, check_dir=False), name="logos")
    app.include_router(Desk(sessions, writer, clock, settings.staff_pages, settings.desk_lease).router())
    app.include_router(statistics.router(settings.staff_pages))
    app.include_router(Suspects(sessions, writer, clock, settings.staff_pages).router())
    app.include_router(Api(sessions, writer, clock, settings.desk_lease).router())
    app.include_router(ScoreApi(sessions, clock).router())
    app.include_router(YardstickForms(sessions).router())
    app.include_router(Webhooks(sessions, Courier(sessions, settings.webhook_networks)).router())
    app.include_router(Dashboard(sessions, clock, settings.staff_pages, stop or asyncio.Event()).router())
    return app


def _limits(settings: ScoringSettings) -> Limits:
    link = RateLimit(per_second=settings.answer_link_rate, burst=settings.answer_link_burst)
    client = RateLimit(per_second=settings.answer_client_rate, burst=settings.answer_client_burst)
    return Limits(link, client, settings.client_address_header)


async def run(settings: ScoringSettings, around: Surroundings) -> None:
    """Serve, consume, publish and tick until told to stop."""
    database = Database(around.database_url, schema=Service.SCORING)
    event_log, clock, stop = around.event_log, around.clock, around.stop
    app = build_app(settings, database=database, event_log=event_log, clock=clock, stop=stop)
    handlers = Handlers(link_secrets=settings.link_secrets, clock=clock)
    consumer = Consumer(Service.SCORING, TOPICS, event_log, database.sessions, handlers)
    relay = Relay(database, event_log, service=Service.SCORING)
    ticking = partial(every, sessions=database.sessions, clock=clock, stop=stop)
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(serve(app, around, public=PUBLIC))
            tasks.create_task(consumer.run(stop))
            tasks.create_task(relay.run(stop))
            tasks.create_task(ticking(PUBLISH_S, publisher.publish_changes))
            tasks.create_task(ticking(CALLS_S, calls.tick))
            tasks.create_task(ticking(JOURNEYS_S, journeys.count_journeys))
            tasks.create_task(ticking(ALERTS_S, alerts.tell_drops))
            tasks.create_task(ticking(FORGET_S, courier.forget_old))
            tasks.create_task(Courier(database.sessions, settings.webhook_networks).run(stop))
            tasks.create_task(housekeeping.run(database.sessions, stop))
    finally:
        await database.close()

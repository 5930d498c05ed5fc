"""Composition root of scoring: makes everything once, runs it in one task group."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

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
from services.scoring.live import Live
from services.scoring.pages import AnswerPages
from services.scoring.repository import invitations
from services.scoring.scheduler import every
from services.scoring.score_api import ScoreApi
from services.scoring.suspects import Suspects
from services.scoring.views import Views
from services.scoring.webhooks import Webhooks
from services.scoring.writer import Writer
from services.scoring.yardstick_forms import YardstickForms
from shared import web
from shared.clock import Clock
from shared.compared_clock import compared
from shared.consumer import Consumer
from shared.db import Database
from shared.groups import Group, in_transaction
from shared.health import Health
from shared.link_keys import LinkKeys
from shared.rate_limit import RateLimit
from shared.runtime import Surroundings
from shared.supervisor import Supervisor
from shared.transport import EventLog
from shared.vocabulary import Service

MIGRATIONS = Path(__file__).parent / "migrations"
PUBLIC = ("/s", "/static", "/logos")
MAX_BODY = 100_000
TICKS: Mapping[str, tuple[float, Callable[..., Awaitable[int]]]] = {  # by name: how often in seconds, and what
    "publisher": (0.05, publisher.publish_changes),
    "calls": (0.5, calls.tick),
    "journeys": (0.2, journeys.count_journeys),
    "alerts": (5.0, alerts.tell_drops),
    "old webhooks": (3600.0, courier.forget_old),
}


def build_app(
    settings: ScoringSettings,
    *,
    database: Database,
    clock: Clock,
    health: Health | None = None,
    stop: asyncio.Event | None = None,
) -> FastAPI:
    """Make the app; `stop` ends what pages listen to."""
    health = health or Health()
    sessions, writer = database.sessions, Writer(database.sessions)
    door = Group(in_transaction(sessions, invitations.visited))
    app = web.create_app(
        Service.SCORING,
        health=health,
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
    app.include_router(Dashboard(sessions, clock, settings.staff_pages).router())
    app.include_router(Live(sessions, stop or asyncio.Event(), health).router())
    return app


def _limits(settings: ScoringSettings) -> Limits:
    link = RateLimit(per_second=settings.answer_link_rate, burst=settings.answer_link_burst)
    client = RateLimit(per_second=settings.answer_client_rate, burst=settings.answer_client_burst)
    return Limits(link, client, settings.client_address_header)


def build_consumer(settings: ScoringSettings, database: Database, event_log: EventLog, clock: Clock) -> Consumer:
    handlers = Handlers(link_secrets=settings.link_secrets, clock=clock)
    keys = LinkKeys(settings.link_secrets, database.sessions)
    return Consumer(Service.SCORING, TOPICS, event_log, database.sessions, handlers, decode=keys.parse)


async def run(settings: ScoringSettings, around: Surroundings) -> None:
    """Serve, consume, publish and tick until told to stop."""
    database = Database(around.database_url, schema=Service.SCORING, options=settings.database_options)
    stop, health = around.stop, around.health
    clock = await compared(around.clock, database)
    app = build_app(settings, database=database, clock=around.clock, health=health, stop=stop)
    consumer = build_consumer(settings, database, around.event_log, clock)
    health.require("link keys", LinkKeys(settings.link_secrets, database.sessions).check, advisory=True)
    sender = Courier(database.sessions, settings.webhook_networks)
    try:
        async with asyncio.TaskGroup() as tasks:
            running = Supervisor(tasks, around, Service.SCORING)
            again = publisher.publish_again
            running.start(app, database, public=PUBLIC, migrations=MIGRATIONS, again=again)
            running.watch(clock)
            running.consume("consumer", consumer)
            for name, (seconds, tick) in TICKS.items():
                work = every(seconds, tick, sessions=database.sessions, clock=clock)
                running.loop(health.heartbeat(name), work, longest_s=seconds)
            running.task("webhooks", sender.run(stop, health.heartbeat("webhooks")))
    finally:
        await database.close()

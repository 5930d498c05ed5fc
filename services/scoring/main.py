"""Composition root of the scoring service: builds its components and runs them in one task group."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path

from fastapi import FastAPI, Response
from fastapi.staticfiles import StaticFiles
from starlette.types import Scope

from services.scoring.answer_page.page_views import PageViewWriter
from services.scoring.answer_page.previews import AnswerPagePreviews
from services.scoring.answer_page.rate_limits import RateLimits
from services.scoring.answer_page.routes import AnswerPages
from services.scoring.answers import calls
from services.scoring.answers.writer import Writer
from services.scoring.api.answers import AnswersApi
from services.scoring.api.call_lists import CallListsApi
from services.scoring.api.scores import ScoreApi
from services.scoring.config import ScoringSettings
from services.scoring.dashboard import manual
from services.scoring.dashboard.comments import CommentPages
from services.scoring.dashboard.live import Live
from services.scoring.dashboard.own import OwnScores
from services.scoring.dashboard.routes import Dashboard
from services.scoring.dashboard.settings import SettingsForms
from services.scoring.dashboard.sharing import Sharing
from services.scoring.dashboard.tags import TagPages
from services.scoring.desk.customers import read_held
from services.scoring.desk.keys import DeskKeys
from services.scoring.desk.promised import PromisedCalls
from services.scoring.desk.routes import Desk
from services.scoring.desk.suspects import Suspects
from services.scoring.desk.team import Team
from services.scoring.desk.team_figures import TeamFigures
from services.scoring.files.uploads import MOST_BYTES
from services.scoring.handlers import TOPICS, Handlers
from services.scoring.jobs import alerts, call_lists, count_journeys, publish_scores, retention
from services.scoring.jobs.retention import AnswerRetention
from services.scoring.jobs.scheduler import every
from services.scoring.people import log_in as log_ins
from services.scoring.people.account_page import AccountPage
from services.scoring.people.first_link import tell_first_link
from services.scoring.people.link_mailer import LinkMailer
from services.scoring.people.log_in import LogIn
from services.scoring.people.log_in_pages import LogInPages
from services.scoring.people.oidc.pages import OidcPages
from services.scoring.people.oidc.provider import Provider
from services.scoring.people.people_page import PeoplePage
from services.scoring.repository import customers, links, programs
from services.scoring.repository.people import accounts
from services.scoring.stores.page import StorePages
from services.scoring.stores.routes import StoresApi
from services.scoring.web.forms import MOST_UPLOADED
from services.scoring.webhooks import delivery
from services.scoring.webhooks.delivery import WebhookSender
from services.scoring.webhooks.routes import Webhooks, shown_webhooks
from shared.clock import Clock
from shared.contract.vocabulary import Service
from shared.database.compared_clock import guard_clock
from shared.database.db import Database
from shared.database.group_commit import GroupCommitter, in_transaction
from shared.database.session import Session
from shared.health import Health
from shared.messaging.audit_anchors import AuditAnchors
from shared.messaging.consumer import Consumer
from shared.messaging.link_keys import LinkKeys
from shared.messaging.transport import EventLog
from shared.runtime import ServiceContext
from shared.staff_mail import StaffMail
from shared.supervisor import Supervisor
from shared.web.api_keys.page import KeyPages
from shared.web.api_keys.verifier import ApiKeyVerifier
from shared.web.app import add_router, create_app
from shared.web.audit.page import AuditPages
from shared.web.audit.trail import AuditTrail
from shared.web.client_address import ClientAddress
from shared.web.customers.pages import CustomerPages
from shared.web.rate_limit import RateLimit
from shared.web.staff.gate import StaffAccess
from shared.web.staff.menu import StaffPages
from shared.web.staff.shared_sessions import SharedSessions

MIGRATIONS = Path(__file__).parent / "migrations"
MAX_BODY = 100_000
JOBS: Mapping[str, tuple[float, Callable[..., Awaitable[int]]]] = {  # by name: least seconds between runs, and the job
    "publisher": (0.05, publish_scores.publish_changes),
    "calls": (0.5, calls.update_overdue),
    "call lists": (2.0, call_lists.end_without_key),
    "old call lists": (3600.0, call_lists.delete_old),
    "journeys": (0.2, count_journeys.count_journeys),
    "alerts": (5.0, alerts.publish_drops),
    "old webhooks": (3600.0, delivery.delete_old),
    "old sessions": (3600.0, log_ins.forget_ended),
}


def build_app(  # noqa: PLR0913 - a service is built from these
    settings: ScoringSettings,
    *,
    database: Database,
    clock: Clock,
    health: Health | None = None,
    stop: asyncio.Event | None = None,
    samples: bool = False,
    sessions_of_staff: SharedSessions | None = None,
    link_mailer: LinkMailer | None = None,
) -> FastAPI:
    """Build the web application; setting `stop` ends the event streams of open dashboard pages.

    `samples`: everybody may become a sample person, in the demo. `sessions_of_staff` are told how to find sessions.
    `link_mailer` is None where mail to staff is off.
    """
    health = health or Health()
    sessions, windows = database.sessions, settings.scanner_windows
    writer = Writer(sessions, windows)
    resolver = GroupCommitter(in_transaction(sessions, partial(links.resolve, windows=windows)))
    log_in = LogIn(sessions, need_codes=settings.second_factor)
    if sessions_of_staff is not None:
        sessions_of_staff.find = log_in.find_session
    clients = ClientAddress.of_settings(settings)
    keys = ApiKeyVerifier(Service.SCORING, sessions, clients)
    access = StaffAccess.of(
        settings,
        find_scope=log_in.find_scope,
        find_session=log_in.find_session,
        admit=keys.admit,
        trail=AuditTrail(sessions),
    )
    app = create_app(
        Service.SCORING,
        health=health,
        plain=AnswerPages(
            sessions,
            resolver,
            writer,
            clock,
            PageViewWriter(sessions),
            _limits(settings, clients),
            windows,
            settings.public_url,
            settings.unsubscribe_url.rstrip("/"),
            settings.link_secrets,
        ).routes(),
        catalogues=Path(__file__).parent / "locales",
        access=access,
        https=settings.public_url.startswith("https://"),
        max_body=MAX_BODY,
        larger={"/stores/import": MOST_UPLOADED, "/people/import": MOST_UPLOADED, "/v1/stores/import": MOST_BYTES},
    )
    app.state.keys = keys
    staff_pages = StaffPages.of(settings, Service.SCORING)
    app.mount("/logos", Logos(directory=settings.logos_dir, check_dir=False), name="logos")
    add_router(app, AnswerPagePreviews(sessions, clock).router())
    add_router(app, DeskKeys(staff_pages).router())
    add_router(app, PromisedCalls(sessions, clock, staff_pages).router())
    add_router(app, TeamFigures(sessions, clock, staff_pages).router())
    add_router(app, Team(sessions, clock, staff_pages, settings.desk_lease).router())
    add_router(app, Desk(sessions, writer, clock, staff_pages, settings.desk_lease, settings.desk_call_link).router())
    add_router(app, manual.router(staff_pages))
    add_router(app, Suspects(sessions, writer, clock, staff_pages).router())
    add_router(app, AnswersApi(sessions, writer, clock, settings.desk_lease, settings.address_fingerprints).router())
    add_router(app, CallListsApi(sessions, writer, clock).router())
    add_router(app, ScoreApi(sessions, clock, employees=settings.employee_figures).router())
    add_router(app, SettingsForms(sessions).router())
    add_router(app, CommentPages(sessions, staff_pages).router())
    add_router(app, TagPages(sessions, staff_pages).router())
    add_router(app, StorePages(sessions, staff_pages).router())
    add_router(app, StoresApi(sessions).router())
    log_in_pages = LogInPages(log_in, access, staff_pages, clients, samples, link_mailer, settings.oidc)
    add_router(app, log_in_pages.router())
    add_router(app, OidcPages(log_in_pages, {each.id: Provider(each) for each in settings.oidc}).router())
    by_issuer = {each.issuer: each for each in settings.oidc}
    add_router(app, AccountPage(log_in, access, staff_pages, by_issuer).router())
    add_router(app, PeoplePage(sessions, staff_pages, by_issuer, link_mailer, samples).router())
    add_router(app, KeyPages(Service.SCORING, sessions, staff_pages, accounts.names, shown_webhooks).router())
    people = settings.address_fingerprints, _names, accounts.logins
    add_router(app, AuditPages(Service.SCORING, sessions, staff_pages, *people, customers.own_ids).router())
    add_router(app, CustomerPages(Service.SCORING, sessions, staff_pages, read_held).router())
    add_router(app, Webhooks(sessions, WebhookSender(sessions, settings.webhook_networks)).router())
    add_router(app, Dashboard(sessions, clock, staff_pages, employees=settings.employee_figures).router())
    add_router(app, Sharing(sessions, clock, staff_pages, settings.public_url.rstrip("/")).router())
    add_router(app, OwnScores(sessions, clock, staff_pages, counted=settings.employee_figures).router())
    add_router(app, Live(sessions, stop or asyncio.Event(), health, access.current).router())
    return app


class Logos(StaticFiles):
    """Files of a folder that need not exist; Starlette's own class answers every request with 500 without it.

    Browsers keep a logo and ask each time whether it has changed.
    """

    async def check_config(self) -> None:
        return

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["cache-control"] = "no-cache"
        return response


async def _names(session: Session) -> dict[str, str]:
    return {**await programs.titles(session), **await accounts.names(session)}


def _limits(settings: ScoringSettings, clients: ClientAddress) -> RateLimits:
    link = RateLimit(per_second=settings.answer_link_rate, burst=settings.answer_link_burst)
    client = RateLimit(per_second=settings.answer_client_rate, burst=settings.answer_client_burst)
    return RateLimits(link, client, clients)


def build_consumer(settings: ScoringSettings, database: Database, event_log: EventLog, clock: Clock) -> Consumer:
    handlers = Handlers(
        link_secrets=settings.link_secrets,
        clock=clock,
        public_url=settings.public_url,
        employees=settings.employee_figures,
    )
    keys = LinkKeys(settings.link_secrets, database.sessions)
    return Consumer(Service.SCORING, TOPICS, event_log, database.sessions, handlers, decode=keys.parse)


async def run(settings: ScoringSettings, context: ServiceContext) -> None:
    """Run the web server, the event consumer, the jobs and the webhook sender until `context.stop` is set."""
    database = Database(context.database_url, schema=Service.SCORING, options=settings.database_options)
    stop, health = context.stop, context.health
    clock = await guard_clock(context.clock, database)
    staff_mail = StaffMail.of(settings, Service.SCORING)
    link_mailer = LinkMailer(database.sessions, staff_mail, origin=settings.dashboard_url) if staff_mail else None
    app = build_app(
        settings,
        database=database,
        clock=context.clock,
        health=health,
        stop=stop,
        samples=context.samples,
        sessions_of_staff=context.staff_sessions,
        link_mailer=link_mailer,
    )
    consumer = build_consumer(settings, database, context.event_log, clock)
    health.require("link keys", LinkKeys(settings.link_secrets, database.sessions).check, advisory=True)
    sender = WebhookSender(database.sessions, settings.webhook_networks)
    try:
        async with asyncio.TaskGroup() as tasks:
            running = Supervisor(tasks, context, Service.SCORING)
            running.start(
                app,
                database,
                migrations=MIGRATIONS,
                anchors=AuditAnchors.of(settings, database.sessions, Service.SCORING),
                republish=publish_scores.republish,
            )
            running.watch(clock)
            running.consume("consumer", consumer)
            for name, (seconds, job) in JOBS.items():
                work = every(seconds, job, sessions=database.sessions, clock=clock)
                running.woken_loop(health.heartbeat(name), work, tick_s=seconds, shortest_s=seconds)
            heartbeat = health.heartbeat("retention")
            old = AnswerRetention(database.sessions, clock, settings.answers_kept, stop, heartbeat)
            running.loop(heartbeat, old.tick, longest_s=retention.EVERY_S)
            pause = running.until_woken(delivery.POLL_S, shortest_s=delivery.POLL_S)
            running.task("webhooks", sender.run(stop, health.heartbeat("webhooks"), pause))
            if link_mailer is not None:
                running.task("link mails", link_mailer.run(stop, health.heartbeat("link mails")))
            if context.first_link is not None:
                first = tell_first_link(database.sessions, context.first_link, origin=settings.dashboard_url, stop=stop)
                tasks.create_task(first, name="first link")
            context.started.set()
    finally:
        await database.close()

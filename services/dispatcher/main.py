"""Wires dispatcher together and runs its parts until told to stop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from uuid import UUID

import sqlalchemy as sa
from fastapi import APIRouter, FastAPI
from sqlalchemy.ext.asyncio import AsyncSession

from services.dispatcher import handlers, wiring
from services.dispatcher.api.invitations import InvitationApi
from services.dispatcher.api.suppressions import SuppressionApi
from services.dispatcher.channels import ChannelAccount
from services.dispatcher.channels.email import SmtpAccount
from services.dispatcher.channels.sms import SmsAccount, SmsRouter
from services.dispatcher.config import DispatcherSettings
from services.dispatcher.domain.limits import DailyLimit
from services.dispatcher.domain.send_mode import SendMode, may_leave
from services.dispatcher.jobs import receipts
from services.dispatcher.jobs.bitrix24 import Bitrix24
from services.dispatcher.jobs.crm_tasks import CrmTasks
from services.dispatcher.jobs.maintenance import RECONCILE_S, LeaseReaper, Reconciler
from services.dispatcher.jobs.receipts import BounceReader, SmsStatusPoller
from services.dispatcher.pages.invitations import InvitationPages
from services.dispatcher.pages.mailbox import MailboxPages
from services.dispatcher.pages.mails import MailPages
from services.dispatcher.pages.suppressions import SuppressionPages
from services.dispatcher.pages.unsubscribe import UnsubscribePages
from services.dispatcher.sending.account_balancer import AccountBalancer
from services.dispatcher.sending.restore_guard import LOOK_S, RestoreGuard
from services.dispatcher.sending.sender import ChannelSender
from services.dispatcher.sending.wakeup import POLL_S, Wakeup
from services.dispatcher.webhooks.routes import WebhookRoutes
from shared import metrics
from shared.clock import Clock
from shared.contract.cloudevents import Event
from shared.contract.events import Payload, SurveyAnswered
from shared.contract.vocabulary import ChannelKind, Service
from shared.database.compared_clock import guard_clock
from shared.database.db import Database, Sessions
from shared.database.until_stopped import while_busy
from shared.health import OUTSIDE_SILENT_S, Health
from shared.messaging.consumer import Consumer, Handler
from shared.messaging.link_keys import LinkKeys
from shared.messaging.transport import EventLog
from shared.runtime import ServiceContext
from shared.supervisor import Supervisor
from shared.web.app import create_app
from shared.web.menu import StaffPages
from shared.web.public_urls import PublicUrlCheck

TOPICS = ("survey.requests", "survey.answers", "survey.messages")
MIGRATIONS = Path(__file__).parent / "migrations"


def build_app(
    settings: DispatcherSettings,
    database: Database,
    clock: Clock,
    accounts: Sequence[ChannelAccount] = (),
    *,
    health: Health | None = None,
) -> FastAPI:
    app = create_app(
        Service.DISPATCHER,
        health=health or Health(),
        staff_secret=settings.staff_secret.get_secret_value(),
    )
    for router in _routers(settings, database.sessions, clock, accounts):
        app.include_router(router)
    return app


def _routers(
    settings: DispatcherSettings, sessions: Sessions, clock: Clock, accounts: Sequence[ChannelAccount]
) -> list[APIRouter]:
    staff_pages, composer = StaffPages.of(settings), settings.composer
    mails = MailPages(
        composer=composer,
        accounts=accounts,
        may_send=partial(may_leave, settings.send, allowed=settings.send_allowlist),
        link_key=settings.signing_key,
        staff_pages=staff_pages,
    )
    return [
        InvitationApi(sessions, composer, clock).router(),
        SuppressionApi(sessions, clock).router(),
        SuppressionPages(sessions, clock, staff_pages).router(),
        MailboxPages(sessions, clock, staff_pages).router(),
        InvitationPages(sessions, staff_pages).router(),
        mails.router(),
        UnsubscribePages(sessions, clock).router(),
        WebhookRoutes(sessions, wiring.verifiers(settings)).router(),
    ]


def build_handler(settings: DispatcherSettings, clock: Clock, bell: Wakeup) -> Handler:
    async def handle(session: AsyncSession, events: Sequence[Event[Payload]]) -> None:
        def committed(_: object) -> None:
            bell.ring()
            observe_arrival(events)

        sa.event.listen(session.sync_session, "after_commit", committed, once=True)
        await handlers.handle(session, events, link_keys=settings.link_secrets, now=clock.now())

    return handle


def build_consumer(
    settings: DispatcherSettings, database: Database, event_log: EventLog, clock: Clock, bell: Wakeup
) -> Consumer:
    handler, keys = build_handler(settings, clock, bell), LinkKeys(settings.link_secrets, database.sessions)
    return Consumer(Service.DISPATCHER, TOPICS, event_log, database.sessions, handler, decode=keys.parse)


def observe_arrival(events: Sequence[Event[Payload]]) -> None:
    """Measure how old answers are: an event's id, a UUIDv7, is made just before its commit, in machine time."""
    for event in events:
        if isinstance(event.payload, SurveyAnswered) and (made_ms := _made_ms(event.id)):
            metrics.ANSWER_ARRIVAL.labels(Service.DISPATCHER).observe(max(0.0, time.time() - made_ms / 1000))


def _made_ms(event_id: str) -> int | None:
    try:
        number = UUID(event_id)
    except ValueError:
        return None
    return number.int >> 80 if number.version == 7 else None


def build_senders(  # noqa: PLR0913 - what lanes are made of
    settings: DispatcherSettings,
    database: Database,
    clock: Clock,
    accounts: Sequence[ChannelAccount],
    health: Health,
    *,
    guard: RestoreGuard | None = None,
) -> list[ChannelSender]:
    """Make a lane for each account, and one for a channel that has none: the mailbox and the desk are served anyway."""
    composer, policy, lanes = settings.composer, settings.send_policy, []
    for channel in ChannelKind:
        own: list[ChannelAccount] = [account for account in accounts if account.channel is channel]
        nobody: list[ChannelAccount | None] = [None]
        mail = {account.name: account for account in own if isinstance(account, SmtpAccount)}
        rota = AccountBalancer(own, weights={name: account.weight for name, account in mail.items()})
        lanes += [
            ChannelSender(
                channel=channel,
                sessions=database.sessions,
                clock=clock,
                composer=composer,
                policy=policy,
                account=account,
                heartbeat=health.heartbeat(f"sender.{account.name if account is not None else channel}"),
                rota=rota,
                guard=guard,
                daily=mail[account.name].daily if account is not None and account.name in mail else DailyLimit(),
            )
            for account in own or nobody
        ]
    return lanes


def jobs_of(
    settings: DispatcherSettings,
    database: Database,
    clock: Clock,
    accounts: Sequence[ChannelAccount],
    crm: Bitrix24 | None,
) -> dict[str, tuple[Callable[[], Awaitable[int]], float]]:
    """What is done beside the steps, by name, and how often in seconds."""
    sessions, mailbox = database.sessions, settings.bounce_mailbox
    found: dict[str, tuple[Callable[[], Awaitable[int]], float]] = {
        "receipts": (partial(receipts.apply_due, sessions, clock), 0.2),
        "suppressions": (partial(receipts.release_expired, sessions, clock), 30),
    }
    texts = [account for account in accounts if isinstance(account, SmsAccount | SmsRouter)]
    found |= {f"inquiries.{text.name}": (SmsStatusPoller(sessions, text, settings.link_secrets), 5) for text in texts}
    if mailbox is not None:
        found["bounces"] = (BounceReader(sessions, mailbox), 60)
    if crm is not None:
        found["crm tasks"] = (CrmTasks(sessions, clock, crm, settings.desk_url), 2)
    return found


async def check_public_urls(settings: DispatcherSettings, health: Health) -> None:
    """In live mode, raise WrongAddress if links in messages would lead to a service that does not answer them.

    The server must run already: the URLs may be its own.
    """
    if settings.send is SendMode.LIVE:
        check = PublicUrlCheck(wiring.public_urls(settings))
        health.require("public urls", check.check, advisory=True)
        await check.at_start()


async def run(settings: DispatcherSettings, context: ServiceContext) -> None:
    """Run until told to stop; the batches at hand are finished first."""
    database = Database(context.database_url, schema=Service.DISPATCHER, options=settings.database_options)
    stop, health = context.stop, context.health
    clock = await guard_clock(context.clock, database)
    accounts, crm = wiring.open_accounts(settings, stop), wiring.open_crm(settings)
    guard = RestoreGuard(database.sessions, context.event_log)
    health.require("ledger", guard.ready)
    health.require("link keys", LinkKeys(settings.link_secrets, database.sessions).check, advisory=True)
    bell = Wakeup()
    consumer = build_consumer(settings, database, context.event_log, clock, bell)
    try:
        async with asyncio.TaskGroup() as tasks:
            running = Supervisor(tasks, context, Service.DISPATCHER)
            app = build_app(settings, database, context.clock, accounts, health=health)
            running.start(app, database, migrations=MIGRATIONS)
            await check_public_urls(settings, health)
            running.watch(clock)
            running.consume("consumer", consumer)
            running.loop(health.heartbeat("ledger"), guard.look, longest_s=LOOK_S)
            for lane in build_senders(settings, database, clock, accounts, health, guard=guard):
                work = bell.rung_by(partial(lane.perform_due, stop))
                running.loop(lane.heartbeat, work, longest_s=POLL_S, wake=bell.listen())
            keep = bell.rung_by(guard.held(LeaseReaper(database.sessions, clock)))
            running.loop(health.heartbeat("keeper"), keep, longest_s=POLL_S, wake=bell.listen())
            reconcile = Reconciler(database.sessions).round
            running.loop(health.heartbeat("reconciler"), reconcile, longest_s=RECONCILE_S)
            for name, (errand, every_s) in jobs_of(settings, database, clock, accounts, crm).items():
                heartbeat = health.heartbeat(name, silent_s=OUTSIDE_SILENT_S)
                running.loop(heartbeat, while_busy(guard.held(errand)), longest_s=every_s)
            context.started.set()
    finally:
        for account in accounts:
            await account.close()
        if crm is not None:
            await crm.http.close()
        await database.close()

"""Builds the parts of the dispatcher and runs them until told to stop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from uuid import UUID

from fastapi import APIRouter, Depends, FastAPI

from services.dispatcher import handlers, wiring
from services.dispatcher.api.invitations import InvitationApi
from services.dispatcher.api.suppressions import SuppressionApi
from services.dispatcher.channels import ChannelAccount
from services.dispatcher.channels.email import SmtpAccount
from services.dispatcher.channels.sms import SmsAccount, SmsRouter
from services.dispatcher.config import DispatcherSettings
from services.dispatcher.domain.limits import DailyLimit
from services.dispatcher.domain.send_mode import SendMode, may_leave
from services.dispatcher.handlers.programs import on_programs
from services.dispatcher.jobs import receipts, retention, stopped_programs
from services.dispatcher.jobs.address_marker import AddressMarker
from services.dispatcher.jobs.bitrix24 import Bitrix24
from services.dispatcher.jobs.crm_field_writes import CrmFieldWrites
from services.dispatcher.jobs.crm_tasks import CrmTasks
from services.dispatcher.jobs.maintenance import RECONCILE_S, LeaseReaper, Reconciler, adopt_earlier_steps
from services.dispatcher.jobs.receipts import BounceReader, SmsStatusPoller
from services.dispatcher.jobs.retention import InvitationRetention
from services.dispatcher.jobs.stopped_programs import StoppedProgramsJob
from services.dispatcher.pages.customers import read_held
from services.dispatcher.pages.invitations import InvitationPages
from services.dispatcher.pages.mailbox import MailboxPages
from services.dispatcher.pages.mails import MailPages
from services.dispatcher.pages.program_messages import ProgramMessagePages
from services.dispatcher.pages.replies import ReplyPages
from services.dispatcher.pages.suppressions import SuppressionPages
from services.dispatcher.pages.unsubscribe import UnsubscribePages
from services.dispatcher.repository import customers
from services.dispatcher.repository.programs import states
from services.dispatcher.sending.account_balancer import AccountBalancer
from services.dispatcher.sending.restore_guard import CHECK_EVERY_S, RestoreGuard
from services.dispatcher.sending.sender import TICK_S, ChannelSender
from services.dispatcher.webhooks.routes import WebhookRoutes
from shared import metrics
from shared.clock import Clock
from shared.contract.cloudevents import Event
from shared.contract.events import Payload, SurveyAnswered
from shared.contract.vocabulary import CONTACT_CHANNELS, Service
from shared.database import staff
from shared.database.compared_clock import guard_clock
from shared.database.db import Database
from shared.database.session import Session, Sessions
from shared.database.until_stopped import Round
from shared.health import OUTSIDE_SILENT_S, Health
from shared.messaging.audit_anchors import AuditAnchors
from shared.messaging.consumer import Consumer, Handler
from shared.messaging.link_keys import LinkKeys
from shared.messaging.staff_changes import staff_consumer
from shared.messaging.transport import EventLog
from shared.runtime import ServiceContext
from shared.supervisor import Supervisor
from shared.wakeup import Wakeup
from shared.web.api_keys.page import KeyPages
from shared.web.api_keys.verifier import ApiKeyVerifier
from shared.web.app import add_router, create_app
from shared.web.audit.page import AuditPages
from shared.web.audit.trail import AuditTrail
from shared.web.client_address import ClientAddress
from shared.web.customers.pages import CustomerPages
from shared.web.public_urls import PublicUrlCheck
from shared.web.staff.gate import StaffAccess
from shared.web.staff.menu import StaffPages
from shared.web.staff.scopes import ReceivedScopes
from shared.web.staff.shared_sessions import SharedSessions
from shared.web.staff.tickets import TicketSigner
from shared.web.strict_input import SingleValued, refuse_unknown

TOPICS = ("survey.requests", "survey.answers", "survey.messages")
PROGRAM_TOPICS = ("survey.programs",)
MIGRATIONS = Path(__file__).parent / "migrations"


def build_app(  # noqa: PLR0913 - a service is built from these
    settings: DispatcherSettings,
    database: Database,
    clock: Clock,
    accounts: Sequence[ChannelAccount] = (),
    *,
    health: Health | None = None,
    sessions: SharedSessions | None = None,
) -> FastAPI:
    keys = ApiKeyVerifier(Service.DISPATCHER, database.sessions, ClientAddress.of_settings(settings))
    received = ReceivedScopes(database.sessions)
    app = create_app(
        Service.DISPATCHER,
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
    )
    app.state.keys = keys
    for router in _staff_routers(settings, database.sessions, clock, accounts):
        app.include_router(router, dependencies=[Depends(SingleValued()), Depends(refuse_unknown)])
    add_router(
        app,
        CustomerPages(
            Service.DISPATCHER, database.sessions, StaffPages.of(settings, Service.DISPATCHER), read_held
        ).router(),
    )
    add_router(app, UnsubscribePages(database.sessions, clock).router())
    add_router(app, WebhookRoutes(database.sessions, wiring.verifiers(settings)).router())
    return app


def _staff_routers(
    settings: DispatcherSettings, sessions: Sessions, clock: Clock, accounts: Sequence[ChannelAccount]
) -> list[APIRouter]:
    staff_pages, composer = StaffPages.of(settings, Service.DISPATCHER), settings.composer
    mails = MailPages(
        sessions=sessions,
        composer=composer,
        accounts=accounts,
        may_send=partial(may_leave, settings.send, allowed=settings.send_allowlist),
        staff_pages=staff_pages,
        sms_prices=settings.sms_prices,
    )
    return [
        InvitationApi(sessions, composer, clock, settings.address_fingerprints).router(),
        SuppressionApi(sessions, clock, settings.address_fingerprints).router(),
        SuppressionPages(
            sessions, clock, staff_pages, settings.address_fingerprints, TicketSigner(settings.ticket_secrets)
        ).router(),
        ReplyPages(sessions, staff_pages).router(),
        MailboxPages(sessions, clock, staff_pages).router(),
        InvitationPages(sessions, clock, staff_pages, settings.address_fingerprints).router(),
        ProgramMessagePages(sessions, clock, mails).router(),
        mails.router(),
        KeyPages(Service.DISPATCHER, sessions, staff_pages, staff.names).router(),
        AuditPages(
            Service.DISPATCHER,
            sessions,
            staff_pages,
            settings.address_fingerprints,
            _names,
            own_ids=customers.own_ids,
        ).router(),
    ]


async def _names(session: Session) -> dict[str, str]:
    return {**await states.titles(session), **await staff.names(session)}


def build_handler(settings: DispatcherSettings, clock: Clock) -> Handler:
    fields = settings.crm_fields

    async def handle(session: Session, events: Sequence[Event[Payload]]) -> None:
        session.after_commit(partial(observe_arrival, events))
        await handlers.handle(
            session,
            events,
            link_keys=settings.link_secrets,
            address_keys=settings.address_fingerprints,
            fields=fields,
            now=clock.now(),
        )

    return handle


def build_consumer(settings: DispatcherSettings, database: Database, event_log: EventLog, clock: Clock) -> Consumer:
    handler, keys = build_handler(settings, clock), LinkKeys(settings.link_secrets, database.sessions)
    return Consumer(Service.DISPATCHER, TOPICS, event_log, database.sessions, handler, decode=keys.parse)


def program_consumer(database: Database, event_log: EventLog) -> Consumer:
    """Return the consumer of programs: a stop waits for no backlog of other events."""
    return Consumer(Service.DISPATCHER, PROGRAM_TOPICS, event_log, database.sessions, on_programs)


def observe_arrival(events: Sequence[Event[Payload]]) -> None:
    """Measure the age of answers on arrival: their id is a UUIDv7 of machine time, made just before the commit."""
    for event in events:
        if isinstance(event.payload, SurveyAnswered) and (made_ms := _made_ms(event.id)):
            metrics.ANSWER_ARRIVAL.labels(Service.DISPATCHER).observe(max(0.0, time.time() - made_ms / 1000))


def _made_ms(event_id: str) -> int | None:
    try:
        number = UUID(event_id)
    except ValueError:
        return None
    return number.int >> 80 if number.version == 7 else None


def build_senders(  # noqa: PLR0913 - what senders are made of
    settings: DispatcherSettings,
    database: Database,
    clock: Clock,
    accounts: Sequence[ChannelAccount],
    health: Health,
    *,
    restore_guard: RestoreGuard | None = None,
) -> list[ChannelSender]:
    """Make a sender for each account; a channel without accounts gets one that fills the mailbox or publishes calls."""
    weights = {account.name: account.weight for account in accounts if isinstance(account, SmtpAccount)}
    daily = {account.name: account.daily for account in accounts if isinstance(account, SmtpAccount)}
    senders: list[ChannelSender] = []
    for channel in CONTACT_CHANNELS:
        own = [account for account in accounts if account.channel is channel]
        shared = ChannelSender(
            channel=channel,
            sessions=database.sessions,
            clock=clock,
            composer=settings.composer,
            policy=settings.send_policy,
            address_keys=settings.address_fingerprints,
            shared_address_ids=settings.shared_address_ids,
            balancer=AccountBalancer(own, weights=weights),
            restore_guard=restore_guard,
        )
        served: Sequence[ChannelAccount | None] = own or [None]
        for account in served:
            heartbeat = health.heartbeat(f"sender.{channel if account is None else account.name}")
            limit = daily.get(account.name, DailyLimit()) if account is not None else DailyLimit()
            senders.append(replace(shared, account=account, heartbeat=heartbeat, daily=limit))
    return senders


def sending_round(sender: ChannelSender, wakeup: Wakeup, stop: asyncio.Event) -> Round:
    """Return a function that performs due steps and returns in how many seconds the next one is due."""

    async def once() -> float | None:
        performed = await sender.round(stop)
        if not performed.claimed:
            return performed.due_in_s
        wakeup.notify()
        return 0.0

    return once


def jobs_of(
    settings: DispatcherSettings,
    database: Database,
    clock: Clock,
    accounts: Sequence[ChannelAccount],
    crm: Bitrix24 | None,
) -> dict[str, tuple[Callable[[], Awaitable[int]], float]]:
    """Return the periodic jobs by name, each with its period in seconds."""
    sessions, mailbox = database.sessions, settings.bounce_mailbox
    jobs: dict[str, tuple[Callable[[], Awaitable[int]], float]] = {
        "receipts": (partial(receipts.apply_due, sessions, clock, address_keys=settings.address_fingerprints), 0.2),
        "retention": (InvitationRetention(sessions, settings.invitations_kept), retention.EVERY_S),
        "stopped programs": (StoppedProgramsJob(sessions, clock), stopped_programs.EVERY_S),
        "earlier steps": (partial(adopt_earlier_steps, sessions), 5),
        "addresses": (AddressMarker(sessions, settings.address_fingerprints), 30),
        "suppressions": (partial(receipts.release_expired, sessions, clock, replies_kept=settings.replies_kept), 30),
    }
    texting = [account for account in accounts if isinstance(account, SmsAccount | SmsRouter)]
    jobs |= {f"inquiries.{each.name}": (SmsStatusPoller(sessions, each, settings.link_secrets), 5) for each in texting}
    if mailbox is not None:
        jobs["bounces"] = (BounceReader(sessions, mailbox), 60)
    if crm is not None:
        jobs["crm tasks"] = (CrmTasks(sessions, clock, crm, settings.desk_url), 2)
        jobs["crm fields"] = (CrmFieldWrites(sessions, crm, settings.crm_fields), 2)
    return jobs


async def check_public_urls(settings: DispatcherSettings, health: Health) -> None:
    """In live mode, raise WrongAddress if links in messages would lead to a service that does not answer them.

    The server must run already: the URLs may be its own.
    """
    if settings.send is SendMode.LIVE:
        check = PublicUrlCheck(wiring.public_urls(settings))
        health.require("public urls", check.check, advisory=True)
        await check.at_start()


async def run(settings: DispatcherSettings, context: ServiceContext) -> None:
    """Run until told to stop; batches that were started are finished first."""
    database = Database(context.database_url, schema=Service.DISPATCHER, options=settings.database_options)
    clock = await guard_clock(context.clock, database)
    accounts, crm = wiring.open_accounts(settings, context.stop), wiring.open_crm(settings)
    try:
        async with asyncio.TaskGroup() as tasks:
            parts = DispatcherParts(settings, database, clock, accounts, crm)
            await parts.start(Supervisor(tasks, context, Service.DISPATCHER), context)
            context.started.set()
    finally:
        for account in accounts:
            await account.close()
        if crm is not None:
            await crm.http.close()
        await database.close()


@dataclass(frozen=True, slots=True)
class DispatcherParts:
    """Starts the long-lived parts of the service."""

    settings: DispatcherSettings
    database: Database
    clock: Clock
    accounts: Sequence[ChannelAccount]
    crm: Bitrix24 | None

    async def start(self, supervisor: Supervisor, context: ServiceContext) -> None:
        restore_guard = RestoreGuard(self.database.sessions, context.event_log)
        self._start_app(supervisor, context, restore_guard)
        await check_public_urls(self.settings, context.health)
        supervisor.watch(self.clock)
        consumer = build_consumer(self.settings, self.database, context.event_log, self.clock)
        supervisor.consume("consumer", consumer)
        supervisor.consume("consumer.programs", program_consumer(self.database, context.event_log))
        staff = staff_consumer(Service.DISPATCHER, context.event_log, self.database.sessions)
        supervisor.consume("consumer.staff", staff)
        ledger = context.health.heartbeat("ledger")
        supervisor.loop(ledger, restore_guard.check, longest_s=CHECK_EVERY_S)
        self._start_sending(supervisor, restore_guard)
        self._start_jobs(supervisor, restore_guard)

    def _start_app(self, supervisor: Supervisor, context: ServiceContext, restore_guard: RestoreGuard) -> None:
        context.health.require("ledger", restore_guard.ready)
        link_keys = LinkKeys(self.settings.link_secrets, self.database.sessions)
        context.health.require("link keys", link_keys.check, advisory=True)
        app = build_app(
            self.settings,
            self.database,
            context.clock,
            self.accounts,
            health=context.health,
            sessions=context.staff_sessions,
        )
        supervisor.start(
            app,
            self.database,
            migrations=MIGRATIONS,
            anchors=AuditAnchors.of(self.settings, self.database.sessions, Service.DISPATCHER),
        )

    def _start_sending(self, supervisor: Supervisor, restore_guard: RestoreGuard) -> None:
        senders = build_senders(
            self.settings, self.database, self.clock, self.accounts, supervisor.health, restore_guard=restore_guard
        )
        for sender in senders:
            work = sending_round(sender, supervisor.wakeup, supervisor.stop)
            supervisor.woken_loop(sender.heartbeat, work, tick_s=TICK_S)
        reap = supervisor.wakeup.notified_by(restore_guard.guarded(LeaseReaper(self.database.sessions, self.clock)))
        supervisor.woken_loop(supervisor.health.heartbeat("reaper"), reap, tick_s=TICK_S, shortest_s=TICK_S)

    def _start_jobs(self, supervisor: Supervisor, restore_guard: RestoreGuard) -> None:
        reconcile = Reconciler(self.database.sessions).round
        supervisor.loop(supervisor.health.heartbeat("reconciler"), reconcile, longest_s=RECONCILE_S)
        jobs = jobs_of(self.settings, self.database, self.clock, self.accounts, self.crm)
        for name, (job, every_s) in jobs.items():
            heartbeat = supervisor.health.heartbeat(name, silent_s=OUTSIDE_SILENT_S)
            work = supervisor.wakeup.notified_by(restore_guard.guarded(job))
            supervisor.woken_loop(heartbeat, work, tick_s=every_s, shortest_s=every_s)

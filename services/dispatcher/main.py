"""Wires dispatcher together and runs its parts until told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

import sqlalchemy as sa
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncSession

from services.dispatcher import api, errands, handlers, hooks, pages, scheduler, suppressions, unsubscribe
from services.dispatcher.channels import ChannelAccount
from services.dispatcher.channels.bitrix24 import Bitrix24
from services.dispatcher.channels.sms import SmsAccount, SmsRouter
from services.dispatcher.config import DispatcherSettings
from services.dispatcher.crm import CrmTasks
from services.dispatcher.errands import BounceReader, Inquirer
from services.dispatcher.scheduler import Bell, Keeper, Lane
from shared import housekeeping, web
from shared.clock import Clock
from shared.cloudevents import Event
from shared.consumer import Consumer, Handler
from shared.db import Database
from shared.events import Payload
from shared.outbox import Relay
from shared.runtime import Surroundings, serve
from shared.transport import EventLog
from shared.vocabulary import ChannelKind, Service

TOPICS = ("survey.requests", "survey.answers", "survey.messages")
PUBLIC = ("/u", "/hooks")


def build_app(settings: DispatcherSettings, database: Database, event_log: EventLog, clock: Clock) -> FastAPI:
    async def ready() -> None:
        await database.ping()
        await event_log.ping()

    app = web.create_app(
        Service.DISPATCHER, ready=ready, public=PUBLIC, staff_secret=settings.staff_secret.get_secret_value()
    )
    app.include_router(api.router(database.sessions))
    app.include_router(suppressions.router(database.sessions, clock))
    app.include_router(pages.mailbox_router(database.sessions, clock))
    app.include_router(unsubscribe.router(database.sessions, clock))
    app.include_router(hooks.router(database.sessions, settings.doors()))
    return app


def build_handler(settings: DispatcherSettings, clock: Clock, bell: Bell) -> Handler:
    async def handle(session: AsyncSession, events: Sequence[Event[Payload]]) -> None:
        sa.event.listen(session.sync_session, "after_commit", lambda _: bell.ring(), once=True)
        await handlers.handle(session, events, link_keys=settings.link_secrets, now=clock.now())

    return handle


def errands_of(
    settings: DispatcherSettings,
    database: Database,
    clock: Clock,
    accounts: Mapping[ChannelKind, ChannelAccount],
    crm: Bitrix24 | None,
) -> list[tuple[Callable[[], Awaitable[int]], float]]:
    """What is done beside the steps, and how often in seconds."""
    sessions, texts, mailbox = database.sessions, accounts.get(ChannelKind.SMS), settings.bounce_mailbox
    found: list[tuple[Callable[[], Awaitable[int]], float]] = [
        (partial(errands.apply_receipts, sessions, clock), 0.2),
        (partial(errands.release_expired, sessions, clock), 30),
    ]
    if isinstance(texts, SmsAccount | SmsRouter):
        found.append((Inquirer(sessions, texts, settings.link_secrets), 5))
    if mailbox is not None:
        found.append((BounceReader(sessions, mailbox), 60))
    if crm is not None:
        found.append((CrmTasks(sessions, clock, crm, settings.desk_url), 2))
    return found


async def run(settings: DispatcherSettings, around: Surroundings) -> None:
    """Run until told to stop; the batches at hand are finished first."""
    database = Database(around.database_url, schema=Service.DISPATCHER)
    event_log, clock, stop = around.event_log, around.clock, around.stop
    accounts, crm = settings.open_accounts(), settings.open_crm()
    bell = Bell()
    lanes = [
        Lane(
            channel=channel,
            sessions=database.sessions,
            clock=clock,
            composer=settings.composer,
            policy=settings.send_policy,
            account=accounts.get(channel),
        )
        for channel in ChannelKind
    ]
    consumer = Consumer(Service.DISPATCHER, TOPICS, event_log, database.sessions, build_handler(settings, clock, bell))
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(serve(build_app(settings, database, event_log, clock), around, public=PUBLIC))
            tasks.create_task(consumer.run(stop))
            tasks.create_task(Relay(database, event_log, service=Service.DISPATCHER).run(stop))
            for lane in lanes:
                tasks.create_task(scheduler.run(partial(lane.perform_due, stop), bell, stop))
            tasks.create_task(scheduler.run(Keeper(database.sessions, clock), bell, stop))
            for work, every_s in errands_of(settings, database, clock, accounts, crm):
                tasks.create_task(errands.run(work, stop, every_s=every_s))
            tasks.create_task(housekeeping.run(database.sessions, stop))
    finally:
        for account in accounts.values():
            await account.close()
        if crm is not None:
            await crm.http.close()
        await database.close()

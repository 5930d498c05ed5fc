"""Wires dispatcher together and runs its parts until told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

import sqlalchemy as sa
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncSession

from services.dispatcher import api, errands, handlers, hooks, pages, scheduler, suppressions, unsubscribe
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
            tasks.create_task(errands.run(partial(errands.apply_receipts, database.sessions, clock), stop, every_s=0.2))
            tasks.create_task(errands.run(partial(errands.release_expired, database.sessions, clock), stop, every_s=30))
            text_account = accounts.get(ChannelKind.SMS)
            if isinstance(text_account, SmsAccount | SmsRouter):
                inquirer = Inquirer(database.sessions, text_account, settings.link_secrets)
                tasks.create_task(errands.run(inquirer, stop, every_s=5))
            if settings.bounce_mailbox is not None:
                reader = BounceReader(database.sessions, settings.bounce_mailbox)
                tasks.create_task(errands.run(reader, stop, every_s=60))
            if crm is not None:
                tasks.create_task(
                    errands.run(CrmTasks(database.sessions, clock, crm, settings.desk_url), stop, every_s=2)
                )
            tasks.create_task(housekeeping.run(database.sessions, stop))
    finally:
        for account in accounts.values():
            await account.close()
        if crm is not None:
            await crm.http.close()
        await database.close()

"""All services behind PgBouncer in transaction mode, over a real Kafka, by the machine's own clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import httpx2
import pytest

from deploy import all_in_one, databases
from deploy.all_settings import ALL, AllSettings
from deploy.ports import free_ports
from shared import database_url
from shared.clock import SystemClock
from shared.contract.topics import TOPICS
from shared.contract.vocabulary import Service
from shared.database import db, embedded
from shared.database.embedded import Embedded
from shared.database_url import Host
from shared.messaging.transport.kafka import create_topics
from tests import postgres_server
from tests.postgres_server import Server, free_port, own_folder, require, running
from tests.staff import STAFF


@pytest.fixture
async def through() -> AsyncIterator[Mapping[str, str]]:
    """Each service's URL through PgBouncer in transaction mode; the schemas are migrated without it."""
    require("postgresql", "pgbouncer")
    with own_folder() as folder:
        server = Server(folder, free_port())
        server.make()
        with running(server), postgres_server.pgbouncer(server, folder, pool_mode="transaction") as port:
            server.make_database("pooled")
            direct = await embedded.prepare(Embedded(server.url, folder), "pooled")
            own = {str(service): direct[service] for service in ALL}
            await databases.migrate(own)
            pooler = (Host("127.0.0.1", port),)
            yield {name: replace(database_url.parse(url), hosts=pooler).text for name, url in own.items()}


async def test_event_becomes_an_invitation_behind_a_pooler_in_transaction_mode(
    through: Mapping[str, str], kafka_url: str, tmp_path: Path
) -> None:
    prefix = f"p{uuid4().hex[:8]}."
    await create_topics(kafka_url, TOPICS, topic_prefix=prefix)
    scoring, trigger, dispatcher = free_ports(3)
    settings = AllSettings.for_demo(
        **{f"{name}_database_url": url for name, url in through.items()},
        database_pooled="transaction",
        migrate_on_start=False,
        events_url=kafka_url,
        topic_prefix=prefix,
        data_dir=tmp_path,
        scoring_port=scoring,
        trigger_port=trigger,
        dispatcher_port=dispatcher,
    )
    stop, up = asyncio.Event(), asyncio.Event()
    async with asyncio.timeout(90), asyncio.TaskGroup() as tasks, httpx2.AsyncClient(auth=STAFF, timeout=30) as http:
        tasks.create_task(all_in_one.run(settings, stop, ready=lambda _urls: up.set()))
        await up.wait()
        event = {
            "specversion": "1.0",
            "id": "1",
            "source": "shop",
            "type": "crm.purchase.completed",
            "time": SystemClock().now().isoformat(),
            "data": {"customer": {"id": "42", "email": "ann@shop.example"}, "order": {"id": "7"}},
        }
        answer = await http.post(f"http://127.0.0.1:{trigger}/v1/events", json=event)
        assert answer.json()["reason"] == "asked"
        for service in (Service.DISPATCHER, Service.SCORING):
            while not await _invitations(through[service], service):
                continue
        for port in (scoring, trigger, dispatcher):
            ready = await http.get(f"http://127.0.0.1:{port}/readyz")
            assert (ready.status_code, ready.text) == (200, ready.text)
        stop.set()


async def _invitations(url: str, schema: str) -> int:
    options = replace(database_url.DEFAULT, pooled=True)
    database = db.Database(url, schema=schema, options=options, pool_size=1)
    try:
        async with database.sessions.begin() as session:
            return len(await db.fetch(session, "SELECT FROM invitations"))
    finally:
        await database.close()

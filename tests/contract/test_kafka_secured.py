"""A cluster with TLS and SASL/SCRAM: events pass, and configuration errors are named."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from msgspec import structs

from deploy.kafka.broker import Broker
from deploy.kafka.cluster import JVM
from deploy.kafka.security import MECHANISM, SecuredListener
from services.trigger import main
from services.trigger.config import TriggerSettings, load_sources
from shared.clock import ManualClock
from shared.contract.topics import Topic
from shared.messaging.transport import Message, TransportUnavailable, open_log
from shared.messaging.transport.kafka import KafkaSecurity, create_topics
from tests.contract.transport_stand import FIRST, Reader, until, within
from tests.integration.trigger.samples import NOW, count, message, purchase
from tests.kafka_broker import require_broker

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from shared.database.db import Database

pytestmark = pytest.mark.kafka

SALES = "crm.sales"


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Broker, KafkaSecurity]]:
    require_broker()
    keys = SecuredListener(tmp_path_factory.mktemp("keys"), "crm", "correct-horse")
    with Broker(secured=keys, jvm=JVM) as broker:
        security = KafkaSecurity("SASL_SSL", MECHANISM, keys.username, keys.password, cafile=keys.ca_file)
        yield broker, security


@within(60)
async def test_events_go_through_tls_and_scram(secured: tuple[Broker, KafkaSecurity]) -> None:
    broker, security = secured
    await create_topics(broker.secured_url, [Topic(FIRST)], security=security)
    log = open_log(broker.secured_url, security=security)
    await log.append([Message(FIRST, "key", b"body")])
    reader = Reader(log, "group")
    await until(lambda: [one.body for one in reader.read] == [b"body"], reader)
    await reader.stop()
    await log.close()


@within(60)
async def test_wrong_password_foreign_authority_and_plain_text_are_told_apart(
    secured: tuple[Broker, KafkaSecurity],
) -> None:
    broker, security = secured
    wrong = {
        "SaslAuthenticationFailed: .* invalid credentials": replace(security, password="wrong"),
        "CERTIFICATE_VERIFY_FAILED": replace(security, cafile=None),
        "closed": replace(security, protocol="SASL_PLAINTEXT"),
    }
    for reason, given in wrong.items():
        log = open_log(broker.secured_url, security=given)
        with pytest.raises(TransportUnavailable, match=reason):
            await log.ping()
        with pytest.raises(TransportUnavailable):
            await log.append([Message(FIRST, "", b"")])
        await log.close()


@within(90)
async def test_crm_with_a_secured_cluster_of_its_own_is_heard(
    secured: tuple[Broker, KafkaSecurity], urls: Mapping[str, str], trigger_db: Database, tmp_path: Path
) -> None:
    broker, security = secured
    await create_topics(broker.secured_url, [Topic("crm.events"), Topic(SALES)], security=security)
    (tmp_path / "crm.yaml").write_text(f"{{id: crm, kind: kafka, topics: [{SALES}]}}")
    settings = TriggerSettings(
        _env_file=None,
        crm_events_url=broker.secured_url,
        crm_kafka_protocol="SASL_SSL",
        crm_kafka_mechanism=MECHANISM,
        crm_kafka_username=security.username,
        crm_kafka_password=security.password,
        crm_kafka_ca_file=security.cafile,
        sources=tmp_path,
    )
    crm = open_log(broker.secured_url, security=security)
    await crm.append([message(purchase("e1")), structs.replace(message(purchase("e2")), topic=SALES)])
    await crm.close()
    ours, clock, stop = open_log(urls["transport"]), ManualClock(NOW), asyncio.Event()
    async with AsyncExitStack() as resources, asyncio.TaskGroup() as tasks:
        resources.push_async_callback(ours.close)
        logs = main.open_logs(settings, ours, resources)
        for consumer in main.consumers(
            settings, trigger_db, logs, sources=load_sources(settings), clock=clock
        ).values():
            tasks.create_task(consumer.run(stop))
        while await count(trigger_db, "decisions") < 2:  # noqa: ASYNC110 - the consumers tell nobody
            await asyncio.sleep(0.05)
        stop.set()

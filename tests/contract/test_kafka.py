"""Behaviour of the Kafka transport alone: rebalances, stalls, failed producers, creating topics."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from shared.contract.topics import TOPICS, Topic
from shared.messaging.transport import Message, MessageTooLarge, TransportUnavailable
from shared.messaging.transport.kafka import KafkaLog, admin_client, create_topics
from shared.messaging.transport.kafka.connection import Connection
from shared.messaging.transport.kafka.reader import GroupReader
from tests.contract.transport_stand import (
    FIRST,
    Reader,
    Stand,
    by_key,
    have_read,
    numbered,
    once,
    reading,
    take,
    until,
    within,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from deploy.kafka.broker import Broker

pytestmark = pytest.mark.kafka


@pytest.fixture
async def stand(kafka_url: str) -> AsyncIterator[Stand]:
    stand = Stand(kafka_url)
    await stand.prepare()
    yield stand
    await stand.close()


async def append_to_all_partitions(stand: Stand) -> None:
    await stand.log.append([message for n in range(40) for message in numbered(f"respondent-{n}", range(1))])


@within(60)
async def test_requests_of_a_program_are_stored_in_a_quarter_of_their_bytes(restartable_kafka: Broker) -> None:
    stand = Stand(restartable_kafka.url)
    await stand.prepare()
    sample = json.loads((Path(__file__).parent / "samples" / "survey.requested.1.json").read_text())
    sent = [_request(sample, str(uuid4())) for _ in range(200)]
    await stand.log.append(sent)
    await stand.close()
    files = restartable_kafka.log_folder.glob(f"{stand.prefix}{FIRST}-*/*.log")
    stored, written = sum(file.stat().st_size for file in files), sum(len(message.body) for message in sent)
    assert 0 < stored < written / 4


def _request(sample: dict[str, Any], id_: str) -> Message:
    """Return a request like this one for another respondent."""
    named = {"respondent_id": id_, "invitation_id": id_, "customer_id": id_, "contact": {"email": f"{id_}@a.test"}}
    body = {**sample, "id": id_, "subject": id_, "data": {**sample["data"], **named}}
    return Message(FIRST, id_, json.dumps(body, ensure_ascii=False).encode())


@within(60)
async def test_acknowledgement_from_before_a_rebalance_is_dropped(stand: Stand) -> None:
    await append_to_all_partitions(stand)
    reader = GroupReader(Connection(stand.url), stand.prefix + stand.group, [stand.prefix + FIRST], limit=500)
    async with aclosing(reader.batches()) as batches:
        _, acknowledge = await anext(batches)
        async with reading(stand.log, stand.group) as others:
            await anext(others)
            await acknowledge()
            assert await stand.lag() == 40, "the other reader has part of it now"
        while len(reader._consumer.assignment()) < 4:
            await stand.log.ping()
        await acknowledge()
        assert await stand.lag() == 40, "lost and won back is not held all the time"

        again: set[bytes] = set()
        while len(again) < 40:
            records, acknowledge = await anext(batches)
            again |= {record.key for record in records}
            await acknowledge()
        assert await stand.lag() == 0


@within(60)
async def test_rebalance_while_offsets_are_compared_drops_what_was_fetched(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker answers a reader only after the group has given away half of its partitions."""
    await append_to_all_partitions(stand)
    reader = GroupReader(Connection(stand.url), stand.prefix + stand.group, [stand.prefix + FIRST], limit=500)
    compared: set[TopicPartition] = set()
    asked, revoked = asyncio.Event(), asyncio.Event()
    committed, on_partitions_revoked = AIOKafkaConsumer.committed, GroupReader.on_partitions_revoked

    async def committed_late(consumer: AIOKafkaConsumer, partition: TopicPartition) -> int | None:
        if consumer is reader._consumer:
            compared.add(partition)
            if len(compared) == 2 and not asked.is_set():
                asked.set()
                await revoked.wait()
        offset: int | None = await committed(consumer, partition)
        return offset

    async def noted_revoked(each: GroupReader, partitions: set[TopicPartition]) -> None:
        await on_partitions_revoked(each, partitions)
        if each is reader and asked.is_set():
            revoked.set()

    monkeypatch.setattr(AIOKafkaConsumer, "committed", committed_late)
    monkeypatch.setattr(GroupReader, "on_partitions_revoked", noted_revoked)
    async with aclosing(reader.batches()) as batches:
        following = asyncio.ensure_future(anext(batches))
        await asked.wait()
        async with reading(stand.log, stand.group) as others:
            await anext(others)
            records, acknowledge = await following
            assert {record.partition for record in records} <= {each.partition for each in assigned(reader)}
            assert len(assigned(reader)) == 2
            await acknowledge()
    assert await stand.lag() == 40 - len(records)
    assert expired_unread(stand) == 0


def assigned(reader: GroupReader) -> set[TopicPartition]:
    partitions: set[TopicPartition] = reader._consumer.assignment()
    return partitions


@within(60)
async def test_an_older_batch_cannot_be_acknowledged_after_a_newer_one(stand: Stand) -> None:
    await stand.log.append(numbered("a", range(10)))
    async with reading(stand.log, stand.group, limit=2) as batches:
        older = await anext(batches)
        await older.ack()
        newer = await anext(batches)
        await newer.ack()
        await older.ack()
        assert await stand.lag() == 6
    await newer.ack()  # the member has left the group: the acknowledgement is dropped without an error
    assert await stand.lag() == 6


async def drop_all_records(stand: Stand) -> None:
    """Delete the topic's records, as its retention does."""
    topic = stand.prefix + FIRST
    async with admin_client(Connection(stand.url)) as admin:
        partitions = [TopicPartition(topic, number) for number in range(4)]
        await admin.delete_records({each: RecordsToDelete(-1) for each in partitions})


def expired_unread(stand: Stand) -> float:
    labels = {"group": stand.prefix + stand.group, "topic": stand.prefix + FIRST}
    return REGISTRY.get_sample_value("earshot_expired_unread_total", labels) or 0.0


@within(60)
@pytest.mark.parametrize("appended_behind", [0, 40])
async def test_messages_that_expired_unread_are_counted_and_named(stand: Stand, appended_behind: int) -> None:
    await append_to_all_partitions(stand)
    async with reading(stand.log, stand.group) as batches:
        await take(batches, 40)
    assert expired_unread(stand) == 0
    await stand.log.append([message for n in range(40) for message in numbered(f"respondent-{n}", range(12))])
    await drop_all_records(stand)
    await stand.log.append([message for n in range(appended_behind) for message in numbered(f"k{n}", range(1))])
    with capture_logs() as lines:
        reader = Reader(stand.log, stand.group)
        while expired_unread(stand) < 480:
            await stand.log.ping()
        await until(have_read([reader], appended_behind), reader)
        await reader.stop()
    assert expired_unread(stand) == 480
    told = [line for line in lines if line["event"] == "kafka.expired_unread"]
    assert sum(line["count"] for line in told) == 480
    assert {line["topic"] for line in told} == {stand.prefix + FIRST}


@within(60)
async def test_messages_that_expire_while_their_reader_is_held_up_are_counted(stand: Stand) -> None:
    await stand.log.append(numbered("a", range(1)))
    async with reading(stand.log, stand.group, limit=1) as batches:
        await take(batches, 1)
        reader_is_away = 5_000  # more than it prefetches
        large = b"x" * 1_000
        await stand.log.append([Message(FIRST, "a", large) for _ in range(reader_is_away)])
        await drop_all_records(stand)
        await stand.log.append([Message(FIRST, "a", b"end")])
        seen = 0
        while (await take(batches, 1))[0].body != b"end":
            seen += 1
    assert expired_unread(stand) == reader_is_away - seen
    assert seen < reader_is_away


@within(60)
async def test_group_that_is_new_or_reads_a_compacted_topic_has_lost_nothing(stand: Stand) -> None:
    await append_to_all_partitions(stand)
    await drop_all_records(stand)
    await append_to_all_partitions(stand)
    async with reading(stand.log, stand.group) as batches:
        await take(batches, 40)
    assert expired_unread(stand) == 0


@within(60)
async def test_stalled_reader_joins_anew(stand: Stand) -> None:
    """A consumer that stopped fetching without an error (aiokafka #1154) is replaced."""
    reader = GroupReader(
        Connection(stand.url), stand.prefix + stand.group, [stand.prefix + FIRST], limit=500, stall_s=0.1
    )
    await stand.log.append(numbered("a", range(1)))
    async with aclosing(reader.batches()) as batches:
        _, acknowledge = await anext(batches)
        await acknowledge()
        stalled = reader._consumer
        stalled.pause(*stalled.assignment())
        await stand.log.append(numbered("a", range(1, 3)))

        records, _ = await anext(batches)

        assert [record.value for record in records] == [b"1", b"2"]
        assert reader._consumer is not stalled


@within(60)
async def test_quiet_topic_is_no_stall(stand: Stand) -> None:
    reader = GroupReader(
        Connection(stand.url), stand.prefix + stand.group, [stand.prefix + FIRST], limit=500, stall_s=0.1
    )
    async with aclosing(reader.batches()) as batches:
        following = asyncio.ensure_future(anext(batches))
        while reader._consumer is None or not reader._consumer.assignment():
            await stand.log.ping()
        consumer = reader._consumer
        await reader._check_stall()
        await stand.log.append(numbered("a", range(1)))
        await following

        assert reader._consumer is consumer


@asynccontextmanager
async def open_transaction(stand: Stand) -> AsyncIterator[Any]:
    """A producer with a message in a transaction that is not committed yet."""
    producer = AIOKafkaProducer(bootstrap_servers=stand.url.removeprefix("kafka://"), transactional_id=stand.group)
    await producer.start()
    try:
        await producer.begin_transaction()
        await producer.send_and_wait(stand.prefix + FIRST, key=b"a", value=b"0", partition=0)
        yield producer
    finally:
        await producer.stop()


@within(60)
async def test_open_transaction_is_no_stall_and_is_read_once_it_is_committed(stand: Stand) -> None:
    """As a stream processor holds one until its checkpoint."""
    reader = GroupReader(Connection(stand.url), stand.prefix + stand.group, [stand.prefix + FIRST], limit=500)
    async with aclosing(reader.batches()) as batches, open_transaction(stand) as producer:
        following = asyncio.ensure_future(anext(batches))
        while reader._consumer is None or not reader._consumer.assignment():
            await stand.log.ping()
        consumer = reader._consumer
        await reader._check_stall()
        await producer.commit_transaction()
        async with asyncio.timeout(5):
            records, acknowledge = await following
        assert [record.value for record in records] == [b"0"]
        await acknowledge()
        await reader._check_stall()  # the marker of the commit stands behind the position
        assert reader._consumer is consumer


@within(60)
async def test_aborted_transaction_is_no_stall(stand: Stand) -> None:
    reader = GroupReader(
        Connection(stand.url), stand.prefix + stand.group, [stand.prefix + FIRST], limit=500, stall_s=0.1
    )
    async with aclosing(reader.batches()) as batches, open_transaction(stand) as producer:
        following = asyncio.ensure_future(anext(batches))
        while reader._consumer is None or not reader._consumer.assignment():
            await stand.log.ping()
        consumer = reader._consumer
        await producer.abort_transaction()
        await reader._check_stall()
        await stand.log.append(numbered("a", range(1, 2)))
        records, _ = await following
        assert [record.value for record in records] == [b"1"]
        assert reader._consumer is consumer


@within(60)
async def test_producer_that_lost_its_sequence_is_replaced(stand: Stand) -> None:
    await stand.log.append(numbered("a", range(1)))
    assert isinstance(stand.log, KafkaLog)
    broken = stand.log._producer._client
    for partition in range(4):
        broken._txn_manager.increment_sequence_number(TopicPartition(stand.prefix + FIRST, partition), 7)

    with pytest.raises(TransportUnavailable, match="OutOfOrderSequence"):
        await stand.log.append(numbered("a", range(1, 2)))
    await stand.log.append(numbered("a", range(1, 3)))

    async with reading(stand.log, stand.group) as batches:
        assert by_key(await take(batches, 3)) == {"a": [0, 1, 2]}
    assert stand.log._producer._client is not broken


@within(60)
async def test_message_beyond_the_limit_is_named_so(stand: Stand) -> None:
    with pytest.raises(MessageTooLarge):
        await stand.log.append([Message(FIRST, "a", bytes(2 * 1024 * 1024))])
    await stand.log.append(numbered("a", range(1)))

    assert await stand.lag() == 1


@within(60)
async def test_unknown_topic_does_not_answer(stand: Stand) -> None:
    with pytest.raises(TransportUnavailable):
        await stand.log.append([Message("test.unknown", "a", b"")])
    with pytest.raises(TransportUnavailable):
        await stand.log.lag(stand.group, ["test.unknown"])


@within(60)
async def test_foreign_bytes_are_read_without_failing(stand: Stand) -> None:
    """Producers outside may send any keys, headers and null bodies."""
    await stand.log.append(numbered("warm", range(1)))
    assert isinstance(stand.log, KafkaLog)
    client = stand.log._producer._client
    headers = [("ce_id", b"1"), ("binary", b"\xff\xfe"), ("null", None)]
    await client.send_and_wait(stand.prefix + FIRST, key=b"\xff\x00", value=None, headers=headers)

    async with reading(stand.log, stand.group) as batches:
        read = await take(batches, 2)
    found = next(message for message in read if message.key != "warm")
    assert found.body == b""
    assert found.headers["ce_id"] == "1"
    assert found.headers["null"] == ""


@within(120)
async def test_broker_killed_again_and_again_loses_nothing(restartable_kafka: Broker) -> None:
    stand = Stand(restartable_kafka.url)
    await stand.prepare()
    reader = Reader(stand.another_log(), stand.group)
    for start in range(0, 150, 50):
        appending = asyncio.create_task(_append_stubbornly(stand, range(start, start + 50)))
        await until(have_read([reader], start + 1), reader)
        restartable_kafka.kill()
        restartable_kafka.launch()
        await asyncio.to_thread(restartable_kafka.wait_until_ready)
        await appending
    await until(lambda: bool(reader.read) and reader.read[-1].body == b"149", reader)

    assert once(by_key(reader.read)["a"]) == list(range(150))
    await reader.stop()
    assert await stand.lag() == 0
    await stand.close()


async def _append_stubbornly(stand: Stand, numbers: range) -> None:
    for number in numbers:
        while True:
            try:
                await stand.log.append(numbered("a", range(number, number + 1)))
            except TransportUnavailable:
                continue
            break


@within(60)
async def test_topics_are_created_once_and_as_described(kafka_url: str) -> None:
    prefix = Stand(kafka_url).prefix

    assert await create_topics(kafka_url, TOPICS, topic_prefix=prefix) == [prefix + topic.name for topic in TOPICS]
    assert await create_topics(kafka_url, TOPICS, topic_prefix=prefix) == []

    async with admin_client(Connection(kafka_url)) as admin:
        described = await admin.describe_topics([prefix + topic.name for topic in TOPICS])
        assert {each["topic"]: len(each["partitions"]) for each in described} == {
            prefix + topic.name: topic.partitions for topic in TOPICS
        }
        for topic in TOPICS:
            assert (await _settings(admin, prefix + topic.name)).items() >= topic.settings.items()


async def _settings(admin: Any, topic: str) -> dict[str, str]:
    [answer] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    return {entry[0]: entry[1] for entry in answer.resources[0][4]}


@within(60)
async def test_refused_topic_is_an_error(kafka_url: str) -> None:
    with pytest.raises(Exception, match="InvalidReplicationFactor"):
        await create_topics(kafka_url, [Topic("test.refused")], replication_factor=3)


async def for_ever() -> None:
    await asyncio.Event().wait()


@within(60)
async def test_cancellation_that_comes_out_of_aiokafka_ends_no_reader(stand: Stand) -> None:
    """The fetcher awaits tasks that it cancelled itself; with two brokers away it ended every consumer."""
    reader = GroupReader(Connection(stand.url), stand.prefix + stand.group, [stand.prefix + FIRST], limit=500)
    await stand.log.append(numbered("a", range(1)))
    async with aclosing(reader.batches()) as batches:
        _, acknowledge = await anext(batches)
        await acknowledge()
        first = reader._consumer
        connections = list(first._client._conns.values())
        first._fetcher._pending_tasks.add(asyncio.create_task(for_ever()))
        first.getmany = broken_once
        await stand.log.append(numbered("a", range(1, 3)))

        records, _ = await anext(batches)

        assert [record.value for record in records] == [b"1", b"2"]
        assert not any(connection.connected() for connection in connections)


async def broken_once(**_: Any) -> None:
    task = asyncio.create_task(for_ever())
    task.cancel()
    await task


@within(60)
async def test_topic_that_was_deleted_and_made_anew_is_read_again_within_seconds(stand: Stand) -> None:
    await stand.log.append(numbered("a", range(1)))
    async with reading(stand.log, stand.group) as batches:
        await (await anext(batches)).ack()
        following = asyncio.ensure_future(anext(batches))
        async with admin_client(Connection(stand.url)) as admin:
            await admin.delete_topics([stand.prefix + FIRST])
        await recreated(stand)
        async with asyncio.timeout(30):
            assert [message.body for message in (await following).messages] == [b"7"]


async def recreated(stand: Stand) -> None:
    """Create the topic again and append; brokers delete asynchronously."""
    for attempt in range(200):
        await create_topics(stand.url, [Topic(FIRST, partitions=4)], topic_prefix=stand.prefix)
        try:
            await stand.log.append(numbered("a", range(7, 8)))
        except TransportUnavailable:
            await asyncio.sleep(0.1 * (attempt < 199))
        else:
            return

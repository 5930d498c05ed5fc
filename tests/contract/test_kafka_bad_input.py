"""A record that the client library cannot read is skipped, and those around it are read."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from aiokafka.conn import create_conn
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c
from prometheus_client import REGISTRY

from shared.messaging.transport.kafka.connection import Connection
from tests.contract.transport_stand import FIRST, Stand, numbered, reading, take, within

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.kafka

_CRC_AT, _CHECKED_FROM = 17, 21  # of a record batch, format 2


@pytest.fixture
async def stand(kafka_url: str) -> AsyncIterator[Stand]:
    stand = Stand(kafka_url)
    await stand.prepare()
    yield stand
    await stand.close()


def records(*values: bytes) -> bytes:
    """Build a record batch; the value `bad` gets a header whose name is not UTF-8."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, 1 << 20)
    for number, value in enumerate(values):
        builder.append(number, 1, b"k", value, [("NAME", b"v")] if value == b"bad" else [])
    built = bytearray(bytes(builder.build()).replace(b"NAME", b"\xff\xfe\xff\xfe"))
    built[_CRC_AT:_CHECKED_FROM] = struct.pack(">I", calc_crc32c(bytes(built[_CHECKED_FROM:])))
    return bytes(built)


async def produce(stand: Stand, partition: int, *values: bytes) -> None:
    host, _, port = Connection(stand.url).bootstrap[0].rpartition(":")
    connection = await create_conn(host, int(port))
    topics = [(stand.prefix + FIRST, [(partition, records(*values))])]
    response = await connection.send(ProduceRequest(None, -1, 10_000, topics))
    connection.close()
    assert response.topics[0][1][0][1] == 0, "the broker took it"


def counted() -> float:
    labels = {"service": "reader", "kind": "kafka_record"}
    return REGISTRY.get_sample_value("earshot_bad_input_total", labels) or 0.0


@within(60)
async def test_record_with_a_header_that_is_no_text_is_passed_over(stand: Stand) -> None:
    await stand.log.append([message for key in "abcdefgh" for message in numbered(key, range(2))])
    await produce(stand, 0, b"bad")
    await produce(stand, 1, b"x1", b"x2", b"bad", b"bad")
    await produce(stand, 1, b"x3")
    before = counted()
    async with reading(stand.log, stand.group) as batches:
        read = await take(batches, 19)
        assert sorted(message.body for message in read) == sorted([b"0", b"1"] * 8 + [b"x1", b"x2", b"x3"])
        await stand.log.append([message for key in "abcdefgh" for message in numbered(key, range(2, 3))])
        assert [message.body for message in await take(batches, 8)] == [b"2"] * 8
        assert counted() == before + 3  # all partitions were read past what is passed over

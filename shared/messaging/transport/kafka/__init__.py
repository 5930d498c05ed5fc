"""The event log over Apache Kafka (aiokafka)."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from shared.messaging.transport import Batch, Message, TransportUnavailable
from shared.messaging.transport.kafka.closing import close_admin
from shared.messaging.transport.kafka.connection import Connection, KafkaSecurity, why_unreachable
from shared.messaging.transport.kafka.history import history
from shared.messaging.transport.kafka.lag import LagMeter
from shared.messaging.transport.kafka.producer import OutgoingRecord, Producer
from shared.messaging.transport.kafka.reader import GroupReader
from shared.waiting import StrayCancellation, convert_stray_cancellation

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence

    from shared.contract.topics import Topic
    from shared.health import Heartbeat

__all__ = ["KafkaLog", "KafkaSecurity", "create_topics"]

PING_SECONDS = 2.5

# At debug level aiokafka's producer logs keys and bodies, which hold personal data.
logging.getLogger("aiokafka.producer.producer").setLevel(logging.INFO)


class KafkaLog:
    """The topics of one Kafka cluster whose names begin with `topic_prefix`."""

    def __init__(
        self,
        url: str,
        *,
        topic_prefix: str = "",
        client_id: str = "earshot",
        security: KafkaSecurity | None = None,
    ) -> None:
        self._connection = Connection(url, client_id, security)
        self._prefix = topic_prefix
        self._producer = Producer(self._connection)
        self._meter = LagMeter(self._connection)

    async def append(self, messages: Sequence[Message]) -> None:
        if messages:
            await self._producer.append([self._record(message) for message in messages])

    async def read(
        self, group: str, topics: Sequence[str], *, limit: int = 500, heartbeat: Heartbeat | None = None
    ) -> AsyncGenerator[Batch, None]:
        """See Readable; a batch that is not acknowledged is read again, by this reader or another one."""
        reader = GroupReader(
            self._connection, self._prefix + group, self._wire(topics), limit=limit, heartbeat=heartbeat
        )
        async with aclosing(reader.batches()) as batches:
            async for records, ack in batches:
                yield Batch([self._message(record) for record in records], ack)

    async def history(self, topic: str, *, last: int | None = None) -> AsyncGenerator[Sequence[Message], None]:
        async with aclosing(history(self._connection, self._prefix + topic, last=last)) as batches:
            async for records in batches:
                yield [self._message(record) for record in records]

    async def ping(self) -> None:
        # a new connection: an old one can be dead while the cluster works
        try:
            with convert_stray_cancellation():
                async with asyncio.timeout(PING_SECONDS), admin_client(self._connection) as admin:
                    await admin.describe_cluster()
        except (KafkaError, TimeoutError, StrayCancellation) as error:
            raise TransportUnavailable(f"Kafka: {await why_unreachable(self._connection)}") from error

    async def lag(self, group: str, topics: Sequence[str]) -> int:
        return await self._meter.lag(self._prefix + group, self._wire(topics))

    async def close(self) -> None:
        await self._producer.close()
        await self._meter.close()

    def _wire(self, topics: Iterable[str]) -> list[str]:
        return [self._prefix + topic for topic in topics]

    def _record(self, message: Message) -> OutgoingRecord:
        # Kafka spreads messages without a key over all partitions, and puts those with an empty key into one
        return OutgoingRecord(
            topic=self._prefix + message.topic,
            key=message.key.encode() or None,
            value=message.body,
            headers=[(name, value.encode()) for name, value in message.headers.items()],
        )

    def _message(self, record: Any) -> Message:
        topic = record.topic.removeprefix(self._prefix)
        return Message(
            topic=topic,
            key=(record.key or b"").decode(errors="replace"),
            body=record.value or b"",
            headers={name: (value or b"").decode(errors="replace") for name, value in record.headers},
            position=f"{topic}/{record.partition}/{record.offset}",
        )


COPIES = 3  # so that a broker may fail while another one restarts


async def create_topics(
    url: str,
    topics: Sequence[Topic],
    *,
    topic_prefix: str = "",
    replication_factor: int | None = None,
    security: KafkaSecurity | None = None,
) -> list[str]:
    """Create the topics that do not exist yet and return their names; raises KafkaError when one is refused.

    Without a replication factor each topic has COPIES copies, or as many as there are brokers.
    """
    async with admin_client(Connection(url, security=security)) as admin:
        replicas = replication_factor or min(COPIES, len((await admin.describe_cluster())["brokers"]))
        answer = await admin.create_topics(
            [
                NewTopic(topic_prefix + topic.name, topic.partitions, replicas, topic_configs=topic.settings)
                for topic in topics
            ]
        )
    created = []
    for name, code, reason in answer.topic_errors:
        if code == 0:
            created.append(name)
        elif for_code(code) is not TopicAlreadyExistsError:
            raise for_code(code)(f"{name}: {reason}")
    return created


@asynccontextmanager
async def admin_client(connection: Connection) -> AsyncIterator[Any]:
    admin = AIOKafkaAdminClient(**connection.options())
    try:
        await admin.start()
        yield admin
    finally:
        await close_admin(admin)

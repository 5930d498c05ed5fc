"""Reads from Kafka as a member of a consumer group, with explicit acknowledgements."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.errors import CommitFailedError, ConsumerStoppedError, IllegalStateError, KafkaError

from shared import metrics
from shared.health import Heartbeat
from shared.messaging.transport.kafka.closing import close_consumer
from shared.messaging.transport.kafka.connection import SESSION_MS
from shared.messaging.transport.kafka.unread import UnreadRanges
from shared.waiting import StrayCancellation, convert_stray_cancellation

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence

    from aiokafka import TopicPartition

    from shared.messaging.transport.kafka.connection import Connection

log = structlog.get_logger()

HEARTBEAT_MS = 1_000
POLL_MS = 1_000
PROBE_MS = 3_000  # how long a new connection waits for a message that the group's reader does not get
JOIN_SECONDS = 60.0
STALL_SECONDS = 30.0
# A commit delays a rebalance, which must end within the session timeout.
COMMIT_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 5.0
METADATA_MS = 5_000  # how soon a topic that was deleted and created again is read
SINGLE_READS = 1_000  # how many records are read one by one after an unreadable record: more of them may follow
SINGLE_PAUSE_SECONDS = 0.01
FETCH_BYTES = 8 * 1024 * 1024
PARTITION_FETCH_BYTES = 512 * 1024


class Stalled(Exception):
    """Messages exist but none are fetched; the reader joins the group again."""


class GroupReader(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no type hints
    """One member of a consumer group.

    `_epoch` increases with everything that invalidates earlier acknowledgements: a rebalance, a newer batch, leaving
    the group. Offsets alone do not suffice: after a partition was lost and assigned again, the broker would accept a
    stale commit.
    """

    def __init__(  # noqa: PLR0913 - independent settings
        self,
        connection: Connection,
        group: str,
        topics: Sequence[str],
        *,
        limit: int,
        stall_s: float = STALL_SECONDS,
        heartbeat: Heartbeat | None = None,
    ) -> None:
        self._connection = connection
        self._group = group
        self._topics = list(topics)
        self._limit = limit
        self._stall_s = stall_s
        self._heartbeat = heartbeat or Heartbeat("reader")
        self._consumer: Any = None
        self._single_reads = 0  # how many records are still to be read one by one
        self._epoch = 0
        self._unacknowledged: dict[TopicPartition, int] = {}
        self._committing = asyncio.Lock()
        self._unread = UnreadRanges(group)
        self._log = log.bind(group=group)

    async def batches(self) -> AsyncGenerator[tuple[list[Any], Callable[[], Awaitable[None]]], None]:
        """Yield non-empty lists of records, in order per partition, each with the function that acknowledges it.

        Closing the generator leaves the group.
        """
        try:
            while True:
                fetched = await self._next()
                yield [record for records in fetched.values() for record in records], self._remember(fetched)
        finally:
            await self._leave()

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        self._epoch += 1
        self._unacknowledged = {}
        self._unread.reset()
        async with self._committing:
            self._log.info("kafka.partitions_revoked", count=len(revoked))

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self._log.info("kafka.partitions_assigned", count=len(assigned))

    async def _next(self) -> Mapping[TopicPartition, list[Any]]:
        self._rewind()
        pauses = _pauses()
        while True:
            try:
                with convert_stray_cancellation():
                    return await self._fetch()
            except (KafkaError, ConsumerStoppedError, TimeoutError, Stalled, StrayCancellation) as error:
                self._log.warning("kafka.read_interrupted", error=type(error).__name__, topics=self._topics)
                self._heartbeat.waits(f"Kafka: {type(error).__name__}")
            except UnicodeDecodeError:
                # aiokafka raises this for a header whose name is not UTF-8, and drops the other records of the fetch
                self._log.warning("kafka.reads_one_by_one", topics=self._topics)
                self._single_reads = SINGLE_READS
            await self._leave()
            await asyncio.sleep(next(pauses))

    def _rewind(self) -> None:
        """Seek back to the start of a batch that was yielded and not acknowledged."""
        for partition in self._unacknowledged.keys() & (self._consumer.assignment() if self._consumer else set()):
            self._consumer.seek(partition, self._unacknowledged[partition])
        self._unacknowledged = {}

    async def _fetch(self) -> Mapping[TopicPartition, list[Any]]:
        if self._consumer is None:
            await self._join()
        silent_since = time.monotonic()
        while True:
            # a rebalance that does not end blocks getmany, whatever its timeout
            async with asyncio.timeout(JOIN_SECONDS):
                fetched = await self._read()
                epoch = self._epoch
                await self._unread.update(self._consumer, fetched)
            self._heartbeat.beat()
            if epoch != self._epoch:
                continue  # after a rebalance the partitions are read again from their acknowledged offsets
            if any(fetched.values()):
                return dict(fetched)
            if time.monotonic() - silent_since > self._stall_s:
                await self._check_stall()
                silent_since = time.monotonic()

    async def _read(self) -> Mapping[TopicPartition, list[Any]]:
        if self._single_reads:
            return await self._read_one()
        found: Mapping[TopicPartition, list[Any]] = await self._consumer.getmany(
            timeout_ms=POLL_MS, max_records=self._limit
        )
        return found

    async def _read_one(self) -> Mapping[TopicPartition, list[Any]]:
        """Read one record from one partition; a record that cannot be decoded is skipped, since its offset is known.

        Later records of the same producer batch cannot be decoded either, and are skipped one by one.
        """
        for partition in self._consumer.assignment():
            try:
                found: Mapping[TopicPartition, list[Any]] = await self._consumer.getmany(partition, max_records=1)
            except UnicodeDecodeError:
                offset = await self._consumer.position(partition)
                self._consumer.seek(partition, offset + 1)
                self._skip(partition, offset)
                continue
            if any(found.values()):
                self._single_reads -= 1
                return found
        await asyncio.sleep(SINGLE_PAUSE_SECONDS)
        return {}

    def _skip(self, partition: TopicPartition, offset: int) -> None:
        self._single_reads = SINGLE_READS
        metrics.BAD_INPUT.labels(self._heartbeat.name.partition(".")[0], "kafka_record").inc()
        position = f"{partition.topic}/{partition.partition}/{offset}"
        self._log.error("kafka.record_unreadable", position=position)

    async def _check_stall(self) -> None:
        # aiokafka can stop fetching without an error after a broker's restart; only a new connection can tell that
        # from a topic without new messages, and from one whose new messages are in an open or aborted transaction
        partitions = self._consumer.assignment()
        if not partitions:
            return
        async with asyncio.timeout(JOIN_SECONDS):
            ends = await end_offsets(self._connection, partitions)
            positions = {each: await self._consumer.position(each) for each in partitions & self._consumer.assignment()}
            behind = {each: position for each, position in positions.items() if position < ends[each]}
            if behind and await _can_read(self._connection, behind):
                raise Stalled(f"{len(behind)} partitions have messages that are not fetched")

    def _remember(self, fetched: Mapping[TopicPartition, list[Any]]) -> Callable[[], Awaitable[None]]:
        self._epoch += 1
        epoch = self._epoch
        self._unacknowledged = {partition: records[0].offset for partition, records in fetched.items() if records}
        offsets = {partition: records[-1].offset + 1 for partition, records in fetched.items() if records}

        async def acknowledge() -> None:
            # the lock keeps a rebalance from finishing between the check of the epoch and the commit
            async with self._committing:
                if epoch == self._epoch:
                    await self._commit(offsets)
                else:
                    self._log.warning("kafka.stale_acknowledgement_dropped", partitions=len(offsets))

        return acknowledge

    async def _commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        self._unacknowledged = {}
        try:
            with convert_stray_cancellation():
                async with asyncio.timeout(COMMIT_SECONDS):
                    await self._consumer.commit(offsets)
        except (CommitFailedError, IllegalStateError) as error:
            self._log.warning("kafka.stale_acknowledgement_dropped", error=type(error).__name__)
        except (KafkaError, TimeoutError, StrayCancellation) as error:
            # a later commit acknowledges these offsets too; without one the batch is read again
            self._log.warning("kafka.acknowledgement_dropped", error=type(error).__name__)

    async def _join(self) -> None:
        self._consumer = AIOKafkaConsumer(
            **self._connection.options(),
            group_id=self._group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            session_timeout_ms=SESSION_MS,
            heartbeat_interval_ms=HEARTBEAT_MS,
            fetch_max_bytes=FETCH_BYTES,
            max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
            metadata_max_age_ms=METADATA_MS,
        )
        self._consumer.subscribe(self._topics, listener=self)
        async with asyncio.timeout(JOIN_SECONDS):
            await self._consumer.start()

    async def _leave(self) -> None:
        consumer, self._consumer = self._consumer, None
        self._unread.reset()
        self._epoch += 1
        self._unacknowledged = {}
        if consumer is not None:
            await close_consumer(consumer)


async def end_offsets(connection: Connection, partitions: set[TopicPartition]) -> Mapping[TopicPartition, int]:
    """Read the end offset of each partition over a new connection."""
    consumer = AIOKafkaConsumer(**connection.options())
    try:
        await consumer.start()
        offsets: Mapping[TopicPartition, int] = await consumer.end_offsets(list(partitions))
    finally:
        await close_consumer(consumer)
    return offsets


async def _can_read(connection: Connection, positions: Mapping[TopicPartition, int]) -> bool:
    """Say whether a new connection gets a committed message from one of these positions on."""
    consumer = AIOKafkaConsumer(**connection.options(), enable_auto_commit=False, isolation_level="read_committed")
    try:
        await consumer.start()
        consumer.assign(list(positions))
        for partition, position in positions.items():
            consumer.seek(partition, position)
        return any((await consumer.getmany(timeout_ms=PROBE_MS, max_records=1)).values())
    finally:
        await close_consumer(consumer)


def _pauses() -> Iterator[float]:
    longest = 0.1
    while True:
        yield random.uniform(longest / 2, longest)  # noqa: S311 - jitter
        longest = min(2 * longest, LONGEST_PAUSE_SECONDS)

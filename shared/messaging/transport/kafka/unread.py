"""Detects messages that retention deleted before a group had read them: Kafka skips them without an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from shared import metrics

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiokafka import TopicPartition

log = structlog.get_logger()


class UnreadRanges:
    """Keeps the next offset to read of each partition assigned to one member of a consumer group."""

    def __init__(self, group: str) -> None:
        self._group = group
        self._next: dict[TopicPartition, int] = {}

    def reset(self) -> None:
        """Forget all offsets: partitions were revoked, or the member left the group."""
        self._next = {}

    async def update(self, consumer: Any, fetched: Mapping[TopicPartition, Sequence[Any]]) -> None:
        """Note the fetched offsets; count and log messages deleted unread, also those of newly assigned partitions."""
        new = consumer.assignment() - self._next.keys()
        gaps = [each for each, records in fetched.items() if records and records[0].offset > self._next.get(each, 0)]
        if new or gaps:
            await self._compare(consumer, new, gaps)
        self._next |= {each: records[-1].offset + 1 for each, records in fetched.items() if records}

    async def _compare(self, consumer: Any, new: set[TopicPartition], gaps: Sequence[TopicPartition]) -> None:
        """Count and log offsets missing before a partition's first record; later gaps are made by compaction."""
        first: Mapping[TopicPartition, int] = await consumer.beginning_offsets([*new.union(gaps)])
        for each in new:
            acknowledged = await consumer.committed(each)
            self._next[each] = first[each] if acknowledged is None else acknowledged
        for each in new.union(gaps):
            if (count := first[each] - self._next[each]) > 0:
                metrics.EXPIRED_UNREAD.labels(self._group, each.topic).inc(count)
                log.error(
                    "kafka.expired_unread", group=self._group, topic=each.topic, partition=each.partition, count=count
                )
                self._next[each] = first[each]

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
        """Note the fetched offsets; count and log messages deleted unread, also those of newly assigned partitions.

        A rebalance can call `reset` while this waits for the broker, so it keeps the dictionary it began with.
        """
        following = self._next
        new = consumer.assignment() - following.keys()
        gaps = {
            each
            for each, records in fetched.items()
            if each in following and records and records[0].offset > following[each]
        }
        if compared := new | gaps:
            first = await consumer.beginning_offsets([*compared])
            for each in new:
                acknowledged = await consumer.committed(each)
                following[each] = first[each] if acknowledged is None else acknowledged
            for each in compared:
                self._count_missing(each, first[each] - following[each])
                following[each] = max(first[each], following[each])
        following |= {each: records[-1].offset + 1 for each, records in fetched.items() if records}

    def _count_missing(self, partition: TopicPartition, count: int) -> None:
        """Count and log offsets missing before a partition's first record; later gaps are made by compaction."""
        if count > 0:
            metrics.EXPIRED_UNREAD.labels(self._group, partition.topic).inc(count)
            log.error(
                "kafka.expired_unread",
                group=self._group,
                topic=partition.topic,
                partition=partition.partition,
                count=count,
            )

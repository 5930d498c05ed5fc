"""What a topic dropped before its group had read it: nobody else says so, for reading simply goes on behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from shared import metrics

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiokafka import TopicPartition

log = structlog.get_logger()


class UnreadRanges:
    """Knows, for each partition a member of a group has, which offset comes next."""

    def __init__(self, group: str) -> None:
        self._group = group
        self._next: dict[TopicPartition, int] = {}

    def reset(self) -> None:
        """Know nothing any more: partitions were taken away, or the group was left."""
        self._next = {}

    async def update(self, consumer: Any, fetched: Mapping[TopicPartition, Sequence[Any]]) -> None:
        """Compare new partitions with what their group acknowledged, and what was fetched with what came before it."""
        new = consumer.assignment() - self._next.keys()
        gaps = [each for each, records in fetched.items() if records and records[0].offset > self._next.get(each, 0)]
        if new or gaps:
            await self._compare(consumer, new, gaps)
        self._next |= {each: records[-1].offset + 1 for each, records in fetched.items() if records}

    async def _compare(self, consumer: Any, new: set[TopicPartition], gaps: Sequence[TopicPartition]) -> None:
        """Tell what is before the first message that is left; a compacted topic has gaps behind it, which are none."""
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

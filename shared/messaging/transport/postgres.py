"""The event log in a PostgreSQL schema: an append-only table and one cursor per group and topic.

Concurrent transactions may commit in another order than their rows got ids, and a cursor would skip the rows of a late
commit. So every append is a short transaction of its own under an advisory lock per topic. This transport is the
embedded default; larger installations use Kafka.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import asyncpg
import structlog

from shared.database.compact_rows import COMPACT
from shared.database.db import Database, is_transient, lock_number
from shared.database.schema import check
from shared.database.until_stopped import IDLE_S
from shared.database_url import DEFAULT, DatabaseOptions, NeedsSessions
from shared.health import Heartbeat, NotReady
from shared.messaging.transport import Batch, Message, TransportUnavailable, packing

log = structlog.get_logger()

SCHEMA = "transport"
MIGRATIONS = Path(__file__).parents[2] / "migrations/log"
RETENTION = timedelta(days=7)
_CHANNEL = "transport"
_STANDBY_S = 0.5
_PRUNE_EVERY_S = 3600.0
_PRUNED_AT_ONCE = 200  # of each topic
_HISTORY_AT_ONCE = 500

_APPEND = """INSERT INTO messages (topic, key, headers, body, packed)
SELECT $1, * FROM unnest($2::text[], $3::text[], $4::bytea[], $5::smallint[])"""
# A nested loop by the primary key: it reads the topics one after the other, and ends when it has $3 rows. Of each topic
# it reads the rows that begin within $3 messages. The first row may have messages up to the position.
_READ = """SELECT following.* FROM unnest($1::text[], $2::bigint[]) AS cursor (topic, position), LATERAL (
    SELECT topic, id, key, headers, body, packed FROM (
        SELECT *, sum(coalesce(packed, 1)) OVER (ORDER BY id) - coalesce(packed, 1) AS before FROM (
            SELECT topic, id, key, headers, body, packed FROM messages
            WHERE topic = cursor.topic AND id > cursor.position ORDER BY id LIMIT $3
        ) AS unread
    ) AS counted WHERE before < $3
) following LIMIT $3"""
# the positions before the first message, of the last one, and before the newest $2 messages
_SPAN = f"""SELECT coalesce(max(id), 0) AS end, coalesce(min(id), 0) - {packing.MOST} AS before, (
    SELECT min(id - least(size, $2 - counted + size)) FROM (
        SELECT id, coalesce(packed, 1) AS size, sum(coalesce(packed, 1)) OVER (ORDER BY id DESC) AS counted
        FROM (SELECT id, packed FROM messages WHERE topic = $1 ORDER BY id DESC LIMIT $2) AS newest
    ) AS numbered WHERE counted - size < $2)::bigint AS skipped
FROM messages WHERE topic = $1"""  # noqa: S608 - a constant
_CURSORS = """SELECT topic, position FROM cursors WHERE group_name = $1 AND topic = ANY($2::text[])"""
_ACK = """INSERT INTO cursors (group_name, topic, position)
SELECT $1, * FROM unnest($2::text[], $3::bigint[])
ON CONFLICT (group_name, topic) DO UPDATE SET position = greatest(cursors.position, excluded.position)"""
# the oldest messages of each topic by the primary key: once the places of deleted messages are used again, the BRIN
# index of `appended_at` leads to every page
_PRUNE = """WITH RECURSIVE topics (topic) AS (
    SELECT min(topic) FROM messages
    UNION ALL SELECT (SELECT min(m.topic) FROM messages m WHERE m.topic > topics.topic)
    FROM topics WHERE topics.topic IS NOT NULL
)
DELETE FROM messages WHERE ctid = ANY (ARRAY(SELECT oldest.place FROM topics, LATERAL (
    SELECT ctid AS place, appended_at FROM messages WHERE topic = topics.topic ORDER BY id LIMIT $2
) oldest WHERE oldest.appended_at < clock_timestamp() - $1::interval))"""
_LAG = """SELECT coalesce(sum(least(coalesce(packed, 1), m.id - coalesce(c.position, 0))), 0)::bigint
FROM messages m LEFT JOIN cursors c ON c.group_name = $1 AND c.topic = m.topic
WHERE m.topic = ANY($2::text[]) AND m.id > coalesce(c.position, 0)"""


class PostgresLog:
    def __init__(self, url: str, *, topic_prefix: str = "", options: DatabaseOptions = DEFAULT) -> None:
        if options.pooled:
            raise NeedsSessions(
                "EARSHOT_DATABASE_POOLED=transaction: the event log in PostgreSQL needs database sessions, which a "
                "pooler in transaction mode does not keep: set EARSHOT_EVENTS_URL to a Kafka cluster"
            )
        self._database = Database(url, schema=SCHEMA, options=options, pool_size=1)
        self._prefix = topic_prefix
        self._writer: asyncpg.Connection | None = None
        self._writing = asyncio.Lock()
        self._packs = False
        self._pruned_at = float("-inf")

    async def append(self, messages: Sequence[Message]) -> None:
        by_topic = sorted(messages, key=lambda message: message.topic)
        async with self._writing:
            try:
                for topic, group in groupby(by_topic, key=lambda message: message.topic):
                    await self._append_topic(self._prefix + topic, list(group))
                await self._prune_sometimes()
            except BaseException as error:
                self._drop_writer()  # after a cancellation too: the connection may be in a transaction
                if isinstance(error, Exception) and is_transient(error):
                    raise TransportUnavailable from error
                raise

    async def _append_topic(self, topic: str, messages: Sequence[Message]) -> None:
        connection = await self._connected()
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", lock_number("append", topic))
            rows = packing.rows_of(messages, pack=await self._may_pack(connection))
            _, *columns = zip(*rows, strict=True)
            await connection.execute(_APPEND, topic, *columns)
            await connection.execute(f"NOTIFY {_CHANNEL}")

    async def _may_pack(self, connection: asyncpg.Connection) -> bool:
        self._packs = self._packs or await connection.fetchval(f"SELECT {COMPACT}")
        return self._packs

    async def _connected(self) -> asyncpg.Connection:
        if self._writer is None or self._writer.is_closed():
            self._writer = await self._database.connect()
        return self._writer

    def _drop_writer(self) -> None:
        if self._writer is not None:
            self._writer.terminate()
            self._writer = None

    async def _prune_sometimes(self) -> None:
        """Delete some old messages with each append until there are none, and look again an hour later."""
        if time.monotonic() - self._pruned_at > _PRUNE_EVERY_S:
            connection = await self._connected()
            if await connection.execute(_PRUNE, RETENTION, _PRUNED_AT_ONCE) == "DELETE 0":
                self._pruned_at = time.monotonic()

    async def read(
        self, group: str, topics: Sequence[str], *, limit: int = 500, heartbeat: Heartbeat | None = None
    ) -> AsyncGenerator[Batch, None]:
        heartbeat = heartbeat or Heartbeat("reader")
        wire = [self._prefix + topic for topic in topics]
        while True:
            reader = _Reader(group, wire, prefix=self._prefix, limit=limit, heartbeat=heartbeat)
            try:
                await reader.open(self._database)
                while True:
                    yield await reader.next_batch()
            except Exception as error:
                if not is_transient(error):
                    raise
                log.warning("transport.lost_database", group=group, exc_info=error)
                heartbeat.waits("the event log's database does not answer")
                await asyncio.sleep(_STANDBY_S)
            finally:
                await reader.close()

    async def history(self, topic: str, *, last: int | None = None) -> AsyncGenerator[Sequence[Message], None]:
        """See Replayable. Opens a connection for this call; a topic has one partition."""
        wire = self._prefix + topic
        try:
            connection = await self._database.connect()
            try:
                (span,) = await connection.fetch(_SPAN, wire, last or 0)
                position = span["before"] if last is None else span["skipped"]
                while position is not None and position < span["end"]:
                    rows = await connection.fetch(_READ, [wire], [position], _HISTORY_AT_ONCE)
                    rows = [row for row in rows if row["id"] <= span["end"]]
                    if rows:
                        yield [each for row in rows for each in _messages(topic, row, after=position)]
                    position = rows[-1]["id"] if rows else span["end"]
            finally:
                await connection.close(timeout=5)
        except Exception as error:
            if is_transient(error):
                raise TransportUnavailable from error
            raise

    async def ping(self) -> None:
        try:
            await check(self._database, MIGRATIONS)
        except NotReady:
            raise
        except Exception as error:
            raise TransportUnavailable from error

    async def lag(self, group: str, topics: Sequence[str]) -> int:
        async with self._writing:
            try:
                connection = await self._connected()
                return int(await connection.fetchval(_LAG, group, [self._prefix + topic for topic in topics]))
            except Exception as error:
                self._drop_writer()
                raise TransportUnavailable from error

    async def close(self) -> None:
        if self._writer is not None:
            await self._writer.close(timeout=1)
        await self._database.close()


class _Reader:
    """One member of a consumer group. The member that holds a topic's advisory lock reads that topic.

    The others try to get the lock every _STANDBY_S seconds. The connection that holds the locks also writes the
    cursors, so a member that lost its locks with its connection cannot acknowledge.
    """

    def __init__(self, group: str, topics: Sequence[str], *, prefix: str, limit: int, heartbeat: Heartbeat) -> None:
        self._group = group
        self._heartbeat = heartbeat
        self._waiting = list(topics)
        self._positions: dict[str, int] = {}
        self._prefix = prefix
        self._limit = limit
        self._connection: Any = None
        self._wake = asyncio.Event()
        self._tried_at = float("-inf")

    async def open(self, database: Database) -> None:
        self._connection = await database.connect()
        await self._connection.add_listener(_CHANNEL, lambda *_: self._wake.set())
        self._connection.add_termination_listener(lambda *_: self._wake.set())

    async def next_batch(self) -> Batch:
        while True:
            self._wake.clear()
            if self._waiting and time.monotonic() - self._tried_at > _STANDBY_S:
                await self._take_over()
            messages, positions = await self._read()
            self._heartbeat.beat()
            if messages:
                return Batch(messages, partial(self._ack, positions))
            with suppress(TimeoutError):
                async with asyncio.timeout(_STANDBY_S if self._waiting else IDLE_S):
                    await self._wake.wait()

    async def _take_over(self) -> None:
        self._tried_at = time.monotonic()
        taken = [
            topic
            for topic in self._waiting
            if await self._connection.fetchval(
                "SELECT pg_try_advisory_lock($1)", lock_number("read", self._group, topic)
            )
        ]
        stored = {row["topic"]: row["position"] for row in await self._connection.fetch(_CURSORS, self._group, taken)}
        self._positions |= {topic: stored.get(topic, 0) for topic in taken}
        self._waiting = [topic for topic in self._waiting if topic not in taken]

    async def _read(self) -> tuple[list[Message], dict[str, int]]:
        """Return the next messages, and the new position of each topic that has some."""
        if not self._positions:
            return [], {}
        topics, positions = list(self._positions), list(self._positions.values())
        messages, read = list[Message](), dict[str, int]()
        for row in await self._connection.fetch(_READ, topics, positions, self._limit):
            wire, left = row["topic"], self._limit - len(messages)
            found = _messages(wire.removeprefix(self._prefix), row, after=self._positions[wire])
            messages += found[:left]
            read[wire] = row["id"] - max(0, len(found) - left)
            if len(found) >= left:
                break
        return messages, read

    async def _ack(self, positions: dict[str, int]) -> None:
        try:
            await self._connection.execute(_ACK, self._group, list(positions), list(positions.values()))
            self._positions |= positions
        except Exception as error:
            if not is_transient(error):
                raise
            log.warning("transport.ack_lost", group=self._group)  # the next reader gets the batch again

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.terminate() if self._connection.is_closed() else await self._connection.close(timeout=1)


def _messages(topic: str, row: asyncpg.Record, *, after: int) -> list[Message]:
    """Return the messages of a row whose ids are greater than `after`."""
    messages = packing.messages_of(topic, row, last=row["id"])
    return messages[max(0, len(messages) - (row["id"] - after)) :]

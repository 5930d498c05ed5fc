"""The event log: append, read in batches as a consumer group, acknowledge.

Two implementations pass one contract suite (`tests/contract/test_transport.py`): `postgres`, the embedded default,
and `kafka`. Both guarantee that messages of one key are read in the order they were appended, that a batch that was not
acknowledged is read again by the next reader, and that a message goes to one reader of a group at a time.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

import msgspec

from shared.database_url import DEFAULT, DatabaseOptions

if TYPE_CHECKING:
    from shared.health import Heartbeat
    from shared.messaging.transport.kafka.connection import KafkaSecurity


class Message(msgspec.Struct, frozen=True, gc=False):
    """One message; `position` is "topic/partition/offset", empty before the message is appended."""

    topic: str
    key: str
    body: bytes
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    position: str = ""


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages of one read; call `ack` once all of them are committed."""

    messages: Sequence[Message]
    ack: Callable[[], Awaitable[None]]


class TransportUnavailable(ConnectionError):
    """The Kafka cluster, or the database that holds the log, cannot be reached: try again later."""


class MessageTooLarge(Exception):
    """A message is larger than the log accepts, so a retry would fail too: park the message."""


class Readable(Protocol):
    def read(
        self, group: str, topics: Sequence[str], *, limit: int = 500, heartbeat: Heartbeat | None = None
    ) -> AsyncGenerator[Batch, None]:
        """Yield non-empty batches of at most `limit` messages without end; an outage only delays the next batch.

        `heartbeat` gets a beat at every poll, also an empty one, and `waits` with the reason while the log cannot be
        reached. Close the generator with `aclosing`.
        """


class Replayable(Protocol):
    def history(self, topic: str, *, last: int | None = None) -> AsyncGenerator[Sequence[Message], None]:
        """Yield, in batches, the messages that a topic holds at the time of the call, in order per key.

        With `last`, only the newest `last` messages of each partition. No group is involved and nothing is
        acknowledged; a topic that does not exist has no messages. Raises TransportUnavailable. Close the generator with
        `aclosing`.
        """


class EventLog(Readable, Replayable, Protocol):
    async def append(self, messages: Sequence[Message]) -> None:
        """Append messages in order and return once all are durable.

        Raises TransportUnavailable, after which some or all of the messages may be stored, and MessageTooLarge.
        """

    async def ping(self) -> None:
        """Return when the log can be reached; raises TransportUnavailable, or NotReady with the reason."""

    async def lag(self, group: str, topics: Sequence[str]) -> int:
        """Count the messages that this group has not acknowledged yet."""

    async def close(self) -> None: ...


def open_log(
    url: str,
    *,
    topic_prefix: str = "",
    client_id: str = "earshot",
    security: KafkaSecurity | None = None,
    options: DatabaseOptions = DEFAULT,
) -> EventLog:
    """Open the log of a URL: `kafka://host:port[,host:port]`, with `security`, or `postgresql://…`, with `options`."""
    if urlsplit(url).scheme == "kafka":
        from shared.messaging.transport.kafka import KafkaLog  # noqa: PLC0415 - aiokafka is imported only where it is used

        return KafkaLog(url, topic_prefix=topic_prefix, client_id=client_id, security=security)
    from shared.messaging.transport.postgres import PostgresLog  # noqa: PLC0415 - see above

    return PostgresLog(url, topic_prefix=topic_prefix, options=options)

"""The event log behind one small interface: append, read in batches as a group, acknowledge.

Two implementations pass one contract suite (`tests/contract/test_transport.py`): `postgres`, the embedded default,
and `kafka`. What both promise: messages of one key are read in the order they were appended; a batch that was not
acknowledged is read again by whoever reads next; a message goes to one reader of a group at a time.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from shared.database_url import USUAL, DatabaseOptions

if TYPE_CHECKING:
    from shared.health import Heartbeat
    from shared.messaging.transport.kafka.connection import KafkaSecurity


@dataclass(frozen=True, slots=True)
class Message:
    """One message; `position` says where it stood ("topic/partition/offset"), empty while it is on its way in."""

    topic: str
    key: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    position: str = ""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one read returned; `ack` once everything in it is committed."""

    messages: Sequence[Message]
    ack: Callable[[], Awaitable[None]]


class TransportUnavailable(ConnectionError):
    """The broker or its database does not answer: wait and try again, nothing is lost."""


class MessageTooLarge(Exception):
    """The log will never take this message: park it, do not try again."""


class Readable(Protocol):
    def read(
        self, group: str, topics: Sequence[str], *, limit: int = 500, heartbeat: Heartbeat | None = None
    ) -> AsyncGenerator[Batch, None]:
        """Yield batches for ever, never an empty one; outages are waited out. Close it with `aclosing`.

        The heartbeat beats while there is nothing to read, and says so when the log is away.
        """


class Replayable(Protocol):
    def history(self, topic: str, *, last: int | None = None) -> AsyncGenerator[Sequence[Message], None]:
        """Yield what the log has of a topic now, in order per key, of each partition at most the `last` messages.

        No group is involved and nothing is acknowledged; a topic that does not exist is an empty one. Close it with
        `aclosing`. Raises TransportUnavailable.
        """


class EventLog(Readable, Replayable, Protocol):
    async def append(self, messages: Sequence[Message]) -> None:
        """Append in order and return once all are durable.

        Raises TransportUnavailable, then any part may be in, and MessageTooLarge.
        """

    async def ping(self) -> None:
        """Return when the log can be reached; raises TransportUnavailable, or NotReady with the reason."""

    async def lag(self, group: str, topics: Sequence[str]) -> int:
        """Messages appended that this group has not acknowledged yet."""

    async def close(self) -> None: ...


def open_log(
    url: str,
    *,
    topic_prefix: str = "",
    client_id: str = "earshot",
    security: KafkaSecurity | None = None,
    options: DatabaseOptions = USUAL,
) -> EventLog:
    """Open the log of a URL: `kafka://host:port[,host:port]`, with `security`, or `postgresql://…`, with `options`."""
    if urlsplit(url).scheme == "kafka":
        from shared.messaging.transport.kafka import KafkaLog  # noqa: PLC0415 - aiokafka is loaded only where it is used

        return KafkaLog(url, topic_prefix=topic_prefix, client_id=client_id, security=security)
    from shared.messaging.transport.postgres import PostgresLog  # noqa: PLC0415 - see above

    return PostgresLog(url, topic_prefix=topic_prefix, options=options)

"""After a transient error the producer is kept, because it still has unsent records; after a refusal it is replaced."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka import errors

from shared.messaging.transport import TransportUnavailable
from shared.messaging.transport.kafka import producer as module
from shared.messaging.transport.kafka.producer import OutgoingRecord, Producer

RECORD = OutgoingRecord("topic", None, b"x", [])


class Client:
    """A fake of aiokafka's producer; every record fails with the error in `fails`."""

    made = 0
    fails: errors.KafkaError | None = None

    def __init__(self, **_options: Any) -> None:
        type(self).made += 1
        self._sender = self._message_accumulator = self

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def close(self) -> None: ...

    def fail_all(self, _error: Exception) -> None: ...

    async def send(self, *_args: Any, **_options: Any) -> asyncio.Future[None]:
        told = asyncio.get_running_loop().create_future()
        told.set_result(None) if self.fails is None else told.set_exception(self.fails)
        return told


class Connection:
    def options(self) -> dict[str, Any]:
        return {}


@pytest.mark.parametrize(
    ("error", "made"),
    [
        (errors.NotLeaderForPartitionError(), 1),
        (errors.NotEnoughReplicasError(), 1),
        (errors.RequestTimedOutError(), 1),
        (errors.KafkaConnectionError(), 1),
        (errors.KafkaTimeoutError(), 1),
        (errors.OutOfOrderSequenceNumber(), 2),
        (errors.InvalidProducerEpoch(), 2),
        (errors.TopicAuthorizationFailedError(), 2),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_producer_is_replaced_after_a_refusal_only(
    error: errors.KafkaError, made: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AIOKafkaProducer", Client)
    monkeypatch.setattr(Client, "made", 0)
    producer = Producer(Connection())  # type: ignore[arg-type]
    await producer.append([RECORD])
    monkeypatch.setattr(Client, "fails", error)
    with pytest.raises(TransportUnavailable):
        await producer.append([RECORD, RECORD])
    monkeypatch.setattr(Client, "fails", None)
    await producer.append([RECORD])
    assert Client.made == made
    await producer.close()

"""The guarantees of the event log, tested on PostgreSQL and on Kafka."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest

from shared import database_url
from shared.messaging.transport import EventLog, Message, TransportUnavailable
from tests.contract.transport_stand import (
    FIRST,
    SECOND,
    Reader,
    Stand,
    broker_killed,
    by_key,
    database_closed,
    have_read,
    numbered,
    once,
    reading,
    take,
    until,
    warm_up,
    within,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from deploy.kafka.broker import Broker
    from shared.database.embedded import Embedded

    Outage = Callable[[], AbstractAsyncContextManager[None]]


@pytest.fixture(params=[pytest.param("kafka", marks=pytest.mark.kafka), "postgres"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def log_url(transport: str, request: pytest.FixtureRequest) -> str:
    if transport == "postgres":
        return str(request.getfixturevalue("transport_url"))
    if "outage" in request.fixturenames:
        broker: Broker = request.getfixturevalue("restartable_kafka")
        return broker.url
    return str(request.getfixturevalue("kafka_url"))


@pytest.fixture
def outage(transport: str, log_url: str, request: pytest.FixtureRequest) -> Outage:
    """Return a context manager within which the broker or the database cannot be reached."""
    if transport == "kafka":
        broker: Broker = request.getfixturevalue("restartable_kafka")
        return lambda: broker_killed(broker)
    postgres: Embedded = request.getfixturevalue("postgres")
    return lambda: database_closed(postgres.admin_url, database_url.parse(log_url).database)


@pytest.fixture
async def stand(log_url: str) -> AsyncIterator[Stand]:
    stand = Stand(log_url)
    await stand.prepare()
    yield stand
    await stand.close()


@within(60)
async def test_messages_survive_as_they_are(stand: Stand) -> None:
    headers = {"content-type": "application/json; charset=utf-8", "ce_id": "1", "ce_subject": "Покупка ☕"}
    sent = [
        Message(FIRST, "respondent-1", b'{"a": 1}', headers),
        Message(FIRST, "", b"no key"),
        Message(FIRST, "ключ", "«тело» \x00 ✓".encode()),
        Message(FIRST, "empty", b""),
        Message(FIRST, "large", bytes(range(256)) * 3600),
    ]

    await stand.log.append(sent)

    async with reading(stand.log, stand.group) as batches:
        read = {message.key: message for message in await take(batches, len(sent))}
    for message in sent:
        found = read[message.key]
        assert (found.topic, found.body) == (FIRST, message.body)
        assert dict(found.headers) == dict(message.headers)
    positions = {message.position for message in read.values()}
    assert len(positions) == len(sent)
    assert all(position.startswith(f"{FIRST}/") for position in positions)


@within(60)
async def test_appending_nothing_is_allowed(stand: Stand) -> None:
    await stand.log.append([])

    assert await stand.lag() == 0


@within(60)
async def test_each_key_is_read_in_order(stand: Stand) -> None:
    await stand.log.append(
        [message for n in range(100) for key in "abcdef" for message in numbered(key, range(n, n + 1))]
    )

    async with reading(stand.log, stand.group, limit=37) as batches:
        read = await take(batches, 600)

    assert by_key(read) == {key: list(range(100)) for key in "abcdef"}


@within(120)
async def test_nothing_is_skipped_while_many_append(stand: Stand) -> None:
    """Late commits must not be skipped: a plain cursor on PostgreSQL loses rows here."""
    reader = Reader(stand.log, stand.group)

    async def append(log: EventLog, key: str) -> None:
        for start in range(0, 100, 5):
            await log.append(numbered(key, range(start, start + 5)))

    keys = [f"respondent-{number}" for number in range(8)]
    await asyncio.gather(*(append(stand.another_log(), key) for key in keys))
    await until(lambda: len(reader.read) >= 800, reader)
    await reader.stop()

    assert by_key(reader.read) == {key: list(range(100)) for key in keys}
    assert await stand.lag() == 0


@within(60)
async def test_topics_are_apart(stand: Stand) -> None:
    await stand.log.append([*numbered("a", range(3)), *numbered("a", range(10, 13), topic=SECOND)])

    async with reading(stand.log, stand.group, [SECOND]) as batches:
        assert by_key(await take(batches, 3)) == {"a": [10, 11, 12]}
    async with reading(stand.log, stand.group, [FIRST, SECOND]) as batches:
        assert by_key(await take(batches, 3)) == {"a": [0, 1, 2]}


@within(60)
async def test_prefixes_are_apart(stand: Stand) -> None:
    other = Stand(stand.url)
    await other.prepare()
    await other.log.append(numbered("other", range(3)))
    await stand.log.append(numbered("own", range(3)))

    async with reading(stand.log, stand.group) as batches:
        assert by_key(await take(batches, 3)) == {"own": [0, 1, 2]}
    assert await stand.lag() == 0
    await other.close()


@within(60)
async def test_unacknowledged_batch_comes_again_to_the_next_reader(stand: Stand) -> None:
    await stand.log.append(numbered("a", range(10)))
    async with reading(stand.log, stand.group, limit=4) as batches:
        await (await anext(batches)).ack()
        abandoned = await anext(batches)
        assert by_key(abandoned.messages)["a"][0] == 4

    async with reading(stand.another_log(), stand.group) as batches:
        assert by_key(await take(batches, 6)) == {"a": [4, 5, 6, 7, 8, 9]}


@within(60)
async def test_unacknowledged_batch_comes_again_to_the_same_reader(stand: Stand) -> None:
    """Otherwise the next acknowledgement would cover a batch that was not handled."""
    await stand.log.append(numbered("a", range(10)))

    async with reading(stand.log, stand.group, limit=4) as batches:
        await anext(batches)
        assert by_key(await take(batches, 10)) == {"a": list(range(10))}
    assert await stand.lag() == 0


@within(60)
async def test_two_groups_each_read_everything(stand: Stand) -> None:
    await stand.log.append(numbered("a", range(20)))

    for group in (stand.group, f"{stand.group}-other"):
        async with reading(stand.log, group) as batches:
            assert by_key(await take(batches, 20)) == {"a": list(range(20))}


@within(60)
async def test_lag_counts_what_is_not_acknowledged(stand: Stand) -> None:
    assert await stand.lag() == 0
    await stand.log.append(numbered("a", range(10)))
    assert await stand.lag() == 10

    async with reading(stand.log, stand.group, limit=4) as batches:
        batch = await anext(batches)
        assert await stand.lag() == 10
        await batch.ack()
        assert await stand.lag() == 10 - len(batch.messages)
        await take(batches, 10 - len(batch.messages))
    assert await stand.lag() == 0


@within(120)
async def test_two_readers_of_a_group_share_the_messages(stand: Stand, transport: str) -> None:
    readers = [Reader(stand.another_log(), stand.group) for _ in range(2)]
    await warm_up(stand, readers, all_take_part=transport == "kafka")
    warm = len({message.position for reader in readers for message in reader.read})
    expected = {f"respondent-{n}": list(range(10)) for n in range(30)}
    await stand.log.append([message for key in expected for message in numbered(key, range(10))])
    await until(have_read(readers, warm + 300), *readers)

    parts = [by_key([each for each in reader.read if each.key in expected]) for reader in readers]
    assert not parts[0].keys() & parts[1].keys(), "a key is with one reader at a time"
    assert parts[0] | parts[1] == expected
    assert await stand.lag() == 0

    await readers[0].stop()
    so_far = len(readers[1].read)
    await stand.log.append([message for key in expected for message in numbered(key, range(10, 12))])
    await until(lambda: len(readers[1].read) >= so_far + 60, readers[1])
    assert by_key(readers[1].read[so_far:]) == {key: [10, 11] for key in expected}
    await readers[1].stop()


@within(60)
async def test_what_a_dying_reader_held_goes_to_the_other(stand: Stand) -> None:
    await stand.log.append(numbered("a", range(10)))
    held: asyncio.Future[Message] = asyncio.get_running_loop().create_future()

    async def read_and_hang() -> None:
        async with reading(stand.another_log(), stand.group) as batches:
            held.set_result((await anext(batches)).messages[0])
            await asyncio.Event().wait()

    dying = asyncio.create_task(read_and_hang())
    assert (await held).body == b"0"
    other = Reader(stand.log, stand.group)
    dying.cancel()
    await asyncio.wait({dying})
    await until(lambda: len(other.read) >= 10, other)

    assert once(by_key(other.read)["a"]) == list(range(10))
    await other.stop()
    assert await stand.lag() == 0


@within(120)
async def test_outage_loses_nothing_and_keeps_the_order(stand: Stand, outage: Outage) -> None:
    loop = asyncio.get_running_loop()
    reader = Reader(stand.another_log(), stand.group)
    refused, over = asyncio.Event(), asyncio.Event()
    slowest = 0.0

    async def append(number: int) -> None:
        nonlocal slowest
        started = loop.time()
        try:
            await stand.log.append(numbered("a", range(number, number + 1)))
        except TransportUnavailable:
            slowest = max(slowest, loop.time() - started)
            refused.set()
            await over.wait()
            await append(number)

    async def append_all() -> None:
        for number in range(60):
            await append(number)

    await append(-1)
    await until(lambda: bool(reader.read), reader)
    async with asyncio.TaskGroup() as tasks:
        async with outage():
            tasks.create_task(append_all())
            await refused.wait()
            with pytest.raises(TransportUnavailable):
                await stand.another_log().ping()
            with pytest.raises(TransportUnavailable):
                await stand.another_log().lag(stand.group, [FIRST])
        over.set()
    await until(lambda: reader.read[-1].body == b"59", reader)

    assert slowest < 15
    assert once(by_key(reader.read)["a"]) == list(range(-1, 60))
    await reader.stop()
    assert await stand.lag() == 0


@within(120)
async def test_append_and_read_begin_as_soon_as_an_outage_ends(stand: Stand, outage: Outage) -> None:
    """A service that starts before its broker waits for it instead of failing."""
    async with outage():
        reader = Reader(stand.another_log(), stand.group)
        with pytest.raises(TransportUnavailable):
            await stand.log.append(numbered("a", range(3)))
    await stand.log.append(numbered("a", range(3)))
    await until(lambda: len(reader.read) >= 3, reader)

    assert once(by_key(reader.read)["a"]) == [0, 1, 2]
    await reader.stop()


@within(120)
async def test_batch_held_through_an_outage_is_not_lost(stand: Stand, outage: Outage) -> None:
    await stand.log.append(numbered("a", range(10)))
    async with reading(stand.another_log(), stand.group, limit=4) as batches:
        batch = await anext(batches)
        async with outage():
            pass
        await batch.ack()
        seen = [*batch.messages]
        while seen[-1].body != b"9":
            following = await anext(batches)
            seen += following.messages
            await following.ack()

    assert once(by_key(seen)["a"]) == list(range(10))
    assert await stand.lag() == 0


async def told(log: EventLog, *, last: int | None = None, topic: str = FIRST) -> list[Message]:
    async with aclosing(log.history(topic, last=last)) as batches:
        return [message async for batch in batches for message in batch]


@within(60)
async def test_history_is_all_there_is_in_order_and_moves_no_group(stand: Stand) -> None:
    keys = [f"k{n}" for n in range(20)]
    await stand.log.append([message for key in keys for message in numbered(key, range(60))])
    assert await stand.lag() == 1200
    found = await told(stand.log)
    assert by_key(found) == {key: list(range(60)) for key in keys}
    assert {message.topic for message in found} == {FIRST}
    assert await stand.lag() == 1200


@within(60)
async def test_history_of_the_last_ends_with_the_newest_of_every_key(stand: Stand) -> None:
    keys = [f"k{n}" for n in range(20)]
    await stand.log.append([message for n in range(60) for key in keys for message in numbered(key, range(n, n + 1))])
    found = by_key(await told(stand.log, last=100))
    assert 100 <= sum(map(len, found.values())) <= 400
    assert {key: numbers[-1] for key, numbers in found.items()} == dict.fromkeys(keys, 59)


@within(60)
async def test_history_of_nothing_is_empty(stand: Stand) -> None:
    assert await told(stand.log, last=100) == []
    assert await told(stand.log, topic="test.never-made") == []


@within(120)
async def test_history_says_that_the_log_is_away(stand: Stand, outage: Outage) -> None:
    await stand.log.append(numbered("k", range(1)))
    async with outage():
        with pytest.raises(TransportUnavailable):
            await told(stand.log)
    assert len(await told(stand.log)) == 1

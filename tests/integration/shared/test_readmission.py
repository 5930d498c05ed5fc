"""Messages parked for an unknown type or value are handled once a version knows it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from msgspec.structs import replace

from shared.contract import cloudevents
from shared.contract.cloudevents import Event
from shared.contract.events import InvitationClosed, Payload, SurveyWithdrawn
from shared.contract.vocabulary import InvitationOutcome, Service
from shared.database import db
from shared.database.session import Session
from shared.messaging import codec, parking, readmission
from shared.messaging.codec import InvalidEvent
from shared.messaging.consumer import Consumer
from shared.messaging.readmission import Readmission
from shared.messaging.transport import Message, open_log

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TOPIC = "survey.requests"


def message(position: int) -> Message:
    payload = SurveyWithdrawn(respondent_id="r1", invitation_id=uuid4(), reason="cancelled")
    encoded = codec.encode(cloudevents.new(payload, service=Service.TRIGGER, at=NOW))
    return replace(encoded, position=f"{TOPIC}/0/{position}")


class Handler:
    def __init__(self, *, breaks: bool = False) -> None:
        self.seen: list[Event[Payload]] = []
        self._breaks = breaks

    async def __call__(self, _session: Session, events: Sequence[Event[Payload]]) -> None:
        if self._breaks:
            raise ValueError("broken")
        self.seen += events


@pytest.fixture
def again(urls: Mapping[str, str], dispatcher_db: db.Database) -> Readmission:
    event_log = open_log(urls["transport"])
    return Readmission(Consumer(Service.DISPATCHER, [TOPIC], event_log, dispatcher_db.sessions, Handler()))


def handler(again: Readmission) -> Handler:
    found = again.consumer.handler
    assert isinstance(found, Handler)
    return found


async def park(database: db.Database, *refused: tuple[Message, str]) -> None:
    async with database.sessions.begin() as session:
        await parking.park(session, refused)


async def reasons(database: db.Database) -> list[str]:
    async with database.sessions.begin() as session:
        return [row.reason for row in await parking.list_parked(session)]


UNKNOWN_TYPE = "type: 'survey.withdrawn' is not an event of this contract; did you mean survey.answered?"
UNKNOWN_VALUE = "reason: Input should be 'reversed' or 'erased'"


@pytest.mark.parametrize("reason", [UNKNOWN_TYPE, UNKNOWN_VALUE])
async def test_what_this_version_knows_is_handled_and_no_longer_parked(
    again: Readmission, dispatcher_db: db.Database, reason: str
) -> None:
    known = message(1)
    await park(dispatcher_db, (known, reason))
    await again.round()
    await again.round()
    assert handler(again).seen == [codec.parse(known)]
    assert await reasons(dispatcher_db) == []


async def test_what_is_still_unknown_or_was_refused_for_another_reason_stays(
    again: Readmission, dispatcher_db: db.Database
) -> None:
    unknown = replace(message(1), body=message(1).body.replace(b"survey.withdrawn", b"survey.postponed"))
    with pytest.raises(InvalidEvent) as refused:
        codec.parse(unknown)
    elsewhere = replace(message(2), topic="crm.events")
    kept = [str(refused.value), UNKNOWN_TYPE, "the handler failed: ValueError", "larger than the event log takes"]
    parked = (unknown, elsewhere, message(3), message(4))
    await park(dispatcher_db, *zip(parked, kept, strict=True))
    await again.round()
    assert handler(again).seen == []
    assert sorted(await reasons(dispatcher_db)) == sorted(kept)


async def test_an_unknown_value_is_said_as_readmission_looks_for_it(
    again: Readmission, dispatcher_db: db.Database
) -> None:
    payload = InvitationClosed(respondent_id="r1", invitation_id=uuid4(), outcome=InvitationOutcome.ANSWERED, at=NOW)
    known = replace(codec.encode(cloudevents.new(payload, service=Service.DISPATCHER, at=NOW)), position="1")
    with pytest.raises(InvalidEvent) as refused:
        codec.parse(replace(known, body=known.body.replace(b'"answered"', b'"postponed"')))
    await park(dispatcher_db, (known, str(refused.value)))
    again.consumer.topics = [payload.topic]
    await again.round()
    assert [event.payload for event in handler(again).seen] == [payload]


async def test_one_that_cannot_be_handled_stays_with_its_new_reason_and_hinders_no_other(
    again: Readmission, dispatcher_db: db.Database
) -> None:
    await park(dispatcher_db, (message(1), UNKNOWN_TYPE), (message(2), UNKNOWN_TYPE))
    again.consumer.handler = Handler(breaks=True)
    await again.round()
    assert await reasons(dispatcher_db) == ["the handler failed: ValueError"] * 2


async def test_one_whose_decoder_fails_stays_and_hinders_no_other(
    again: Readmission, dispatcher_db: db.Database
) -> None:
    bad, good = message(1), message(2)

    def decode(given: Message) -> Event[Payload]:
        if given.position == bad.position:
            raise KeyError("a mapping of somebody's")
        return codec.parse(given)

    again.consumer.decode = decode
    await park(dispatcher_db, (bad, UNKNOWN_TYPE), (good, UNKNOWN_TYPE))
    await again.round()
    assert handler(again).seen == [codec.parse(good)]
    assert await reasons(dispatcher_db) == [UNKNOWN_TYPE]
    async with dispatcher_db.sessions.begin() as session:
        (row,) = await parking.list_parked(session)
    assert await again.replay(row) == "cannot be read: KeyError"


async def test_two_processes_that_start_at_once_handle_each_once(
    again: Readmission, dispatcher_db: db.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readmission, "PAGE", 7)
    await park(dispatcher_db, *((message(number), UNKNOWN_TYPE) for number in range(30)))
    await asyncio.gather(again.round(), again.round())
    assert len(handler(again).seen) == len({event.id for event in handler(again).seen}) == 30
    assert await reasons(dispatcher_db) == []

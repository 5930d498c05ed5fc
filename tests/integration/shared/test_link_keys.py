"""A request with an unknown link key waits, parked, for the key; other events are handled, and the process goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

import pytest
from msgspec.structs import replace

from services.dispatcher import main as dispatcher
from services.dispatcher.config import DispatcherSettings
from services.scoring import main as scoring
from services.scoring.config import ScoringSettings
from shared.clock import ManualClock
from shared.contract import cloudevents
from shared.contract.vocabulary import Service
from shared.database import db
from shared.health import NotReady
from shared.messaging import codec, parking
from shared.messaging.consumer import MAX_FAILURES_IN_A_ROW, Consumer
from shared.messaging.link_keys import LinkKeys
from shared.messaging.readmission import Readmission
from shared.messaging.transport import EventLog, Message, open_log
from tests.integration.dispatcher.conftest import NOW, request


@pytest.fixture
async def event_log(transport_url: str) -> AsyncIterator[EventLog]:
    log = open_log(transport_url)
    yield log
    await log.close()


@pytest.fixture(params=[Service.DISPATCHER, Service.SCORING])
async def database(request: pytest.FixtureRequest, urls: Mapping[str, str]) -> AsyncIterator[db.Database]:
    service: Service = request.param
    database = db.Database(urls[service], schema=service)
    yield database
    await database.close()


def consumer(database: db.Database, event_log: EventLog, keys: str) -> Consumer:
    clock = ManualClock(NOW)
    if database.schema == Service.DISPATCHER:
        settings = DispatcherSettings(_env_file=None, link_keys=keys)
        return dispatcher.build_consumer(settings, database, event_log, clock)
    settings_ = ScoringSettings(_env_file=None, link_keys=keys)
    return scoring.build_consumer(settings_, database, event_log, clock)


def asked(number: int, key: str) -> Message:
    event = cloudevents.new(request(f"r{number}", link_key=key), service=Service.TRIGGER, at=NOW)
    return replace(codec.encode(event), position=f"survey.requests/0/{number}")


async def invitations(database: db.Database) -> int:
    async with database.sessions.begin() as session:
        return len(await db.fetch(session, "SELECT FROM invitations"))


async def test_requests_of_an_unknown_key_wait_for_it_and_hold_up_nobody(
    database: db.Database, event_log: EventLog
) -> None:
    many = MAX_FAILURES_IN_A_ROW + 50
    unknown = [asked(number, "k2") for number in range(many)]
    before = consumer(database, event_log, "k1:one")
    assert await before.handle([*unknown, asked(many, "k1")], asyncio.Event())
    assert await invitations(database) == 1
    await Readmission(before).round()
    async with database.sessions.begin() as session:
        reasons = {row.reason for row in await parking.list_parked(session, limit=1000)}
    assert reasons == {"link_key: k2 is not in EARSHOT_LINK_KEYS"}
    check = LinkKeys({"k1"}, database.sessions).check
    with pytest.raises(NotReady, match=f"link key k2 is not in EARSHOT_LINK_KEYS: {many} requests wait for it"):
        await check()
    await Readmission(consumer(database, event_log, "k1:one,k2:two")).round()
    await check()
    assert await invitations(database) == many + 1

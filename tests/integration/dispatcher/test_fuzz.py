"""Whatever mail servers and providers send: nothing ends a loop or is answered with a fault of ours."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from services.dispatcher import hooks, main
from services.dispatcher.channels.feedback import dsn
from services.dispatcher.config import DispatcherSettings
from services.dispatcher.hooks.doors import Bitrix24Door
from services.dispatcher.hooks.sns import SnsDoor
from services.dispatcher.receipts import Reference
from shared import web
from shared.health import Health
from shared.vocabulary import Service
from tests import corpora
from tests.fakes import Imap, imap
from tests.integration.dispatcher import bounces, callbacks
from tests.integration.dispatcher.conftest import Chain, counted
from tests.integration.dispatcher.test_bounces import reader
from tests.integration.dispatcher.test_hooks import SETTINGS, TOPIC, Aws, client_of
from tests.integration.dispatcher.test_receipts import Receiver

REFERENCE = "0198d3a0-0000-7000-8000-00000000beef.1"


@pytest.fixture
async def server() -> AsyncIterator[Imap]:
    async with imap() as fake:
        yield fake


@pytest.fixture
def aws() -> Aws:
    return Aws()


def reference(number: int) -> Reference:
    return Reference(UUID(int=number), number % 100)


@pytest.mark.parametrize("shape", bounces.REPORTS)
def test_reports_of_every_mail_server_are_read(shape: str) -> None:
    (found,) = dsn.receipts(bounces.mail(shape, REFERENCE))
    assert str(found.reference) == REFERENCE


@pytest.mark.parametrize("shape", bounces.OTHERS)
def test_other_mails_say_nothing(shape: str) -> None:
    assert dsn.receipts(bounces.mail(shape, REFERENCE)) == []


async def test_whatever_mails_come_back_they_are_read_once_and_the_reports_among_them_are_stored(
    chain: Chain, server: Imap
) -> None:
    chance, before = random.Random(corpora.SEED), counted("bounce")
    for number in range(corpora.SIZE):
        server.letters[number] = bounces.broken(REFERENCE, chance)
    whole = range(0, corpora.SIZE, 10)
    for number in whole:
        server.letters[number] = bounces.mail(chance.choice(bounces.REPORTS), str(reference(number)), own=number)
    read = reader(chain, server)
    while await read():
        continue
    assert server.seen == server.letters.keys()
    assert 0 < counted("bounce") - before < corpora.SIZE / 10
    stored = {
        (row["invitation_id"], row["step"]) for row in await chain.rows("SELECT invitation_id, step FROM receipts")
    }
    assert {(reference(number).invitation_id, reference(number).step) for number in whole} <= stored
    await Receiver(chain).apply()
    assert await chain.rows("SELECT 1 FROM receipts WHERE looks = 0") == []


async def test_whatever_providers_post_it_is_refused_or_stored_and_the_good_items_are_stored(
    chain: Chain, aws: Aws
) -> None:
    chance = random.Random(corpora.SEED)
    settings = DispatcherSettings(_env_file=None, **SETTINGS)  # type: ignore[arg-type]
    doors = {**settings.doors(), "ses": SnsDoor(aws, topics=[TOPIC]), "bitrix24": Bitrix24Door("crm")}
    app = web.create_app(Service.DISPATCHER, health=Health(), public=main.PUBLIC)
    app.include_router(hooks.router(chain.database.sessions, doors))
    makers, statuses = list(callbacks.PROVIDERS.values()), Counter[int]()
    async with client_of(app) as client:
        for number in range(corpora.SIZE):
            made = callbacks.broken(str(reference(number)), chance)
            if number % 10 == 0:
                made = makers[number // 10 % len(makers)](str(reference(number)), None)
            headers = [(name.encode(), value.encode("latin-1")) for name, value in made.headers.items()]
            reply = await client.post(made.path, content=made.body, headers=headers)
            statuses[reply.status_code] += 1
            assert reply.status_code < 500, (made, reply.text)
            assert reply.is_success or number % 10, (made, reply.text)
    assert {200, 204, 400, 403} <= statuses.keys()
    named = [number for number in range(0, corpora.SIZE, 10) if makers[number // 10 % len(makers)] not in UNNAMED]
    stored = {
        (row["invitation_id"], row["step"]) for row in await chain.rows("SELECT invitation_id, step FROM receipts")
    }
    assert {(reference(number).invitation_id, reference(number).step) for number in named} <= stored
    await Receiver(chain).apply()
    assert await chain.rows("SELECT 1 FROM receipts WHERE looks = 0 AND look_at IS NOT NULL") == []


UNNAMED = (callbacks.of_sms_c, callbacks.of_bitrix24)  # they know our message by another name

"""Damaged bounces, callbacks and stored requests: no loop ends, and no reply is a 500."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from starlette.responses import JSONResponse

from services.dispatcher.channels.feedback import dsn
from services.dispatcher.channels.sms import Inquiry
from services.dispatcher.config import DispatcherSettings
from services.dispatcher.domain.receipts import Reference
from services.dispatcher.jobs import receipts
from services.dispatcher.jobs.bitrix24 import Bitrix24
from services.dispatcher.jobs.crm_tasks import CrmTasks
from services.dispatcher.jobs.receipts import SmsStatusPoller
from services.dispatcher.webhooks.routes import WebhookRoutes
from services.dispatcher.webhooks.sns import SnsVerifier
from services.dispatcher.webhooks.verifiers import Bitrix24Verifier
from services.dispatcher.wiring import verifiers
from shared.contract.events import SurveyRequested
from shared.contract.vocabulary import ChannelKind, Service
from shared.health import Health
from shared.web.app import create_app
from shared.web.http_client import HttpClient
from tests import corpora
from tests.fakes import Imap, gateway, imap
from tests.integration.dispatcher.channels import bounces
from tests.integration.dispatcher.channels.test_bounces import reader
from tests.integration.dispatcher.conftest import DAY, LINK_KEYS, NOW, Chain, RememberingAccount, counted, plan, request
from tests.integration.dispatcher.test_receipts import Receiver, UnknownAccount
from tests.integration.dispatcher.webhooks import callbacks
from tests.integration.dispatcher.webhooks.test_webhooks import SETTINGS, TOPIC, Aws, client_of
from tests.staff import ACCESS

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
def test_other_mails_give_no_receipt(shape: str) -> None:
    assert dsn.receipts(bounces.mail(shape, REFERENCE)) == []


async def test_damaged_mails_are_read_once_and_the_reports_among_them_are_stored(chain: Chain, server: Imap) -> None:
    chance, before = random.Random(corpora.SEED), counted("bounce")
    for number in range(corpora.SIZE):
        server.mails[number] = bounces.broken(REFERENCE, chance)
    whole = range(0, corpora.SIZE, 10)
    for number in whole:
        server.mails[number] = bounces.mail(chance.choice(bounces.REPORTS), str(reference(number)), own=number)
    read = reader(chain, server)
    while await read():
        continue
    assert server.seen == server.mails.keys()
    assert 0 < counted("bounce") - before < corpora.SIZE / 10
    stored = {
        (row["invitation_id"], row["step"]) for row in await chain.rows("SELECT invitation_id, step FROM receipts")
    }
    assert {(reference(number).invitation_id, reference(number).step) for number in whole} <= stored
    await Receiver(chain).apply()
    assert await chain.rows("SELECT 1 FROM receipts WHERE looks = 0") == []


async def test_damaged_callbacks_are_refused_or_stored_and_the_valid_ones_are_stored(chain: Chain, aws: Aws) -> None:
    chance = random.Random(corpora.SEED)
    settings = DispatcherSettings(_env_file=None, **SETTINGS)  # type: ignore[arg-type]
    known = {**verifiers(settings), "ses": SnsVerifier(aws, topics=[TOPIC]), "bitrix24": Bitrix24Verifier("crm")}
    app = create_app(Service.DISPATCHER, access=ACCESS, health=Health())
    app.include_router(WebhookRoutes(chain.database.sessions, known).router())
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


UNNAMED = (callbacks.of_smsc_, callbacks.of_bitrix24)  # they do not send our reference back


STORABLE = [value for value in corpora.STRANGE if not re.search(r"\\u(0000|d[89a-f])", json.dumps(value))]
PLAN = plan((ChannelKind.EMAIL, 0), (ChannelKind.SMS, 1), (ChannelKind.CALL, 1))


async def test_damaged_stored_requests_end_no_loop_and_the_others_are_sent(chain: Chain) -> None:
    chance, asked = random.Random(corpora.SEED), [request(f"r{number}", plan=PLAN) for number in range(STORED)]
    await chain.take(*asked)
    strange = {each.invitation_id: each for number, each in enumerate(asked) if number % 5}
    stored = [_stored(each, chance) for each in strange.values()]
    sql = "UPDATE invitations i SET request = s.request FROM unnest($1::uuid[], $2::jsonb[]) s (id, request)"
    await chain.rows(f"{sql} WHERE i.id = s.id RETURNING 1", list(strange), stored)
    mails, texts = RememberingAccount(), UnknownAccount(name="twilio", channel=ChannelKind.SMS)
    async with gateway() as portal:
        crm = Bitrix24(HttpClient(portal.url), responsible=7)
        portal.answer = lambda _fields: JSONResponse({"result": {"task": {"id": "7"}, "tasks": []}})
        for days in range(4):
            chain.clock.moment = NOW + days * DAY
            await chain.tick(email=mails, sms=texts)
            await _run_jobs(chain, crm)
        await crm.http.close()
    good = [each.invitation_id for each in asked if each.invitation_id not in strange]
    for sent in (mails.taken, texts.taken):
        assert set(good) <= {message.invitation_id for message in sent}
    assert {tuple(await chain.states(each)) for each in good} == {("sent", "unknown", "sent")}
    assert await chain.rows("SELECT 1 FROM held") == []
    failed = await chain.rows("SELECT 1 FROM attempts WHERE state = 'failed' AND reason = 'not_read'")
    assert len(failed) > STORED / 10


STORED = max(corpora.SIZE // 20, 50)


def _stored(asked: SurveyRequested, chance: random.Random) -> str:
    """Store a request as an earlier or later version might have: fields left out, added, or of another kind."""
    document = asked.model_dump(mode="json")
    match chance.randrange(3):
        case 0:
            return json.dumps(corpora.changed(document, chance, STORABLE))
        case 1:
            return json.dumps(
                {name: value for name, value in document.items() if chance.random() < 0.95} | {"new": [1]}
            )
    left_out = {name: value for name, value in document.items() if SurveyRequested.model_fields[name].is_required()}
    return json.dumps(left_out)


async def _run_jobs(chain: Chain, crm: Bitrix24) -> None:
    sessions = chain.database.sessions
    await chain.rows("UPDATE attempts SET ask_at = clock_timestamp() WHERE state = 'unknown' RETURNING 1")
    await chain.rows("UPDATE crm_tasks SET look_at = clock_timestamp() WHERE look_at IS NOT NULL RETURNING 1")
    for _ in range(STORED // 20 + 1):
        await SmsStatusPoller(sessions, Silent(), LINK_KEYS)()
        await CrmTasks(sessions, chain.clock, crm, "https://nps.example.com/desk")()
    await Receiver(chain).apply()
    await receipts.release_expired(sessions, chain.clock)


class Silent:
    """A provider that does not know any message."""

    async def ask(self, inquiry: Inquiry) -> None:
        assert inquiry.link

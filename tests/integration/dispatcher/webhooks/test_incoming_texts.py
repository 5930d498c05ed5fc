"""Text messages of respondents at every SMS webhook: understood, or kept for a person to read."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx2
import pytest

from services.dispatcher import main
from services.dispatcher.config import DispatcherSettings
from shared.contract.events import RespondentErased
from shared.contract.vocabulary import ChannelKind
from tests.integration.dispatcher.conftest import Chain, RememberingAccount, plan, request
from tests.integration.dispatcher.webhooks.test_webhooks import SETTINGS, client_of, from_twilio, of_smsc

SMS = ChannelKind.SMS
PHONE = "+15550001"
Door = Callable[[httpx2.AsyncClient, str, str], Awaitable[httpx2.Response]]


@pytest.fixture
async def client(chain: Chain) -> AsyncIterator[httpx2.AsyncClient]:
    settings = DispatcherSettings(_env_file=None, **SETTINGS)  # type: ignore[arg-type]
    async with client_of(main.build_app(settings, chain.database, chain.clock)) as opened:
        yield opened


async def over_twilio(client: httpx2.AsyncClient, text: str, number: str) -> httpx2.Response:
    return await from_twilio(client, {"MessageSid": f"SM{number}", "From": PHONE, "Body": text})


async def over_smsc(client: httpx2.AsyncClient, text: str, number: str) -> httpx2.Response:
    form = of_smsc("phone", "mes", "to", phone="15550001", mes=text, to="79990000000", id=number, time="1")
    return await client.post("/hooks/smsc", data=form)


async def over_another(client: httpx2.AsyncClient, text: str, number: str) -> httpx2.Response:
    body = json.dumps({"from": "001 555-0001", "text": text, "number": number}).encode()
    signature = hmac.new(b"shared", body, hashlib.sha256).hexdigest()
    return await client.post("/hooks/generic", content=body, headers={"X-Signature": signature})


DOORS = pytest.mark.parametrize("door", [over_twilio, over_smsc, over_another])


async def kept(chain: Chain) -> list[dict[str, Any]]:
    return await chain.rows("SELECT channel, sender, text, invitation_id, read_at FROM replies ORDER BY id")


async def receipts(chain: Chain) -> list[str]:
    return [row["kind"] for row in await chain.rows("SELECT kind FROM receipts")]


@DOORS
@pytest.mark.parametrize("text", ["Stop. Thank you", "СТОП, спасибо", "STOPP bitte"])
async def test_sentence_that_asks_to_stop_is_understood(
    chain: Chain, client: httpx2.AsyncClient, door: Door, text: str
) -> None:
    assert (await door(client, text, "1")).is_success
    assert (await receipts(chain), await kept(chain)) == (["stop"], [])


@DOORS
@pytest.mark.parametrize("text", ["Count me in! We have got to STOP this", "9", "My parcel never came, call me", "👍"])
async def test_other_text_is_kept_with_its_invitation_for_a_person_to_read(
    chain: Chain, client: httpx2.AsyncClient, door: Door, text: str
) -> None:
    asked = request(plan=plan((SMS, 0)))
    await chain.take(asked)
    await chain.tick(sms=RememberingAccount(channel=SMS))
    for _ in range(2):
        assert (await door(client, text, "1")).is_success
    assert await receipts(chain) == []
    assert await kept(chain) == [
        {"channel": "sms", "sender": PHONE, "text": text, "invitation_id": asked.invitation_id, "read_at": None}
    ]


async def test_text_of_an_unknown_number_is_kept_without_an_invitation(
    chain: Chain, client: httpx2.AsyncClient
) -> None:
    await over_twilio(client, "Who is this?\x00" + "x" * 5000, "1")
    (found,) = await kept(chain)
    assert (found["invitation_id"], found["text"][:13], len(found["text"])) == (None, "Who is this?\ufffd", 2000)


@pytest.mark.parametrize(
    ("form", "kinds", "texts"),
    [
        ({"Body": "Arretez", "OptOutType": "STOP"}, ["stop"], []),
        ({"Body": "ja", "OptOutType": "START"}, ["start"], []),
        ({"Body": "HELP", "OptOutType": "HELP"}, [], []),  # Twilio has answered
        ({"Body": "HELP"}, [], ["HELP"]),
        ({"Body": "Where is my parcel?", "OptOutType": ""}, [], ["Where is my parcel?"]),
        ({"Body": ""}, [], []),  # a picture
    ],
)
async def test_what_twilio_has_recognised_counts(
    chain: Chain, client: httpx2.AsyncClient, form: dict[str, str], kinds: list[str], texts: list[str]
) -> None:
    await from_twilio(client, {"MessageSid": "SM9", "From": PHONE, **form})
    assert (await receipts(chain), [row["text"] for row in await kept(chain)]) == (kinds, texts)


async def test_erasure_deletes_what_the_person_wrote(chain: Chain, client: httpx2.AsyncClient) -> None:
    asked, other = (
        request("r1", plan=plan((SMS, 0))),
        request("r2", contact={"phone": "+15550009"}, plan=plan((SMS, 0))),
    )
    await chain.take(asked, other)
    await chain.tick(sms=RememberingAccount(channel=SMS))
    await over_twilio(client, "I am Olga", "1")
    await from_twilio(client, {"MessageSid": "SM2", "From": "+15550009", "Body": "I am Ivan"})
    await chain.take(RespondentErased(respondent_id="r1"))
    assert [row["text"] for row in await kept(chain)] == ["I am Ivan"]

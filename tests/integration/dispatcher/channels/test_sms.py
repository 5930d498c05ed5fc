"""SMS against a loopback gateway in each provider's format, with errors and missing replies."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from urllib.parse import parse_qsl
from uuid import UUID

import pytest
from starlette.responses import JSONResponse, Response

from services.dispatcher.channels.breaker import Breaker
from services.dispatcher.channels.sms import (
    GatewayDescription,
    GenericGateway,
    SmsAccount,
    Smsc,
    SmsRouter,
    Twilio,
    country_of,
)
from services.dispatcher.channels.sms.smsc import own_id
from services.dispatcher.domain.receipts import Reference
from services.dispatcher.domain.steps import Bill, Disposition, OutgoingMessage, SendResult
from shared.contract.vocabulary import ChannelKind
from shared.web.http_client import HttpClient
from tests.fakes import Gateway, gateway
from tests.integration.dispatcher.channels.test_mail_accounts import ManualMonotonic, unused_port
from tests.integration.dispatcher.conftest import NOW, Chain, plan, request

SMS = ChannelKind.SMS
INVITATION = UUID("0198d3a0-0000-7000-8000-00000000beef")


def text_message(recipient: str = "+15550001", text: str = "Вопрос + ответ", *, sender: str = "") -> OutgoingMessage:
    return OutgoingMessage(INVITATION, 3, SMS, recipient, "", text.encode(), sender)


@pytest.fixture(name="gateway")
async def _gateway() -> AsyncIterator[Gateway]:
    async with gateway() as server:
        yield server


async def results(
    sender: SmsAccount | SmsRouter, *messages: OutgoingMessage, within_s: float = 10
) -> list[Disposition]:
    try:
        return await sender.send_all(messages, within_s=within_s)
    finally:
        await sender.close()


ONE_SEGMENT = Bill(1)


# --- Twilio

NOT_OURS = Disposition(SendResult.UNAVAILABLE, "twilio_21659")


def sms(url: str, **fields: str) -> SmsAccount:
    http = HttpClient(url, auth=("AC1", "secret"))
    return SmsAccount(Twilio(http, **{"sid": "AC1", "sender": "+15559999", **fields}))


async def test_text_message_is_posted_in_twilios_format(gateway: Gateway) -> None:
    assert await results(sms(gateway.url), text_message()) == [
        Disposition(SendResult.SENT, message_id="SM1", bill=ONE_SEGMENT)
    ]
    assert gateway.taken == [{"To": "+15550001", "From": "+15559999", "Body": "Вопрос + ответ"}]
    assert gateway.authorization == ["Basic QUMxOnNlY3JldA=="]


@pytest.mark.parametrize(
    ("status", "body", "disposition"),
    [
        (400, {"code": 21211, "message": "invalid To", "status": 400}, Disposition(SendResult.REFUSED, "twilio_21211")),
        (400, {"code": 21610, "message": "unsubscribed"}, Disposition(SendResult.REFUSED, "twilio_21610")),
        (429, {"code": 20429}, Disposition(SendResult.THROTTLED, "twilio_20429", wait_s=30)),
        (401, {"code": 20003}, Disposition(SendResult.UNAVAILABLE, "twilio_20003")),
        (503, {}, Disposition(SendResult.UNAVAILABLE, "twilio_503")),
        (500, {}, Disposition(SendResult.UNKNOWN, "twilio_500")),
        (400, {"code": 21659, "message": "From is no number of ours"}, NOT_OURS),
        (404, {"code": "+15550001"}, Disposition(SendResult.REFUSED, "twilio_404")),
    ],
)
async def test_twilio_errors(gateway: Gateway, status: int, body: dict[str, object], disposition: Disposition) -> None:
    gateway.answer = lambda _form: JSONResponse(body, status)
    assert await results(sms(gateway.url), text_message()) == [disposition]


async def test_reply_that_is_no_json_is_read_by_its_status(gateway: Gateway) -> None:
    gateway.answer = lambda _form: Response("<html>", 502)
    assert await results(sms(gateway.url), text_message()) == [Disposition(SendResult.UNKNOWN, "twilio_502")]


async def test_missing_reply_is_unknown_and_delays_no_other_message(gateway: Gateway) -> None:
    ok = gateway.answer
    gateway.answer = lambda form: None if form["To"] == "+1" else ok(form)
    sender = sms(gateway.url)
    found = await sender.send_all([text_message("+1"), text_message("+2")], within_s=0.5)
    assert found == [
        Disposition(SendResult.UNKNOWN, "no_reply"),
        Disposition(SendResult.SENT, message_id="SM1", bill=ONE_SEGMENT),
    ]
    assert sender.free_slots == 19  # the request without a reply still holds its connection
    assert [form["To"] for form in gateway.taken].count("+1") == 1
    gateway.swallowing.set()
    await sender.close()
    assert sender.free_slots == 20


async def test_text_message_without_time_left_is_not_started(gateway: Gateway) -> None:
    sender = sms(gateway.url)
    assert await sender.send_all([text_message()], within_s=0) == [Disposition(SendResult.NOT_STARTED)]
    assert await results(sender, text_message()) == [Disposition(SendResult.SENT, message_id="SM1", bill=ONE_SEGMENT)]
    assert len(gateway.taken) == 1


@pytest.mark.parametrize("sid", ["SM\x00", "SM\ud800", 7, None])
async def test_message_id_that_could_not_be_stored_is_left_out(gateway: Gateway, sid: object) -> None:
    gateway.answer = lambda _form: JSONResponse({}, 201) if sid is None else Response(json.dumps({"sid": sid}), 201)
    (found,) = await results(sms(gateway.url), text_message())
    assert (found.result, found.message_id) == (SendResult.SENT, None)


async def test_message_to_an_unreachable_gateway_was_certainly_not_accepted() -> None:
    found = await results(sms(f"http://127.0.0.1:{unused_port()}"), text_message())
    assert found == [Disposition(SendResult.UNAVAILABLE, "unreachable")]


async def test_messaging_service_and_callback_are_named(gateway: Gateway) -> None:
    await results(sms(gateway.url, sender="MG7", callback="https://nps.example.com/hooks/twilio"), text_message())
    (form,) = gateway.taken
    assert (form["MessagingServiceSid"], "From" in form) == ("MG7", False)
    assert form["StatusCallback"] == f"https://nps.example.com/hooks/twilio?ref={INVITATION}.3"


@pytest.mark.parametrize("account", ["+15559999", "MG7"])
async def test_sender_of_a_program_goes_to_twilio_as_from(gateway: Gateway, account: str) -> None:
    await results(sms(gateway.url, sender=account), text_message(sender="KofePoint"))
    assert gateway.taken == [{"To": "+15550001", "From": "KofePoint", "Body": "Вопрос + ответ"}]


async def test_sender_of_a_program_that_twilio_refuses_says_nothing_about_the_account(gateway: Gateway) -> None:
    gateway.answer = lambda _form: JSONResponse({"code": 21659, "message": "From is no sender of ours"}, 400)
    found = await results(sms(gateway.url), text_message(sender="KofePoint"), text_message())
    assert found == [Disposition(SendResult.NOT_ACCEPTED, "twilio_21659"), NOT_OURS]


async def test_price_is_recorded_when_twilio_reports_it(gateway: Gateway) -> None:
    body = {"sid": "SM1", "num_segments": "2", "price": "-0.0150", "price_unit": "USD"}
    gateway.answer = lambda _form: JSONResponse(body, 201)
    (found,) = await results(sms(gateway.url), text_message())
    assert found.bill == Bill(2, Decimal("0.0150"), "USD")


async def test_text_of_too_many_segments_is_refused_before_it_costs(gateway: Gateway) -> None:
    found = await results(sms(gateway.url), text_message(text="я" * 269))
    assert found == [Disposition(SendResult.REFUSED, "too_long")]
    assert gateway.taken == []


# --- SMSC


def smsc(url: str, **fields: str) -> SmsAccount:
    return SmsAccount(Smsc(HttpClient(url), **{"login": "shop", "password": "pass", **fields}))


OWN_ID = own_id(Reference(INVITATION, 3))


async def test_text_message_is_posted_in_smscs_format(gateway: Gateway) -> None:
    gateway.answer = lambda _form: JSONResponse({"id": int(OWN_ID), "cnt": 1, "cost": "4.1", "balance": "83.6"})
    found = await results(smsc(gateway.url, sender="Kofe"), text_message())
    assert found == [Disposition(SendResult.SENT, message_id=OWN_ID, bill=Bill(1, Decimal("4.1"), "RUB"))]
    assert gateway.paths == ["POST /sys/send.php"]
    assert gateway.taken == [
        {
            "login": "shop",
            "psw": "pass",
            "phones": "+15550001",
            "mes": "Вопрос + ответ",
            "id": OWN_ID,
            "charset": "utf-8",
            "fmt": "3",
            "cost": "3",
            "sender": "Kofe",
        }
    ]
    assert 1 <= int(OWN_ID) <= 2147483647


@pytest.mark.parametrize(("account", "sender"), [("Shop", "KofePoint"), ("", "KofePoint")])
async def test_sender_of_a_program_goes_to_smsc(gateway: Gateway, account: str, sender: str) -> None:
    await results(smsc(gateway.url, sender=account), text_message(sender=sender))
    assert gateway.taken[0]["sender"] == sender


async def test_smsc_takes_a_key_instead_of_a_password(gateway: Gateway) -> None:
    await results(smsc(gateway.url, api_key="key"), text_message())
    assert gateway.taken[0]["apikey"] == "key"
    assert "psw" not in gateway.taken[0]


@pytest.mark.parametrize(
    ("body", "result"),
    [
        ({"error": "parameters error", "error_code": 1}, SendResult.NOT_ACCEPTED),
        ({"error": "authorise error", "error_code": 2}, SendResult.UNAVAILABLE),
        ({"error": "low balance", "error_code": 3}, SendResult.UNAVAILABLE),
        ({"error": "message is denied", "error_code": 6}, SendResult.NOT_ACCEPTED),
        ({"error": "invalid number", "error_code": 7}, SendResult.REFUSED),
        ({"error": "can't deliver", "error_code": 8}, SendResult.REFUSED),
        ({"error": "duplicate request", "error_code": 9}, SendResult.UNKNOWN),
    ],
)
async def test_smsc_errors_come_with_status_200(gateway: Gateway, body: dict[str, object], result: SendResult) -> None:
    gateway.answer = lambda _form: JSONResponse(body, 200)
    found = await results(smsc(gateway.url), text_message())
    assert found == [Disposition(result, f"smsc_{body['error_code']}", message_id=OWN_ID)]


@pytest.mark.parametrize(
    ("status", "result"), [(200, SendResult.UNKNOWN), (503, SendResult.UNAVAILABLE), (502, SendResult.UNKNOWN)]
)
async def test_html_page_as_smscs_reply_is_read_by_its_status(
    gateway: Gateway, status: int, result: SendResult
) -> None:
    gateway.answer = lambda _form: Response("<html>", status)
    found = await results(smsc(gateway.url), text_message())
    assert found == [Disposition(result, f"smsc_http_{status}", message_id=OWN_ID)]


async def test_missing_reply_of_smsc_keeps_the_id_to_ask_its_status_by(gateway: Gateway) -> None:
    gateway.answer = lambda _form: None
    sender = smsc(gateway.url)
    assert await sender.send_all([text_message()], within_s=0.3) == [
        Disposition(SendResult.UNKNOWN, "no_reply", OWN_ID)
    ]
    gateway.swallowing.set()
    await sender.close()


# --- any other gateway


def described(url: str, **fields: object) -> SmsAccount:
    replies = {"message_id": "data.0.id", "error": "data.0.status", "refused": ["bad_number"], "unknown": ["timeout"]}
    replies |= {"away": ["no money"], "too_fast": ["slow"]}
    replies |= {"segments": "data.0.parts", "cost": "data.0.price", "currency": "KZT"}
    whole = {"url": f"{url}/v1/send?key=k", "sender": "Kofe", "plus": False, "reply": replies, **fields}
    return SmsAccount(GenericGateway(HttpClient(""), GatewayDescription.model_validate(whole)))


async def test_sender_of_a_program_fills_the_described_placeholder(gateway: Gateway) -> None:
    await results(described(gateway.url, form={"from": "{sender}"}), text_message(), text_message(sender="KofePoint"))
    assert sorted(form["from"] for form in gateway.taken) == ["Kofe", "KofePoint"]


async def test_described_gateway_gets_its_json(gateway: Gateway) -> None:
    gateway.answer = lambda _form: JSONResponse({"data": [{"id": "m-1", "status": "ok", "parts": 1, "price": 12.5}]})
    body = {"messages": [{"to": "{to}", "from": "{sender}", "text": "{text}", "ref": "{reference}"}], "ttl": 3600}
    found = await results(described(gateway.url, body=body, headers={"Authorization": "Bearer t"}), text_message())
    assert found == [Disposition(SendResult.SENT, message_id="m-1", bill=Bill(1, Decimal("12.5"), "KZT"))]
    assert gateway.paths == ["POST /v1/send"]
    assert gateway.authorization == ["Bearer t"]
    assert json.loads(gateway.bodies[0]) == {
        "messages": [{"to": "15550001", "from": "Kofe", "text": "Вопрос + ответ", "ref": f"{INVITATION}.3"}],
        "ttl": 3600,
    }


async def test_described_gateway_gets_its_form(gateway: Gateway) -> None:
    gateway.answer = lambda _form: Response("accepted")
    form = {"phone": "{to}", "body": "{text} {sender}"}
    found = await results(described(gateway.url, form=form, plus=True), text_message(text="a {to} b"))
    assert found == [Disposition(SendResult.SENT)]
    assert dict(parse_qsl(gateway.bodies[0].decode())) == {"phone": "+15550001", "body": "a {to} b Kofe"}


@pytest.mark.parametrize(
    ("reply", "disposition"),
    [
        (JSONResponse({"data": [{"status": "bad_number"}]}), Disposition(SendResult.REFUSED, "generic_bad_number")),
        (JSONResponse({"data": [{"status": "timeout"}]}), Disposition(SendResult.UNKNOWN, "generic_timeout")),
        (JSONResponse({"data": [{"status": "no money"}]}), Disposition(SendResult.UNAVAILABLE, "generic_nomoney")),
        (JSONResponse({"data": [{"status": "slow"}]}), Disposition(SendResult.THROTTLED, "generic_slow", wait_s=30)),
        (JSONResponse({"data": [{"status": "?"}]}), Disposition(SendResult.NOT_ACCEPTED, "generic_error")),
        (Response(status_code=429), Disposition(SendResult.THROTTLED, "generic_http_429", wait_s=30)),
        (Response(status_code=500), Disposition(SendResult.UNKNOWN, "generic_http_500")),
        (Response(status_code=503), Disposition(SendResult.UNAVAILABLE, "generic_http_503")),
        (Response(status_code=404), Disposition(SendResult.UNAVAILABLE, "generic_http_404")),
    ],
)
async def test_errors_of_a_described_gateway(gateway: Gateway, reply: Response, disposition: Disposition) -> None:
    gateway.answer = lambda _form: reply
    assert await results(described(gateway.url, form={"to": "{to}"}), text_message()) == [disposition]


# --- several gateways


@pytest.mark.parametrize(
    ("phone", "country"), [("+79161234567", "RU"), ("+77011234567", "KZ"), ("+1", "ZZ"), ("nobody", "ZZ")]
)
def test_country_of_a_number(phone: str, country: str) -> None:
    assert country_of(phone) == country


async def test_countries_go_through_the_gateway_they_are_routed_to(gateway: Gateway) -> None:
    answers: dict[str, Callable[[], Response]] = {
        "To": lambda: JSONResponse({"sid": "SM1"}, 201),
        "phones": lambda: JSONResponse({"id": 1, "cnt": 1}),
    }
    gateway.answer = lambda form: next(answer() for name, answer in answers.items() if name in form)
    accounts = {"twilio": sms(gateway.url), "smsc": smsc(gateway.url)}
    router = SmsRouter(accounts, {"RU": ["smsc"], "DE": ["twilio"]})
    found = await results(
        router, text_message("+79161234567"), text_message("+4915112345678"), text_message("+15005550006")
    )
    assert [(each.result, each.account, each.reason) for each in found] == [
        (SendResult.SENT, "smsc", None),
        (SendResult.SENT, "twilio", None),
        (SendResult.REFUSED, None, "no_route"),
    ]


# --- a gateway that is away


async def test_gateway_away_for_fifteen_minutes_costs_no_try(chain: Chain, gateway: Gateway) -> None:
    await chain.take(*(request(f"r{number}", plan=plan((SMS, 0))) for number in range(30)))
    gateway.answer = lambda _form: JSONResponse({"code": 20003}, 401)
    watch = ManualMonotonic()
    sender = replace(sms(gateway.url), breaker=Breaker(monotonic=watch))
    channel_sender = chain.sender(SMS, sender, country_ceilings={"*": 60})
    for minute in range(15):
        chain.clock.moment = NOW + timedelta(minutes=minute)
        watch.seconds += 60
        await channel_sender.perform_due()
    assert {(step["state"], step["tries"]) for step in await chain.steps()} == {("planned", 0)}
    assert len(gateway.taken) < 60
    gateway.answer = lambda _form: JSONResponse({"sid": "SM1"}, 201)
    for minute in range(15, 19):
        chain.clock.moment = NOW + timedelta(minutes=minute)
        watch.seconds += 60
        await channel_sender.perform_due()
    assert [step["state"] for step in await chain.steps()] == ["sent"] * 30
    used = await chain.rows("SELECT DISTINCT used FROM allowance")
    assert used == [{"used": 30}]  # unsent messages do not count against the limits of the account and the country
    await sender.close()


async def test_gateway_that_is_away_delays_no_other_country(gateway: Gateway) -> None:
    away = sms(f"http://127.0.0.1:{unused_port()}")
    gateway.answer = lambda _form: JSONResponse({"id": 1, "cnt": 1})
    router = SmsRouter({"twilio": away, "smsc": smsc(gateway.url)}, {"RU": ["smsc"], "*": ["twilio"]})
    far, near = text_message("+4915112345678"), text_message("+79161234567")
    first = await router.send_all([far, far, far, near], within_s=10)
    then = await router.send_all([near, far], within_s=10)
    assert [each.result for each in first] == [*[SendResult.UNAVAILABLE] * 3, SendResult.SENT]
    assert [(each.result, each.reason) for each in then] == [
        (SendResult.SENT, None),
        (SendResult.THROTTLED, "provider_away"),
    ]
    assert router.free_slots == 20
    await router.close()


async def test_each_failure_of_a_gateway_away_for_hours_counts_as_a_try() -> None:
    watch = ManualMonotonic()
    account = sms(f"http://127.0.0.1:{unused_port()}")
    account = replace(account, breaker=Breaker(failures=1, patience_s=60, monotonic=watch))
    await account.send_all([text_message()], within_s=10)
    watch.seconds += 61
    found = await account.send_all([text_message(), text_message()], within_s=10)
    assert found == [Disposition(SendResult.NOT_ACCEPTED, "provider_away")] * 2
    await account.close()

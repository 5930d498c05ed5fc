"""A country's second SMS gateway takes over what the first has certainly not accepted, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from starlette.responses import JSONResponse, Response

from services.dispatcher.channels.breaker import Breaker
from services.dispatcher.channels.sms import Inquiry, SmsAccount, SmsRouter
from services.dispatcher.config import DispatcherSettings
from services.dispatcher.domain.receipts import Receipt, ReceiptKind, Reference
from services.dispatcher.domain.steps import Disposition, SendResult
from tests.fakes import Gateway, gateway
from tests.integration.dispatcher.channels.test_mail_accounts import ManualMonotonic, unused_port
from tests.integration.dispatcher.channels.test_sms import (
    INVITATION,
    SMS,
    described,
    results,
    sms,
    smsc,
    text_message,
)
from tests.integration.dispatcher.conftest import Chain, plan, request

RUSSIAN = "+79161234567"
ROUTES = {"RU": ["smsc", "twilio"]}
SENT_BY_SECOND = [(SendResult.SENT, "twilio")]


@pytest.fixture(name="first")
async def _first() -> AsyncIterator[Gateway]:
    async with gateway() as server:
        server.answer = lambda _form: JSONResponse({"id": 1, "cnt": 1})
        yield server


@pytest.fixture(name="second")
async def _second() -> AsyncIterator[Gateway]:
    async with gateway() as server:
        yield server


def router(first: SmsAccount, second: Gateway) -> SmsRouter:
    return SmsRouter({"smsc": first, "twilio": sms(second.url)}, ROUTES)


def brief(found: list[Disposition]) -> list[tuple[SendResult, str | None]]:
    return [(each.result, each.account) for each in found]


@contextlib.asynccontextmanager
async def gateway_that_cuts(*, after_body: bool) -> AsyncIterator[str]:
    """Accept connections, and cut each once the request, or only its first byte, has been read."""

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if after_body:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.partition(b":")[2]))
        else:
            await reader.read(1)
        writer.close()

    server = await asyncio.start_server(cut, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_working_first_gateway_leaves_nothing_to_the_second(first: Gateway, second: Gateway) -> None:
    found = await results(router(smsc(first.url), second), text_message(RUSSIAN))
    assert (brief(found), second.taken) == ([(SendResult.SENT, "smsc")], [])


async def test_second_gateway_takes_over_from_one_that_is_down(second: Gateway) -> None:
    down = smsc(f"http://127.0.0.1:{unused_port()}")
    found = await results(router(down, second), text_message(RUSSIAN))
    assert (brief(found), len(second.taken)) == (SENT_BY_SECOND, 1)


@pytest.mark.parametrize(
    "reply",
    [
        JSONResponse({"error": "authorise error", "error_code": 2}),
        JSONResponse({"error": "low balance", "error_code": 3}),
        JSONResponse({"error": "blocked", "error_code": 4}),
        JSONResponse({"error": "message is denied", "error_code": 6}),
        Response(status_code=402),
        Response(status_code=403),
        Response(status_code=429),
        Response(status_code=503),
    ],
)
async def test_second_gateway_takes_over_what_the_first_did_not_accept(
    first: Gateway, second: Gateway, reply: Response
) -> None:
    first.answer = lambda _form: reply
    found = await results(router(smsc(first.url), second), text_message(RUSSIAN))
    assert (brief(found), len(first.taken), len(second.taken)) == (SENT_BY_SECOND, 1, 1)


@pytest.mark.parametrize(
    "reply",
    [
        JSONResponse({"error": "duplicate request", "error_code": 9}),
        Response(status_code=500),
        Response(status_code=502),
        Response(status_code=504),
        Response("<html>", status_code=200),
    ],
)
async def test_message_that_may_be_accepted_never_goes_to_the_second(
    first: Gateway, second: Gateway, reply: Response
) -> None:
    first.answer = lambda _form: reply
    found = await results(router(smsc(first.url), second), text_message(RUSSIAN))
    assert (brief(found), second.taken) == ([(SendResult.UNKNOWN, "smsc")], [])


async def test_gateway_that_hangs_leaves_its_message_unknown(first: Gateway, second: Gateway) -> None:
    first.answer = lambda _form: None
    routed = router(smsc(first.url), second)
    found = await routed.send_all([text_message(RUSSIAN)], within_s=0.3)
    assert (brief(found), len(first.taken), second.taken) == ([(SendResult.UNKNOWN, "smsc")], 1, [])
    first.swallowing.set()
    await routed.close()


@pytest.mark.parametrize("after_body", [True, False])
async def test_connection_cut_after_it_was_read_from_leaves_the_message_unknown(
    second: Gateway, *, after_body: bool
) -> None:
    async with gateway_that_cuts(after_body=after_body) as url:
        found = await results(router(smsc(url), second), text_message(RUSSIAN))
    assert (brief(found), second.taken) == ([(SendResult.UNKNOWN, "smsc")], [])


async def test_message_refused_because_of_its_number_goes_to_no_other(first: Gateway, second: Gateway) -> None:
    first.answer = lambda _form: JSONResponse({"error": "invalid number", "error_code": 7})
    found = await results(router(smsc(first.url), second), text_message(RUSSIAN))
    assert (brief(found), second.taken) == ([(SendResult.REFUSED, "smsc")], [])


async def test_resting_gateway_passes_everything_on_without_being_asked(first: Gateway, second: Gateway) -> None:
    first.answer = lambda _form: Response(status_code=503)
    routed = router(replace(smsc(first.url), breaker=Breaker(failures=1)), second)
    await routed.send_all([text_message(RUSSIAN)], within_s=10)
    found = await results(routed, text_message(RUSSIAN), text_message(RUSSIAN))
    assert (brief(found), len(first.taken), len(second.taken)) == (SENT_BY_SECOND * 2, 1, 3)


async def test_without_any_gateway_the_message_waits_and_spends_no_try(first: Gateway, second: Gateway) -> None:
    first.answer = lambda _form: Response(status_code=503)
    second.answer = lambda _form: JSONResponse({"code": 21408}, 400)  # no permission for this country
    found = await results(router(smsc(first.url), second), text_message(RUSSIAN))
    assert brief(found) == [(SendResult.UNAVAILABLE, "smsc")]


async def test_time_that_the_first_gateway_used_up_leaves_none_to_the_second(first: Gateway, second: Gateway) -> None:
    watch = ManualMonotonic()

    def slow(_form: dict[str, str]) -> Response:
        watch.seconds += 10
        return Response(status_code=503)

    first.answer = slow
    found = await results(replace(router(smsc(first.url), second), monotonic=watch), text_message(RUSSIAN))
    assert (brief(found), second.taken) == ([(SendResult.UNAVAILABLE, "smsc")], [])


async def test_second_gateway_gets_no_more_than_it_can_start(second: Gateway) -> None:
    down = smsc(f"http://127.0.0.1:{unused_port()}")
    found = await results(router(down, second), *[text_message(RUSSIAN)] * 25)
    assert [each.result for each in found].count(SendResult.SENT) == len(second.taken) == 20


@pytest.mark.parametrize(
    ("status", "result"),
    [
        (400, SendResult.NOT_ACCEPTED),
        (302, SendResult.NOT_ACCEPTED),
        (303, SendResult.UNKNOWN),
        (408, SendResult.UNKNOWN),
        (409, SendResult.UNKNOWN),
    ],
)
async def test_status_that_may_mean_accepted_is_unknown(first: Gateway, status: int, result: SendResult) -> None:
    first.answer = lambda _form: Response(status_code=status)
    (found,) = await results(described(first.url, form={"to": "{to}"}), text_message())
    assert found.result is result


@pytest.mark.parametrize(
    ("status", "code", "result"),
    [
        (400, 21408, SendResult.NOT_ACCEPTED),
        (400, 21612, SendResult.NOT_ACCEPTED),
        (400, 21703, SendResult.UNAVAILABLE),
        (402, None, SendResult.UNAVAILABLE),
        (403, None, SendResult.UNAVAILABLE),
    ],
)
async def test_twilios_refusal_of_our_account_blames_no_number(
    second: Gateway, status: int, code: int | None, result: SendResult
) -> None:
    second.answer = lambda _form: JSONResponse({"code": code}, status)
    (found,) = await results(sms(second.url), text_message())
    assert found.result is result


async def test_history_names_the_gateway_that_took_over(chain: Chain, first: Gateway, second: Gateway) -> None:
    await chain.take(request("r1", plan=plan((SMS, 0))))
    first.answer = lambda _form: JSONResponse({"error": "low balance", "error_code": 3})
    routed = replace(router(smsc(first.url), second), routes={"*": ["smsc", "twilio"]})
    await chain.sender(SMS, routed).perform_due()
    await routed.close()
    assert await chain.rows("SELECT state, provider FROM attempts") == [{"state": "sent", "provider": "twilio"}]


# --- the status of a message whose sender was lost, so that any of the route's gateways may have it


def inquiry(provider: str = "sms") -> Inquiry:
    return Inquiry(
        Reference(INVITATION, 3), RUSSIAN, "/s/link", datetime(2026, 3, 1, tzinfo=UTC).date(), True, provider
    )


async def asked(routed: SmsRouter) -> Receipt | None:
    try:
        return await routed.ask(inquiry())
    finally:
        await routed.close()


NEVER_SEEN = (lambda _form: JSONResponse({"status": -3}), lambda _form: JSONResponse({"messages": []}))
Answer = Callable[[dict[str, str]], Response]


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        (NEVER_SEEN, ReceiptKind.NOT_ACCEPTED),
        ((lambda _form: JSONResponse({"status": 1}), NEVER_SEEN[1]), ReceiptKind.DELIVERED),
        (
            (NEVER_SEEN[0], lambda _form: JSONResponse({"messages": [{"body": "a /s/link", "status": "delivered"}]})),
            ReceiptKind.DELIVERED,
        ),
        ((NEVER_SEEN[0], lambda _form: Response(status_code=500)), None),
    ],
)
async def test_lost_message_was_not_accepted_only_if_no_gateway_of_its_route_knows_it(
    first: Gateway, second: Gateway, answers: tuple[Answer, Answer], kind: ReceiptKind | None
) -> None:
    first.answer, second.answer = answers
    receipt = await asked(router(smsc(first.url), second))
    assert (receipt and receipt.kind) == kind


# --- settings


def settings(routes: str) -> DispatcherSettings:
    return DispatcherSettings(sms_routes=routes, smsc_login="shop", twilio_account_sid="AC1")


def test_routes_name_gateways_in_the_order_they_are_tried() -> None:
    assert settings("RU:smsc+twilio, *:twilio").sms_routes == {"RU": ("smsc", "twilio"), "*": ("twilio",)}


@pytest.mark.parametrize("wrong", ["RU:smsc+smsc", "RU:smsc+", "RU:smsc+generic", "RUS:smsc", "smsc+twilio"])
def test_route_that_cannot_be_followed_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"joined by \+|not configured|expected pairs"):
        settings(wrong)

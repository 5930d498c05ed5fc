"""The service as a whole: readiness, accounts per send mode, start and stop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import httpx2
import pytest

from services.dispatcher import main
from services.dispatcher.wiring import open_accounts
from shared.clock import ManualClock
from shared.contract import cloudevents
from shared.contract.vocabulary import Service
from shared.messaging import codec
from shared.messaging.transport import EventLog, open_log
from shared.runtime import ServiceContext
from tests.integration.dispatcher.conftest import NOW, Chain, request
from tests.integration.dispatcher.pages.conftest import browser, settings
from tests.staff import STAFF


@pytest.fixture
async def event_log(transport_url: str) -> AsyncIterator[EventLog]:
    log = open_log(transport_url)
    yield log
    await log.close()


async def test_ready_when_database_and_log_answer(chain: Chain) -> None:
    async with browser(chain) as client:
        assert (await client.get("/readyz")).status_code == 200
        assert (await client.get("/", follow_redirects=False)).headers["location"] == "/mailbox"


def test_mailbox_mode_opens_no_account() -> None:
    configured = {"smtp_url": "smtp://mail", "twilio_account_sid": "AC1", "twilio_auth_token": "t"}
    assert open_accounts(settings(**configured)) == []


async def test_live_mode_opens_what_is_configured() -> None:
    found = settings(
        send="live", smtp_url="smtp://mail", twilio_account_sid="AC1", send_allowlist="@ours.test, +1 (555) 00-01,"
    )
    accounts = open_accounts(found)
    assert {account.channel: account.name for account in accounts} == {"email": "smtp", "sms": "twilio"}
    assert found.send_policy.allowed == ("ours.test", "+15550001")
    for account in accounts:
        await account.close()


async def test_service_takes_a_request_from_the_log_and_ends_when_told(
    urls: Mapping[str, str], chain: Chain, event_log: EventLog, tmp_path: Path
) -> None:
    asked = request()
    event = cloudevents.new(asked, service=Service.TRIGGER, at=NOW)
    await event_log.append([codec.encode(event)])
    stop = asyncio.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
            tasks.create_task(
                main.run(
                    settings(data_dir=tmp_path),
                    ServiceContext(urls["dispatcher"], event_log, ManualClock(NOW), stop, listener),
                )
            )
            async with httpx2.AsyncClient(auth=STAFF, base_url=f"http://127.0.0.1:{port}") as client:
                while not (await client.get("/v1/mailbox")).json()["messages"]:
                    continue
            while await event_log.lag("somebody-else", ["survey.deliveries"]) < 1:
                continue
            stop.set()
    assert (await chain.states(asked.invitation_id))[0] == "sent"

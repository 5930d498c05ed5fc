# ruff: noqa: RUF001 - Russian texts
"""Previews and test mails, on the staff page and the command line."""

from __future__ import annotations

import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from typer.testing import CliRunner

from deploy.cli import app
from services.dispatcher import main
from services.dispatcher.config import DispatcherSettings
from services.dispatcher.wiring import open_accounts
from tests.fakes import SmtpSink, smtp_sink
from tests.integration.dispatcher.conftest import Chain
from tests.staff import STAFF


def settings(**values: object) -> DispatcherSettings:
    return DispatcherSettings(_env_file=None, link_keys="dev:only-for-this-machine", **values)  # type: ignore[arg-type]


@asynccontextmanager
async def browser(
    chain: Chain, *, auth: httpx2.Auth | None = STAFF, **values: object
) -> AsyncIterator[httpx2.AsyncClient]:
    given = settings(**values)
    accounts = open_accounts(given)
    app = main.build_app(given, chain.database, chain.clock, accounts)
    async with httpx2.AsyncClient(
        auth=auth, transport=httpx2.ASGITransport(app), base_url="http://localhost"
    ) as client:
        yield client
    for account in accounts:
        await account.close()


@pytest.fixture
async def sink() -> AsyncIterator[SmtpSink]:
    async with smtp_sink() as server:
        yield server


async def test_mail_is_previewed_in_every_language_and_kind(chain: Chain) -> None:
    async with browser(chain) as client:
        page = (await client.get("/mail", params={"locale": "ru", "repeat": "true"})).text
        assert "напоминаем, один вопрос о заказе от 2 марта" in page
        (source,) = re.findall(r'src="(/mail/html[^"]*)"', page)
        shown = await client.get(source.replace("&amp;", "&"))
        assert "Какова вероятность" in shown.text
        assert shown.headers["content-security-policy"].startswith("default-src 'none'")


async def test_test_mail_goes_to_the_address_in_the_form(chain: Chain, sink: SmtpSink) -> None:
    allowed: dict[str, Any] = {
        "send": "allowlist",
        "send_allowlist": "ours.test",
        "smtp_url": f"smtp://127.0.0.1:{sink.port}",
    }
    async with browser(chain, **allowed) as client:
        asked = (await client.post("/mail", data={"address": "me@ours.test", "locale": "ru"})).text
        assert "Send this test?" in asked
        assert "goes to me@ours.test at once" in asked
        assert sink.mails == []
        [form] = re.findall(r"<form[^>]*aria-labelledby.*?</form>", asked, re.DOTALL)
        fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form))
        assert fields.keys() >= {"address", "locale", "sure"}
        assert "smtp: accepted" in (await client.post("/mail", data=fields)).text
        away = {"address": "a@theirs.test", "sure": "true"}
        assert "EARSHOT_SEND_ALLOWLIST lacks" in (await client.post("/mail", data=away)).text
        assert (await client.get("/mail")).text.count("a test of a mail was sent, by software") == 1
        assert (await client.post("/mail", data={"address": "nobody"})).status_code == 422
        assert (await client.get("/mail", params={"address": "me@ours.test"})).status_code == 200
    assert sink.recipients == ["me@ours.test"]


async def test_mailbox_mode_sends_no_test(chain: Chain, sink: SmtpSink) -> None:
    async with browser(chain, smtp_url=f"smtp://127.0.0.1:{sink.port}") as client:
        sent = await client.post("/mail", data={"address": "me@ours.test", "sure": "true"})
        assert "Nothing was sent" in sent.text
    assert sink.mails == []


async def test_only_staff_send_tests(chain: Chain) -> None:
    async with browser(chain, auth=None) as client:
        assert (await client.get("/mail")).status_code == 401
        assert (await client.post("/mail", data={"address": "me@ours.test"})).status_code == 401


def test_command_line_shows_a_mail_and_says_why_a_test_was_not_sent() -> None:
    shown = CliRunner().invoke(app, ["mail", "preview", "--brand", "Tea"])
    assert "one question about your order of 2 March" in shown.output.replace("\n ", " ")
    unknown = CliRunner().invoke(app, ["mail", "preview", "--locale", "de-AT", "--template", "vip"])
    assert "no texts for the locale de-AT" in unknown.stderr
    assert "no texts are set for the template vip" in unknown.stderr
    assert "there are" not in shown.stderr
    kept = CliRunner().invoke(app, ["mail", "test", "me@ours.test"])
    assert (kept.exit_code, "Nothing was sent: EARSHOT_SEND keeps it here" in kept.output) == (1, True)
    assert CliRunner().invoke(app, ["mail", "test", "nobody"]).exit_code == 2


def test_command_line_shows_a_text_message_with_its_parts_and_their_price() -> None:
    prices = {"EARSHOT_SMS_PRICES": "RU:4.10 RUB,*:0.08 USD", "EARSHOT_SHORT_URL": "https://n.test"}
    shown = CliRunner().invoke(app, ["mail", "preview", "--sms"], env=prices)
    assert shown.stdout.startswith(
        "Kofe Point: Your order 48213 of 2 March, Tverskaya. One question: https://n.test/s/"
    )
    assert shown.stderr == "characters: 153, parts: 1, RU 4.10 RUB, * 0.08 USD\n"
    russian = CliRunner().invoke(app, ["mail", "preview", "--sms", "--locale", "ru"], env=prices)
    assert "Ваш заказ 48213 от 2 марта" in russian.stdout
    assert "parts: 3, RU 12.30 RUB" in russian.stderr


def test_command_exits_with_1_when_a_test_mail_was_not_accepted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = f"smtp://127.0.0.1:{closed.getsockname()[1]}"
    result = CliRunner().invoke(
        app, ["mail", "test", "me@ours.test"], env={"EARSHOT_SEND": "live", "EARSHOT_SMTP_URL": nobody}
    )
    assert (result.exit_code, "smtp: smtp_disconnected" in result.output) == (1, True)


@pytest.mark.parametrize(
    "query",
    [
        *(
            "address=x",
            "address=",
            "address=%ff",
            "address=a@%00",
            "locale=",
            "locale=%ED%A0%80",
            "brand=",
            "template=",
        ),
        *(
            "address=" + "a" * 250 + "@" + "ä" * 49,
            "address=a@" + "ä" * 290,
            "locale=" + "x" * 300,
            "repeat=2",
            "what=1",
        ),
        *("brand=%0d%0aBcc:%20a@b.example", "address=a@b.example%0d%0aBcc:c@d.example", "locale=../../etc"),
    ],
)
@pytest.mark.parametrize("path", ["/mail", "/mail/html"])
async def test_preview_of_odd_values_is_a_mail_or_names_what_is_wrong(chain: Chain, path: str, query: str) -> None:
    async with browser(chain) as client:
        shown = await client.get(f"{path}?{query}")
        assert shown.status_code in (200, 400, 422)
        fields = dict(part.split("=", 1) for part in [query])
        sent = await client.post("/mail", data=fields)
        assert sent.status_code in (200, 400, 422)


@pytest.mark.parametrize(
    "path", ["/mail", "/mail/html", "/mailbox", "/invitations", "/suppressions", "/v1/mailbox", "/v1/suppressions"]
)
async def test_parameter_that_is_not_known_is_refused(chain: Chain, path: str) -> None:
    async with browser(chain) as client:
        assert (await client.get(path)).status_code == 200
        for query in ("costumer=7", "limits=5", "Customer=7"):
            refused = await client.get(f"{path}?{query}")
            assert (refused.status_code, refused.json()["errors"][0]["where"]) == (
                422,
                f"query.{query.partition('=')[0]}",
            )


async def test_link_in_a_mail_may_carry_parameters_of_others(chain: Chain) -> None:
    """Mail programs and advertisers append their own."""
    async with browser(chain) as client:
        assert (await client.get("/u/x?utm_source=mail&fbclid=1")).status_code == 404

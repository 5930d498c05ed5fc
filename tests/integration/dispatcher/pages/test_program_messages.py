"""The messages of a program: previews in its languages, and the whole chain as a test."""

from __future__ import annotations

import re
from email.header import decode_header, make_header
from typing import Any

import httpx2
import pytest

from deploy.program_ticket import ProgramTicket
from services.dispatcher.domain.steps import OutgoingMessage
from services.dispatcher.handlers.programs import on_programs
from services.dispatcher.repository import mailbox
from services.trigger.domain.programs.document import ProgramDocument
from shared.config import Settings
from shared.contract import cloudevents
from shared.contract.events import ProgramPublished
from shared.contract.vocabulary import ChannelKind, Role, Service
from tests.fakes import smtp_sink
from tests.integration.dispatcher.conftest import NOW, Chain, request
from tests.integration.dispatcher.pages.test_mails import browser

CHAIN = "/mail/programs/shop"


async def publish(chain: Chain, **written: Any) -> None:
    document = ProgramDocument.model_validate(
        {"id": "shop", "title": "Our shop", "brand": {"name": "Riverside"}, "starts_on": ["crm.purchase.completed"]}
        | written
    )
    payload = ProgramPublished(
        program_id="shop", program_version=3, document=document.model_dump(mode="json"), state=None
    )
    async with chain.database.sessions.begin() as session:
        await on_programs(session, [cloudevents.new(payload, service=Service.TRIGGER, at=NOW)])


async def frames(client: httpx2.AsyncClient, page: str) -> list[str]:
    sources = [source.replace("&amp;", "&") for source in re.findall(r'src="(/mail/programs/[^"]*)"', page)]
    return [(await client.get(source)).raise_for_status().text for source in sources]


async def test_every_message_is_shown_in_every_language(chain: Chain) -> None:
    await publish(chain)
    async with browser(chain) as client:
        english = (await client.get(CHAIN)).text
        first, reminder = await frames(client, english)
        assert "as version 3 sends it" in english
        assert first != reminder
        assert all("How likely are you to recommend us" in mail and "Riverside" in mail for mail in (first, reminder))
        assert '<base target="_blank">' in first
        assert re.search(r"SMS · 2 days after the repeat · \d parts?, \d+ characters", english)
        assert "[Test]" not in english + first
        assert re.search(r'src="[^"]*/previews/shop[^"]*what=call"', english)
        russian = (await client.get(CHAIN, params={"locale": "ru"})).text
        assert all("Какова вероятность" in mail for mail in await frames(client, russian))
        assert (await client.get(CHAIN, params={"locale": "fr"})).status_code == 404
        assert (await client.get("/mail/programs/none")).status_code == 404
        assert (await client.get(f"{CHAIN}/html", params={"locale": "en", "step": 3})).status_code == 404


async def test_parts_sender_and_price_of_a_text_message_are_shown(chain: Chain) -> None:
    labels = {"sms.text": "{brand}: your “order” {number} {link}"}
    await publish(
        chain,
        brand={"name": "Riverside", "sms_senders": {"en": "Riverside"}},
        texts={"en": {"labels": labels}, "ru": {}},
    )
    async with browser(chain, sms_prices="RU:4.10 RUB,*:0.0815 USD") as client:
        english = (await client.get(CHAIN)).text
        russian = (await client.get(CHAIN, params={"locale": "ru"}, headers={"accept-language": "ru"})).text
    assert "Riverside: your “order” 48213 http" in english
    assert re.search(r"SMS · \d+ days after the repeat · 2 parts, ", english)
    assert "From Riverside · RU 8.20 RUB · elsewhere 0.163 USD" in english
    assert "does not have “ ”: a part has 70 characters" in english
    assert re.search(r"RU \d+,\d0 RUB · другие страны: 0,\d+ USD", russian)
    assert "вместо 160" not in russian, "a text in another alphabet has no stray letters"


async def test_the_whole_chain_is_kept_where_sending_is_off_and_counted_nowhere(chain: Chain) -> None:
    await publish(chain)
    async with browser(chain) as client:
        form = {"address": "me@example.com", "phone": "+15550009"}
        asked = (await client.post(f"{CHAIN}?locale=en", data=form)).text
        assert re.findall(r"Step \d: ([^<]*)</li>", asked) == [
            *["E-mail → me@example.com, kept here"] * 2,
            "SMS → +15550009, kept here",
        ]
        assert (await client.get("/mailbox")).text.count("· test") == 0
        sent = await client.post(f"{CHAIN}?locale=en", data=form | {"sure": "true"})
        kept = re.findall(r'href="(/mail/tests/[0-9a-f-]+)"', sent.text)
        assert len(kept) == 3
        shown = (await client.get(kept[0])).text
        assert "[Test] " in shown
        assert "counted nowhere" in shown
        assert "[Test] Riverside" in (await client.get(kept[2])).text
        assert (await client.get("/mailbox")).text.count("· test") == 3
        assert (await client.get("/v1/mailbox")).json()["messages"] == []
        nothing = await client.post(f"{CHAIN}?locale=en", data={"address": " "})
        assert "Nothing was sent" in nothing.text
    for table in ("invitations", "attempts", "outbox", "due"):
        assert await chain.rows(f"SELECT 1 FROM {table}") == []  # noqa: S608 - constants


async def test_the_whole_chain_goes_to_an_address_that_the_settings_allow(chain: Chain) -> None:
    await publish(chain)
    async with smtp_sink() as sink:
        allowed: dict[str, Any] = {
            "send": "allowlist",
            "send_allowlist": "ours.test",
            "smtp_url": f"smtp://127.0.0.1:{sink.port}",
        }
        async with browser(chain, **allowed) as client:
            form = {"address": "me@ours.test", "sure": "true"}
            page = (await client.post(f"{CHAIN}?locale=en", data=form)).text
    assert page.count("smtp: accepted") == 2
    subjects = [str(make_header(decode_header(mail["Subject"]))) for mail in sink.mails]
    assert [subject.startswith("[Test] ") for subject in subjects] == [True, True]


@pytest.mark.parametrize("document", [{}, {"id": "shop", "texts": {}, "plan": [], "default_locale": "en"}])
async def test_a_document_that_cannot_be_shown_is_no_error_of_the_server(
    chain: Chain, document: dict[str, Any]
) -> None:
    payload = ProgramPublished(program_id="shop", program_version=1, document=document)
    async with chain.database.sessions.begin() as session:
        await on_programs(session, [cloudevents.new(payload, service=Service.TRIGGER, at=NOW)])
    async with browser(chain) as client:
        assert (await client.get(CHAIN)).status_code == 404


@pytest.mark.parametrize("phone", ["abc", "123", "8 (900) 123-45-67", "+", "+7 900"])
async def test_what_is_no_telephone_number_is_refused(chain: Chain, phone: str) -> None:
    await publish(chain)
    async with browser(chain) as client:
        refused = await client.post(f"{CHAIN}?locale=en", data={"phone": phone, "address": "me@example.com"})
        assert refused.status_code == 422
        assert 'aria-describedby="wrong-phone"' in refused.text
        assert "not a telephone number" in refused.text
        assert f'value="{phone}"' in refused.text
        assert 'value="me@example.com"' in refused.text
        assert "wrong-address" not in refused.text
        assert (await client.get("/v1/mailbox")).json()["messages"] == []


@pytest.mark.parametrize("address", ["nobody", "a@", "a b@example.com"])
async def test_a_wrong_mail_address_is_said_beside_its_field(chain: Chain, address: str) -> None:
    await publish(chain)
    async with browser(chain) as client:
        refused = await client.post(f"{CHAIN}?locale=ru", data={"phone": "+7 900 123-45-67", "address": address})
        assert refused.status_code == 422
        assert 'aria-describedby="wrong-address"' in refused.text
        assert f'value="{address}"' in refused.text
        assert 'value="+7 900 123-45-67"' in refused.text
        assert "wrong-phone" not in refused.text
        assert "Один вопрос" in refused.text  # the messages are shown beside the form
        assert (await client.get("/mailbox")).text.count("· test") == 0


async def test_every_step_has_its_time_and_the_reminder_its_name(chain: Chain) -> None:
    plan = [
        {"channel": "email"},
        {"channel": "email", "after": "3d"},
        {"channel": "sms", "after": "36h"},
        {"channel": "call", "after": "1m"},
    ]
    await publish(chain, delay="2h", plan=plan)
    async with browser(chain) as client:
        page = (await client.get(CHAIN)).text
    headings = [" ".join(text.split()) for text in re.findall(r"<h2 id=\"step-\d\">(.*?)</h2>", page, re.DOTALL)]
    assert headings[:2] == ["1. E-mail · 2 hours after the event", "2. Repeat · 3 days after the mail"]
    assert headings[2].startswith("3. SMS · 36 hours after the repeat · ")
    assert headings[3] == "4. Call · 1 minute after the SMS"


async def test_a_manager_sees_the_test_messages_but_not_those_of_customers(chain: Chain) -> None:
    await publish(chain)
    asked = request()
    await chain.take(asked)
    others = OutgoingMessage(asked.invitation_id, 1, ChannelKind.EMAIL, "anna@example.com", "One question", b"X: y\r\n")
    async with chain.database.sessions.begin() as session:
        await mailbox.keep(session, [others], at=NOW)
    [kept] = await chain.rows("SELECT id FROM mailbox")
    async with browser(chain) as supervisor:
        assert (await supervisor.get(f"/mailbox/{kept['id']}")).status_code == 200
        assert (await supervisor.get(f"/mail/tests/{kept['id']}")).status_code == 404
        assert (await supervisor.get(f"/mail/tests/{kept['id']}/html")).status_code == 404
    manager_only = ProgramTicket(Settings(_env_file=None), roles=[Role.MANAGER])
    async with browser(chain, auth=manager_only) as manager:
        sent = await manager.post(f"{CHAIN}?locale=en", data={"address": "me@example.com", "sure": "true"})
        first, _ = re.findall(r'href="(/mail/tests/[0-9a-f-]+)"', sent.text)
        assert "[Test] Riverside" in (await manager.get(first)).text
        [frame] = re.findall(r'<iframe[^>]* src="([^"]*)"', (await manager.get(first)).text)
        assert "How likely are you to recommend us" in (await manager.get(frame)).text


async def test_links_of_test_messages_say_what_they_are(chain: Chain) -> None:
    await publish(chain)
    async with browser(chain) as client:
        sent = await client.post(
            f"{CHAIN}?locale=ru", data={"address": "me@example.com", "phone": "+79001234567", "sure": "true"}
        )
        first, _, text = re.findall(r'href="(/mail/tests/[0-9a-f-]+)"', sent.text)
        mail = (await client.get(f"{first}/html")).text
        [unsubscribe] = set(re.findall(r'href="[^"]*(/u/[^"]*)"', mail))
        assert set(re.findall(r'/s/([^"?]*)', mail)) == {"test-ru---------------.1"}
        assert "/s/test-ru---------------.3" in (await client.get(text)).text
        for answer in (await client.get(unsubscribe), await client.post(unsubscribe)):
            assert answer.status_code == 200
            assert "Это проверочное сообщение" in answer.text
            assert '<html lang="ru">' in answer.text
        assert (await client.get("/u/test-ru")).status_code == 404

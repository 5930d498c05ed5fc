"""The text and the sender of rendered text messages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from services.dispatcher.domain.steps import OutgoingMessage
from services.dispatcher.messages.composer import Composer
from services.trigger.domain.programs.reading import read_program
from services.trigger.main import PROGRAMS
from shared.contract.events import Brand, Contact, EventRef, SurveyRequested
from shared.contract.samples import sample_of_program
from shared.contract.sms import sms_segments
from shared.contract.vocabulary import ChannelKind
from shared.web import links
from shared.web.links import Purpose
from tests.integration.dispatcher.conftest import LINK_KEYS, NOW, plan, request
from tests.integration.dispatcher.messages.test_mail_texts import settings

COMPOSER = Composer(LINK_KEYS, "https://nps.test", "https://n.test", "https://un.test", "Earshot <survey@mail.test>")
BY_REPLY = replace(COMPOSER, reads_sms=True, sms_from_number=True)
TWILIO = {"twilio_account_sid": "AC1", "hooks_url": "https://nps.test"}
ABOUT = "Kofe Point: Your order 48213 of 2 March, Tverskaya. One question:"
ABOUT_RU = "Kofe Point: Ваш заказ 48213 от 2 марта, Tverskaya. Один вопрос:"


def asked_by_sms(**changes: Any) -> SurveyRequested:
    return request(plan=plan((ChannelKind.SMS, 0)), **changes)


def composed(asked: SurveyRequested, composer: Composer = COMPOSER) -> OutgoingMessage:
    return composer.compose(asked, step=1, channel=ChannelKind.SMS)


def said(asked: SurveyRequested, composer: Composer = COMPOSER) -> str:
    """Return the text of the message with `LINK` and `STOP` in place of the links."""
    text = composed(asked, composer).body.decode()
    link, stop = (links.token(LINK_KEYS, "dev", purpose, asked.invitation_id) for purpose in Purpose)
    for base in ("https://n.test", "https://un.test"):
        text = text.replace(f"{base}/s/{link}.1", "LINK").replace(f"{base}/u/{stop}", "STOP")
    return text


def worded(text: str, **labels: str) -> dict[str, dict[str, str]]:
    return {"labels": {"sms.text": text} | {f"sms.{name}": label for name, label in labels.items()}}


@pytest.mark.parametrize(
    ("locale", "expected"),
    [
        ("en", f"{ABOUT} LINK Stop: STOP"),
        ("ru-RU", f"{ABOUT_RU} LINK Отказ: STOP"),
        ("de", "Kofe Point: Wie war es? LINK Stop: STOP"),
    ],
)
def test_text_names_the_order_in_our_languages_and_asks_the_question_in_others(locale: str, expected: str) -> None:
    assert said(asked_by_sms(locale=locale, question="Wie war es?")) == expected


def test_service_and_order_without_a_number_are_named() -> None:
    service = EventRef(source="crm", id="1", type="crm.service.completed", time=NOW, subject="77", number="S-77")
    assert said(asked_by_sms(event=service)).startswith("Kofe Point: Your service request S-77 of 2 March, Tverskaya.")
    order = EventRef(source="crm", id="1", type="crm.purchase.completed", time=NOW)
    assert said(asked_by_sms(event=order)).startswith("Kofe Point: Your order of 2 March, Tverskaya.")


def test_a_test_message_is_marked() -> None:
    assert said(asked_by_sms(test=True)).startswith("[Test] Kofe Point: ")
    assert said(asked_by_sms(test=True, locale="ru")).startswith("[Проверка] Kofe Point: ")


@pytest.mark.parametrize(
    ("placeholder", "value"),
    [
        ("brand", "Kofe Point"),
        ("about", "Your order 48213 of 2 March, Tverskaya"),
        ("topic", "your order of 2 March"),
        ("number", "48213"),
        ("date", "2 March"),
        ("store", "Tverskaya"),
        ("question", "Why?"),
        ("stop", "Stop: STOP"),
    ],
)
def test_every_placeholder_has_its_value(placeholder: str, value: str) -> None:
    text = said(asked_by_sms(question="Why?", **worded(f"a {{{placeholder}}} b {{link}} {{stop}}")))
    assert text == f"a {value} b LINK Stop: STOP"


def test_stop_stands_at_the_end_where_a_text_does_not_say_where() -> None:
    assert said(asked_by_sms(**worded("{link} {brand}"))) == "LINK Kofe Point Stop: STOP"
    assert said(asked_by_sms(**worded("{stop}\n{link}", stop="No: {link}"))) == "No: STOP\nLINK"


@pytest.mark.parametrize("broken", ["{brand}", "{link", "{link} {price}"])
def test_text_that_is_not_valid_is_not_used(broken: str) -> None:
    assert said(asked_by_sms(**worded(broken))) == f"{ABOUT} LINK Stop: STOP"


@pytest.mark.parametrize(
    "question", ["Would you recommend us?", "Порекомендуете ли вы нас? " * 30, "long " * 200, "😀 " * 300]
)
def test_long_question_is_cut_and_the_links_stay_whole(question: str) -> None:
    asked = asked_by_sms(question=question, **worded("{brand}: {question} {link} {stop}"))
    assert said(asked).startswith("Kofe Point: ")
    assert said(asked).endswith(" LINK Stop: STOP")
    assert sms_segments(composed(asked).body.decode()) <= 3


@pytest.mark.parametrize(
    ("composer", "sender", "stop"),
    [
        (COMPOSER, None, "Stop: STOP"),
        (COMPOSER, "+15550002", "Stop: STOP"),
        (BY_REPLY, None, "Reply STOP to stop"),
        (BY_REPLY, "KofePoint", "Stop: STOP"),
        (replace(BY_REPLY, sms_from_number=False), None, "Stop: STOP"),
        (replace(BY_REPLY, sms_from_number=False), "+15550002", "Reply STOP to stop"),
    ],
)
def test_reply_is_offered_only_where_it_arrives(composer: Composer, sender: str | None, stop: str) -> None:
    asked = asked_by_sms(brand=Brand(name="Kofe Point", sms_sender=sender))
    assert said(asked, composer) == f"{ABOUT} LINK {stop}"
    assert composed(asked, composer).sender == (sender or "")


def test_sender_is_that_of_the_locale() -> None:
    brand = Brand(name="Kofe Point", sms_sender="KofePoint", sms_senders={"ru": "Kofe RU"})
    senders = [composed(asked_by_sms(brand=brand, locale=locale)).sender for locale in ("en", "ru", "de")]
    assert senders == ["KofePoint", "Kofe RU", "KofePoint"]


@pytest.mark.parametrize(
    ("given", "by_reply"),
    [
        ({}, False),
        (TWILIO | {"twilio_from": "+15551234567"}, True),
        (TWILIO | {"twilio_from": "MG1"}, False),
        (TWILIO | {"twilio_from": "+15551234567", "hooks_url": ""}, False),
        ({"smsc_api_key": "k", "smsc_sender": "KofePoint", "smsc_secret": "s"}, False),
        ({"smsc_api_key": "k", "smsc_sender": "79001234567", "smsc_secret": "s"}, True),
        ({"smsc_api_key": "k", "smsc_sender": "79001234567"}, False),
        (
            {
                "sms_gateway": '{"url": "u", "sender": "1234", "callback": {"sender": "from", "text": "text"}}',
                "sms_gateway_secret": "s",
            },
            True,
        ),
        ({"sms_gateway": '{"url": "u", "sender": "1234"}', "sms_gateway_secret": "s"}, False),
    ],
)
def test_settings_say_whether_a_reply_would_arrive(given: dict[str, Any], by_reply: bool) -> None:  # noqa: FBT001
    text = composed(asked_by_sms(), settings(**given).composer).body.decode()
    assert text.endswith("Reply STOP to stop") == by_reply


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ({"short_url": "https://n.test/"}, "https://n.test"),
        ({"unsubscribe_url": "https://un.test"}, "https://un.test"),
        ({}, "https://nps.test"),
    ],
)
def test_link_to_stop_is_below_the_short_url_if_there_is_one(given: dict[str, str], base: str) -> None:
    text = composed(asked_by_sms(), settings(public_url="https://nps.test", **given).composer).body.decode()
    assert f"Stop: {base}/u/" in text


def test_text_of_a_brand_comes_from_the_file_of_texts(tmp_path: Path) -> None:
    texts = tmp_path / "texts.yaml"
    texts.write_text("[{brand: Kofe Point, locale: en, sms_text: '{brand} asks: {link} {stop}'}]")
    composer = settings(mail_texts=texts).composer
    assert composed(asked_by_sms(), composer).body.decode().startswith("Kofe Point asks: http")
    assert "asks" not in composed(asked_by_sms(brand=Brand(name="Other")), composer).body.decode()
    assert composed(asked_by_sms(**worded("Hi {link}")), composer).body.decode().startswith("Hi http")
    for wrong in ("", "{brand}", "{link} {scale}"):
        texts.write_text(f"[{{sms_text: '{wrong}'}}]")
        with pytest.raises(ValidationError, match=r"sms\.text: "):
            settings(mail_texts=texts)


@pytest.mark.parametrize(
    ("locale", "begins"),
    [("en", "[Test] Earshot: Your order"), ("ru", "[Проверка] Earshot: Ваш заказ 48213 от")],
)
def test_program_that_comes_with_earshot_has_its_text_message_in_both_languages(locale: str, begins: str) -> None:
    document = read_program((PROGRAMS / "after-purchase.yaml").read_bytes()).model_dump(mode="json")
    contact = Contact(phone="+15550001")
    asked = sample_of_program(document, locale=locale, link_key="dev", when=NOW, contact=contact)
    text = COMPOSER.compose(asked, step=3, channel=ChannelKind.SMS).body.decode()
    assert text.startswith(begins)
    assert sms_segments(text) <= 3

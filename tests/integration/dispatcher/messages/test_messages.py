# ruff: noqa: RUF001 - Russian texts
"""The text and the headers of rendered messages."""

from __future__ import annotations

from dataclasses import replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from html.parser import HTMLParser
from typing import Any

import pytest

from services.dispatcher.messages.composer import Composer, about
from services.dispatcher.messages.mime import BadAddress
from shared.contract.events import Brand, Contact, EventRef
from shared.contract.vocabulary import ChannelKind
from shared.web import links
from shared.web.links import Purpose, UnknownLinkKey
from tests.integration.dispatcher.conftest import LINK_KEYS, NOW, request

COMPOSER = Composer(LINK_KEYS, "https://nps.test", "https://n.test", "https://un.test", "Earshot <survey@mail.test>")


def composed(*, step: int = 1, channel: ChannelKind = ChannelKind.EMAIL, **changes: Any) -> tuple[Any, EmailMessage]:
    asked = request(**changes)
    outgoing = COMPOSER.compose(asked, step=step, channel=channel)
    return asked, message_from_bytes(outgoing.body, policy=policy.default)


def content(mail: EmailMessage, kind: str) -> str:
    part = mail.get_body((kind,))
    assert part is not None
    text: str = part.get_content()
    return text


class Nesting(HTMLParser):
    """Checks that elements are properly nested."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs)
        if tag not in ("meta", "br", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


class Links(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found.append(dict(attrs)["href"] or "")


def test_mail_has_the_headers_of_a_good_sender() -> None:
    asked, mail = composed()
    unsubscribe = links.token(LINK_KEYS, "dev", Purpose.UNSUBSCRIBE, asked.invitation_id)
    assert mail["From"] == "Kofe Point <survey@mail.test>"
    assert mail["To"] == "r1@example.com"
    assert mail["Subject"] == "Kofe Point: one question about your order of 2 March"
    assert mail["Message-ID"] == f"<{asked.invitation_id}.1@mail.test>"
    assert mail["List-Unsubscribe"] == f"<https://un.test/u/{unsubscribe}>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Date"].datetime is not None
    assert not mail.defects


def test_mail_names_a_mail_to_unsubscribe_by_where_one_would_be_read() -> None:
    asked = request()
    message = replace(COMPOSER, reads_mail=True).compose(asked, step=1, channel=ChannelKind.EMAIL)
    parsed = message_from_bytes(message.body, policy=policy.default)
    assert parsed["List-Unsubscribe"].endswith(
        f">, <mailto:survey@mail.test?subject=unsubscribe%20{asked.invitation_id}.1>"
    )
    assert not parsed.defects


def test_mail_asks_with_eleven_links_in_both_parts() -> None:
    asked, mail = composed(step=2)
    token = links.token(LINK_KEYS, "dev", Purpose.ANSWER, asked.invitation_id)
    expected = [f"https://nps.test/s/{token}.2?score={score}" for score in range(11)]
    assert Links(content(mail, "html")).found[:11] == expected
    assert [line[4:] for line in content(mail, "plain").splitlines() if "?score=" in line] == expected
    for kind in ("html", "plain"):
        text = content(mail, kind)
        assert "Your order 48213 of 2 March, Tverskaya" in text
        assert asked.question in text
        assert "A tap opens a page where you confirm it." in text
        assert "Petrova" not in text


def test_repeat_has_the_subject_of_a_reminder() -> None:
    _, mail = composed(step=2)
    assert mail["Subject"] == "Kofe Point: a reminder, one question about your order of 2 March"


def test_mail_in_russian() -> None:
    event = EventRef(source="crm", id="1", type="crm.service.completed", time=NOW, subject="77")
    _, mail = composed(locale="ru-RU", event=event, question="Какова вероятность?", brand=Brand(name="Кофе Пойнт"))
    assert mail["Subject"] == "Кофе Пойнт: один вопрос об обращении от 2 марта"
    assert "Ваше обращение 77 от 2 марта, Tverskaya" in content(mail, "html")
    assert 'lang="ru"' in content(mail, "html")


@pytest.mark.parametrize("kind", ["crm.purchase.completed", "crm.service.completed"])
def test_message_speaks_of_the_number_that_people_know(kind: str) -> None:
    event = EventRef(source="shop", id="1", type=kind, time=NOW, subject="5843927359234", number="#1030")
    for step, channel in ((1, ChannelKind.EMAIL), (3, ChannelKind.SMS)):
        text = COMPOSER.compose(request(event=event), step=step, channel=channel).body.decode()
        assert "5843927359234" not in text
    assert "#1030" in content(composed(event=event)[1], "html")
    assert about(request(event=event)).startswith(("Your order #1030 of", "Your service request #1030 of"))


def test_markup_in_texts_stays_text() -> None:
    evil = "<script>alert(1)</script>"
    _, mail = composed(
        question=evil, brand=Brand(name=evil, privacy_url="javascript:alert(1)"), segments={"store": evil}
    )
    html = content(mail, "html")
    assert "<script" not in html
    assert "javascript:" not in html


@pytest.mark.parametrize("privacy", [None, "https://kofe.test/privacy"])
def test_mail_is_well_formed_html(privacy: str | None) -> None:
    html = content(composed(brand=Brand(name="A & <B>", privacy_url=privacy))[1], "html")
    assert html.startswith("<!doctype html>")
    assert Nesting(html).open == []


def test_privacy_link_when_the_brand_has_one() -> None:
    _, mail = composed(brand=Brand(name="Kofe Point", privacy_url="https://kofe.test/privacy"))
    assert Links(content(mail, "html")).found[-1] == "https://kofe.test/privacy"


def test_mail_loads_nothing_from_elsewhere() -> None:
    html = content(composed()[1], "html")
    assert not any(tag in html for tag in ("<img", "<script", "<link", "url(", "@import"))


@pytest.mark.parametrize("name", ["=?utf-8?q?a=0D=0ABcc:_e@x?=", "Kofe\r\nBcc: e@x.test", "Kofe\x0bBcc: e@x.test"])
def test_no_name_injects_a_header(name: str) -> None:
    event = EventRef(source="shop", id="e1", type="crm.purchase.completed", time=NOW, subject="1")
    asked = request(brand=Brand(name=name), customer_name=name, event=event, segments={"store": name})
    raw = COMPOSER.compose(asked, step=1, channel=ChannelKind.EMAIL).body
    mail = message_from_bytes(raw, policy=policy.default)
    assert mail["Bcc"] is None
    assert len(mail.keys()) == 11
    assert [each.addr_spec for each in mail["From"].addresses] == ["survey@mail.test"]


@pytest.mark.parametrize("text", [".", ".x" * 99, "\n.\r\n.", "\r\n.\r\nMAIL FROM:<e@example.com>"])
def test_no_line_of_a_mail_begins_with_a_dot(text: str) -> None:
    """Its dots are not doubled when it is sent, so such a line would end it."""
    asked = request(brand=Brand(name=f"K{text}"), question=text, segments={"store": text}, labels={"mail.scale": text})
    mail = COMPOSER.compose(asked, step=1, channel=ChannelKind.EMAIL)
    assert not mail.dotted
    assert not any(line.startswith(b".") for line in mail.body.split(b"\n"))


def test_address_that_would_inject_is_refused() -> None:
    asked = request(contact=Contact(email="a@example.com\r\nBcc: e@x.test"))
    with pytest.raises(BadAddress):
        COMPOSER.compose(asked, step=1, channel=ChannelKind.EMAIL)


def test_unknown_link_key_is_named() -> None:
    with pytest.raises(UnknownLinkKey, match="other"):
        COMPOSER.compose(request(link_key="other"), step=1, channel=ChannelKind.EMAIL)


def test_mail_is_written_in_the_direction_and_words_of_its_program() -> None:
    labels = {
        "mail.subject": "{brand}: سؤال واحد",
        "mail.unsubscribe": "لا تسألوني",
        "mail.order": "طلبك {number} بتاريخ {date}",
        "mail.because": "{unknown}",
    }
    _, mail = composed(locale="ar", question="ما مدى احتمال أن توصي بنا؟", labels=labels)
    html = content(mail, "html")
    assert mail["Subject"] == "Kofe Point: سؤال واحد"
    assert '<html lang="ar" dir="rtl">' in html
    assert html.count('dir="rtl"') == 3, "mail programs drop the html and body elements"
    assert "\u2068Kofe Point\u2069" in html
    assert html.count('dir="auto"') == 6, "what is not worded is English, from left to right"
    assert "لا تسألوني" in html
    assert "بتاريخ 2 مارس" in html
    assert "because you are a customer" in html, "a label that is not valid is not used"
    _, mail = composed(locale="de", question="Empfehlen Sie uns weiter?")
    assert '<html lang="de">' in content(mail, "html")
    assert "Do not ask me again" in content(mail, "html")

"""Mail texts of EARSHOT_MAIL_TEXTS, and mail bodies."""

from __future__ import annotations

import json
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from services.dispatcher.config import DispatcherSettings
from services.dispatcher.messages import mime
from shared.contract.events import Brand
from shared.contract.vocabulary import ChannelKind
from tests.integration.dispatcher.conftest import plan, request

TEXTS = """
- brand: Kofe Point
  sender: Кофе Пойнт <hello@kofe.test>
  because: "You bought at {store}. {brand.__class__} {unknown is left"
- brand: Kofe Point
  locale: ru
  subject: "{brand}: как вам заказ {number} от {date}?"
- template: nudge
  reminder: "Still curious, {brand} about {topic}"
  preheader: "{about}: it takes half a minute"
"""


def settings(**values: object) -> DispatcherSettings:
    return DispatcherSettings(_env_file=None, link_keys="dev:only-for-this-machine", **values)  # type: ignore[arg-type]


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    written = tmp_path / "texts.yaml"
    written.write_text(TEXTS)
    return written


def composed(texts: Path, *, step: int = 1, **changes: Any) -> tuple[Any, str, str]:
    mail = settings(mail_texts=texts).composer.compose(request(**changes), step=step, channel=ChannelKind.EMAIL)
    return message_from_bytes(mail.body, policy=policy.default), *mime.read_alternative(mail.body)


def test_texts_of_a_brand_replace_ours(texts: Path) -> None:
    mail, text, html = composed(texts)
    assert mail["From"] == "Кофе Пойнт <hello@kofe.test>"
    assert mail["Subject"] == "Kofe Point: one question about your order of 2 March"
    for part in (text, html):
        assert "You bought at Tverskaya. {brand.__class__} {unknown is left" in part
    assert mail["Message-ID"].endswith("@localhost>")


def test_texts_of_a_language_or_template_apply_only_to_it(texts: Path) -> None:
    assert composed(texts, locale="ru-RU")[0]["Subject"] == "Kofe Point: как вам заказ 48213 от 2 марта?"
    nudging = plan((ChannelKind.EMAIL, 0), (ChannelKind.EMAIL, 1), template="nudge")
    mail, _, html = composed(texts, step=2, plan=nudging, brand=Brand(name="Tea"))
    assert mail["Subject"] == "Still curious, Tea about your order of 2 March"
    assert mail["From"] == "Tea <survey@localhost>"
    assert "Your order 48213 of 2 March, Tverskaya: it takes half a minute" in html


@pytest.mark.parametrize(
    "wrong",
    ["- subject: '{password}'", "- sender: nobody", "- colour: red", "brand: x"],
)
def test_invalid_texts_are_refused_at_the_start(tmp_path: Path, wrong: str) -> None:
    written = tmp_path / "texts.yaml"
    written.write_text(wrong)
    with pytest.raises(ValidationError):
        settings(mail_texts=written)


def test_values_of_one_mail_never_reach_another() -> None:
    evil = "\x02about\x03 <b>&amp;\n.\n=3D"
    composer = settings().composer
    for name in ("Arbat", evil, "Sokol", "x" * 200):
        mail = composer.compose(request(segments={"store": name}), step=1, channel=ChannelKind.EMAIL).body
        text, html = mime.read_alternative(mail)
        assert name in text
        assert ("<b>" in html, "Arbat" in html) == (False, name == "Arbat")
        assert all(len(line) <= 998 for line in mail.split(b"\r\n"))


def test_no_line_of_a_body_is_longer_than_the_standard_allows() -> None:
    mail = settings().composer.compose(request(locale="ru"), step=1, channel=ChannelKind.EMAIL).body
    body = mail.partition(b"\r\n\r\n")[2]
    assert max(len(line) for line in body.split(b"\r\n")) <= 76
    assert body.isascii()


def test_answers_to_a_mail_reach_the_shop(texts: Path) -> None:
    texts.write_text("- brand: Tea\n  reply_to: Tea <help@tea.test>\n")
    assert composed(texts, brand=Brand(name="Tea"))[0]["Reply-To"] == "help@tea.test"
    assert composed(texts)[0]["Reply-To"] is None
    composer = settings(mail_texts=texts, mail_reply_to="shop@shop.test").composer
    for brand, reply_to in (("Tea", "help@tea.test"), ("Kofe Point", "shop@shop.test")):
        mail = composer.compose(request(brand=Brand(name=brand)), step=1, channel=ChannelKind.EMAIL)
        assert message_from_bytes(mail.body)["Reply-To"] == reply_to


@pytest.mark.parametrize("value", ["nobody", "a@b\r\nBcc: c@d", "<>"])
def test_reply_to_that_is_no_address_stops_the_start(value: str, texts: Path) -> None:
    with pytest.raises(ValidationError):
        settings(mail_reply_to=value)
    texts.write_text(json.dumps([{"reply_to": value}]))
    with pytest.raises(ValidationError):
        settings(mail_texts=texts)

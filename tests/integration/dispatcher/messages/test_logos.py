"""The logo of EARSHOT_MAIL_TEXTS and the brand's colour, in mails."""

from __future__ import annotations

import base64
import re
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from services.dispatcher.messages import mime
from shared.contract.colors import contrast
from shared.contract.events import Brand
from shared.contract.vocabulary import ChannelKind
from tests.integration.dispatcher.conftest import request
from tests.integration.dispatcher.messages.test_mail_texts import settings

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
GIF = b"GIF89a\x01\x00\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF" + b"\x00" * 30 + b"\xff\xd9"
LOGO = "- brand: Kofe Point\n  logo: kofe.png\n"


def body(texts: Path | None, **changes: Any) -> bytes:
    composer = settings(mail_texts=texts).composer
    return composer.compose(request(**changes), step=1, channel=ChannelKind.EMAIL).body


def styled(folder: Path, picture: bytes) -> Path:
    (folder / "kofe.png").write_bytes(picture)
    texts = folder / "texts.yaml"
    texts.write_text(LOGO)
    return texts


@pytest.mark.parametrize(("picture", "kind"), [(PNG, "png"), (GIF, "gif"), (JPEG, "jpeg")])
def test_mail_carries_the_logo_of_its_brand(tmp_path: Path, picture: bytes, kind: str) -> None:
    texts = styled(tmp_path, picture)
    mail = message_from_bytes(body(texts), policy=policy.default)
    assert not mail.defects
    assert [part.get_content_type() for part in mail.walk()] == [
        "multipart/alternative",
        "text/plain",
        "multipart/related",
        "text/html",
        f"image/{kind}",
    ]
    *_, html, carried = mail.walk()
    assert not any(part.defects for part in mail.walk())
    assert carried["Content-ID"] == "<logo@earshot>"
    assert carried.get_content() == picture
    assert re.search(r'<img [^>]*src="cid:logo@earshot" alt="Kofe Point"', html.get_content())
    shown = re.search(r'src="data:image/([a-z]+);base64,([^"]*)"', mime.read_shown(body(texts)))
    assert shown
    assert (shown[1], base64.b64decode(shown[2])) == (kind, picture)
    other = message_from_bytes(body(texts, brand=Brand(name="Tea")), policy=policy.default)
    assert "image/" not in str([part.get_content_type() for part in other.walk()])


def test_mail_with_the_largest_logo_stays_small(tmp_path: Path) -> None:
    largest = PNG[:-8] + b"\x00" * (20_000 - len(PNG)) + PNG[-8:]
    with_logo, without = body(styled(tmp_path, largest)), body(None)
    assert len(with_logo) < 40_000
    assert len(without) < 13_000
    assert max(map(len, with_logo.split(b"\r\n"))) <= 998
    text, html = mime.read_alternative(with_logo)
    assert "Kofe Point" in text
    assert 'alt="Kofe Point"' in html, "without pictures, the name is read"


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        (PNG[:-8] + b"\x00" * 20_000 + PNG[-8:], "more than 20000 bytes"),
        (PNG[:-8], "no whole PNG, JPEG or GIF"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no whole PNG, JPEG or GIF"),
        (b"", "no whole PNG, JPEG or GIF"),
    ],
)
def test_a_picture_that_mails_cannot_carry_is_refused_at_the_start(tmp_path: Path, picture: bytes, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        settings(mail_texts=styled(tmp_path, picture))


def test_a_logo_that_is_not_there_is_named(tmp_path: Path) -> None:
    texts = styled(tmp_path, PNG)
    (tmp_path / "kofe.png").unlink()
    with pytest.raises(ValidationError, match=r"kofe\.png cannot be read: No such file"):
        settings(mail_texts=texts)


@pytest.mark.parametrize("color", ["#ffe000", "#17202a", "#c2410c", "#ffffff", "#7f7f7f", "#000000"])
def test_colour_of_the_brand_can_be_read(color: str) -> None:
    _, html = mime.read_alternative(body(None, brand=Brand(name="Kofe Point", color=color)))
    buttons = re.findall(r'class="square"[^>]*background-color:(#\w{6});color:(#\w{6})', html)
    assert len(buttons) == 11
    assert {background for background, _ in buttons} == {color}
    assert min(contrast(*button) for button in buttons) >= 4.5
    [name] = re.findall(r"color:(#\w{6})\">Kofe Point", html)
    assert contrast(name, "#ffffff") >= 4.5

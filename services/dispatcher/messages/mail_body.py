"""Mail bodies, compiled once per brand, language and question: encoded bytes with gaps for the values of each mail."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from services.dispatcher.messages import mime
from services.dispatcher.messages.styles import filled
from services.dispatcher.messages.texts import MailTexts
from shared.locales import direction

if TYPE_CHECKING:
    from jinja2 import Template

_SOFT_BREAK = b"=\r\n"
GAPS = ("subject", "about", "date", "number", "store", "topic", "answer", "unsubscribe")
_GAP = re.compile(f"\x02({'|'.join(GAPS)})\x03")


@dataclass(frozen=True, slots=True)
class MailVariant:
    """The values that many mails share; the key of the cache of bodies."""

    language: str
    texts: MailTexts
    brand: str
    color: str
    privacy: str | None
    question: str


@dataclass(frozen=True, slots=True)
class BodyPart:
    """Pieces of quoted-printable bytes; `gaps` names the value between each piece and the next."""

    bytes_: tuple[bytes, ...]
    gaps: tuple[str, ...]

    def fill(self, values: Mapping[str, bytes]) -> bytes:
        pieces = [self.bytes_[0]]
        for gap, after in zip(self.gaps, self.bytes_[1:], strict=True):
            pieces += (values[gap], _SOFT_BREAK, after)
        return b"".join(pieces)


@dataclass(frozen=True, slots=True)
class MailBody:
    text: BodyPart
    html: BodyPart

    def fill(self, values: Mapping[str, str]) -> tuple[bytes, bytes]:
        """Return the text and the HTML part, quoted-printable; the values are plain text by the names in GAPS."""
        plain = {gap: mime.quoted(values[gap]) for gap in {*self.text.gaps}}
        escaped = {gap: mime.quoted(html.escape(values[gap])) for gap in {*self.html.gaps}}
        return self.text.fill(plain), self.html.fill(escaped)


@lru_cache(maxsize=512)
def mail_body(variant: MailVariant) -> MailBody:
    gaps = {name: f"\x02{name}\x03" for name in GAPS}
    values = {**gaps, "brand": variant.brand, "question": variant.question}
    fields = {
        **gaps,
        "texts": {name: filled(getattr(variant.texts, name), values) for name in ("scale", "confirm", "text_scale")},
        "preheader": filled(variant.texts.preheader, values),
        "because": filled(variant.texts.because, values),
        "unsubscribe_text": filled(variant.texts.unsubscribe, values),
        "text_unsubscribe": filled(variant.texts.text_unsubscribe, values),
        "privacy_text": filled(variant.texts.privacy, values),
        "language": variant.language,
        "direction": direction(variant.language),
        "brand": variant.brand,
        "brand_color": variant.color,
        "privacy": variant.privacy,
        "question": variant.question,
    }
    plain, html = _templates()
    return MailBody(_compiled(plain.render(fields)), _compiled(html.render(fields)))


def _compiled(text: str) -> BodyPart:
    """Cut a rendered template at its gaps."""
    pieces = _GAP.split(text)
    encoded = [mime.quoted(piece) for piece in pieces[::2]]
    before_gaps = [piece if piece.endswith(b"\r\n") else piece + _SOFT_BREAK for piece in encoded[:-1]]
    return BodyPart((*before_gaps, encoded[-1]), tuple(pieces[1::2]))


@cache
def _templates() -> tuple[Template, Template]:
    """Return the templates of the text and the HTML part."""
    from shared.web.templates import template_environment  # noqa: PLC0415 - settings need no Jinja

    environment = template_environment(Path(__file__).parent.parent / "templates")
    return environment.get_template("mail.txt"), environment.get_template("mail.html")

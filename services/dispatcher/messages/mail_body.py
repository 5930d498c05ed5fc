"""Mail bodies, compiled once per brand, language and question: encoded bytes with gaps for the values of each mail."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from services.dispatcher.messages import mime
from services.dispatcher.messages.logo import Logo
from services.dispatcher.messages.texts import MailTexts
from shared.contract.colors import LEAST_CONTRAST, WHITE, contrast, text_on
from shared.contract.labels import filled
from shared.locales import direction, isolated

if TYPE_CHECKING:
    from jinja2 import Template

_INK = "#17202a"
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
    logo: Logo | None = None


class _Part(NamedTuple):
    """Quoted-printable bytes in pieces; `gaps` names the value between each piece and the next."""

    pieces: list[bytes]
    gaps: list[str]


class MailBody:
    """The text and the HTML part of a mail, with gaps for the values of each mail, and its logo."""

    def __init__(self, text: _Part, html: _Part, logo: Logo | None) -> None:
        before_html = mime.BEFORE_RELATED_HTML if logo else mime.BEFORE_HTML
        between = text.pieces[-1] + before_html + html.pieces[0]
        pieces = [*text.pieces[:-1], between, *html.pieces[1:]]
        self._pieces = [mime.BEFORE_TEXT + pieces[0], *pieces[1:-1]]
        self._last = [pieces[-1], *(mime.related_picture(logo.kind, logo.encoded) if logo else (mime.END,))]
        self._text_gaps, self._html_gaps = text.gaps, html.gaps
        self.names = frozenset((*text.gaps, *html.gaps))

    def fill(self, head: bytes, values: Mapping[str, str]) -> bytes:
        """Return the whole mail: `head` with its headers, and both parts; the values are plain text by `names`."""
        plain = {name: mime.quoted(values[name]) for name in self.names}
        escaped = {name: self._escaped(values[name], plain[name]) for name in self.names}
        whole = [b""] * (2 * len(self._pieces))
        whole[::2] = self._pieces
        whole[1::2] = [*map(plain.__getitem__, self._text_gaps), *map(escaped.__getitem__, self._html_gaps)]
        return b"".join([head, *whole, *self._last])

    @staticmethod
    def _escaped(value: str, plain: bytes) -> bytes:
        safe = html.escape(value)
        return plain if safe == value else mime.quoted(safe)


@lru_cache(maxsize=512)
def mail_body(variant: MailVariant) -> MailBody:
    gaps = {name: f"\x02{name}\x03" for name in GAPS}
    brand = isolated(variant.brand, variant.language)
    values = {**gaps, "brand": brand, "question": variant.question}
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
        "brand": brand,
        "name_color": variant.color if contrast(variant.color, WHITE) >= LEAST_CONTRAST else _INK,
        "brand_color": variant.color,
        "on_brand_color": text_on(variant.color),
        "logo": mime.PICTURE_URL if variant.logo else None,
        "privacy": variant.privacy,
        "question": variant.question,
    }
    plain, html = _templates()
    return MailBody(_compiled(plain.render(fields)), _compiled(html.render(fields)), variant.logo)


def _compiled(text: str) -> _Part:
    """Cut a rendered template at its gaps; a soft line break joins what fills a gap to the next piece."""
    found = _GAP.split(text)
    first, *others = [mime.quoted(piece) for piece in found[::2]]
    pieces = [first, *(_SOFT_BREAK + piece for piece in others)]
    before_gaps = [piece if piece.endswith(b"\r\n") else piece + _SOFT_BREAK for piece in pieces[:-1]]
    return _Part([*before_gaps, pieces[-1]], found[1::2])


@cache
def _templates() -> tuple[Template, Template]:
    """Return the templates of the text and the HTML part."""
    from shared.web.templates import template_environment  # noqa: PLC0415 - settings need no Jinja

    environment = template_environment(Path(__file__).parent.parent / "templates")
    return environment.get_template("mail.txt"), environment.get_template("mail.html")

"""Mail texts from EARSHOT_MAIL_TEXTS, which replace our own per brand, language and template."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from services.dispatcher.messages.logo import Logo
from services.dispatcher.messages.texts import MailTexts, language_of, texts_of

_PLACEHOLDER = re.compile(r"\{([a-z]+)\}")
PLACEHOLDERS = frozenset({"brand", "question", "about", "date", "number", "store", "topic"})


def placeholders(text: str) -> set[str]:
    return set(_PLACEHOLDER.findall(text))


def unknown_placeholders(text: str) -> set[str]:
    return placeholders(text) - PLACEHOLDERS


@dataclass(frozen=True, slots=True)
class Style:
    """Texts for mails of a brand, locale and template, each None for any; `sender` is the From header."""

    brand: str | None = None
    locale: str | None = None
    template: str | None = None
    sender: str | None = None
    texts: Mapping[str, str] = field(default_factory=dict)
    reply_to: str | None = None
    logo: Logo | None = None

    def fits(self, *, brand: str, locale: str, template: str) -> bool:
        wanted = (self.brand or brand, language_of(self.locale or locale), self.template or template)
        return wanted == (brand, language_of(locale), template)


class ChosenStyle(NamedTuple):
    """The texts of a mail, its sender and Reply-To, each None for the default, and its logo, if it has one."""

    texts: MailTexts
    sender: str | None
    reply_to: str | None
    logo: Logo | None


def chosen(styles: Sequence[Style], *, brand: str, locale: str, template: str) -> ChosenStyle:
    """Return the style of a mail; a later one overrides an earlier one."""
    texts, sender, reply_to, logo = texts_of(locale), None, None, None
    for style in styles:
        if style.fits(brand=brand, locale=locale, template=template):
            texts, sender = replace(texts, **dict[str, Any](style.texts)), style.sender or sender
            reply_to, logo = style.reply_to or reply_to, style.logo or logo
    return ChosenStyle(texts, sender, reply_to, logo)

"""Texts of mails that users write: laid over our own, per brand, language and template; placeholders are named."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from services.dispatcher.messages.texts import MailTexts, language_of, words_of

_PLACEHOLDER = re.compile(r"\{([a-z]+)\}")
PLACEHOLDERS = frozenset({"brand", "question", "about", "date", "number", "store", "topic"})


def filled(text: str, values: Mapping[str, str]) -> str:
    """Put values in the places named `{like_this}`; nothing else in the text means anything."""
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), text)


def unknown_placeholders(text: str) -> set[str]:
    return set(_PLACEHOLDER.findall(text)) - PLACEHOLDERS


@dataclass(frozen=True, slots=True)
class Style:
    """Texts for the mails of a brand, in a language, of a template; what is None holds for all. `sender` is a From."""

    brand: str | None = None
    locale: str | None = None
    template: str | None = None
    sender: str | None = None
    texts: Mapping[str, str] = field(default_factory=dict)

    def fits(self, *, brand: str, locale: str, template: str) -> bool:
        wanted = (self.brand or brand, language_of(self.locale or locale), self.template or template)
        return wanted == (brand, language_of(locale), template)


def chosen(styles: Sequence[Style], *, brand: str, locale: str, template: str) -> tuple[MailTexts, str | None]:
    """Return the words of a mail and the sender somebody set for it; a later style is laid over an earlier one."""
    words, sender = words_of(locale), None
    for style in styles:
        if style.fits(brand=brand, locale=locale, template=template):
            words, sender = replace(words, **dict[str, Any](style.texts)), style.sender or sender
    return words, sender

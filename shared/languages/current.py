"""The language of what is written now: set for a request or a command, and English for everything else.

Messages are English; `%(name)s` stands for a value and `%%` for a percent sign, also where a message has no value.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from gettext import NullTranslations
from pathlib import Path

from babel import Locale
from babel.core import get_global

from shared.languages import catalogue
from shared.languages.catalogue import ENGLISH
from shared.locales import direction

SHARED = Path(__file__).parent / "locales"


@dataclass(frozen=True, slots=True)
class Language:
    """A language with the translations into it."""

    code: str = ENGLISH
    locale: Locale = field(default_factory=lambda: Locale(ENGLISH))
    translations: NullTranslations = field(default_factory=NullTranslations)

    @property
    def tag(self) -> str:
        """The language as a tag of BCP 47."""
        return self.code.replace("_", "-")

    @property
    def country(self) -> str:
        """The country in which most people speak it, such as `RU`; empty for none (CLDR, likely subtags)."""
        likely = get_global("likely_subtags").get(self.code, "")
        return self.locale.territory or (Locale.parse(likely).territory if likely else None) or ""

    @property
    def direction(self) -> str:
        return direction(self.tag)


current: ContextVar[Language] = ContextVar("language", default=Language())  # noqa: B039 - it is frozen


@contextmanager
def speaking(spoken: Language) -> Iterator[None]:
    """Write texts in a language, in this task."""
    before = current.set(spoken)
    try:
        yield
    finally:
        current.reset(before)


@lru_cache(maxsize=100)
def language(code: str, folder: Path) -> Language:
    """Return a language with the catalogue of a folder, beside the shared one; each is read once in a process."""
    return Language(code, Locale.parse(code), catalogue.translations((folder, SHARED), code))


def lookup(message: str) -> str:
    """Return a message in the current language, with its placeholders."""
    return current.get().translations.gettext(message)


def lookup_in(context: str, message: str) -> str:
    """Return a message that has another meaning elsewhere, such as the name of a person and of a store."""
    return current.get().translations.pgettext(context, message)


def lookup_plural(one: str, many: str, num: int) -> str:
    return current.get().translations.ngettext(one, many, num)


def name_of(code: str) -> str:
    """Return what a language calls itself."""
    return str(Locale.parse(code).get_display_name()).capitalize()


def language_name(code: str) -> str:
    """Return how the current language calls a language, the code for one that it has no name for."""
    return str(current.get().locale.languages.get(code, code))


def gettext(message: str, **values: object) -> str:
    return lookup(message) % values


def ngettext(one: str, many: str, num: int, **values: object) -> str:
    """Return the form for a number, which is the value `num` unless it is given."""
    return lookup_plural(one, many, num) % {"num": num, **values}


def known() -> Sequence[str]:
    """Return the languages that staff can choose."""
    return known_in(SHARED)


def known_in(folder: Path) -> Sequence[str]:
    """Return English and the languages of a folder of catalogues; one that does not exist is left out."""
    return [ENGLISH, *(code for code in catalogue.languages_in(folder) if catalogue.exists(code))]


def match(tag: str, codes: Sequence[str]) -> str | None:
    """Find the language of a tag or of a locale's name: `pt-BR` as `pt_BR`, else as `pt` (RFC 4647, 3.4)."""
    wanted = tag.replace("-", "_").casefold()
    while wanted:
        for code in codes:
            if code.casefold() == wanted:
                return code
        wanted = wanted.rpartition("_")[0]
    return None

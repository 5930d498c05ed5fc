"""Locales of texts for people: the `lang` and `dir` attributes of a page or mail, and days in a language."""

from __future__ import annotations

import re
import unicodedata
from datetime import date
from functools import lru_cache

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_skeleton

_TAG = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*", re.ASCII)
_OURS = ("en", "ru")
_RIGHT_TO_LEFT = frozenset(("ar", "arc", "ckb", "dv", "fa", "he", "iw", "ks", "ps", "sd", "syr", "ug", "ur", "yi"))
_RIGHT_TO_LEFT_SCRIPTS = frozenset(("adlm", "arab", "hebr", "nkoo", "rohg", "syrc", "thaa"))


@lru_cache(maxsize=1000)
def language_tag(locale: str) -> str:
    """Return a locale as a language tag of BCP 47, `pt_BR` as `pt-BR`, our own languages without a region.

    It is `en` for what is no locale.
    """
    tag = locale.strip().replace("_", "-")
    if not _TAG.fullmatch(tag):
        return "en"
    language = tag.partition("-")[0].lower()
    return language if language in _OURS else tag


@lru_cache(maxsize=1000)
def primary_language(locale: str) -> str:
    return language_tag(locale).partition("-")[0].lower()


def first_tag(accept_language: str) -> str:
    """Return the first tag of an Accept-Language header, for visitors of whom nothing else is known."""
    return accept_language.partition(",")[0].partition(";")[0].strip()


def direction(locale: str) -> str:
    """Return `rtl` for languages that are written from right to left, by the script of the locale if it names one."""
    language, *others = language_tag(locale).lower().split("-")
    script = next((part for part in others if len(part) == 4 and part.isalpha()), None)
    is_rtl = language in _RIGHT_TO_LEFT if script is None else script in _RIGHT_TO_LEFT_SCRIPTS
    return "rtl" if is_rtl else "ltr"


@lru_cache(maxsize=1000)
def isolated(name: str, locale: str) -> str:
    """Return a name for a sentence of a locale, isolated if it has letters that are written the other way.

    Without the characters U+2068 and U+2069, signs at the end of such a name move to its other side (UAX 9).
    """
    others = ("R", "AL") if direction(locale) == "ltr" else ("L",)
    return f"\u2068{name}\u2069" if any(unicodedata.bidirectional(char) in others for char in name) else name


@lru_cache(maxsize=1000)
def day_in(locale: str, day: date, *, otherwise: str = "en", year: bool = False) -> str:
    """Write a day and month in the order of a locale, `18. November`; in another one if the locale is not known."""
    known = _known(locale) or Locale(otherwise)
    if known.language in _OURS:
        return format_date(day, "d MMMM y" if year else "d MMMM", locale=known)
    return format_date(day, "long", locale=known) if year else format_skeleton("MMMMd", day, locale=known)


def plural_form(locale: str, number: int, *, otherwise: str = "en") -> str:
    """Return the plural form of a number: zero, one, two, few, many or other."""
    return str((_known(locale) or Locale(otherwise)).plural_form(number))


def _known(locale: str) -> Locale | None:
    try:
        return Locale.parse(language_tag(locale), sep="-")
    except (UnknownLocaleError, ValueError):
        return None

"""Catalogues of translations: gettext's PO files, read as they are and checked message by message."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from functools import lru_cache
from gettext import GNUTranslations, NullTranslations
from io import BytesIO
from pathlib import Path

import structlog
from babel import Locale, UnknownLocaleError
from babel.messages import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.plurals import get_plural
from babel.messages.pofile import PoFileError, read_po

log = structlog.get_logger()

ENGLISH = "en"  # the language of the messages themselves
_FILE = Path("LC_MESSAGES", "messages.po")
_PLACEHOLDER = re.compile(r"%\((\w+)\)s")
_ESCAPED = re.compile(r"%%|%\(\w+\)s")
_TAG = re.compile(r"</?[a-z][^<>]*>")


class BadCatalogue(Exception):
    """A catalogue cannot be read at all; the text says where and why."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one message of a catalogue; `line` is that of its msgid."""

    path: Path
    line: int
    message: str
    why: str
    context: str | None = None

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.why}: {self.message!r}"


def path_of(folder: Path, language: str) -> Path:
    """Return the catalogue of a language in a folder of catalogues."""
    return folder / language / _FILE


def languages_in(folder: Path) -> Sequence[str]:
    """Return the languages of a folder: each is the name of a folder in it, such as `ru` or `pt_BR`."""
    return sorted(path.parent.parent.name for path in folder.glob(f"*/{_FILE}"))


def read(path: Path, language: str) -> Catalog:
    """Read a catalogue; raises BadCatalogue for a file that is no PO file, or whose language does not exist."""
    try:
        locale = Locale.parse(language)
        with path.open("rb") as file:
            return read_po(file, locale=locale, charset="utf-8", abort_invalid=True)
    except (UnknownLocaleError, ValueError) as error:
        why = f"{path}: its folder is no language: {error}" if not exists(language) else f"{path}: {error}"
        raise BadCatalogue(why) from error
    except (OSError, PoFileError) as error:
        raise BadCatalogue(f"{path}: {error}") from error


def faults(catalogue: Catalog, path: Path) -> Iterator[Fault]:
    """Find messages whose translation cannot be shown, or would leave something out."""
    own = get_plural(catalogue.locale)
    if catalogue.num_plurals != own.num_plurals:
        why = f"Plural-Forms has {catalogue.num_plurals} forms, the language {own.num_plurals}"
        yield Fault(path, 1, "", why)
    for message in catalogue:
        if message.id and (why := _fault(message, own.num_plurals)):
            yield Fault(path, message.lineno or 0, key_of(message), why, message.context)


def _fault(message: Message, forms: int) -> str:
    """Say what is wrong with a message, "" if it may be shown or has no translation yet."""
    given = texts_of(message)
    if message.pluralizable and any(given) and len(given) != forms:
        return f"it has {len(given)} plural forms, the language {forms}"
    for text in filter(None, given):
        if "%" in _ESCAPED.sub("", text):
            return "a placeholder is broken, or a % is not doubled"
        wanted, found = set(_PLACEHOLDER.findall(_source(message))), set(_PLACEHOLDER.findall(text))
        if wanted != found:
            return f"its placeholders differ: {', '.join(sorted(wanted ^ found))}"
        if sorted(_TAG.findall(_source(message))) != sorted(_TAG.findall(text)):
            return "its tags differ"
        if '"' in text and '"' not in _source(message):
            return 'it has a ", which would end an attribute in HTML'
    return ""


def texts_of(message: Message) -> Sequence[str]:
    """Return the translation of a message, every form of one with a plural."""
    return (message.string,) if isinstance(message.string, str) else tuple(message.string or ())


def key_of(message: Message) -> str:
    """Return the message in English, the singular of one with a plural."""
    return str(message.id[0] if isinstance(message.id, tuple | list) else message.id)


def _source(message: Message) -> str:
    """Return the message in English; its plural where it has one, because that names everything."""
    return str(message.id[-1] if isinstance(message.id, tuple | list) else message.id)


def exists(language: str) -> bool:
    """Say whether Unicode knows a language."""
    try:
        return bool(Locale.parse(language))
    except (UnknownLocaleError, ValueError):
        return False


def translations(folders: Sequence[Path], language: str) -> NullTranslations:
    """Return the translations of a language, those of the first folder before those of the others.

    They are compiled in memory. What is missing or broken stays English; what is broken is logged, once in a process.
    """
    found = NullTranslations()
    for folder in reversed(folders):
        known = copy(_compiled(path_of(folder, language), language))
        known.add_fallback(found)
        found = known
    return found


@lru_cache(maxsize=1000)
def _compiled(path: Path, language: str) -> NullTranslations:
    if language == ENGLISH or not path.exists():
        return NullTranslations()
    try:
        catalogue = read(path, language)
    except BadCatalogue as error:
        log.error("catalogue.unreadable", why=str(error))  # noqa: TRY400 - the text says it all
        return NullTranslations()
    for fault in list(faults(catalogue, path)):
        log.error("catalogue.message_is_broken", fault=str(fault))
        catalogue.delete(fault.message, fault.context)
    file = BytesIO()
    write_mo(file, catalogue)
    file.seek(0)
    return GNUTranslations(file)

# ruff: noqa: RUF001 - Arabic texts
"""Locales of texts for people, and the words a program may say itself."""

from __future__ import annotations

import re
from dataclasses import fields
from datetime import date

import pytest

from services.dispatcher.messages.texts import ENGLISH, worded
from services.scoring.web.texts import LANGUAGES
from shared.contract.labels import LABELS, mistake_in, placeholders_in, usable
from shared.locales import day_in, direction, isolated, language_tag, plural_form, primary_language


@pytest.mark.parametrize(
    ("locale", "tag", "written"),
    [
        ("en", "en", "ltr"),
        ("de", "de", "ltr"),
        ("ru_RU", "ru", "ltr"),
        ("ar", "ar", "rtl"),
        ("ar_EG", "ar-EG", "rtl"),
        ("AR", "AR", "rtl"),
        ("he-IL", "he-IL", "rtl"),
        ("fa", "fa", "rtl"),
        ("ur-PK", "ur-PK", "rtl"),
        ("ckb", "ckb", "rtl"),
        ("az-Arab", "az-Arab", "rtl"),
        ("ar-Latn", "ar-Latn", "ltr"),
        ("pa", "pa", "ltr"),
        ("zh-Hant-TW", "zh-Hant-TW", "ltr"),
        ('en"><script>', "en", "ltr"),
        ("", "en", "ltr"),
        ("русский", "en", "ltr"),
    ],
)
def test_page_has_the_language_and_direction_of_its_locale(locale: str, tag: str, written: str) -> None:
    assert (language_tag(locale), direction(locale)) == (tag, written)


def test_language_is_the_whole_first_part_of_a_locale() -> None:
    assert [primary_language(locale) for locale in ("ru_RU", "rue", "RU", "rup-x")] == ["ru", "rue", "ru", "rup"]


@pytest.mark.parametrize(
    ("locale", "short", "long"),
    [
        ("en", "18 November", "18 November 2026"),
        ("ru-RU", "18 ноября", "18 ноября 2026"),
        ("de", "18. November", "18. November 2026"),
        ("pt-BR", "18 de novembro", "18 de novembro de 2026"),
        ("xx", "18 November", "18 November 2026"),
    ],
)
def test_day_is_written_as_its_language_does(locale: str, short: str, long: str) -> None:
    day = date(2026, 11, 18)
    assert (day_in(locale, day), day_in(locale, day, year=True)) == (short, long)


def test_plurals_are_those_of_the_language() -> None:
    assert [plural_form("ru", number) for number in (1, 2, 5, 21)] == ["one", "few", "many", "one"]
    assert [plural_form("ar", number) for number in (0, 1, 2, 3, 11)] == ["zero", "one", "two", "few", "many"]


def test_labels_have_the_placeholders_of_our_texts() -> None:
    own = {name: text for name, text in LANGUAGES["en"].items() if name in LABELS}
    assert len(own) > 40
    assert {name: placeholders_in(text) for name, text in own.items()} == {name: LABELS[name] for name in own}
    mails = {each.name: getattr(ENGLISH, each.name) for each in fields(ENGLISH) if f"mail.{each.name}" in LABELS}
    assert len(mails) > 15
    assert all(placeholders_in(text) <= LABELS[f"mail.{name}"] for name, text in mails.items())
    text_messages = {name: getattr(ENGLISH, name.replace(".", "_")) for name in LABELS if name.startswith("sms.")}
    assert len(text_messages) == 3
    assert all(mistake_in(name, text) is None for name, text in text_messages.items())
    assert {name for name in LABELS if name.startswith("mail.")} - {f"mail.{name}" for name in mails} == {
        f"mail.{part}.{choice}" for part in ("choices", "done_texts") for choice in ("all", "email", "sms", "survey")
    }


SMS_PLACEHOLDERS = "{about}, {brand}, {date}, {link}, {number}, {question}, {stop}, {store}, {topic}"


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("sennd", "x", "no such label as sennd; did you mean send?"),
        ("send", "{brand}", "send: no such placeholder as {brand}; there are none"),
        ("after", "{0}", "after: no such placeholder as {0}; there are {date}"),
        ("after", "{}", "after: no such placeholder as {}; there are {date}"),
        ("after", "{date.year}", "after: a brace that is not part of a placeholder"),
        ("after", "until {date", "after: a brace that is not part of a placeholder"),
        ("sms.text", "{brand} asks you", "sms.text: {link} is missing"),
        ("sms.text", "{brand}: {link", "sms.text: a brace that is not part of a placeholder"),
        ("sms.text", "{link} {scale}", f"sms.text: no such placeholder as {{scale}}; there are {SMS_PLACEHOLDERS}"),
        ("sms.stop", "Stop: {stop}", "sms.stop: no such placeholder as {stop}; there are {link}"),
        ("sms.stop", "Stop", "sms.stop: {link} is missing"),
        ("sms.reply", "{link}", "sms.reply: no such placeholder as {link}; there are none"),
    ],
)
def test_mistake_in_a_label_is_named(name: str, text: str, why: str) -> None:
    assert mistake_in(name, text) == why
    assert usable({name: text, "back": "Zurück"}) == {"back": "Zurück"}


def test_mail_texts_are_replaced_by_labels() -> None:
    said = worded(ENGLISH, {"mail.unsubscribe": "Nicht mehr fragen", "mail.choices.all": "Alles", "send": "Senden"})
    assert (said.unsubscribe, said.choices["all"], said.choices["email"]) == (
        "Nicht mehr fragen",
        "Alles",
        ENGLISH.choices["email"],
    )
    assert re.search("customer", said.because)
    assert worded(ENGLISH, {}) is ENGLISH


@pytest.mark.parametrize(
    ("name", "locale", "shown"),
    [
        ("Kofe Point!", "en", "Kofe Point!"),
        ("Кофе!", "de", "Кофе!"),
        ("مقهى!", "ar", "مقهى!"),
        ("مقهى!", "de", "\u2068مقهى!\u2069"),
        ("Kofe Point!", "ar-EG", "\u2068Kofe Point!\u2069"),
        ("24/7", "ar", "24/7"),
    ],
)
def test_name_in_another_direction_is_isolated(name: str, locale: str, shown: str) -> None:
    assert isolated(name, locale) == shown

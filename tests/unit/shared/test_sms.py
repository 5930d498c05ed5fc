# ruff: noqa: RUF001 - letters that look alike
"""Segments of text messages, and their senders."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from shared.contract.events import Brand
from shared.contract.sms import is_number, sms_segments, stray_letters


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("я" * 70, 1),
        ("я" * 71, 2),
        ("я" * 134, 2),
        ("я" * 135, 3),
        ("😀" * 35, 1),
        ("😀" * 36, 2),
        ("😀" * 66, 2),
        ("😀" * 67, 3),  # 134 units, but a pair is never parted
        ("a" * 152 + "€" + "a" * 151, 2),
        ("a" * 152 + "€" + "a" * 152, 3),  # 306 septets, but an escape is never parted from its character
    ],
)
def test_sms_segments(text: str, segments: int) -> None:
    assert sms_segments(text) == segments


def test_alphabet_of_gsm_is_that_of_the_standard() -> None:
    """3GPP TS 23.038, 6.2.1: 128 septets, one of which is the escape to the second table."""
    one_septet = {chr(code) for code in range(0x2200) if sms_segments(chr(code) * 160) == 1}
    two_septets = {chr(code) for code in range(0x2200) if sms_segments(chr(code) * 80) == 1} - one_septet
    assert len(one_septet) == 127
    assert two_septets == set("^{}[]~\\|€\f")
    assert not {"ç", "`", "ё", "\t"} & one_septet


@pytest.mark.parametrize(
    ("text", "stray"),
    [
        ("plain {text} for 5 €", ""),
        ("your “order”", "“”"),
        ("an em dash – and again –", "–"),
        ("Ваш заказ", ""),
        ("thanks 😀", "😀"),
    ],
)
def test_letters_that_make_segments_shorter_are_named(text: str, stray: str) -> None:
    assert stray_letters(text) == stray


@pytest.mark.parametrize("sender", ["KofePoint", "Kofe Point", "A", "Kofe-1 & Co", "3M", "+79001234567", "1234"])
def test_sender_is_a_name_or_a_number(sender: str) -> None:
    assert Brand(name="Kofe", sms_sender=sender).sms_sender_in("en") == sender
    assert is_number(sender) == sender.lstrip("+").isdigit()


@pytest.mark.parametrize(
    ("sender", "why"),
    [
        ("", "expected a name with Latin letters"),
        ("12", "expected a name with Latin letters"),
        ("+" + "1" * 16, "expected a name with Latin letters"),
        ("Кофе", "expected a name with Latin letters"),
        ("Kоfe", "a sender cannot have 'о'"),
        ("Kofe!", "a sender cannot have '!'"),
        ("Kofe\nPoint", "a sender cannot have"),
        (" Kofe", "expected a name with Latin letters"),
        ("KofePoint123", "12 characters; the name of a sender has at most 11"),
        ("x" * 101, "at most 100 characters"),
    ],
)
def test_what_no_gateway_takes_as_a_sender_is_refused(sender: str, why: str) -> None:
    for given in ({"sms_sender": sender}, {"sms_senders": {"ru": sender}}):
        with pytest.raises(ValidationError, match=why):
            Brand.model_validate({"name": "Kofe", **given})


def test_locale_has_its_own_sender_or_that_of_the_brand() -> None:
    brand = Brand(name="Kofe", sms_sender="+15550001", sms_senders={"ru": "KofePoint"})
    assert [brand.sms_sender_in(locale) for locale in ("ru", "en")] == ["KofePoint", "+15550001"]
    assert Brand(name="Kofe").sms_sender_in("ru") is None

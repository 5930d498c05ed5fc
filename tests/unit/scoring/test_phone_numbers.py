"""Phone numbers that people write to be called back."""

from __future__ import annotations

import pytest

from services.scoring.domain.phone_numbers import given


@pytest.mark.parametrize(
    ("text", "locale", "known", "number"),
    [
        ("", "en", "", ""),
        ("  ", "ru", "", ""),
        ("+7 916 123-45-67", "en", "", "+79161234567"),
        ("8 (916) 123-45-67", "ru", "", "+79161234567"),
        ("8 916 123\N{EN DASH}45\N{EN DASH}67", "ru", "", "+79161234567"),
        ("8\N{NO-BREAK SPACE}916\N{NO-BREAK SPACE}123 45 67", "ru-KZ", "", "+79161234567"),
        ("8 701 123 45 67", "ru", "", "+77011234567"),
        ("0151/23456789", "en", "+4915112345678", "+4915123456789"),
        ("020 7946 0958", "en", "+447700900123", "+442079460958"),
        ("(415) 555-0123", "en", "+12125550123", "+14155550123"),
        ("020 7946 0958", "en", "", "020 7946 0958"),  # the operator knows the country
        ("555-0123", "en", "", "555-0123"),
    ],
)
def test_number_that_can_be_called(text: str, locale: str, known: str, number: str) -> None:
    assert given(text, locale=locale, known=known) == number


@pytest.mark.parametrize(
    ("text", "locale", "known"),
    [
        ("12345", "en", ""),
        ("12345", "ru", ""),
        ("12345", "en", "+4915112345678"),
        ("123456", "en", ""),
        ("112", "en", ""),
        ("0000", "ru", ""),
        ("1234567890123456", "en", ""),
        ("+12345", "en", ""),
        ("+1 201", "en", ""),
        ("+999 123 456 789", "en", ""),
        ("(201) 555-0123", "ru", ""),  # +7 201 is in no use
        ("8 029 123-45-67", "ru", ""),  # of Belarus, without its country code
        ("+7 916 123-45-6", "en", ""),
        ("+7 916 123-45-678", "en", ""),
        ("call me", "en", ""),
        ("-------", "en", ""),
        ("+", "en", ""),
    ],
)
def test_number_that_cannot_be_called(text: str, locale: str, known: str) -> None:
    assert given(text, locale=locale, known=known) is None

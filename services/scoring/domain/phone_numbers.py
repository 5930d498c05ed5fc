"""Parsing and formatting of phone numbers."""

from __future__ import annotations

import re

import phonenumbers

_WRITTEN = re.compile(r"[+\d\s()./\u2010-\u2015\u2212-]{5,30}")
_REGIONS = {"ru": "RU"}  # by language: where people omit the country code
_LOCAL_DIGITS = range(7, 16)  # of a number with an area code; shorter ones are extensions and short codes


def given(text: str, *, locale: str, known: str = "") -> str | None:
    """Parse a phone number to E.164; "" for an empty text, None for one that cannot be dialled.

    A number without a country code is one of the country of the `known` number, else of the locale; if neither says a
    country, it is returned as written.
    """
    written = text.strip()
    if not written:
        return ""
    if not _WRITTEN.fullmatch(written):
        return None
    region = _region_of(known) or _REGIONS.get(locale[:2].lower())
    if region is None and "+" not in written:
        return written if sum(map(str.isdecimal, written)) in _LOCAL_DIGITS else None
    try:
        number = phonenumbers.parse(written, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _region_of(phone: str) -> str | None:
    try:
        country_code = phonenumbers.parse(phone).country_code
    except phonenumbers.NumberParseException:
        return None
    region = phonenumbers.region_code_for_country_code(country_code or 0)
    return region if region in phonenumbers.SUPPORTED_REGIONS else None


def readable(phone: str) -> str:
    try:
        number = phonenumbers.parse(phone)
    except phonenumbers.NumberParseException:
        return phone
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


def hinted(phone: str) -> str:
    """Show the last four digits only, because an answer link may be forwarded."""
    digits = re.sub(r"[^0-9]", "", phone)
    return f"··· {digits[-4:-2]}-{digits[-2:]}" if len(digits) > 8 else "···" if phone else ""

"""Parsing and formatting of phone numbers."""

from __future__ import annotations

import re

import phonenumbers

_WRITTEN = re.compile(r"[+0-9 ().\-]{5,30}")
_REGIONS = {"ru": "RU"}  # by language: where people omit the country code


def given(text: str, *, locale: str) -> str | None:
    """Parse a phone number to E.164; "" for an empty text, None for one that cannot be dialled.

    A number without a known country is returned as written.
    """
    written = text.strip()
    if not written:
        return ""
    if not _WRITTEN.fullmatch(written) or sum(map(str.isdigit, written)) < 5:
        return None
    try:
        number = phonenumbers.parse(written, _REGIONS.get(locale[:2].lower()))
    except phonenumbers.NumberParseException:
        return written
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


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

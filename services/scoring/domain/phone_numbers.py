"""Phone numbers as people write them, and how they are shown."""

from __future__ import annotations

import re

import phonenumbers

_WRITTEN = re.compile(r"[+0-9 ().\-]{5,30}")
_REGIONS = {"ru": "RU"}  # whose people leave the country out


def given(text: str, *, locale: str) -> str | None:
    """Read a number: E.164 where it is one, "" where nothing was written, None where it cannot be dialled."""
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
    """Show enough for its owner to know the number, and not the number: a link may be forwarded."""
    digits = re.sub(r"[^0-9]", "", phone)
    return f"··· {digits[-4:-2]}-{digits[-2:]}" if len(digits) > 8 else "···" if phone else ""

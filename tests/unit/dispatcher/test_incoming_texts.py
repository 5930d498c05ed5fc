"""Text messages of respondents: their sender, and what they ask for."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from services.dispatcher.channels.sms import generic
from services.dispatcher.channels.sms.gateway import sender_number


@pytest.mark.parametrize(
    "written",
    [
        "+4915112345678",
        "4915112345678",
        "004915112345678",
        "+49 151 1234-5678",
        " 49 (151) 12345678",
        "whatsapp:+4915112345678",
    ],
)
def test_sender_is_recognised_however_the_provider_writes_the_number(written: str) -> None:
    assert sender_number(written) == "+4915112345678"


BODY, SECRET = b'{"status":"ok"}', "word"
DIGEST = hmac.digest(SECRET.encode(), BODY, hashlib.sha256)
HEX, BASE64 = DIGEST.hex(), base64.b64encode(DIGEST).decode()


@pytest.mark.parametrize(
    ("given", "secret", "genuine"),
    [
        (HEX, SECRET, True),
        (HEX.upper(), SECRET, True),
        (f"sha256={HEX}", SECRET, True),
        (f"SHA256={HEX.upper()}", SECRET, True),
        (BASE64, SECRET, True),
        (f"sha256={BASE64}", SECRET, True),
        (BASE64.lower(), SECRET, False),
        (BASE64.swapcase(), SECRET, False),
        (HEX[:-1], SECRET, False),
        (HEX.replace("a", "\N{CYRILLIC SMALL LETTER A}"), SECRET, False),
        ("", SECRET, False),
        (hmac.digest(b"", BODY, hashlib.sha256).hex(), "", False),
    ],
)
def test_signature_is_compared_in_its_own_case(given: str, secret: str, *, genuine: bool) -> None:
    assert generic.is_genuine(BODY, given, secret) is genuine

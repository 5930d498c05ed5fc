"""Text messages of respondents: their sender, and what they ask for."""

from __future__ import annotations

import pytest

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

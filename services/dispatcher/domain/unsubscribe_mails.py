"""Unsubscribing by a mail to us (RFC 2369), which names its survey in the subject."""

from __future__ import annotations

import re
from urllib.parse import quote

from services.dispatcher.domain.receipts import Receipt, ReceiptKind, Reference, reference_in
from shared.contract.vocabulary import ChannelKind

_SUBJECT = re.compile(r"unsubscribe[ +_][0-9a-f.-]+", re.IGNORECASE)


def unsubscribe_mailto(address: str, reference: Reference) -> str:
    """Return the URL of the mail by which the recipient of this message unsubscribes."""
    return f"mailto:{quote(address, safe='@')}?subject=unsubscribe%20{reference}"


def unsubscribed_by(subject: str, *, provider: str) -> Receipt | None:
    """Return the receipt of a mail with such a subject; None for any other subject."""
    reference = reference_in(subject.lower()) if _SUBJECT.fullmatch(subject.strip()) else None
    if reference is None:
        return None
    return Receipt(provider, f"{reference}:unsubscribe", ReceiptKind.STOP, ChannelKind.EMAIL, reference=reference)

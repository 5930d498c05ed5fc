"""What the gateways charge for a segment of a text message, by the country it goes to."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import NamedTuple

_PRICE = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,4})?) ([A-Z]{3})")


class SmsPrice(NamedTuple):
    amount: Decimal
    currency: str

    def of(self, segments: int) -> SmsPrice:
        return SmsPrice(self.amount * segments, self.currency)

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"


def read_price(text: str) -> SmsPrice:
    """Parse `4.10 RUB`; raises ValueError."""
    found = _PRICE.fullmatch(text)
    if found is None:
        raise ValueError("expected the price of a part and its currency, such as RU:4.10 RUB,*:0.08 USD")
    return SmsPrice(Decimal(found[1]), found[2])

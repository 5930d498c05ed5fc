"""Which gateway a phone number goes through, and how many messages a country may get on a day."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import phonenumbers

from services.dispatcher.channels.sms.gateway import Inquiry, SmsAccount
from services.dispatcher.domain import Disposition, Outgoing, Result
from services.dispatcher.receipts import Receipt
from shared.vocabulary import ChannelKind

EVERYWHERE = "*"


def country_of(phone: str) -> str:
    """The country a number in E.164 belongs to, as two letters; `ZZ` when that cannot be told."""
    try:
        return phonenumbers.region_code_for_number(phonenumbers.parse(phone)) or "ZZ"
    except phonenumbers.NumberParseException:
        return "ZZ"


@dataclass(frozen=True)
class SmsRouter:
    """Several gateways as one account: `routes` names one for a country, or for every other with `*`."""

    accounts: Mapping[str, SmsAccount]
    routes: Mapping[str, str]
    name: str = "sms"
    channel: ChannelKind = ChannelKind.SMS

    @property
    def free_slots(self) -> int:
        return min(account.free_slots for account in self.accounts.values())

    async def send_all(self, messages: Sequence[Outgoing], *, within_s: float) -> list[Disposition]:
        return await asyncio.gather(*(self._send(message, within_s) for message in messages))

    async def _send(self, message: Outgoing, within_s: float) -> Disposition:
        account = self._account(message.recipient)
        if account is None:
            return Disposition(Result.REFUSED, "no_route")
        (found,) = await account.send_all([message], within_s=within_s)
        return replace(found, account=account.name)

    async def ask(self, inquiry: Inquiry) -> Receipt | None:
        account = self._account(inquiry.phone)
        return None if account is None else await account.ask(inquiry)

    def _account(self, phone: str) -> SmsAccount | None:
        return self.accounts.get(self.routes.get(country_of(phone), self.routes.get(EVERYWHERE, "")))

    async def close(self) -> None:
        await asyncio.gather(*(account.close() for account in self.accounts.values()))

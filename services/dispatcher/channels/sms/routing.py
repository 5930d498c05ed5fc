"""Routes messages to SMS gateways by the country of the phone number."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import phonenumbers
from msgspec import structs

from services.dispatcher.channels.sms.gateway import Inquiry, SmsAccount
from services.dispatcher.domain.receipts import Receipt
from services.dispatcher.domain.steps import Disposition, OutgoingMessage, SendResult
from shared.contract.vocabulary import ChannelKind

EVERYWHERE = "*"


def country_of(phone: str) -> str:
    """Return the country of a number in E.164, as two letters; `ZZ` if it is unknown."""
    try:
        return phonenumbers.region_code_for_number(phonenumbers.parse(phone)) or "ZZ"
    except phonenumbers.NumberParseException:
        return "ZZ"


@dataclass(frozen=True)
class SmsRouter:
    """Several gateways as one account; `routes` has the account's name by country, `*` for all other countries."""

    accounts: Mapping[str, SmsAccount]
    routes: Mapping[str, str]
    name: str = "sms"
    channel: ChannelKind = ChannelKind.SMS

    @property
    def free_slots(self) -> int:
        """The most that any gateway has; messages to an unavailable gateway are throttled and delay no others."""
        return max(account.free_slots for account in self.accounts.values())

    async def send_all(self, messages: Sequence[OutgoingMessage], *, within_s: float) -> list[Disposition]:
        found = [Disposition(SendResult.REFUSED, "no_route")] * len(messages)
        by_account: dict[str, list[int]] = {}
        for number, message in enumerate(messages):
            if account := self._account(message.recipient):
                by_account.setdefault(account.name, []).append(number)

        async def send(name: str, numbers: Sequence[int]) -> None:
            sent = await self.accounts[name].send_all([messages[number] for number in numbers], within_s=within_s)
            for number, disposition in zip(numbers, sent, strict=True):
                found[number] = structs.replace(disposition, account=name)

        await asyncio.gather(*(send(name, numbers) for name, numbers in by_account.items()))
        return found

    async def ask(self, inquiry: Inquiry) -> Receipt | None:
        """Ask the gateway of the attempt, or that of the route if the attempt names only this router (sender lost)."""
        account = self.accounts.get(inquiry.provider)
        if inquiry.provider == self.name:
            account = self._account(inquiry.phone)
        return None if account is None else await account.ask(replace(inquiry, provider=account.name))

    def _account(self, phone: str) -> SmsAccount | None:
        return self.accounts.get(self.routes.get(country_of(phone), self.routes.get(EVERYWHERE, "")))

    async def close(self) -> None:
        await asyncio.gather(*(account.close() for account in self.accounts.values()))

"""Routes messages to SMS gateways by the country of the phone number; a country may have several, in order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import phonenumbers
import structlog
from msgspec import structs

from services.dispatcher.channels.sms.gateway import Inquiry, SmsAccount
from services.dispatcher.domain.receipts import Receipt, ReceiptKind
from services.dispatcher.domain.steps import Disposition, OutgoingMessage, SendResult
from shared.contract.vocabulary import ChannelKind

log = structlog.get_logger()

EVERYWHERE = "*"
_NEXT_MAY_TRY = (SendResult.NOT_ACCEPTED, SendResult.UNAVAILABLE, SendResult.THROTTLED)
_NO_ROUTE = Disposition(SendResult.REFUSED, "no_route")


def country_of(phone: str) -> str:
    """Return the country of a number in E.164, as two letters; `ZZ` if it is unknown."""
    try:
        return phonenumbers.region_code_for_number(phonenumbers.parse(phone)) or "ZZ"
    except phonenumbers.NumberParseException:
        return "ZZ"


@dataclass(frozen=True)
class SmsRouter:
    """Several gateways as one account; `routes` has the accounts' names by country, `*` for all other countries.

    A country's next gateway gets a message only if the one before it has certainly not accepted it. A message that may
    have been accepted, or was refused because of its number or text, goes to no other gateway.
    """

    accounts: Mapping[str, SmsAccount]
    routes: Mapping[str, Sequence[str]]
    name: str = "sms"
    channel: ChannelKind = ChannelKind.SMS
    monotonic: Callable[[], float] = time.monotonic

    @property
    def free_slots(self) -> int:
        """The most that any gateway has; messages to an unavailable gateway are throttled and delay no others."""
        return max(account.free_slots for account in self.accounts.values())

    async def send_all(self, messages: Sequence[OutgoingMessage], *, within_s: float) -> list[Disposition]:
        deadline = self.monotonic() + within_s
        found: dict[int, Disposition] = {}
        routes = {number: self._route(message.recipient) for number, message in enumerate(messages)}
        while routes := {number: route for number, route in routes.items() if route}:
            by_account: dict[str, list[int]] = {}
            for number, (first, *_) in routes.items():
                by_account.setdefault(first, []).append(number)
            await asyncio.gather(
                *(self._send(name, numbers, messages, found, deadline) for name, numbers in by_account.items())
            )
            routes = {n: others for n, (_, *others) in routes.items() if found[n].result in _NEXT_MAY_TRY}
        return [found.get(number, _NO_ROUTE) for number in range(len(messages))]

    async def _send(
        self,
        name: str,
        numbers: Sequence[int],
        messages: Sequence[OutgoingMessage],
        found: dict[int, Disposition],
        deadline: float,
    ) -> None:
        """Send messages over one gateway. Of those passed on to it, it gets only as many as it can start at once."""
        account, passed_on = self.accounts[name], [number for number in numbers if number in found]
        if passed_on:
            beyond = set(passed_on[account.free_slots :])
            numbers = [number for number in numbers if number not in beyond]
            log.warning("sms.passed_on", account=name, messages=len(passed_on) - len(beyond))
        sent = await account.send_all([messages[n] for n in numbers], within_s=deadline - self.monotonic())
        for number, disposition in zip(numbers, sent, strict=True):
            found[number] = _last(found.get(number), structs.replace(disposition, account=name))

    async def ask(self, inquiry: Inquiry) -> Receipt | None:
        """Ask the gateway of the attempt, or all of the route if the attempt names only this router (sender lost)."""
        if inquiry.provider != self.name:
            account = self.accounts.get(inquiry.provider)
            return None if account is None else await account.ask(inquiry)
        names = self._route(inquiry.phone)
        receipts = [await self.accounts[name].ask(replace(inquiry, provider=name)) for name in names]
        known = [each for each in receipts if each is not None]
        seen = next((each for each in known if each.kind is not ReceiptKind.NOT_ACCEPTED), None)
        return seen if seen or len(known) < len(receipts) else next(iter(known), None)

    def _route(self, phone: str) -> Sequence[str]:
        return self.routes.get(country_of(phone), self.routes.get(EVERYWHERE, ()))

    async def close(self) -> None:
        await asyncio.gather(*(account.close() for account in self.accounts.values()))


def _last(earlier: Disposition | None, later: Disposition) -> Disposition:
    """Return the result after two gateways; waiting for the earlier one goes before what would cost a try."""
    if earlier is not None and later.result in (SendResult.NOT_STARTED, SendResult.NOT_ACCEPTED):
        return earlier
    return later

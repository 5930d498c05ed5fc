"""How many messages may leave on a business day, UTC: of an account in live mode, and to a country in any."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from services.dispatcher.channels import ChannelAccount
from services.dispatcher.channels.sms import EVERYWHERE, country_of
from services.dispatcher.domain import hours
from services.dispatcher.domain.limits import DailyLimit
from services.dispatcher.domain.send_mode import SendMode, SendPolicy
from services.dispatcher.domain.steps import MoveReason, OutgoingMessage
from services.dispatcher.repository import allowance, steps
from services.dispatcher.sending.account_balancer import AccountBalancer
from services.dispatcher.sending.triage import ReadyStep
from shared.contract.vocabulary import ChannelKind

log = structlog.get_logger()

Leaving = tuple[ReadyStep, OutgoingMessage]


@dataclass(frozen=True, slots=True)
class DailyCeilings:
    """What an account may still send today. What was taken and not sent is to be given back."""

    policy: SendPolicy
    account: ChannelAccount
    rota: AccountBalancer
    daily: DailyLimit

    @property
    def are_counted(self) -> bool:
        return self.policy.mode is SendMode.LIVE or self._by_country

    @property
    def _by_country(self) -> bool:
        return self.account.channel is ChannelKind.SMS and bool(self.policy.country_ceilings)

    async def take(self, session: AsyncSession, batch: Sequence[Leaving], now: datetime) -> Sequence[Leaving]:
        """Keep what may leave today; move the rest."""
        if self._by_country:
            batch = await self._within_countries(session, batch, now)
        return await self._within_day(session, batch, now) if self.policy.mode is SendMode.LIVE else batch

    async def give_back(self, session: AsyncSession, unused: Sequence[OutgoingMessage], now: datetime) -> None:
        if self._by_country:
            await self._give_back_countries(session, unused, now)
        if self.policy.mode is SendMode.LIVE:
            await allowance.give_back(session, self.account.name, now, len(unused))

    async def _within_countries(
        self, session: AsyncSession, batch: Sequence[Leaving], now: datetime
    ) -> Sequence[Leaving]:
        """Keep what each country may still get: a flood to far numbers ends here, whoever started it."""
        by_country: dict[str, list[Leaving]] = {}
        for each in batch:
            by_country.setdefault(country_of(each[1].recipient), []).append(each)
        kept: list[Leaving] = []
        ceilings = self.policy.country_ceilings
        for country, there in sorted(by_country.items()):
            ceiling = ceilings.get(country, ceilings.get(EVERYWHERE, 0))
            size = await allowance.take(session, _name(country), now, wanted=len(there), ceiling=ceiling)
            kept += there[:size]
            if over := [(ready.held, hours.next_day(now), MoveReason.COUNTRY_CEILING) for ready, _ in there[size:]]:
                log.warning("sending.country_ceiling_reached", country=country, moved=len(over))
                await steps.move(session, over)
        return kept

    async def _within_day(self, session: AsyncSession, batch: Sequence[Leaving], now: datetime) -> Sequence[Leaving]:
        """Keep what the account may still send; the rest is left to other accounts, or moved to tomorrow."""
        own = self.daily.on(now.date())
        ceiling = self.policy.daily_ceiling if own is None else min(own, self.policy.daily_ceiling)
        size = await allowance.take(session, self.account.name, now, wanted=len(batch), ceiling=ceiling)
        if over := batch[size:]:
            log.warning("sending.ceiling_reached", account=self.account.name, moved=len(over))
            tomorrow = hours.next_day(now) if self.rota.is_through(self.account, day=now.date()) else None
            held = [ready.held for ready, _ in over]
            await steps.move(session, [(step, tomorrow or step.due_at, MoveReason.DAILY_CEILING) for step in held])
            if self._by_country:
                await self._give_back_countries(session, [message for _, message in over], now)
        return batch[:size]

    async def _give_back_countries(
        self, session: AsyncSession, unused: Sequence[OutgoingMessage], now: datetime
    ) -> None:
        countries = Counter(country_of(message.recipient) for message in unused)
        for country, count in sorted(countries.items()):
            await allowance.give_back(session, _name(country), now, count)


def _name(country: str) -> str:
    return f"sms:{country}"

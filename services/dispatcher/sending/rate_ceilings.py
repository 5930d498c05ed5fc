"""How many messages may be sent on a business day, UTC: over an account in live mode, and to a country in any mode."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from services.dispatcher.channels import ChannelAccount
from services.dispatcher.channels.sms import EVERYWHERE, country_of
from services.dispatcher.domain import hours
from services.dispatcher.domain.limits import DailyLimit
from services.dispatcher.domain.send_mode import SendMode, SendPolicy
from services.dispatcher.domain.steps import MoveReason, OutgoingMessage
from services.dispatcher.repository import allowance, steps
from services.dispatcher.sending.account_balancer import AccountBalancer
from services.dispatcher.sending.rendering import RenderedStep
from shared.contract.vocabulary import ChannelKind
from shared.database.session import Session

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class DailyCeilings:
    """What an account may still send today. Allowance that was taken and not used is given back."""

    policy: SendPolicy
    account: ChannelAccount
    balancer: AccountBalancer
    daily: DailyLimit

    @property
    def are_counted(self) -> bool:
        return self.policy.mode is SendMode.LIVE or self._count_countries

    @property
    def _count_countries(self) -> bool:
        return self.account.channel is ChannelKind.SMS and bool(self.policy.country_ceilings)

    async def take(self, session: Session, batch: Sequence[RenderedStep], now: datetime) -> Sequence[RenderedStep]:
        """Take allowance for a batch; return the steps that got some. The others are moved to a later time."""
        if self._count_countries:
            batch = await self._within_countries(session, batch, now)
        return await self._within_day(session, batch, now) if self.policy.mode is SendMode.LIVE else batch

    async def give_back(self, session: Session, unused: Sequence[OutgoingMessage], now: datetime) -> None:
        if self._count_countries:
            await self._give_back_countries(session, unused, now)
        if self.policy.mode is SendMode.LIVE:
            await allowance.give_back(session, self.account.name, now, len(unused))

    async def _within_countries(
        self, session: Session, batch: Sequence[RenderedStep], now: datetime
    ) -> Sequence[RenderedStep]:
        """Return the steps within the ceilings of their countries, which limit costs; move the others to tomorrow."""
        by_country: dict[str, list[RenderedStep]] = {}
        for each in batch:
            by_country.setdefault(country_of(each.message.recipient), []).append(each)
        kept: list[RenderedStep] = []
        ceilings = self.policy.country_ceilings
        for country, wanted in sorted(by_country.items()):
            ceiling = ceilings.get(country, ceilings.get(EVERYWHERE, 0))
            size = await allowance.take(session, _name(country), now, wanted=len(wanted), ceiling=ceiling)
            kept += wanted[:size]
            if over := wanted[size:]:
                log.warning("sending.country_ceiling_reached", country=country, moved=len(over))
                tomorrow = hours.next_day(now)
                await steps.move(session, [(each.step.leased, tomorrow, MoveReason.COUNTRY_CEILING) for each in over])
        return kept

    async def _within_day(
        self, session: Session, batch: Sequence[RenderedStep], now: datetime
    ) -> Sequence[RenderedStep]:
        own = self.daily.on(now.date())
        ceiling = self.policy.daily_ceiling if own is None else min(own, self.policy.daily_ceiling)
        size = await allowance.take(session, self.account.name, now, wanted=len(batch), ceiling=ceiling)
        if over := batch[size:]:
            await self._move_over_day(session, over, now)
        return batch[:size]

    async def _move_over_day(self, session: Session, over: Sequence[RenderedStep], now: datetime) -> None:
        """Leave steps over the day's ceiling to other accounts; where all are exhausted, move them to tomorrow."""
        log.warning("sending.ceiling_reached", account=self.account.name, moved=len(over))
        all_exhausted = self.balancer.exhaust(self.account, day=now.date())
        tomorrow = hours.next_day(now) if all_exhausted else None
        leased = [each.step.leased for each in over]
        await steps.move(session, [(each, tomorrow or each.due_at, MoveReason.DAILY_CEILING) for each in leased])
        if self._count_countries:
            await self._give_back_countries(session, [each.message for each in over], now)

    async def _give_back_countries(self, session: Session, unused: Sequence[OutgoingMessage], now: datetime) -> None:
        countries = Counter(country_of(message.recipient) for message in unused)
        for country, count in sorted(countries.items()):
            await allowance.give_back(session, _name(country), now, count)


def _name(country: str) -> str:
    return f"sms:{country}"

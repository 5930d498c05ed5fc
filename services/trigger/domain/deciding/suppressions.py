"""Suppressions: which respondents must not be contacted, over which channels and for which programs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from services.trigger.domain.respondents import Respondent
from shared.contract.vocabulary import ChannelKind, SuppressionReason


class KnownSuppressionKey(NamedTuple):
    """`channel` None means every channel, `program` None every program."""

    respondent_id: str
    channel: ChannelKind | None
    program: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class KnownSuppression:
    """`channel` None means every channel, `program` None every program, `until` None for ever."""

    channel: ChannelKind | None
    program: str | None
    reason: str
    until: datetime | None

    def applies_to(self, program: str, channel: ChannelKind, now: datetime) -> bool:
        return (
            self.channel in (None, channel)
            and self.program in (None, program)
            and (self.until is None or now < self.until)
        )

    def is_obsolete(self, before: Respondent, after: Respondent) -> bool:
        """Whether this is a suppression of an address (a bounce, a block) that was replaced or taken away."""
        if self.channel is None or self.reason not in _OF_AN_ADDRESS:
            return False
        old, new = before.address(self.channel), after.address(self.channel)
        return old is not None and old != new


_OF_AN_ADDRESS = (SuppressionReason.HARD_BOUNCE, SuppressionReason.SOFT_BOUNCE, SuppressionReason.BLOCKED)

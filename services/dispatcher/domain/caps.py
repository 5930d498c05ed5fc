"""How often one respondent may be contacted, over all surveys. Times are business times, UTC."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.contract.events import ContactCap
from shared.contract.vocabulary import ChannelKind

LOOK_AGAIN = timedelta(minutes=1)  # at a cap that a contact under way may or may not fill
_LONGEST = timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class PastContact:
    """A message that may have reached somebody, or a task for the desk; `at` None while it is under way."""

    channel: ChannelKind
    at: datetime | None


def span(cap: ContactCap) -> timedelta:
    return min(timedelta(days=min(cap.days, _LONGEST.days)), _LONGEST)


def next_allowed(
    contacts: Iterable[PastContact], caps: Iterable[ContactCap], channel: ChannelKind, *, now: datetime
) -> datetime | None:
    """Return when every cap lets one more contact out over this channel: now or later, None for never."""
    known = list(contacts)
    binding = [cap for cap in caps if cap.channel in (None, channel)]
    allowed = [
        _allowed_by(cap, [each for each in known if cap.channel in (None, each.channel)], now) for cap in binding
    ]
    certain = [at for at in allowed if at is not None]
    return max([now, *certain]) if len(certain) == len(allowed) else None


def _allowed_by(cap: ContactCap, contacts: Sequence[PastContact], now: datetime) -> datetime | None:
    if cap.limit == 0:
        return None
    settled = sorted(each.at for each in contacts if each.at is not None and each.at > now - span(cap))
    if len(settled) >= cap.limit:
        return settled[-cap.limit] + span(cap)
    under_way = sum(each.at is None for each in contacts)
    return now + LOOK_AGAIN if len(settled) + under_way >= cap.limit else now


_CAP = re.compile(r"(?:(email|sms|call) )?(\d{1,4}) in (\d{1,4}) days?")


def read_caps(text: str) -> tuple[ContactCap, ...]:
    """Read `4 in 30 days, sms 1 in 7 days`; raises ValueError."""
    return tuple(_read(part.strip()) for part in text.split(",") if part.strip())


def _read(text: str) -> ContactCap:
    found = _CAP.fullmatch(text)
    if found is None:
        raise ValueError("wanted is `4 in 30 days, sms 1 in 7 days`")
    channel, limit, days = found.groups()
    return ContactCap(name=text, channel=channel, limit=int(limit), days=int(days))

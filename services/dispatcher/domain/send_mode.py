"""Whether a message may leave: the sending mode of this installation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from shared.contract.events import ContactCap


class SendMode(StrEnum):
    MAILBOX = "mailbox"  # nothing leaves the machine
    ALLOWLIST = "allowlist"
    LIVE = "live"


def may_leave(mode: SendMode, address: str, *, allowed: Sequence[str]) -> bool:
    """Say whether a message to this address may leave the machine.

    `allowed` holds mail domains, each without those below it, and phone numbers, which begin with a plus.
    """
    if mode is not SendMode.ALLOWLIST:
        return mode is SendMode.LIVE
    _, is_mail, place = address.rpartition("@")
    return any(entry.lower() == place.lower() and entry.startswith("+") is not bool(is_mail) for entry in allowed)


@dataclass(frozen=True, slots=True)
class SendPolicy:
    """What may leave the machine; the rest is kept in the mailbox."""

    mode: SendMode = SendMode.MAILBOX
    allowed: Sequence[str] = ()
    daily_ceiling: int = 1000
    contact_caps: Sequence[ContactCap] = ()  # for every program, beside its own
    country_ceilings: Mapping[str, int] = field(default_factory=dict)  # text messages a day; empty: no limit of its own

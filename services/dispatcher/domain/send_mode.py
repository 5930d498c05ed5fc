"""The sending mode of the installation: which messages may be sent, and which are kept in the mailbox."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from shared.contract.events import ContactCap


class SendMode(StrEnum):
    MAILBOX = "mailbox"  # nothing is sent
    ALLOWLIST = "allowlist"
    LIVE = "live"


def may_leave(mode: SendMode, address: str, *, allowed: Sequence[str]) -> bool:
    """Say whether a message to this address may be sent.

    `allowed` holds mail domains, which do not include their subdomains, and phone numbers, which begin with a plus.
    """
    if mode is not SendMode.ALLOWLIST:
        return mode is SendMode.LIVE
    _, is_mail, place = address.rpartition("@")
    return any(entry.lower() == place.lower() and entry.startswith("+") is not bool(is_mail) for entry in allowed)


@dataclass(frozen=True, slots=True)
class SendPolicy:
    """Which messages may be sent; the others are kept in the mailbox."""

    mode: SendMode = SendMode.MAILBOX
    allowed: Sequence[str] = ()
    daily_ceiling: int = 1000
    contact_caps: Sequence[ContactCap] = ()  # for every program, in addition to its own
    country_ceilings: Mapping[str, int] = field(
        default_factory=dict
    )  # text messages per day; empty: no limit by country

"""Binds the addresses of suppressions that an earlier release stored, and keeps fingerprints under the current key."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from services.dispatcher.domain.addresses import OF_RESPONDENT, NewSuppression
from services.dispatcher.repository import addresses
from shared.contract.address_keys import AddressKeys
from shared.contract.events import Suppression
from shared.database.db import Row
from shared.database.session import Session


async def bind_stored(session: Session, address_keys: AddressKeys, *, limit: int) -> int:
    """Bind the addresses of stored suppressions that were not looked at yet; return how many there were.

    Their invitations must have fingerprints: an opt-out without an address takes those.
    """
    rows = await addresses.unbound(session, limit=limit)
    await _bind(session, rows, address_keys)
    return len(rows)


async def bind_kept(session: Session, respondents: Collection[str], address_keys: AddressKeys) -> None:
    """Bind the addresses of these respondents' suppressions before their invitations lose them."""
    await _bind(session, await addresses.unbound_of(session, respondents), address_keys)


async def _bind(session: Session, rows: Sequence[Row], address_keys: AddressKeys) -> None:
    if not rows:
        return
    await addresses.wrap(session, rows, address_keys)
    without = [row for row in rows if row["reason"] in OF_RESPONDENT and not (row["address"] or row["has_addresses"])]
    names = ("respondent_id", "channel", "program", "reason")
    await addresses.bind(
        session, [NewSuppression(Suppression(**{name: row[name] for name in names})) for row in without]
    )
    await addresses.set_bound(session, [row["id"] for row in rows])

"""Keeps fingerprints of addresses under the current key, and binds the addresses of suppressions stored without."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from services.dispatcher.handlers import bind_addresses
from services.dispatcher.repository import addresses
from shared.contract.address_keys import AddressKeys
from shared.database.session import Sessions

BATCH = 500


@dataclass(slots=True)
class AddressMarker:
    """Handles one batch at a time: first invitations without fingerprints, then suppressions, then other keys."""

    sessions: Sessions
    address_keys: AddressKeys
    _compared_to: UUID | None = field(default=None, init=False)
    _all_compared: bool = field(default=False, init=False)

    async def __call__(self) -> int:
        """Return how much was done; 0 when nothing is left."""
        async with self.sessions.begin() as session:
            marked = await addresses.mark_new(session, self.address_keys, limit=BATCH)
        if marked:
            return marked
        async with self.sessions.begin() as session:
            bound = await bind_addresses.bind_stored(session, self.address_keys, limit=BATCH)
        return bound or await self._compare_keys()

    async def _compare_keys(self) -> int:
        """Go once through all invitations when there are several keys: they may have fingerprints of an older one."""
        if self._all_compared or len(self.address_keys.keys) == 1:
            return 0
        async with self.sessions.begin() as session:
            last = await addresses.mark_other_keys(session, self.address_keys, after=self._compared_to, limit=BATCH)
        self._compared_to, self._all_compared = last, last is None
        return int(last is not None)

"""What a store is called in events: all its names stand for one store in figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

STORE = "store"  # the dimension that is grouped by the list of stores


@dataclass(frozen=True, slots=True)
class StoreNames:
    """`listed` has the name of a store by each of its names in events; other values stand for themselves."""

    listed: Mapping[str, str] = field(default_factory=dict)

    def shown(self, dimension: str, value: str) -> str:
        """Return the value that figures show for a stored one."""
        return self.listed.get(value, value) if dimension == STORE else value

    def stored(self, dimension: str, value: str) -> Sequence[str]:
        """Return all stored values that figures show as this one, or as the store that has this name."""
        if dimension != STORE or value not in self.listed:
            return [value]
        return [each for each, name in self.listed.items() if name == self.listed[value]]


NO_STORES = StoreNames()

"""What a person sees of the chain: only some programs, only some stores or the stores of some regions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from services.scoring.domain.stores.store import Store
from shared.contract.staff_scope import StaffScope


@dataclass(frozen=True, slots=True)
class PersonScope:
    """Programs by id, stores by code, regions by name as the list of stores has it; empty is no limit."""

    programs: frozenset[str] = frozenset()
    stores: frozenset[str] = frozenset()
    regions: frozenset[str] = frozenset()

    @property
    def is_whole(self) -> bool:
        return not (self.programs or self.stores or self.regions)

    def resolve(self, listed: Iterable[Store]) -> StaffScope:
        """Return the scope with the names that events use for its stores, by the list of stores."""
        if not (self.stores or self.regions):
            return StaffScope(self.programs or None)
        mine = (store for store in listed if store.code in self.stores or store.region in self.regions)
        return StaffScope(self.programs or None, frozenset(name for store in mine for name in store.names))

    @property
    def text(self) -> str:
        """What the person sees, in words."""
        parts = [f"programs {_joined(self.programs)}"] if self.programs else []
        parts += [f"stores {_joined(self.stores)}"] if self.stores else []
        parts += [f"regions {_joined(self.regions)}"] if self.regions else []
        return ", ".join(parts) or "everything"


def _joined(names: Iterable[str]) -> str:
    return " and ".join(sorted(names))


EVERYTHING = PersonScope()

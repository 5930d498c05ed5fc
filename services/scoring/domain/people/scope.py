"""What a person sees of the chain: only some programs, only some stores or the stores of some regions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from services.scoring.domain.stores.store import Store
from shared.contract.staff_scope import StaffScope
from shared.languages.current import gettext
from shared.languages.marking import mark


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
        """What the person sees, in English words."""
        parts = [each % {"names": " and ".join(sorted(names))} for each, names in self._parts(self.programs)]
        return ", ".join(parts) or _EVERYTHING

    @property
    def recorded(self) -> str | Mapping[str, list[str]]:
        """What the person sees, for the audit log: the names by kind, or `everything`."""
        kinds = {"programs": self.programs, "stores": self.stores, "regions": self.regions}
        return {kind: sorted(names) for kind, names in kinds.items() if names} or _EVERYTHING

    def shown(self, titles: Mapping[str, str]) -> str:
        """Say what the person sees, in words of the current language; `titles` has those of programs by id."""
        called = [titles.get(each, each) for each in self.programs]
        parts = [gettext(each, names=gettext(" and ").join(sorted(names))) for each, names in self._parts(called)]
        return ", ".join(parts) or gettext(_EVERYTHING)

    def _parts(self, programs: Collection[str]) -> list[tuple[str, Collection[str]]]:
        parts: list[tuple[str, Collection[str]]] = [
            (mark("programs %(names)s"), programs),
            (mark("stores %(names)s"), self.stores),
            (mark("regions %(names)s"), self.regions),
        ]
        return [(each, names) for each, names in parts if names]


_EVERYTHING = mark("everything")


EVERYTHING = PersonScope()
NOTHING = StaffScope(programs=frozenset())

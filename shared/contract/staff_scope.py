"""Which programs and stores somebody of the staff sees."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StaffScope:
    """None is no limit; `stores` are all the names that events use for the stores."""

    programs: frozenset[str] | None = None
    stores: frozenset[str] | None = None

    @property
    def is_whole(self) -> bool:
        return self.programs is None and self.stores is None

    def covers(self, program: str, store: str | None) -> bool:
        """Say whether what happened in a program and a store may be seen; None is no store."""
        return self.covers_program(program) and (self.stores is None or store in self.stores)

    def covers_program(self, program: str) -> bool:
        return self.programs is None or program in self.programs

    @property
    def arguments(self) -> tuple[list[str] | None, list[str] | None]:
        """Programs and stores as arguments of an SQL statement."""
        return _sorted(self.programs), _sorted(self.stores)


def _sorted(names: frozenset[str] | None) -> list[str] | None:
    return None if names is None else sorted(names)


WHOLE = StaffScope()

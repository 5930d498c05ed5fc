"""The fields that say what a person sees, and what may be chosen in them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.datastructures import FormData

from services.scoring.domain.people.person import InvalidPerson, checked_scope
from services.scoring.domain.people.scope import EVERYTHING, PersonScope
from services.scoring.domain.stores.store import Store
from services.scoring.files.people import names_in
from services.scoring.repository.programs import programs_by_use
from services.scoring.repository.stores import listed


@dataclass(frozen=True, slots=True)
class ScopeChoices:
    """Titles of programs by id, and the list of stores."""

    programs: Mapping[str, str]
    stores: Collection[Store]

    @property
    def regions(self) -> list[str]:
        return sorted({store.region for store in self.stores if store.region})

    def scope(self, *, programs: Collection[str], stores: Collection[str], regions: Collection[str]) -> PersonScope:
        """Return a scope; raises InvalidPerson for what does not exist."""
        return checked_scope(
            programs=programs, stores=stores, regions=regions, known_programs=self.programs, listed=self.stores
        )


async def choices(session: AsyncSession) -> ScopeChoices:
    programs = {id_: each.title for id_, each in (await programs_by_use(session)).items()}
    return ScopeChoices(programs, (await listed.read(session)).values())


@dataclass(frozen=True, slots=True)
class SentScope:
    """The fields as they were sent, to be shown again beside an error."""

    is_part: bool
    programs: Collection[str]
    stores: str
    regions: Collection[str]

    @classmethod
    def of_form(cls, form: FormData) -> SentScope:
        return cls(
            form.get("sees") == "part", _texts(form, "program"), str(form.get("stores", "")), _texts(form, "region")
        )

    @classmethod
    def of(cls, scope: PersonScope) -> SentScope:
        return cls(not scope.is_whole, scope.programs, "\n".join(sorted(scope.stores)), scope.regions)

    def checked(self, choices: ScopeChoices) -> PersonScope:
        """Return the scope; raises InvalidPerson, also when nothing is chosen: that would be everything."""
        if not self.is_part:
            return EVERYTHING
        scope = choices.scope(programs=self.programs, stores=names_in(self.stores), regions=self.regions)
        if scope.is_whole:
            raise InvalidPerson("scope", "choose a program, a region or a store, or everything")
        return scope


def _texts(form: FormData, name: str) -> tuple[str, ...]:
    return tuple(value for value in form.getlist(name) if isinstance(value, str))

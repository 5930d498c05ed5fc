"""The fields that say what a person sees, on a page and in a file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from starlette.datastructures import FormData

from services.scoring.domain.people.person import InvalidPerson, KnownScopes, checked_scope, names_in
from services.scoring.domain.people.scope import EVERYTHING, PersonScope
from services.scoring.repository.programs import programs_by_use
from services.scoring.repository.stores import listed
from shared.database.session import Session
from shared.languages.current import gettext


async def known_scopes(session: Session) -> KnownScopes:
    programs = {id_: each.title for id_, each in (await programs_by_use(session)).items()}
    return KnownScopes(programs, (await listed.read(session)).values())


@dataclass(frozen=True, slots=True)
class SentScope:
    """The fields as they were sent, to be shown again beside an error."""

    is_part: bool
    programs: Collection[str]
    stores: str
    regions: Collection[str]

    @classmethod
    def of_form(cls, form: FormData) -> SentScope | None:
        """Return what a form says; None for one that has none of the fields, which changes nothing."""
        programs, regions, stores = _texts(form, "program"), _texts(form, "region"), str(form.get("stores", ""))
        if "sees" not in form and not (programs or regions or stores.strip()):
            return None
        return cls(form.get("sees") != "all", programs, stores, regions)

    @classmethod
    def of(cls, scope: PersonScope) -> SentScope:
        return cls(not scope.is_whole, scope.programs, "\n".join(sorted(scope.stores)), scope.regions)

    def checked(self, known: KnownScopes) -> PersonScope:
        """Return the scope; raises InvalidPerson, also when nothing is chosen: that would be everything."""
        if not self.is_part:
            return EVERYTHING
        stores = names_in(self.stores, known.codes)
        scope = checked_scope(programs=self.programs, stores=stores, regions=self.regions, known=known)
        if scope.is_whole:
            raise InvalidPerson("scope", gettext("choose a program, a region or a store, or everything"))
        return scope

    @staticmethod
    def choices(known: Mapping[str, str], chosen: Collection[str]) -> list[tuple[str, str]]:
        """Return what may be chosen with its title, and what is chosen although it is gone: it has to be taken away."""
        return [
            *known.items(),
            *((name, gettext("%(name)s (gone)", name=name)) for name in sorted(set(chosen).difference(known))),
        ]


def scope_of_row(cells: Mapping[str, str], known: KnownScopes, *, kept: PersonScope) -> PersonScope:
    """Return the scope of a line of a file; a kind without a column stays as it is in `kept`. Raises InvalidPerson."""
    every = {"programs": known.programs, "stores": known.codes, "regions": known.regions}
    names = {kind: names_in(text, every[kind]) for kind, text in cells.items()}
    given = checked_scope(**{kind: names.get(kind, ()) for kind in every}, known=known)
    return replace(kept, **{kind: getattr(given, kind) for kind in cells})


def _texts(form: FormData, name: str) -> tuple[str, ...]:
    return tuple(value for value in form.getlist(name) if isinstance(value, str))

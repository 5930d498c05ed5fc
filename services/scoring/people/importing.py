"""Adds and changes the people of a CSV file."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from services.scoring.domain.people.person import InvalidPerson, KnownScopes, Person, checked_employees, folded
from services.scoring.domain.people.scope import EVERYTHING
from services.scoring.files import people as files
from services.scoring.files.people import PersonRow
from services.scoring.people import accounts as actions
from services.scoring.people.accounts import Invited
from services.scoring.people.scope_form import known_scopes, scope_of_row
from services.scoring.repository.people import accounts
from shared.database.session import Session, Sessions
from shared.web.audit.acts import note_instead


@dataclass(frozen=True, slots=True)
class PersonChange:
    before: Person
    after: Person


@dataclass(slots=True)
class PeopleImport:
    """What an import did, or would do where it is not `stored`; `bad` are lines with their reasons."""

    layout: str
    ignored: Sequence[str]
    added: list[Invited] = field(default_factory=list)
    changed: list[PersonChange] = field(default_factory=list)
    left: int = 0
    bad: list[tuple[int, str]] = field(default_factory=list)
    stored: bool = False

    @property
    def whole(self) -> list[str]:
        """The names of the people to add or change who see everything."""
        return [each.name for each in self.people if each.scope.is_whole]

    @property
    def people(self) -> list[Person]:
        """The people to add or change as they are after it."""
        return [*(invited.person for invited in self.added), *(change.after for change in self.changed)]


async def import_people(sessions: Sessions, content: bytes, *, dry_run: bool, good_only: bool) -> PeopleImport:
    """Add the people of a file, each with a one-time link, and change those whose login is known.

    Nothing is stored for a dry run, or when a line is bad and not `good_only`. Raises InvalidFile.
    """
    file = await asyncio.to_thread(files.read, content)
    result = PeopleImport(file.layout, file.ignored)
    async with sessions.begin() as session:
        await accounts.lock(session)
        known = {person.login: person for person in await accounts.load_all(session)}
        scopes = await known_scopes(session)
        seen: dict[str, int] = {}
        for row in file.rows:
            first = seen.setdefault(folded(row.login), row.line)
            problem = row.problem or (f"the login is in line {first}, too" if first != row.line else "")
            try:
                if not problem:
                    await _apply(session, row, known.get(folded(row.login)), scopes, result)
            except InvalidPerson as error:
                problem = str(error)
            if problem:
                result.bad.append((row.line, problem))
        result.stored = not dry_run and (good_only or not result.bad)
        if not result.stored:
            await session.rollback()
    _note(result)
    return result


def _note(result: PeopleImport) -> None:
    """Say in the audit log what became of whom; nothing of it where the file was only checked."""
    if not result.stored:
        note_instead(stored=False)
        return
    contacts = {each.after.id: actions.changed_contact(each.before, each.after) for each in result.changed}
    people = [
        {
            "id": str(each.id),
            "roles": sorted(each.roles),
            "sees": each.scope.recorded,
            "changed": contacts.get(each.id, []),
        }
        for each in result.people
    ]
    note_instead(stored=bool(people), added=len(result.added), changed=len(result.changed), people=people)


async def _apply(
    session: Session, row: PersonRow, person: Person | None, scopes: KnownScopes, result: PeopleImport
) -> None:
    """Add or change a person; one whose scope the file does not name keeps it."""
    scope = scope_of_row(row.scope, scopes, kept=EVERYTHING if person is None else person.scope)
    if person is None:
        added = await actions.add(
            session,
            login=row.login,
            name=row.name,
            roles=row.roles,
            scope=scope,
            email=row.email,
            employees=row.employees,
        )
        result.added.append(added)
        return
    email, employees = row.email or person.email, row.employees or " ".join(sorted(person.employees))
    has = (person.name, frozenset(map(str, person.roles)), person.scope, person.email, person.employees)
    if has == (row.name, frozenset(row.roles), scope, email, checked_employees(employees)):
        result.left += 1
    elif changed := await actions.change(
        session, person.id, name=row.name, roles=row.roles, scope=scope, email=email, employees=employees
    ):
        result.changed.append(PersonChange(person, changed))

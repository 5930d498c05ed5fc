"""Saves, deletes and imports stores; whoever changes the list waits for the others to end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from services.scoring.domain.stores import imports
from services.scoring.domain.stores.imports import ImportPlan
from services.scoring.domain.stores.store import MOST_STORES, InvalidStore, Store, checked, refuse_taken
from services.scoring.files import stores as files
from services.scoring.repository.people import accounts, revisions
from services.scoring.repository.stores import listed
from shared.database.session import Session, Sessions
from shared.languages.current import gettext, ngettext
from shared.web.audit.acts import note, note_unchanged

Expected = Callable[[Store | None], bool]


class StoreInUse(Exception):
    """The scope of so many people names the store."""

    def __init__(self, people: int) -> None:
        text = ngettext(
            "%(num)s person is set to see this store. Change that first: its code may be given to another store.",
            "%(num)s people are set to see this store. Change that first: its code may be given to another store.",
            people,
        )
        super().__init__(text)


class StaleStore(Exception):
    """The store is no longer what the caller expected; `current` is None where there is none."""

    def __init__(self, current: Store | None) -> None:
        super().__init__()
        self.current = current


async def _lock(session: Session) -> None:
    """Wait for others who change stores or people, because a change of stores changes what people see."""
    await listed.lock(session)
    await accounts.lock(session)


async def save(session: Session, store: Store, *, expected: Expected) -> Store | None:
    """Add a store or replace the one with its code, which is returned; raises StaleStore and InvalidStore."""
    await _lock(session)
    known = await listed.read(session)
    before = known.get(store.code)
    _check(before, expected)
    refuse_taken(store, known)
    if store.code not in known and len(known) >= MOST_STORES:
        raise InvalidStore("code", gettext("the list has %(most)s stores already", most=MOST_STORES))
    await _put(session, store, before=before)
    return before


async def remove(session: Session, code: str, *, expected: Expected) -> Store | None:
    """Delete a store; return it, None where there was none. Raises StaleStore and StoreInUse."""
    await _lock(session)
    current = (await listed.read(session)).get(code)
    _check(current, expected)
    note(code)
    if current is None:
        note_unchanged()
        return None
    if people := await accounts.count_who_see(session, code):
        raise StoreInUse(people)
    await listed.remove(session, code)
    await revisions.revise_by_stores(session)
    return current


def _check(current: Store | None, expected: Expected) -> None:
    if not expected(current):
        raise StaleStore(current)


async def add_spelling(session: Session, spelling: str, *, named: str) -> tuple[Store, Store]:
    """Give a spelling to the store that has a code or name; return it as it was and is. Raises InvalidStore."""
    await _lock(session)
    known = await listed.read(session)
    found = known.get(named) or next((each for each in known.values() if named in each.names), None)
    if found is None:
        raise InvalidStore("spellings", gettext("no store has this code or name"))
    store = checked(replace(found, spellings=(*found.spellings, spelling)))
    refuse_taken(store, known)
    await _put(session, store, before=found)
    return found, store


async def _put(session: Session, store: Store, *, before: Store | None) -> None:
    note(store.code)
    if store == before:
        note_unchanged()
        return
    await listed.put(session, [store])
    await revisions.revise_by_stores(session)


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What an import did, or would do where it is not `stored`."""

    plan: ImportPlan
    stored: bool
    layout: str
    ignored: Sequence[str]


async def import_file(sessions: Sessions, content: bytes, *, dry_run: bool, good_only: bool) -> ImportResult:
    """Compare a CSV file with the list, and store it unless it is a dry run or a line is bad; raises InvalidFile.

    With `good_only` the good lines are stored although others are bad.
    """
    file = await asyncio.to_thread(files.read, content)
    async with sessions.begin() as session:
        await _lock(session)
        known = await listed.read(session)
        plan = await asyncio.to_thread(imports.plan, known, file.rows, file.bad)
        stored = not dry_run and (good_only or not plan.bad)
        if stored and plan.stores:
            await listed.put(session, plan.stores)
            await revisions.revise_by_stores(session)
    note(stored=stored and bool(plan.stores), stores=len(plan.stores) if stored else 0)
    return ImportResult(plan, stored, file.layout, file.ignored)

"""What an import of a file of stores would do: which stores it adds, changes and leaves, and which lines are bad."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from services.scoring.domain.stores.store import MOST_STORES, InvalidStore, Store, taken
from services.scoring.domain.stores.texts import store_of
from shared.languages.current import gettext


@dataclass(frozen=True, slots=True)
class StoreRow:
    """The texts of the columns that a file has; `line` is the number of its first line."""

    line: int
    texts: Mapping[str, str]


@dataclass(frozen=True, slots=True, order=True)
class BadLine:
    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class ChangedStore:
    """A store as it would be stored, and the names of the fields that differ."""

    store: Store
    fields: Sequence[str]


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """`left` is the number of lines that change nothing; `bad` are lines that are not stored, in order."""

    added: Sequence[Store] = ()
    changed: Sequence[ChangedStore] = ()
    left: int = 0
    bad: Sequence[BadLine] = ()

    @property
    def stores(self) -> list[Store]:
        return [*self.added, *(each.store for each in self.changed)]


def plan(known: Mapping[str, Store], rows: Iterable[StoreRow], bad: Iterable[BadLine] = ()) -> ImportPlan:
    """Compare a file with the stores that are known by code; `bad` are lines that could not be read as rows.

    The names are compared as they would be after the import, so that a file may give one store's spelling to another.
    """
    reading = _Reading(known, bad=list(bad))
    reading.read(rows)
    reading.refuse_shared_names()
    if len(known.keys() | reading.stores.keys()) > MOST_STORES:
        reading.refuse(list(reading.stores), gettext("the list would have more than %(most)s stores", most=MOST_STORES))
    new = [store for code, store in reading.stores.items() if code not in known]
    both = [(known[code], store) for code, store in reading.stores.items() if code in known]
    changed = [ChangedStore(store, fields) for before, store in both if (fields := before.differences(store))]
    return ImportPlan(new, changed, len(both) - len(changed), sorted(reading.bad))


@dataclass(slots=True)
class _Reading:
    """The good rows of a file by code, and its bad lines."""

    known: Mapping[str, Store]
    bad: list[BadLine]
    stores: dict[str, Store] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)

    def read(self, rows: Iterable[StoreRow]) -> None:
        by_code: defaultdict[str, list[StoreRow]] = defaultdict(list)
        for row in rows:
            by_code[row.texts["code"].strip()].append(row)
        for code, same in by_code.items():
            if code and len(same) > 1:
                where = ", ".join(str(row.line) for row in same[:5])
                self.bad += [BadLine(row.line, gettext("code: is in the lines %(lines)s", lines=where)) for row in same]
            else:
                for row in same:
                    self._read_one(code, row)

    def _read_one(self, code: str, row: StoreRow) -> None:
        try:
            store = store_of(row.texts, base=self.known.get(code))
        except InvalidStore as error:
            self.bad.append(BadLine(row.line, str(error)))
        else:
            self.stores[store.code], self.lines[store.code] = store, row.line

    def refuse(self, codes: Iterable[str], reason: str) -> None:
        for code in codes:
            del self.stores[code]
            self.bad.append(BadLine(self.lines[code], reason))

    def refuse_shared_names(self) -> None:
        """Refuse the lines of stores that share a name; a refused line leaves its store as it was, so look again."""
        owners: defaultdict[str, set[str]] = defaultdict(set)
        for store in {**self.known, **self.stores}.values():
            for name in store.names:
                owners[name].add(store.code)
        shared = [name for name, codes in owners.items() if len(codes) > 1]
        while shared:
            name = shared.pop()
            codes = sorted(owners[name])
            for code in codes if len(codes) > 1 else ():
                if code in self.stores:
                    other = next(each for each in codes if each != code)
                    shared += self._take_back(code, name, other, owners)

    def _take_back(self, code: str, name: str, other: str, owners: Mapping[str, set[str]]) -> list[str]:
        """Refuse a line; returns the names its store has again and shares with another."""
        refused = self.stores[code]
        self.refuse([code], str(taken(refused, name, other)))
        before = self.known[code].names if code in self.known else frozenset()
        for each in refused.names - before:
            owners[each].discard(code)
        for each in before:
            owners[each].add(code)
        return [each for each in before if len(owners[each]) > 1]

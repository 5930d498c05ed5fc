"""What the lines of a file do to the list of stores."""

from __future__ import annotations

import pytest

from services.scoring.domain.stores import imports
from services.scoring.domain.stores.imports import BadLine, ChangedStore, StoreRow, plan
from services.scoring.domain.stores.store import Store

ARBAT, SOKOL = Store("1", "Arbat", ("old Arbat",), manager="Ann"), Store("2", "Sokol")
KNOWN = {"1": ARBAT, "2": SOKOL}


def rows(*lines: dict[str, str]) -> list[StoreRow]:
    return [StoreRow(number, texts) for number, texts in enumerate(lines, 2)]


def test_file_adds_changes_and_leaves_stores_and_keeps_columns_it_lacks() -> None:
    found = plan(KNOWN, rows({"code": "1", "region": "Centre"}, {"code": "2"}, {"code": "3", "name": "Khimki"}))
    changed = Store("1", "Arbat", ("old Arbat",), "Centre", manager="Ann")
    assert (found.added, found.changed) == ([Store("3", "Khimki")], [ChangedStore(changed, ["region"])])
    assert (found.left, found.bad) == (1, [])
    assert found.stores == [Store("3", "Khimki"), changed]


def test_new_store_needs_a_name() -> None:
    assert plan(KNOWN, rows({"code": "3"}, {"code": ""})).bad == [
        BadLine(2, "name: is missing"),
        BadLine(3, "code: is missing"),
    ]


def test_code_that_is_twice_in_a_file_is_bad_in_each_line() -> None:
    found = plan({}, rows({"code": "3", "name": "a"}, {"code": " 3", "name": "b"}, {"code": "4", "name": "c"}))
    assert [store.code for store in found.added] == ["4"]
    assert found.bad == [BadLine(2, "code: is in the lines 2, 3"), BadLine(3, "code: is in the lines 2, 3")]


def test_same_spelling_for_two_stores_is_bad_in_both_lines() -> None:
    found = plan({}, rows({"code": "3", "name": "a", "spellings": "x"}, {"code": "4", "name": "b", "spellings": "x"}))
    assert found.stores == []
    assert found.bad == [
        BadLine(2, "spellings: 'x' is a name of the store 4"),
        BadLine(3, "spellings: 'x' is a name of the store 3"),
    ]


def test_code_that_is_a_spelling_of_another_store_is_bad() -> None:
    assert plan(KNOWN, rows({"code": "old Arbat", "name": "a"})).bad == [
        BadLine(2, "code: 'old Arbat' is a name of the store 1")
    ]


def test_file_may_give_the_spelling_of_one_store_to_another() -> None:
    found = plan(KNOWN, rows({"code": "2", "spellings": "old Arbat"}, {"code": "1", "spellings": ""}))
    assert found.bad == []
    assert [each.fields for each in found.changed] == [["spellings"], ["spellings"]]


def test_line_that_needs_a_bad_line_is_bad_too() -> None:
    """The store of the bad line keeps its spelling, so that no other store can have it."""
    lines = rows({"code": "2", "spellings": "old Arbat"}, {"code": "1", "spellings": "x"}, {"code": "3", "name": "x"})
    found = plan(KNOWN, lines)
    assert [bad.line for bad in found.bad] == [2, 3, 4]
    assert found.stores == []


def test_bad_lines_of_the_reader_are_listed_among_the_others() -> None:
    found = plan({}, rows({"code": "3"}), [BadLine(1, "not UTF-8"), BadLine(9, "3 cells")])
    assert [bad.line for bad in found.bad] == [1, 2, 9]


def test_list_does_not_grow_over_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "MOST_STORES", 2)
    found = plan(KNOWN, rows({"code": "3", "name": "Khimki"}))
    assert found.bad == [BadLine(2, "the list would have more than 2 stores")]

"""What makes a store valid, and which names it may have."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from services.scoring.domain.stores.store import InvalidStore, Store, TakenName, checked, refuse_taken
from services.scoring.domain.stores.texts import store_of, texts_of

ARBAT = Store("77", "Arbat")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"code": " "}, "code: is missing"),
        ({"name": ""}, "name: is missing"),
        ({"code": "a/b"}, "code: must not be"),
        ({"code": ".."}, "code: must not be"),
        ({"code": "c" * 101}, "code: more than 100 characters"),
        ({"name": "Ar\nbat"}, "name: holds a control character or line break"),
        ({"manager": "\ud800"}, "manager: holds a control character"),
        ({"spellings": ("(other)",)}, "stands for the stores beyond the limit"),
        ({"spellings": tuple(map(str, range(101)))}, "spellings: more than 100"),
        ({"time_zone": "Moscow"}, "time_zone: no such zone"),
        ({"review_links": ("javascript:alert(1)",)}, "review_links: expected addresses"),
        ({"review_links": ("https://",)}, "review_links: expected addresses"),
        ({"review_links": ("https://[",)}, "review_links: expected addresses"),
    ],
)
def test_invalid_store_is_refused_with_the_field_and_the_reason(changes: dict[str, object], why: str) -> None:
    with pytest.raises(InvalidStore) as refused:
        checked(replace(ARBAT, **changes))  # type: ignore[arg-type]
    assert why in str(refused.value)


def test_store_is_kept_without_spaces_empty_texts_and_repetitions() -> None:
    links = (" https://maps.example/1", "https://maps.example/1")
    given = Store(" 77 ", " Arbat", ("Arbat", "77", "b", " a ", "a", ""), " ", review_links=links)
    assert checked(given) == Store("77", "Arbat", ("a", "b"), review_links=("https://maps.example/1",))


@pytest.mark.parametrize(
    ("store", "why"),
    [
        (Store("Arbat", "Other"), "code: 'Arbat' is a name of the store 77"),
        (Store("78", "old Arbat"), "name: 'old Arbat' is a name of the store 77"),
        (Store("78", "Other", ("77",)), "spellings: '77' is a name of the store 77"),
    ],
)
def test_name_of_one_store_cannot_be_that_of_another(store: Store, why: str) -> None:
    known = {"77": replace(ARBAT, spellings=("old Arbat",))}
    with pytest.raises(TakenName) as refused:
        refuse_taken(store, known)
    assert str(refused.value) == why
    refuse_taken(replace(ARBAT, spellings=("77", "new")), known)


@pytest.mark.parametrize("spellings", [(), ("a",), ("a;b",), ("a", "b;c")])
def test_store_is_read_from_its_own_texts(spellings: tuple[str, ...]) -> None:
    links = ("https://a.example/?x=1;2",)
    texts = texts_of(
        Store("77", "Arbat", spellings, "Moscow", "Europe/Moscow", {}, "Ann", None, links, date(2026, 1, 2))
    )
    assert texts_of(store_of(texts)) == texts


def test_day_of_closing_is_read_as_people_write_it() -> None:
    assert store_of({"closed_since": "31.12.2026"}, base=ARBAT).closed_since == date(2026, 12, 31)
    assert store_of({"closed_since": "2026-12-31 10:00Z"}, base=ARBAT).closed_since == date(2026, 12, 31)
    assert store_of({"closed_since": " "}, base=replace(ARBAT, closed_since=date(2026, 12, 31))).closed_since is None
    with pytest.raises(InvalidStore, match="expected a day"):
        store_of({"closed_since": "soon"}, base=ARBAT)


def test_hours_that_are_none_are_an_error_of_their_field() -> None:
    with pytest.raises(InvalidStore, match="hours: they end before"):
        store_of({"hours": "mon 10:00-09:00"}, base=ARBAT)


def test_version_tells_every_field_apart() -> None:
    others = [replace(ARBAT, manager="Ann"), replace(ARBAT, deputy="Ann"), store_of({"hours": "24/7"}, base=ARBAT)]
    assert len({each.version for each in [ARBAT, *others]}) == 4
    assert ARBAT.version == replace(ARBAT).version

"""Names that look the same, and names that do not."""

from __future__ import annotations

import pytest

from services.scoring.domain.people.identity import free_name
from services.scoring.domain.people.lookalikes import look_of
from services.scoring.domain.people.person import InvalidPerson, checked_name


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("Anna", "anna"),
        ("Anna", "Аnna"),
        ("Анна", "Aнна"),
        ("HEBCKAYA", "НЕВСКАYА"),
        ("Ева Сорока", "Eвa Copoкa"),
        ("Anna Orlova", "AnnaOrlova"),
        ("Anna Orlova", "Anna\u2003Orlova"),
        ("Anna", "An\u200bna"),
        ("Anna", "An\u034fna"),
        ("Anna", "Anna\u3164"),
        ("Anna", "Anna\ufe0f"),
        ("Anna", "\uff21nna"),
        ("Ёлкина", "Е\u0308лкина"),
        ("Nina", "\u039dina"),
    ],
)
def test_names_that_look_the_same(name: str, other: str) -> None:
    assert look_of(name) == look_of(other)
    assert free_name(other, otherwise="olga", taken=[name]) != other


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("Anna", "Anne"),
        ("Алла", "Алия"),
        ("Alla", "Alia"),
        ("Елкина", "Ёлкина"),
        ("Андрей", "Андреи"),
        ("Olga 2", "Olga 3"),
        ("Мария", "Марія"),
        ("أحمد", "محمد"),
    ],
)
def test_names_that_are_told_apart(name: str, other: str) -> None:
    assert look_of(name) != look_of(other)
    assert free_name(other, otherwise="olga", taken=[name]) == other


@pytest.mark.parametrize("name", ["", " ", "\u3164", "\u2800 \u2800"])
def test_name_that_shows_nothing_is_no_name(name: str) -> None:
    with pytest.raises(InvalidPerson, match="1 to 100 characters"):
        checked_name(name)

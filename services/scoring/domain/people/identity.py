"""Somebody as an identity provider describes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from services.scoring.domain.people.lookalikes import look_of
from services.scoring.domain.people.person import LONGEST, InvalidPerson, checked_login, checked_name
from services.scoring.domain.people.scope import EVERYTHING, PersonScope
from shared.contract.vocabulary import Role


@dataclass(frozen=True, slots=True)
class Identity:
    """`issuer` and `subject` never change and say who it is; `login` and `name` are what the provider suggests."""

    issuer: str
    subject: str
    login: str
    name: str
    roles: frozenset[Role]
    scope: PersonScope = EVERYTHING
    has_second_factor: bool = False  # the provider asked for one


def texts_at(claims: Mapping[str, Any], path: str) -> frozenset[str]:
    """Return the texts of a claim, which is one or a list; `realm_access.roles` is a claim within another."""
    found: Any = claims.get(path)
    listed = found if isinstance(found, list) else [found]
    texts = frozenset(each for each in listed if isinstance(each, str) and each)
    dots = (at for at, letter in enumerate(path) if letter == "." and isinstance(claims.get(path[:at]), Mapping))
    return texts.union(*(texts_at(claims[path[:at]], path[at + 1 :]) for at in dots))


def free_login(wanted: str, *, otherwise: str, taken: Iterable[str]) -> str:
    """Return a login that nobody has: the wanted one, or with a number after it."""
    try:
        wanted = checked_login(wanted if wanted.isprintable() else "")
    except InvalidPerson:
        wanted = otherwise
    return _free(wanted, "-", frozenset(taken), form=str.casefold)


def free_name(wanted: str, *, otherwise: str, taken: Iterable[str]) -> str:
    """Return a name that looks like nobody's: the wanted one, or with a number after it."""
    try:
        wanted = checked_name(wanted)
    except InvalidPerson:
        wanted = otherwise
    return _free(wanted, " ", frozenset(map(look_of, taken)), form=look_of)


def _free(wanted: str, separator: str, taken: frozenset[str], *, form: Callable[[str], str]) -> str:
    """Return the wanted text, or the first numbered one, whose form is not taken."""
    if form(wanted) not in taken:
        return wanted
    short = wanted[: LONGEST - 6]
    numbered = (f"{short}{separator}{number}" for number in count(2))
    return next(each for each in numbered if form(each) not in taken)

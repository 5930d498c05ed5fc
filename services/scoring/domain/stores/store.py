"""A store of the list, what makes it valid, and which names it may have beside the others."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import date
from urllib.parse import urlsplit

from services.scoring.domain.dimensions import OTHER
from services.scoring.domain.stores.hours import Hours, hours_text
from shared.languages.current import gettext
from shared.zones import is_time_zone

MOST_STORES = 10_000
MOST_SPELLINGS, MOST_LINKS = 100, 20
_LONGEST, _LONGEST_CODE, _LONGEST_LINK = 200, 100, 2000


class InvalidStore(ValueError):
    """A field of a store is not valid; the text says why, and quotes only names of stores."""

    def __init__(self, field_: str, why: str) -> None:
        super().__init__(f"{field_}: {why}")
        self.field, self.why = field_, why


class TakenName(InvalidStore):
    """A name of a store is one of another: take it from that store first, or write another."""


@dataclass(frozen=True, slots=True)
class Store:
    """`spellings` are further names in events; code, name and spellings belong to one store only."""

    code: str
    name: str
    spellings: tuple[str, ...] = ()
    region: str | None = None
    time_zone: str | None = None
    hours: Hours = field(default_factory=dict)
    manager: str | None = None
    deputy: str | None = None
    review_links: tuple[str, ...] = ()
    closed_since: date | None = None

    @property
    def names(self) -> frozenset[str]:
        """Everything the store may be called in events."""
        return frozenset((self.code, self.name, *self.spellings))

    @property
    def version(self) -> str:
        """Return a text that differs when any field does."""
        written = repr([hours_text(self.hours) if name == "hours" else getattr(self, name) for name in FIELDS])
        return hashlib.sha256(written.encode()).hexdigest()[:16]

    def differences(self, other: Store) -> list[str]:
        return [name for name in FIELDS if getattr(self, name) != getattr(other, name)]


FIELDS = tuple(each.name for each in fields(Store))


def checked(store: Store) -> Store:
    """Return the store without surrounding spaces, empty texts and repetitions; raises InvalidStore."""
    code, name = _text("code", store.code, longest=_LONGEST_CODE), _text("name", store.name)
    if code is None or name is None:
        raise InvalidStore("code" if code is None else "name", gettext("is missing"))
    if "/" in code or code in (".", ".."):
        raise InvalidStore("code", gettext("must not be . or .. or hold a /"))
    spellings = _several("spellings", store.spellings, most=MOST_SPELLINGS, longest=_LONGEST) - {code, name}
    if OTHER in spellings | {code, name}:
        raise InvalidStore(
            "spellings", gettext("%(name)s stands for the stores beyond the limit of those counted by name", name=OTHER)
        )
    if store.time_zone and not is_time_zone(store.time_zone.strip()):
        raise InvalidStore("time_zone", gettext("no such zone; write one of the IANA names, such as Europe/Moscow"))
    return replace(
        store,
        code=code,
        name=name,
        spellings=tuple(sorted(spellings)),
        review_links=_links(store.review_links),
        region=_text("region", store.region),
        time_zone=_text("time_zone", store.time_zone),
        manager=_text("manager", store.manager),
        deputy=_text("deputy", store.deputy),
    )


def _text(name: str, given: str | None, *, longest: int = _LONGEST) -> str | None:
    text = (given or "").strip()
    if len(text) > longest:
        raise InvalidStore(name, gettext("more than %(most)s characters", most=longest))
    if any(unicodedata.category(each) in ("Cc", "Cs") for each in text):
        raise InvalidStore(name, gettext("holds a control character or line break"))
    return text or None


def _several(name: str, given: Iterable[str], *, most: int, longest: int) -> set[str]:
    found = {text for each in given if (text := _text(name, each, longest=longest))}
    if len(found) > most:
        raise InvalidStore(name, gettext("more than %(most)s", most=most))
    return found


def _links(given: Iterable[str]) -> tuple[str, ...]:
    unique = dict.fromkeys(each.strip() for each in given)
    found = _several("review_links", unique, most=MOST_LINKS, longest=_LONGEST_LINK)
    if not all(_is_link(each) for each in found):
        raise InvalidStore("review_links", gettext("expected addresses that begin with https:// or http://"))
    return tuple(each for each in unique if each in found)


def _is_link(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and " " not in text
    except ValueError:
        return False


def refuse_taken(store: Store, others: Mapping[str, Store]) -> None:
    """Raise TakenName when another of these stores, by code, has one of the names of this one."""
    for other in others.values():
        if other.code != store.code and (shared := store.names & other.names):
            raise taken(store, min(shared), other.code)


def taken(store: Store, name: str, owner: str) -> TakenName:
    """Return the error that a name is that of another store, whose code is `owner`."""
    place = "code" if name == store.code else "name" if name == store.name else "spellings"
    return TakenName(place, gettext("%(name)s is a name of the store %(owner)s", name=repr(name), owner=owner))

"""Time zones by the names of their cities in a language, for whoever does not know the names of IANA."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from functools import lru_cache

from babel.dates import get_timezone_location

from shared.languages.current import Language, current
from shared.zones import time_zone_names

_ALIKE = 0.7  # from 0 to 1, as difflib measures


def near_zones(typed: str) -> list[str]:
    """Return at most three IANA names of zones whose city is written alike, in the current language or in English.

    The first search in a language reads its names, which takes a second.
    """
    cities = _cities(current.get())
    found = get_close_matches(typed.strip().casefold(), cities, cutoff=_ALIKE)
    return list(dict.fromkeys(cities[city] for city in found))


def city_of(zone: str) -> str:
    """Return the city of a zone in the current language, and the name of a zone that has none, such as UTC."""
    if "/" not in zone:
        return zone
    return str(get_timezone_location(zone, locale=current.get().locale, return_city=True))


@lru_cache(maxsize=10)
def _cities(language: Language) -> Mapping[str, str]:
    zones = [name for name in sorted(time_zone_names()) if "/" in name and not name.startswith(("Etc/", "SystemV/"))]
    english = {name.rpartition("/")[2].replace("_", " ").casefold(): name for name in zones}
    own = {get_timezone_location(name, locale=language.locale, return_city=True).casefold(): name for name in zones}
    return english | own

"""The names of all settings, to find misspelt ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from shared.config import Settings

_REMOVED = {"EARSHOT_STAFF_SECRET": "staff log in as people, and programs with API keys: see CHANGELOG.md"}
_RESERVED = ("EARSHOT_TEST_", "EARSHOT_REQUIRE_")


def unknown_settings(environment: Mapping[str, str]) -> list[str]:
    """Return the names that begin with EARSHOT_ and are no settings, with the setting that was probably meant."""
    ours = {name for name in environment if name.startswith("EARSHOT_") and not name.startswith(_RESERVED)}
    if not (others := ours - _names(Settings)):
        return []
    known = _names_of_services()
    return [_with_likely(name, known) for name in sorted(others - known)]


def _names(kind: type[Settings]) -> set[str]:
    """Return the names of settings, and of those that name a file with a setting."""
    names = {f"EARSHOT_{field.upper()}" for field in kind.model_fields}
    return names | {f"{name}_FILE" for name in names}


def _names_of_services() -> set[str]:
    """Return the names of all settings; the services' own ones are loaded only where one of them is set."""
    from services.dispatcher.config import DispatcherSettings  # noqa: PLC0415 - loading them takes half a second
    from services.scoring.config import ScoringSettings  # noqa: PLC0415
    from services.trigger.config import TriggerSettings  # noqa: PLC0415

    return _names(TriggerSettings) | _names(DispatcherSettings) | _names(ScoringSettings)


def _with_likely(name: str, known: Iterable[str]) -> str:
    if name in _REMOVED:
        return f"{name} ({_REMOVED[name]})"
    likely = get_close_matches(name, known, n=1)
    return f"{name} (did you mean {likely[0]}?)" if likely else name

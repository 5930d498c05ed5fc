"""The names of all settings, to find misspelt ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from services.dispatcher.config import DispatcherSettings
from services.scoring.config import ScoringSettings
from services.trigger.config import TriggerSettings

_RESERVED = ("EARSHOT_TEST_", "EARSHOT_REQUIRE_")


def unknown_settings(environment: Mapping[str, str]) -> list[str]:
    """Return the names that begin with EARSHOT_ and are no settings, with the setting that was probably meant."""
    kinds = (TriggerSettings, DispatcherSettings, ScoringSettings)
    known = {f"EARSHOT_{field.upper()}" for kind in kinds for field in kind.model_fields}
    ours = (name for name in environment if name.startswith("EARSHOT_") and not name.startswith(_RESERVED))
    return [_with_likely(name, known) for name in sorted(ours) if name not in known]


def _with_likely(name: str, known: Iterable[str]) -> str:
    likely = get_close_matches(name, known, n=1)
    return f"{name} (did you mean {likely[0]}?)" if likely else name

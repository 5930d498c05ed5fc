"""The names of all settings, to find misspelt ones."""

from __future__ import annotations

from collections.abc import Mapping

from services.dispatcher.config import DispatcherSettings
from services.scoring.config import ScoringSettings
from services.trigger.config import TriggerSettings

_RESERVED = ("EARSHOT_TEST_", "EARSHOT_REQUIRE_")


def unknown_settings(environment: Mapping[str, str]) -> list[str]:
    """Return the names that begin with EARSHOT_ and are not settings, such as misspelt ones."""
    kinds = (TriggerSettings, DispatcherSettings, ScoringSettings)
    known = {f"EARSHOT_{field.upper()}" for kind in kinds for field in kind.model_fields}
    ours = (name for name in environment if name.startswith("EARSHOT_") and not name.startswith(_RESERVED))
    return sorted(name for name in ours if name not in known)

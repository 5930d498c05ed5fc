"""How a decision says that consent was assumed: in English as it is stored, and translated for pages."""

from __future__ import annotations

from shared.languages.current import gettext
from shared.languages.marking import mark

ASSUMED = mark("assumed (no ground is named)")
ASSUMED_ON = mark("assumed (ground: %(ground)s)")
_BEFORE, _AFTER = ASSUMED_ON.split("%(ground)s")


def assumed_in_words(stored: str) -> str:
    """Translate what a decision says of assumed consent, and return any other text as it is."""
    if stored == ASSUMED:
        return gettext(ASSUMED)
    if stored.startswith(_BEFORE) and stored.endswith(_AFTER):
        return gettext(ASSUMED_ON, ground=stored[len(_BEFORE) : -len(_AFTER)])
    return stored

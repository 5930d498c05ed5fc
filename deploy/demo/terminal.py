"""Texts of the demo in the terminal, in the terminal's language."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from rich.console import Console

from shared.languages.catalogue import ENGLISH
from shared.languages.current import gettext, known_in, language, match, speaking

CATALOGUES = Path(__file__).parent.parent / "locales"
console = Console(highlight=False)


def terminal_language(environment: Mapping[str, str] = os.environ) -> str:
    """Return the language of a terminal (POSIX.1-2017, 8.2), English where there is no catalogue of it."""
    names = (environment.get(name, "") for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    locale = next(filter(None, names), "")
    return match(locale.partition(".")[0].partition("@")[0], known_in(CATALOGUES)) or ENGLISH


def in_terminal_language() -> AbstractContextManager[None]:
    """Write texts in the terminal's language; the services in this process keep theirs."""
    return speaking(language(terminal_language(), CATALOGUES))


def say(message: str) -> None:
    """Print a message that is marked."""
    with in_terminal_language():
        console.print(gettext(message))

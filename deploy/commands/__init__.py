"""Commands that concern several services."""

from __future__ import annotations

import sys
from typing import NoReturn


def fail(reason: str) -> NoReturn:
    """End the command with one line that says what is wrong."""
    print(f"earshot: {reason}", file=sys.stderr)
    raise SystemExit(1)

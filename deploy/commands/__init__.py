"""Commands that concern several services."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import NoReturn


class Transport(StrEnum):
    POSTGRES = "postgres"
    KAFKA = "kafka"


def fail(reason: str) -> NoReturn:
    """End the command with one line that says what is wrong."""
    print(f"earshot: {reason}", file=sys.stderr)
    raise SystemExit(1)

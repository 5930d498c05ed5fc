"""Reads lock files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-extras.lock")


def locked(lock: Path) -> Iterator[tuple[str, Version]]:
    """Yield name and version of each package; one may occur twice, for other Python versions or platforms."""
    for line in lock.read_text().splitlines():
        if line.strip() and not line.startswith((" ", "#")):
            pinned = Requirement(line.removesuffix("\\"))
            (pin,) = pinned.specifier
            yield canonicalize_name(pinned.name), Version(pin.version)

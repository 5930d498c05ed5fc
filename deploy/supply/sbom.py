"""Writes what the image is made of as CycloneDX JSON, the same bytes for the same lock: `make sbom`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from deploy.supply.locks import LOCKS, ROOT

SBOM = ROOT / "build/sbom.json"


def write(target: Path, *, lock: Path) -> None:
    """Write the packages of a lock with their hashes, validated with CycloneDX's schema."""
    target.parent.mkdir(exist_ok=True)
    command = [sys.executable, "-W", "ignore::UserWarning", "-m", "cyclonedx_py", "requirements", str(lock)]
    command += ["--pyproject", str(ROOT / "pyproject.toml"), "--output-reproducible", "--validate"]
    subprocess.run([*command, "--output-format", "JSON", "--output-file", str(target)], check=True)


if __name__ == "__main__":
    write(SBOM, lock=ROOT / LOCKS[0])
    print(SBOM.relative_to(ROOT))

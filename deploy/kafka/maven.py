"""Fetches what a `pom.xml` names into a folder with Maven, once for each version of that file."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class MavenFailed(Exception):
    """Maven could not fetch; the message ends with its last output."""


@dataclass(frozen=True, slots=True)
class FetchedFolder:
    """`folder` with what `pom` puts there at `mvn generate-resources`."""

    pom: Path
    folder: Path

    @property
    def is_complete(self) -> bool:
        stamp = self.folder / ".complete"
        return stamp.is_file() and stamp.read_text() == self._digest()

    def missing_tool(self) -> str | None:
        """Return in one line which program is missing and how to install it; None when it can be fetched and run."""
        if shutil.which("java") is None:
            return "Java is missing: install Java 17 or newer (Debian: apt-get install default-jre-headless)"
        if not self.is_complete and shutil.which("mvn") is None:
            return (
                f"Maven is missing and {self.folder.name}/ not fetched: install Maven (Debian: apt-get install maven)"
            )
        return None

    def fetch(self) -> Path:
        """Return the folder; Maven fills it unless it is complete. Raises MavenFailed."""
        with self._locked():
            if not self.is_complete:
                shutil.rmtree(self.folder, ignore_errors=True)
                command = ["mvn", "--batch-mode", "--quiet", "--file", str(self.pom), "generate-resources"]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    raise MavenFailed(f"mvn failed: {(done.stdout + done.stderr)[-2000:].strip()}")
                (self.folder / ".complete").write_text(self._digest())
        return self.folder

    def _digest(self) -> str:
        return hashlib.sha256(self.pom.read_bytes()).hexdigest()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # parallel test workers must not fetch into the same folder at the same time
        with self.pom.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

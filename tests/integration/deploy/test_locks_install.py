"""Every lock installs with the pips of Debian 12 and Python 3.11, also when newer versions of everything are out.

The index is a folder of wheels without code: each locked package as it is locked, with what the real one asks for, and
a newer version of each. A copy of the lock names these wheels' hashes instead of the real ones.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[3]
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-extras.lock")
NEWER = "999999"
PIPS = {  # Debian 12's, and the one CPython 3.11 brings
    "23.0.1": "236bcb61156d76c4b8a05821b988c7b8c35bf0da28a4b614e8d6ab5212c25c6f",
    "23.2.1": "7ccf472345f20d35bdc9d1841ff5f313260c2c33fe417f48c30ac46cccabf5be",
}


@dataclass(frozen=True, slots=True)
class Pin:
    requirement: Requirement

    @property
    def name(self) -> str:
        return canonicalize_name(self.requirement.name)

    @property
    def version(self) -> str:
        return next(iter(self.requirement.specifier)).version

    @property
    def is_for_here(self) -> bool:
        return self.requirement.marker is None or self.requirement.marker.evaluate()


def pins(lock: str) -> list[Pin]:
    joined = (ROOT / lock).read_text().replace("\\\n", "")
    return [Pin(Requirement(re.split(r"\s+--hash=", line)[0])) for line in joined.splitlines() if line.strip()]


def asks_for(name: str) -> list[str]:
    try:
        return metadata.requires(name) or []
    except metadata.PackageNotFoundError:  # only an optional extra brings it, and it asks for nothing
        return []


def wheel(folder: Path, name: str, version: str) -> str:
    """Make an installable wheel without code; return its SHA-256."""
    distribution = f"{name.replace('-', '_')}-{version}"
    path = folder / f"{distribution}-py3-none-any.whl"
    asked = asks_for(name)
    extras = sorted({extra for each in asked for extra in re.findall(r"extra == ['\"]([^'\"]+)", each)})
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Provides-Extra: {extra}" for extra in extras] + [f"Requires-Dist: {each}" for each in asked]
    with zipfile.ZipFile(path, "w") as archive:
        info = f"{distribution}.dist-info"
        archive.writestr(f"{info}/METADATA", "\n".join(lines) + "\n\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def index(folder: Path, locked: list[Pin]) -> list[str]:
    """Fill the folder with each package and a newer one; return the lines of a lock that names these."""
    lines = []
    for pin in locked:
        wheel(folder, pin.name, NEWER)
        lines.append(f"{pin.requirement} --hash=sha256:{wheel(folder, pin.name, pin.version)}")
    return lines


def dry_run(pip: Path, folder: Path, lines: list[str]) -> subprocess.CompletedProcess[str]:
    lock = folder / "copy.lock"
    lock.write_text("\n".join(lines) + "\n")
    options = ["--dry-run", "--ignore-installed", "--no-index", "--require-hashes"]
    command = [sys.executable, str(pip / "pip"), "install", *options, "--find-links", str(folder), "-r", str(lock)]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=300, check=False)


def environment() -> dict[str, str]:
    return {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONWARNINGS": "ignore"}


@pytest.fixture(scope="module", params=PIPS)
def pip(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An old pip, fetched by the one that is here; it runs from its own wheel."""
    folder, version = tmp_path_factory.mktemp("pip"), request.param
    asked = folder / "asked.txt"
    asked.write_text(f"pip=={version} --hash=sha256:{PIPS[version]}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    fetched = subprocess.run([*command, "-d", folder, "-r", asked], env=environment(), timeout=120, check=False)
    if fetched.returncode and not os.environ.get("CI"):
        pytest.skip(f"pip {version} cannot be fetched here")
    assert fetched.returncode == 0
    return next(folder.glob("pip-*.whl"))


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_installs_with_an_old_pip_when_newer_versions_are_out(lock: str, pip: Path, tmp_path: Path) -> None:
    locked = [pin for pin in pins(lock) if pin.is_for_here]

    done = dry_run(pip, tmp_path, index(tmp_path, locked))

    assert done.returncode == 0, done.stderr
    would_install = done.stdout.rpartition("Would install ")[2].split()
    assert len(would_install) == len({pin.name for pin in locked})
    assert not [each for each in would_install if each.endswith(f"-{NEWER}")]


def test_lock_without_its_extras_does_not_install(pip: Path, tmp_path: Path) -> None:
    """Shows that the index above would catch it: this is what stopped every installation once."""
    locked = [pin for pin in pins("requirements-dev.lock") if pin.is_for_here]
    stripped = [re.sub(r"^([\w.-]+)\[[^]]*\]", r"\1", line) for line in index(tmp_path, locked)]

    done = dry_run(pip, tmp_path, stripped)

    assert done.returncode != 0
    assert "must have their versions pinned" in done.stderr


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_names_every_extra_that_a_locked_package_asks_for(lock: str) -> None:
    locked = {pin.name: pin.requirement.extras for pin in pins(lock)}
    missing = []
    for name, extras in locked.items():
        for wanted in map(Requirement, asks_for(name)):
            applies = wanted.marker is None or any(wanted.marker.evaluate({"extra": each}) for each in ("", *extras))
            lacking = wanted.extras - locked.get(canonicalize_name(wanted.name), set())
            if applies and lacking:
                missing.append(f"{name} asks for {wanted.name}[{','.join(sorted(lacking))}]")
    assert missing == []

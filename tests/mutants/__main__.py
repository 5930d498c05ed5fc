"""`make mutants`: plants bugs in changed files, one at a time, and prints those that no test detects.

It works on a copy of the tree, so that an interrupted run leaves no bug behind. For a survivor, either a test is
missing or the change is no bug.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import cache_from_source
from pathlib import Path

from rich.console import Console

from tests.mutants.planting import mutants

ROOT = Path(__file__).parents[2]
FOLDERS = ("services", "shared", "deploy")
CLEANUP_S = 30.0


def main(arguments: Sequence[str] | None = None, *, root: Path = ROOT) -> int:
    """Print every survivor; return how many there are."""
    parser = argparse.ArgumentParser(prog="make mutants")
    parser.add_argument("files", nargs="*", help="files to plant bugs in (those changed since the base)")
    parser.add_argument("--base", default="HEAD~1", help="a revision (HEAD~1)")
    parser.add_argument("--tests", nargs="+", help="tests to run (unit and integration tests of the part)")
    parser.add_argument("--most", type=int, default=50, help="at most so many bugs a file, chosen at random (50)")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        _copy(root, Path(folder))
        files = chosen.files or _changed(root, chosen.base)
        return sum(_survivors(Path(folder), file, chosen) for file in files)


def _git(root: Path, *words: str) -> list[str]:
    done = subprocess.run(["git", *words], cwd=root, check=True, capture_output=True, text=True)  # noqa: S607
    return done.stdout.splitlines()


def _changed(root: Path, base: str) -> list[str]:
    changed = {
        *_git(root, "diff", "--name-only", "--diff-filter=d", base, "--", *FOLDERS),
        *_git(root, "ls-files", "--others", "--exclude-standard", "--", *FOLDERS),
    }
    return sorted(file for file in changed if file.endswith(".py") and "/migrations/" not in file)


def _copy(root: Path, folder: Path) -> None:
    for name in _git(root, "ls-files", "--cached", "--others", "--exclude-standard"):
        if (root / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, folder / name)
    (folder / ".venv").symlink_to(sys.prefix)


def _survivors(folder: Path, file: str, chosen: argparse.Namespace) -> int:
    console = Console(highlight=False, markup=False, soft_wrap=True)
    tests, started = chosen.tests or _tests_of(folder, file), time.monotonic()
    if not tests or not _passes(folder, tests, limit_s=None):
        raise SystemExit(f"{file}: {' '.join(tests) or 'its tests'}: must exist, and pass without a planted bug")
    limit_s = 20 + 3 * (time.monotonic() - started)
    target = folder / file
    original = target.read_text()
    every = list(mutants(original))
    planted = sorted(random.Random(chosen.seed).sample(every, min(chosen.most, len(every))))
    survived = 0
    for mutant in planted:
        target.write_text(mutant.source)
        Path(cache_from_source(str(target))).unlink(missing_ok=True)  # one of the same second and size would be used
        if _passes(folder, tests, limit_s=limit_s):
            survived += 1
            console.print(f"{file}:{mutant.line}: {mutant.change}")
    target.write_text(original)
    console.print(f"{file}: {survived} of {len(planted)} planted bugs were not detected by {' '.join(tests)}")
    return survived


def _tests_of(folder: Path, file: str) -> list[str]:
    place, *rest = Path(file).parts
    part = rest[0] if place == "services" else place
    return [path for path in (f"tests/unit/{part}", f"tests/integration/{part}") if (folder / path).exists()]


def _passes(folder: Path, tests: Sequence[str], *, limit_s: float | None) -> bool:
    """Return whether all tests pass in time; a test that hangs has detected the bug."""
    command = (sys.executable, "-m", "pytest", "-x", "-q", "-m", "not kafka and not browser", *tests)
    quiet = subprocess.DEVNULL
    # a session of its own, so that Ctrl-C reaches it only through `_end`
    run = subprocess.Popen(command, cwd=folder, stdout=quiet, stderr=quiet, start_new_session=True)
    try:
        return run.wait(limit_s) == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        _end(run)


def _end(run: subprocess.Popen[bytes]) -> None:
    """Interrupt the run, so that it stops its servers, and kill it after CLEANUP_S."""
    with suppress(subprocess.TimeoutExpired):
        run.send_signal(signal.SIGINT)
        run.wait(CLEANUP_S)
    run.kill()
    run.wait()


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None

"""A crash point does nothing unless the environment names it; then it kills the process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

PASSES = "from shared import crash; [(crash.point('sent'), crash.point('recorded'), print(n)) for n in range(3)]"


def passes(crash_at: str) -> tuple[int, list[str]]:
    ended = subprocess.run(
        [sys.executable, "-uc", PASSES],
        env={**os.environ, "EARSHOT_TEST_CRASH_AT": crash_at},
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.returncode, ended.stdout.split()


def test_process_dies_at_the_named_passing_of_the_named_point() -> None:
    assert passes("sent:2") == (-signal.SIGKILL, ["0"])


def test_points_that_were_not_asked_for_are_passed() -> None:
    assert passes("") == (0, ["0", "1", "2"])
    assert passes("published:1") == (0, ["0", "1", "2"])

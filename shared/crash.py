"""Named points at which a chaos test kills or stops this process.

`EARSHOT_TEST_CRASH_AT=sent:3` kills it the third time it reaches `sent`; `sent:3:STOP` sends SIGSTOP instead. Without
the variable a point costs one string comparison.
"""

from __future__ import annotations

import os
import signal

_wanted, _, _rest = os.environ.get("EARSHOT_TEST_CRASH_AT", "").partition(":")
_count, _, _signal = _rest.partition(":")
_passings = iter(range(1, int(_count or 1) + 1))


def point(name: str) -> None:
    """Send the signal to this process when EARSHOT_TEST_CRASH_AT names this point."""
    if name == _wanted and next(_passings, None) == int(_count or 1):
        os.kill(os.getpid(), signal.Signals[f"SIG{_signal or 'KILL'}"])

"""Named points where a chaos run ends or stops this process, as a power cut or a stalled machine would.

`EARSHOT_TEST_CRASH_AT=sent:3` kills it at the third passing of `sent`, `sent:3:STOP` stops it there. Without the
variable a point is one comparison.
"""

from __future__ import annotations

import os
import signal

_wanted, _, _rest = os.environ.get("EARSHOT_TEST_CRASH_AT", "").partition(":")
_count, _, _signal = _rest.partition(":")
_passings = iter(range(1, int(_count or 1) + 1))


def point(name: str) -> None:
    """Crash here when it was asked for."""
    if name == _wanted and next(_passings, None) == int(_count or 1):
        os.kill(os.getpid(), signal.Signals[f"SIG{_signal or 'KILL'}"])

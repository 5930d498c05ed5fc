"""`python -m tests.bench.idle [seconds]`: what `earshot run` costs while nothing happens.

Prints as JSON: the share of a core that the Python process takes, its statements a second without BEGIN, COMMIT and
ROLLBACK, its memory, and how long its start took; and the most frequent statements. PostgreSQL logs every statement.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import uvloop

from deploy import databases
from shared import database_url
from shared.database import embedded
from tests.bench import cost
from tests.integration.deploy.processes import earshot

WARM_UP_S = 10.0
_STATEMENT = re.compile(r"LOG:  (?:statement|execute [^:]*): (.*)")
_TRANSACTION = ("BEGIN", "COMMIT", "ROLLBACK")


async def measure(seconds: float) -> tuple[dict[str, float], Counter[str]]:
    folder = Path(tempfile.mkdtemp(prefix="eb-", dir="/tmp"))
    server = embedded.start(folder / "pg")
    try:
        urls = await embedded.prepare(server)
        await databases.migrate(urls)
        await _log_statements(server)
        began = time.monotonic()
        async with earshot(urls, folder) as running:
            await running.until_ready()
            ready_s = time.monotonic() - began
            await asyncio.sleep(WARM_UP_S)
            return await _observe(running.process.pid, folder / "pg" / "log", seconds, ready_s)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def _log_statements(server: embedded.Embedded) -> None:
    admin = await database_url.connect(server.admin_url)
    await admin.execute("ALTER SYSTEM SET log_statement = 'all'")
    await admin.execute("SELECT pg_reload_conf()")
    await admin.close()


async def _observe(process: int, log: Path, seconds: float, ready_s: float) -> tuple[dict[str, float], Counter[str]]:
    before, spent_s = _logged(log), cost.running_s(process)
    await asyncio.sleep(seconds)
    spent_s = cost.running_s(process) - spent_s
    found = _STATEMENT.findall(_logged(log).removeprefix(before))
    statements = Counter(each[:90] for each in found if not each.startswith(_TRANSACTION))
    figures = {
        "core_percent": 100 * spent_s / seconds,
        "statements_per_s": statements.total() / seconds,
        "memory_mb": _resident(process) / 1e6,
        "ready_s": ready_s,
    }
    return figures, statements


def _logged(log: Path) -> str:
    return log.read_text(errors="replace")


def _resident(process: int) -> int:
    """Return the bytes of memory of a process, see proc_pid_statm(5)."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * resource.getpagesize()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.bench.idle")
    parser.add_argument("seconds", nargs="?", type=float, default=60)
    figures, most = uvloop.run(measure(parser.parse_args().seconds))
    sys.stdout.write(json.dumps({name: round(value, 2) for name, value in figures.items()}) + "\n")
    for statement, number in most.most_common(12):
        sys.stdout.write(f"{number:6} {statement}\n")

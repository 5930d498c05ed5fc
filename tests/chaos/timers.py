"""`python -m tests.chaos.timers`: a million timers over sixty simulated days; each fires once, none early."""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import uvloop

from deploy import databases
from services.dispatcher.domain.steps import StepResult, StepState
from services.dispatcher.repository import steps
from services.dispatcher.sending.account_balancer import CLAIM
from shared.contract.vocabulary import ChannelKind
from shared.database import db, embedded

START = datetime(2026, 3, 2, tzinfo=UTC)
DAYS = 60
CLAIMERS = 2

_INVITATIONS = """INSERT INTO invitations (id, respondent_id, program, request, unsubscribe, expires_at)
SELECT lpad(to_hex(n), 32, '0')::uuid, n::text, 'p', '{}', int8send(n), $2::timestamptz + interval '1 year'
FROM generate_series(1, $1::int8) n"""
_STEPS = """INSERT INTO due (invitation_id, step, channel, due_at)
SELECT lpad(to_hex(n), 32, '0')::uuid, 1, 'email', $2::timestamptz + random() * $3 * interval '1 day'
FROM generate_series(1, $1::int8) n"""


@dataclass
class Fired:
    times: Counter[tuple[UUID, int]] = field(default_factory=Counter)
    early: int = 0

    def errors(self, count: int) -> list[str]:
        """Return an error for each kind of timer that did not fire exactly once, on time."""
        twice = sum(times > 1 for times in self.times.values())
        found = {"never": count - len(self.times), "twice": twice, "early": self.early}
        return [f"{number} fired {how}" for how, number in found.items() if number]


async def plant(database: db.Database, count: int, *, seed: int) -> None:
    """Insert so many steps, due at random moments of the sixty days."""
    async with database.sessions.begin() as session:
        await db.fetch(session, "SELECT setseed($1)", seed % 1000 / 1000)
        await db.fetch(session, _INVITATIONS, count, START)
        await db.fetch(session, _STEPS, count, START, float(DAYS))


async def fire(database: db.Database, *, seed: int) -> Fired:
    """Advance time in steps of at most twelve hours, and let two claimers take the due steps."""
    rng, fired = random.Random(seed), Fired()
    now, end = START, START + timedelta(days=DAYS)
    while now < end:
        now = min(end, now + timedelta(minutes=rng.randint(1, 720)))
        await asyncio.gather(*(_take_due(database, now, fired) for _ in range(CLAIMERS)))
        while await _end_leases(database):
            await _take_due(database, now, fired)
    return fired


async def _end_leases(database: db.Database) -> int:
    """Free steps that a claimer could not mark because the other one had them locked."""
    async with database.sessions.begin() as session:
        await db.fetch(session, "UPDATE held SET leased_until = '-infinity' WHERE NOT in_flight")
        return await steps.free_expired_leases(session)


async def _take_due(database: db.Database, now: datetime, fired: Fired) -> None:
    while True:
        async with database.sessions.begin() as session:
            held = await steps.claim_due(session, ChannelKind.EMAIL, now=now, limit=CLAIM)
        if not held:
            return
        async with database.sessions.begin() as session:
            marked = await steps.mark_in_flight(session, held, account="smtp")
            started = [step for step in held if step.key in marked]
            await steps.end(session, [StepResult(step, StepState.SENT, tries=1, account="smtp") for step in started])
        fired.times.update(marked)
        fired.early += sum(step.due_at > now for step in started)


async def command(count: int, seed: int) -> Sequence[str]:
    folder = Path(tempfile.mkdtemp(prefix="et-"))
    server = embedded.start(folder)
    try:
        urls = await embedded.prepare(server)
        await databases.migrate({"dispatcher": urls["dispatcher"]})
        database = db.Database(urls["dispatcher"], schema="dispatcher")
        await plant(database, count, seed=seed)
        began = time.monotonic()
        fired = await fire(database, seed=seed)
        took = time.monotonic() - began
        await database.close()
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{len(fired.times):,} of {count:,} fired in {took:.0f} s, seed {seed}")  # noqa: T201 - a command
    return fired.errors(count)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    raise SystemExit("\n".join(uvloop.run(command(chosen.count, chosen.seed))) or 0)

"""One chaos run: the services as processes of which one is always dying, and everything around them comes and goes.

The business clock goes through two weeks while all of that goes on; then it becomes quiet, time runs out for every
invitation, and the oracle looks.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from shared.database import db
from tests.chaos.browsers import LEAVERS
from tests.chaos.oracle import Verdict
from tests.chaos.processes import ROLES
from tests.chaos.stand import BEGINS, Plan, Stand, open_stand

BEAT_S = 0.5
STORM = timedelta(days=14)
AT_ONCE = 0.4  # of the invitations
SPEAKS, SPEAKS_AT_LAST = 0.02, 0.2  # of the silent: in a beat, and when all is quiet again
MISBEHAVING = 0.01  # of the mails and text messages
QUIET_S = 300.0
KILL_S = 90.0  # a kill takes less, also where a point has to be reached first


@dataclass
class Report:
    plan: Plan
    verdict: Verdict
    faults: Counter[str]
    kills: int
    unseen: int
    longest: dict[str, float]
    seconds: float

    @property
    def passed(self) -> bool:
        verdict = self.verdict
        counted = verdict.lost or verdict.duplicates or verdict.answers_lost or self.unseen or verdict.wrong
        return not counted and self.kills >= self.plan.kills


async def run(plan: Plan) -> Report:
    began = time.monotonic()
    async with open_stand(plan) as stand:
        verdict = await _play(stand)
        faults = stand.faults()
        done, witness = stand.processes.done, stand.witness
        return Report(plan, verdict, faults, done, witness.unseen, witness.longest, time.monotonic() - began)


async def _play(stand: Stand) -> Verdict:
    quiet = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for role in ROLES:
            tasks.create_task(stand.processes.keep(role, stand.stop))
        still = tasks.create_task(stand.processes.stand_still())
        outages = tasks.create_task(stand.outages.run(quiet))
        meanwhile = [
            tasks.create_task(stand.crowd.work_desk()),
            tasks.create_task(_watch(stand)),
            tasks.create_task(stand.witness.watch()),
            tasks.create_task(stand.browsers.send_test_mails(stand.web)),
            *(tasks.create_task(stand.browsers.leave()) for _ in range(LEAVERS)),
        ]
        await _storm(stand)
        quiet.set()
        await asyncio.gather(outages, still)
        await _calm(stand)
        for task in meanwhile:
            task.cancel()
        stand.stop.set()
    verdict = await stand.oracle.judge(stand.event_log, deaths=stand.processes.dispatchers_lost)
    verdict.wrong = [*stand.processes.wrong, *stand.witness.wrong, *stand.wrong, *verdict.wrong]
    return verdict


async def _storm(stand: Stand) -> None:
    """Ask in waves and let people speak until all were asked, enough was killed and, in a long run, all was away once.

    Time leaps with every kill: with the clock on the wall, surveys would end before a slow machine had begun them.
    """
    stand.providers.misbehave(MISBEHAVING)
    async with asyncio.timeout(KILL_S * stand.plan.kills):
        await asyncio.gather(*(_until_enough(stand, act) for act in (_ask, _speak, _leap)))
    stand.providers.misbehave(0)


async def _until_enough(stand: Stand, act: Callable[[Stand], Awaitable[None]]) -> None:
    while not _enough(stand):
        await act(stand)
        await asyncio.sleep(BEAT_S)


def _enough(stand: Stand) -> bool:
    all_went = stand.outages.once_each.is_set() or not stand.plan.is_long
    return all_went and stand.processes.enough.is_set() and stand.crowd.sold >= stand.plan.invitations


async def _ask(stand: Stand) -> None:
    """Ask many at once, the others as the kills are done, and still more when a point to die at is waited for.

    Without new work nobody would come to that point any more.
    """
    plan = stand.plan
    share = AT_ONCE + (1 - AT_ONCE) * stand.processes.done / plan.kills
    missing = round(plan.invitations * share) - stand.crowd.sold
    if missing > 0:
        await stand.crowd.sell(stand.web, missing)


async def _speak(stand: Stand) -> None:
    await stand.crowd.speak(stand.web, SPEAKS)


async def _leap(stand: Stand) -> None:
    """Let time pass up to where the kills are, but for who waits to be asked: an old purchase asks nobody."""
    if len(stand.crowd.invited) < stand.crowd.sold:
        return
    passed = min(1.0, stand.processes.done / stand.plan.kills)
    stand.clock.anchor(BEGINS + STORM * passed, speed=0)


async def _calm(stand: Stand) -> None:
    """Let every chain come to its end: the steps that are left, then the expiry."""
    await stand.witness.until_ready()
    await stand.crowd.speak(stand.web, SPEAKS_AT_LAST)
    for leap in (*[timedelta(days=2)] * 5, timedelta(days=30)):
        stand.clock.anchor(stand.clock.now() + leap, speed=0)
        if not await _settle(stand):
            return


async def _settle(stand: Stand) -> bool:
    try:
        async with asyncio.timeout(QUIET_S):
            while not await stand.witness.is_quiet():  # noqa: ASYNC110 - tables set no event
                await asyncio.sleep(0.2)
    except TimeoutError:
        stand.wrong.append(f"not quiet {QUIET_S:g} s after the last fault")
        return False
    return True


async def _watch(stand: Stand) -> None:
    """Note when each invitation is first seen closed, and who was asked; during an outage nothing is seen."""
    while True:
        try:
            await stand.oracle.look()
            await stand.crowd.learn()
        except Exception as error:
            if not db.is_transient(error):
                raise
        await asyncio.sleep(1)

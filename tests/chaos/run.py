"""One chaos run: service processes are killed again and again, while servers and connections around them fail.

Two weeks of business time pass meanwhile. Then the faults stop, every invitation reaches its end, and the oracle
compares what is stored and published with what happened.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from shared.database import db
from tests.chaos.browsers import BROWSERS
from tests.chaos.oracle import ChaosVerdict
from tests.chaos.processes import ROLES
from tests.chaos.setup import START, ChaosSetup, Plan, open_setup

TICK_S = 0.5
SIMULATED = timedelta(days=14)
FIRST_WAVE = 0.4  # the share of the invitations to ask at the beginning
RESPONDING, RESPONDING_AT_LAST = 0.02, 0.2  # the share of those without a response: in a tick, and after the faults
FAULT_RATE = 0.01  # of the mails and text messages
QUIET_S = 300.0
KILL_S = 90.0  # one kill takes less, even when a crash point has to be reached first


@dataclass
class ChaosReport:
    plan: Plan
    verdict: ChaosVerdict
    faults: Counter[str]
    kills: int
    undetected: int
    longest_stall_s: dict[str, float]
    seconds: float

    @property
    def passed(self) -> bool:
        verdict = self.verdict
        counted = verdict.lost or verdict.duplicates or verdict.answers_lost or self.undetected or verdict.wrong
        return not counted and self.kills >= self.plan.kills


async def run(plan: Plan) -> ChaosReport:
    began = time.monotonic()
    async with open_setup(plan) as setup:
        verdict = await _run_phases(setup)
        faults = setup.faults()
        kills, monitor = setup.processes.kills_done, setup.monitor
        return ChaosReport(
            plan, verdict, faults, kills, monitor.undetected, monitor.longest_stall_s, time.monotonic() - began
        )


async def _run_phases(setup: ChaosSetup) -> ChaosVerdict:
    no_faults = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for role in ROLES:
            tasks.create_task(setup.processes.keep_running(role, setup.stop))
        paused = tasks.create_task(setup.processes.pause_past_lease())
        outages = tasks.create_task(setup.outages.run(no_faults))
        meanwhile = [
            tasks.create_task(setup.participants.work_desk()),
            tasks.create_task(_watch(setup)),
            tasks.create_task(setup.monitor.watch()),
            tasks.create_task(setup.browsers.send_test_mails(setup.web)),
            *(tasks.create_task(setup.browsers.disconnect()) for _ in range(BROWSERS)),
        ]
        await _inject_faults(setup)
        no_faults.set()
        await asyncio.gather(outages, paused)
        await _finish(setup)
        for task in meanwhile:
            task.cancel()
        setup.stop.set()
    verdict = await setup.oracle.judge(setup.event_log, kills=setup.processes.dispatchers_killed)
    verdict.wrong = [*setup.processes.wrong, *setup.monitor.wrong, *setup.wrong, *verdict.wrong]
    return verdict


async def _inject_faults(setup: ChaosSetup) -> None:
    """Ask and let people respond until all were asked, enough was killed and, in a long run, each fault happened.

    Business time advances with the kills: by the wall clock, surveys would end before a slow machine had begun them.
    """
    setup.providers.set_fault_rate(FAULT_RATE)
    async with asyncio.timeout(KILL_S * setup.plan.kills):
        await asyncio.gather(*(_until_enough(setup, act) for act in (_ask, _respond, _advance_clock)))
    setup.providers.set_fault_rate(0)


async def _until_enough(setup: ChaosSetup, act: Callable[[ChaosSetup], Awaitable[None]]) -> None:
    while not _enough(setup):
        await act(setup)
        await asyncio.sleep(TICK_S)


def _enough(setup: ChaosSetup) -> bool:
    all_faults = setup.outages.each_happened.is_set() or not setup.plan.is_long
    return all_faults and setup.processes.enough.is_set() and setup.participants.sold >= setup.plan.invitations


async def _ask(setup: ChaosSetup) -> None:
    """Ask FIRST_WAVE at once, the others with the kills, and more than planned while a crash point is waited for.

    Without new work no process would reach that point.
    """
    plan = setup.plan
    share = FIRST_WAVE + (1 - FIRST_WAVE) * setup.processes.kills_done / plan.kills
    missing = round(plan.invitations * share) - setup.participants.sold
    if missing > 0:
        await setup.participants.sell(setup.web, missing)


async def _respond(setup: ChaosSetup) -> None:
    await setup.participants.respond(setup.web, RESPONDING)


async def _advance_clock(setup: ChaosSetup) -> None:
    """Advance the clock with the kills, once all were asked: a purchase that is too old is not asked about."""
    if len(setup.participants.invited) < setup.participants.sold:
        return
    passed = min(1.0, setup.processes.kills_done / setup.plan.kills)
    setup.clock.anchor(START + SIMULATED * passed, speed=0)


async def _finish(setup: ChaosSetup) -> None:
    """Let every invitation reach its end: perform the remaining steps, then let it expire."""
    await setup.monitor.until_ready()
    await setup.participants.respond(setup.web, RESPONDING_AT_LAST)
    for step in (*[timedelta(days=2)] * 5, timedelta(days=30)):
        setup.clock.anchor(setup.clock.now() + step, speed=0)
        if not await _settle(setup):
            return


async def _settle(setup: ChaosSetup) -> bool:
    try:
        async with asyncio.timeout(QUIET_S):
            while not await setup.monitor.is_quiet():  # noqa: ASYNC110 - tables set no event
                await asyncio.sleep(0.2)
    except TimeoutError:
        setup.wrong.append(f"not quiet {QUIET_S:g} s after the last fault")
        return False
    return True


async def _watch(setup: ChaosSetup) -> None:
    """Note when each invitation is first seen closed, and who was asked; an outage delays that."""
    while True:
        try:
            await setup.oracle.note_closed()
            await setup.participants.find_invited()
        except Exception as error:
            if not db.is_transient(error):
                raise
        await asyncio.sleep(1)

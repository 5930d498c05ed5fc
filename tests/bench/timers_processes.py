"""`python -m tests.bench.timers_processes DATABASE`: a dispatcher that performs all due steps when it is told to.

It claims, marks and ends steps and plans what follows, with the statements and transactions of a sender.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from functools import partial

import uvloop

from services.dispatcher.domain.steps import LeasedStep, PlannedStep, StepResult, StepState
from services.dispatcher.repository import steps
from services.dispatcher.sending.account_balancer import CLAIM
from services.dispatcher.sending.sender import MARK
from shared import logging
from shared.contract.vocabulary import ChannelKind
from shared.database import db
from shared.garbage import tune_gc
from tests.bench.processes import work_when_told

NOW = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
EMAIL = ChannelKind.EMAIL


async def perform_due(database: db.Database, *, claim: int = CLAIM, mark: int = MARK) -> int:
    """Perform due steps until there are none; return how many were claimed."""
    claimed = 0
    while leased := await _claim(database, claim):
        claimed += len(leased)
        sent: list[LeasedStep] = []
        for start in range(0, len(leased), mark):
            sent = await _end_and_mark(database, sent, leased[start : start + mark])
        await _end_and_mark(database, sent, [])
    return claimed


async def _claim(database: db.Database, limit: int) -> list[LeasedStep]:
    async with database.sessions.begin() as session:
        return await steps.claim_due(session, EMAIL, now=NOW, limit=limit)


async def _end_and_mark(database: db.Database, sent: list[LeasedStep], leased: list[LeasedStep]) -> list[LeasedStep]:
    async with database.sessions.begin() as session:
        if sent:
            await steps.end(session, [StepResult(step, StepState.SENT, tries=1, account="smtp") for step in sent])
            following = {step.invitation_id: PlannedStep(2, EMAIL, NOW + DAY) for step in sent}
            await db.write(session, steps.plan_statement(following))
        if leased:
            await steps.mark_in_flight(session, leased, account="smtp")
    return leased


async def _work(database_url: str) -> None:
    database = db.Database(database_url, schema="dispatcher")
    await work_when_told(partial(perform_due, database))
    await database.close()


if __name__ == "__main__":
    logging.configure("warning", service="bench")
    tune_gc()
    uvloop.run(_work(sys.argv[1]))

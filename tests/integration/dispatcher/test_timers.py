"""Twenty thousand of the million timers that `python -m tests.chaos.timers` fires."""

from __future__ import annotations

from shared.database import db
from tests.chaos import timers


async def test_twenty_thousand_timers_over_sixty_days_fire_once_each_and_none_early(dispatcher_db: db.Database) -> None:
    await timers.plant(dispatcher_db, 20_000, seed=1)
    fired = await timers.fire(dispatcher_db, seed=1)
    assert fired.errors(20_000) == []

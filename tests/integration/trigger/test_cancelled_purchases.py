"""A cancelled purchase counts neither for the history nor as a return; one completed afterwards is asked about."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from services.trigger.repository import past_events
from shared.contract.events import RespondentPurchased
from shared.database.db import Database
from tests.integration.trigger.samples import (
    cancellation,
    decide,
    known_respondents,
    later,
    published,
    purchase,
    reasons,
)

BEFORE = later(hours=-2)


async def history(database: Database) -> tuple[int, datetime | None, datetime | None]:
    (known,) = await known_respondents(database)
    return known.purchases, known.first_purchase_at, known.last_purchase_at


def bought(id_: str, order: str = "o1", **rest: Any) -> dict[str, Any]:
    return purchase(id_, order=order, **rest)


def cancelled(id_: str, order: str = "o1", **rest: Any) -> dict[str, Any]:
    return cancellation(id_, order=order, **rest)


@pytest.mark.parametrize(
    ("sent", "purchases"),
    [
        ([bought("e1"), cancelled("e2")], 0),
        ([bought("e1"), cancelled("e2"), cancelled("e3")], 0),
        ([bought("e1"), bought("e2", "o2"), cancelled("e3")], 1),
        ([cancelled("e1"), bought("e2")], 0),
        ([cancelled("e1", at=BEFORE), bought("e2")], 1),
        ([cancelled("e1", at=BEFORE), bought("e2"), cancelled("e3")], 0),
        ([bought("e1"), cancelled("e2", "o2")], 1),
        ([bought("e1", attributes={"historic": True}), cancelled("e2")], 0),
    ],
)
@pytest.mark.parametrize("in_one_batch", [True, False])
async def test_cancelled_purchase_is_not_in_the_history(
    installed: Database, sent: list[dict[str, Any]], purchases: int, *, in_one_batch: bool
) -> None:
    for batch in [sent] if in_one_batch else [[one] for one in sent]:
        await decide(installed, batch)
    found, first, last = await history(installed)
    assert found == purchases
    assert (first is None, last is None) == (purchases == 0, purchases == 0)


async def test_order_completed_after_its_cancellation_is_asked_about_once(installed: Database) -> None:
    assert await reasons(installed, [cancelled("e1", at=BEFORE)]) == ["nothing_to_withdraw"]
    assert await reasons(installed, [bought("e2", at=later(hours=-1)), bought("e3")]) == ["asked", "duplicate"]
    assert await reasons(installed, [cancelled("e4")]) == ["withdrawn"]


async def test_order_cancelled_after_its_completion_stays_withdrawn_in_any_order(installed: Database) -> None:
    assert await reasons(installed, [cancelled("e1"), bought("e2", at=BEFORE)]) == [
        "nothing_to_withdraw",
        "withdrawn",
    ]


async def test_cancelled_return_is_taken_back(installed: Database) -> None:
    await decide(installed, [bought("e1")])
    again = later(days=5)
    await decide(installed, [bought("e2", "o2", at=again), cancelled("e3", "o2", at=again)], now=again)
    await decide(installed, [cancelled("e4", "o2", at=again)], now=again)
    told = [event.payload for event in await published(installed) if isinstance(event.payload, RespondentPurchased)]
    assert [(one.event.source, one.event.id, one.event.subject, one.cancelled) for one in told] == [
        ("shop", "e2", "o2", False),
        ("shop", "e2", "o2", True),
    ]


async def test_cancellation_of_the_only_purchase_tells_scoring_of_no_return(installed: Database) -> None:
    await decide(installed, [bought("e1"), cancelled("e2")])
    assert [event.type for event in await published(installed)] == ["survey.requested", "survey.withdrawn"]


async def test_simulation_begins_without_the_purchases_of_its_time(installed: Database) -> None:
    await decide(installed, [bought("e0", "o0", at=later(days=-3))], now=later(days=-3))
    await decide(installed, [bought("e1"), bought("e2", "o2"), cancelled("e3")])
    async with installed.sessions() as session:
        events = await past_events.events_since(session, later(days=-1))
        known = await past_events.respondents_at(session, later(days=-1), events)
    assert [one.purchases for one in known.values()] == [1]

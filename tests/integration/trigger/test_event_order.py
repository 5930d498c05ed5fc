"""What the order, repetition and batching of events may change; docs/programs.md promises the same."""

from __future__ import annotations

from collections import Counter
from typing import Any
from uuid import uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.database import db
from shared.database.db import Database
from tests.integration.trigger.samples import body, cancellation, purchase, reasons

CUSTOMERS, ORDERS = 3, 3
KINDS = ("purchase", "cancelled", "updated")
SOME = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

OrderEvent = tuple[str, int, int]  # kind, customer, order
told = st.tuples(st.sampled_from(KINDS), st.integers(1, CUSTOMERS), st.integers(1, ORDERS))


def events(run: str, several: list[OrderEvent]) -> list[dict[str, Any]]:
    """Return them as events of customers of their own; the id is the index in the list."""
    return [event(run, number, one) for number, one in enumerate(several)]


def event(run: str, number: int, told_of: OrderEvent) -> dict[str, Any]:
    kind, customer, order = told_of
    who = {"id": f"{run} c{customer}", "email": f"c{customer}@{run}.example"}
    id_, about = f"{run} e{number}", f"c{customer} o{order}"
    if kind == "purchase":
        return purchase(id_, order=about, customer=who)
    return (
        cancellation(id_, order=about, customer=who)
        if kind == "cancelled"
        else body("customer.updated", id_, customer=who)
    )


async def decided(database: Database, sent: list[dict[str, Any]], sizes: list[int]) -> dict[str, str]:
    """Decide them in batches of these sizes in turn; return the reasons by index."""
    found: dict[str, str] = {}
    while sent:
        size, sizes = sizes[0], [*sizes[1:], sizes[0]]
        batch, sent = sent[:size], sent[size:]
        for one, reason in zip(batch, await reasons(database, batch), strict=True):
            place = one["id"].split()[-1]
            assert found.setdefault(place, reason) == reason
    return found


def new_run() -> str:
    return uuid4().hex[:8]


@SOME
@given(several=st.lists(told, min_size=1, max_size=12), chosen=st.data())
async def test_batching_and_repeating_change_no_decision(
    installed: Database, several: list[OrderEvent], chosen: st.DataObject
) -> None:
    one_by_one = await decided(installed, events(new_run(), several), [1])
    again = events(new_run(), several)
    repeated = [copy for one in again for copy in [one] * chosen.draw(st.integers(1, 3))]
    sizes = chosen.draw(st.lists(st.integers(1, 8), min_size=1, max_size=4))
    assert await decided(installed, repeated + chosen.draw(st.permutations(again)), sizes) == one_by_one


@SOME
@given(several=st.lists(told, min_size=1, max_size=12), chosen=st.data())
async def test_order_among_different_customers_changes_no_decision(
    installed: Database, several: list[OrderEvent], chosen: st.DataObject
) -> None:
    straight = await decided(installed, events(new_run(), several), [len(several)])
    sent = events(new_run(), several)
    queues = [
        [one for one, (_, who, _) in zip(sent, several, strict=True) if who == n] for n in range(1, CUSTOMERS + 1)
    ]
    turns = chosen.draw(st.permutations([n for n, queue in enumerate(queues) for _ in queue]))
    woven = [queues[n].pop(0) for n in turns]
    assert await decided(installed, woven, [5]) == straight


@SOME
@given(several=st.lists(told, min_size=1, max_size=12), chosen=st.data())
async def test_any_order_decides_each_once_asks_once_and_leaves_no_cancelled_survey_open(
    installed: Database, several: list[OrderEvent], chosen: st.DataObject
) -> None:
    run = new_run()
    sent = chosen.draw(st.permutations(events(run, several)))
    found = await decided(installed, list(sent), [3])
    assert len(found) == len(several)
    asked = Counter(several[int(place[1:])][1] for place, reason in found.items() if reason == "asked")
    assert not asked or max(asked.values()) == 1
    async with installed.sessions() as session:
        rows = await db.fetch(
            session,
            "SELECT ref FROM touchpoints WHERE respondent_id LIKE $1 AND state = 'open' AND reversed_at IS NOT NULL",
            f"{run}%",
        )
    assert rows == []

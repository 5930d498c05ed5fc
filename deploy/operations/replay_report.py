"""The report of a replay: a table of events, decisions, steps, answers and scores, and the check that they agree."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from rich.table import Table

from shared.contract.vocabulary import Service
from shared.database import db
from shared.database.opening import open_database

Counts = Mapping[str, int]

_STORES_SHOWN = 15


@dataclass(frozen=True, slots=True)
class StoreScore:
    """The NPS of one store, or of all stores; `balance` is the number of promoters minus that of detractors."""

    answers: int
    balance: int

    @property
    def nps(self) -> float:
        return 100 * self.balance / self.answers if self.answers else 0.0


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """Counts after a replay; the same purchases give an equal report on either transport."""

    decisions: Counts
    invitations: Counts
    known_to_scoring: int
    steps: Counts
    calls: Counts
    answers: Counts
    whole: StoreScore
    stores: Mapping[str, StoreScore]
    parked: int
    unpublished: int

    @classmethod
    async def read(cls, urls: Mapping[str, str]) -> ReplayReport:
        async with AsyncExitStack() as resources:
            trigger, dispatcher, scoring = [
                _ServiceTables(await resources.enter_async_context(open_database(urls[service], schema=service)))
                for service in Service
            ]
            stores = await scoring.rows(_STORES)
            return cls(
                decisions=await trigger.counts("SELECT reason, count(*) FROM decisions GROUP BY 1"),
                invitations=await dispatcher.counts(
                    "SELECT coalesce(outcome, state), count(*) FROM invitations GROUP BY 1"
                ),
                known_to_scoring=(await scoring.counts("SELECT '', count(*) FROM invitations"))[""],
                steps=await dispatcher.counts(
                    "SELECT step || '. ' || channel || ' ' || state, count(*) FROM attempts GROUP BY 1"
                ),
                calls=await scoring.counts("SELECT coalesce(outcome, state), count(*) FROM call_tasks GROUP BY 1"),
                answers=await scoring.counts("SELECT mode, count(*) FROM answers GROUP BY 1"),
                whole=next((_store(row) for row in stores if row["dimension"] == "all"), StoreScore(0, 0)),
                stores={row["value"]: _store(row) for row in stores if row["dimension"] == "store"},
                parked=sum([await reader.total("parked") for reader in (trigger, dispatcher, scoring)]),
                unpublished=sum([await reader.total("outbox") for reader in (trigger, dispatcher, scoring)]),
            )


_STORES = """SELECT dimension, value, sum(s0+s1+s2+s3+s4+s5+s6+s7+s8+s9+s10) AS answers,
sum(s9+s10-s0-s1-s2-s3-s4-s5-s6) AS balance
FROM buckets WHERE dimension IN ('all', 'store') GROUP BY 1, 2 ORDER BY 3 DESC, 2"""


def _store(row: db.Row) -> StoreScore:
    return StoreScore(int(row["answers"]), int(row["balance"]))


class _ServiceTables:
    def __init__(self, database: db.Database) -> None:
        self._database = database

    async def rows(self, sql: str) -> list[db.Row]:
        async with self._database.sessions.begin() as session:
            return await db.fetch(session, sql)

    async def counts(self, sql: str) -> dict[str, int]:
        rows = [tuple(row) for row in await self.rows(sql)]
        return {name: int(count) for name, count in sorted(rows)}

    async def total(self, table: str) -> int:
        return (await self.counts(f"SELECT '', count(*) FROM {table}"))[""]  # noqa: S608 - a constant


def reconcile(report: ReplayReport, *, events: int) -> list[str]:
    """Compare the counts that must be equal; return one line for each pair that differs."""
    asked = report.decisions.get("asked", 0)
    answers = sum(report.answers.values())
    pairs = (
        ("events in", events, "decisions", sum(report.decisions.values())),
        ("asked", asked, "invitations", sum(report.invitations.values())),
        ("asked", asked, "invitations known to scoring", report.known_to_scoring),
        ("invitations answered", report.invitations.get("answered", 0), "answers", answers),
        ("answers", answers, "answers in the score", report.whole.answers),
        ("answers", answers, "answers by store", sum(store.answers for store in report.stores.values())),
        ("invitations still open", report.invitations.get("open", 0), "none", 0),
        ("parked messages", report.parked, "none", 0),
        ("outbox rows left", report.unpublished, "none", 0),
    )
    return [f"{one} {left} ≠ {other} {right}" for one, left, other, right in pairs if left != right]


def table(report: ReplayReport, *, events: int) -> Table:
    printed = Table("", "", "count", title="From a purchase to a score")
    printed.add_row("events in", "", f"{events:,}")
    for title, counts in (
        ("decisions", report.decisions),
        ("invitations", report.invitations),
        ("steps", report.steps),
        ("call tasks", report.calls),
        ("answers", report.answers),
    ):
        printed.add_section()
        for name, count in counts.items():
            printed.add_row(title, name, f"{count:,}")
        printed.add_row(title, "total", f"{sum(counts.values()):,}", style="bold")
    printed.add_section()
    printed.add_row("NPS", f"all {report.whole.answers:,} answers", f"{report.whole.nps:+.1f}", style="bold")
    for name, store in list(report.stores.items())[:_STORES_SHOWN]:
        printed.add_row("NPS", f"{name}, {store.answers:,} answers", f"{store.nps:+.1f}")
    if len(report.stores) > _STORES_SHOWN:
        printed.add_row("NPS", f"… and {len(report.stores) - _STORES_SHOWN} stores more", "")
    return printed

"""Thousands of random operations: figures equal a recomputation and a model at every checkpoint.

EARSHOT_TEST_OPERATIONS=100000 runs as many.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from services.scoring.answers.record import Recorded, record
from services.scoring.domain.answers import Entry
from services.scoring.domain.bot_detection import BotSignals, Device, PageView
from services.scoring.domain.history import ImportedScore, PublishedProgram
from services.scoring.files import imports
from services.scoring.repository import page_views
from shared.contract.events import (
    ContactAttempted,
    EventRef,
    InvitationClosed,
    Payload,
    RespondentErased,
    RespondentPurchased,
    SurveyRequested,
    SurveyWithdrawn,
)
from shared.contract.vocabulary import AttemptState, ChannelKind, InvitationOutcome
from tests.integration.scoring.stand import Scoring, differences, named, requested

OPERATIONS = int(os.environ.get("EARSHOT_TEST_OPERATIONS", "6000"))
BATCH, CHECKPOINTS = 250, 4
WEIGHTS = {
    "ask": 5,
    "say": 8,
    "attempt": 4,
    "view": 1,
    "buy": 2,
    "close": 2,
    "withdraw": 1,
    "erase": 0.1,
    "confirm": 1,
    "import": 1,
}
PROGRAM = PublishedProgram("after-purchase", 3, "After purchase", "Europe/Moscow")


@dataclass
class World:
    """Random operations, and a model of the expected score of every invitation."""

    scoring: Scoring
    chance: random.Random = field(default_factory=lambda: random.Random(5))
    asked: list[SurveyRequested] = field(default_factory=list)
    scores: dict[object, int] = field(default_factory=dict)
    imported: int = 0

    async def batch(self, size: int) -> None:
        self.scoring.clock.moment += timedelta(hours=self.chance.randrange(8))
        kinds = Counter(self.chance.choices(list(WEIGHTS), list(WEIGHTS.values()), k=size))
        new = [self.request() for _ in range(kinds.pop("ask", 0) or 1)]
        await self.scoring.receive(*new)
        self.asked += new
        await self.say(kinds.pop("say", 0))
        await self.confirm(kinds.pop("confirm", 0))
        await self.import_old(kinds.pop("import", 0))
        told = [self.payload(kind) for kind, count in kinds.items() if kind != "view" for _ in range(count)]
        self.chance.shuffle(told)
        await self.scoring.receive(*told)
        await self.look(kinds["view"] or 1)
        if self.chance.random() < 0.5:
            await self.scoring.tick()

    def request(self) -> SurveyRequested:
        now = self.scoring.clock.now()
        segments = {
            "store": self.chance.choice("ABC"),
            "employee": f"e-{self.chance.randrange(40)}",
            "age": self.chance.choice(["18-24", "25-34"]),
        }
        return requested(
            customer_id=f"c-{self.chance.randrange(500)}",
            segments={name: value for name, value in segments.items() if self.chance.random() < 0.9},
            send_at=now,
            expires_at=now + timedelta(days=21),
            event=EventRef(
                source="shop",
                id=str(uuid7()),
                type="crm.purchase.completed",
                time=now,
                amount=Decimal(self.chance.randrange(100)),
                currency="EUR",
            ),
        )

    async def say(self, times: int) -> None:
        """Record first, changed and late answers."""
        said_by: list[dict[str, Any]] = [
            {"operator": named("Anna")},
            {"signals": BotSignals(crawler=True)},
            {"signals": BotSignals()},
            {},
        ]
        entries = [
            Entry(
                self.chance.choice(self.asked[-400:]).invitation_id,
                self.scoring.clock.now(),
                self.chance.randrange(11),
                reasons=self.chance.choice([None, (), ("wait",), ("wait", "price")]),
                step=self.chance.randrange(5),
                device=self.chance.choice([None, *Device]),
                **self.chance.choice(said_by),
            )
            for _ in range(times)
        ]
        await self.record(entries)

    async def confirm(self, times: int) -> None:
        """Confirm answers, whether they are suspect or not."""
        now = self.scoring.clock.now()
        asked = [self.chance.choice(self.asked[-400:]).invitation_id for _ in range(times)]
        await self.record([Entry(invitation_id, now, confirms=True) for invitation_id in asked])

    async def record(self, entries: list[Entry]) -> None:
        async with self.scoring.database.sessions.begin() as session:
            results = await record(session, entries)
        for entry, result in zip(entries, results, strict=True):
            if isinstance(result, Recorded):
                self.scores.pop(entry.invitation_id, None)  # several scores within the window are suspect
                if not result.answer.suspect:
                    self.scores[entry.invitation_id] = result.answer.score

    async def import_old(self, times: int) -> None:
        """Import scores of an older tool, some of them twice."""
        now = self.scoring.clock.now()
        scores = []
        for _ in range(times):
            self.imported += self.chance.random() < 0.8 or not self.imported
            name = f"old-{self.imported}"
            said = ImportedScore(
                name, self.imported % 11, now, customer_id=f"c-{self.imported % 500}", segments={"store": "A"}
            )
            scores.append(said)
            self.scores[name] = said.score
        async with self.scoring.database.sessions.begin() as session:
            await imports.store(session, PROGRAM, scores)

    def payload(self, kind: str) -> Payload:
        of = self.chance.choice(self.asked[-1000:])
        about = {"respondent_id": of.respondent_id, "invitation_id": of.invitation_id}
        now = self.scoring.clock.now()
        if kind == "withdraw":
            return SurveyWithdrawn(**about, reason="cancelled")
        if kind == "erase":
            return RespondentErased(respondent_id=of.respondent_id)
        if kind == "close":
            return InvitationClosed(**about, outcome=self.chance.choice(list(InvitationOutcome)), at=now)
        if kind == "buy":
            bought = EventRef(source="shop", id=str(uuid7()), type="x", time=now, amount=Decimal(7), currency="EUR")
            return RespondentPurchased(respondent_id=of.respondent_id, event=bought)
        step = self.chance.randrange(1, 4)
        return ContactAttempted(
            **about,
            attempt_id=UUID(int=of.invitation_id.int ^ step),
            revision=self.chance.randrange(5),
            step=step,
            channel=ChannelKind.SMS if step == 3 else ChannelKind.EMAIL,
            provider="p",
            state=self.chance.choice(list(AttemptState)),
            at=now,
        )

    async def look(self, times: int) -> None:
        now = self.scoring.clock.now()
        views = [
            (
                self.chance.choice(self.asked[-400:]).invitation_id,
                PageView(self.chance.randrange(1, 4), "GET", None, automatic=self.chance.random() < 0.3, at=now),
            )
            for _ in range(times)
        ]
        async with self.scoring.database.sessions.begin() as session:
            await page_views.add(session, views)


async def test_figures_equal_a_recomputation_at_every_checkpoint(scoring: Scoring) -> None:
    world = World(scoring)
    batches = OPERATIONS // BATCH
    for number in range(1, batches + 1):
        await world.batch(BATCH)
        if number % max(batches // CHECKPOINTS, 1) == 0:
            assert await differences(scoring) == []
            assert await whole(scoring) == Counter(world.scores.values())
    while await scoring.tick():
        pass
    assert await differences(scoring) == []
    [late] = await scoring.rows("SELECT count(*) FROM uncounted")
    assert late["count"] == 0


async def whole(scoring: Scoring) -> Counter[int]:
    sums = ", ".join(f"sum(s{score})::int AS s{score}" for score in range(11))
    [row] = await scoring.rows(f"SELECT {sums} FROM buckets WHERE dimension = 'all'")  # noqa: S608 - column names
    return Counter({score: row[f"s{score}"] for score in range(11)})

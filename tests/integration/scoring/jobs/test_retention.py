"""Surveys past retention are deleted with all that belongs to them; figures stay, and what comes late is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx2
import pytest
from uuid_utils.compat import uuid7

from deploy.databases import MIGRATIONS
from services.scoring.domain.bot_detection import PageView
from services.scoring.domain.history import ImportedScore, PublishedProgram
from services.scoring.files import imports
from services.scoring.jobs import retention
from services.scoring.jobs.retention import AnswerRetention
from services.scoring.repository import page_views
from shared import migrations
from shared.contract.events import (
    CallWithdrawn,
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
from shared.ids import first_id
from tests.integration.scoring.stand import NOW, Scoring, call_for, differences, link_of

KEPT = timedelta(days=400)
TABLES = (
    *(
        "invitations",
        "answers",
        "answer_versions",
        "progress",
        "page_views",
        "call_tasks",
        "call_attempts",
        "purchases",
    ),
    *("withdrawn", "attempts", "outcomes", "journey_parts"),
)
FIGURES = (
    *(f"/v1/nps?by={dimension}" for dimension in ("store", "channel", "version", "mode", "step", "reason")),
    *(f"/v1/nps?period={period}&from=2025-01-01&to=2026-12-31" for period in ("day", "week", "month")),
    *("/v1/nps", "/v1/nps?segment=store:Arbat", "/v1/funnel", "/v1/funnel?segment=store:Arbat", "/v1/returns"),
    "/v1/nps/moves?program=after-purchase&from=2025-08-20&to=2025-09-10",
)


def made(days_ago: float, number: int = 0) -> UUID:
    """Return the id of an invitation that was made so many days ago."""
    return UUID(int=first_id(datetime.now(UTC) - timedelta(days=days_ago)).int + number)


def job(scoring: Scoring, kept: timedelta | None = KEPT) -> AnswerRetention:
    return AnswerRetention(scoring.database.sessions, scoring.clock, kept)


async def counts(scoring: Scoring, tables: Sequence[str] = TABLES) -> dict[str, int]:
    """Count the rows of the tables that have any."""
    found: dict[str, int] = {}
    for table in tables:
        [row] = await scoring.rows(f"SELECT count(*) AS n FROM {table}")  # noqa: S608 - ours
        found |= {table: row["n"]} if row["n"] else {}
    return found


def attempted(request: SurveyRequested, *, state: AttemptState = AttemptState.DELIVERED) -> ContactAttempted:
    return ContactAttempted(
        respondent_id=request.respondent_id,
        invitation_id=request.invitation_id,
        attempt_id=uuid7(),
        revision=1,
        step=1,
        channel=ChannelKind.EMAIL,
        provider="smtp",
        state=state,
        at=request.send_at,
    )


def closed(request: SurveyRequested) -> InvitationClosed:
    return InvitationClosed(
        respondent_id=request.respondent_id,
        invitation_id=request.invitation_id,
        outcome=InvitationOutcome.EXHAUSTED,
        at=request.expires_at,
    )


def withdrawn(request: SurveyRequested) -> SurveyWithdrawn:
    return SurveyWithdrawn(respondent_id=request.respondent_id, invitation_id=request.invitation_id, reason="cancelled")


def bought(request: SurveyRequested, *, days: int, amount: str = "7.50") -> RespondentPurchased:
    event = EventRef(
        source="shop",
        id=f"p-{uuid7()}",
        type="crm.purchase.completed",
        time=request.send_at + timedelta(days=days),
        amount=Decimal(amount),
        currency="EUR",
    )
    return RespondentPurchased(respondent_id=request.respondent_id, event=event)


async def as_if_answered_when_asked(scoring: Scoring) -> None:
    """Give answers ids of the time of their invitations: the service makes them now."""
    await scoring.rows(
        """UPDATE answer_versions v SET answer_id = a.invitation_id FROM answers a
        WHERE v.answer_id = a.answer_id RETURNING 1"""
    )
    await scoring.rows("UPDATE answers SET answer_id = invitation_id RETURNING 1")


async def month(scoring: Scoring, days_ago: float, *, scores: Sequence[int] = (10, 9, 7, 2)) -> list[SurveyRequested]:
    """Ask six customers some days ago, with everything that may come of it: answers, opens, calls, purchases."""
    at = scoring.clock.moment = NOW - timedelta(days=days_ago)
    event = EventRef(source="shop", id=f"e{days_ago}", type="crm.purchase.completed", time=at, amount=Decimal(20))
    asked = [
        await scoring.asked(
            invitation_id=made(days_ago, number),
            event=event,
            send_at=at,
            expires_at=at + timedelta(days=21),
            segments={"store": ("Arbat", "Khimki")[number % 2], "channel": "shop"},
        )
        for number in range(len(scores) + 2)
    ]
    silent, gone = asked[-2:]
    view = PageView(1, "GET", None, automatic=False, at=at)
    async with scoring.database.sessions.begin() as session:
        await page_views.add(session, [(each.invitation_id, view) for each in asked[:3]])
    call = call_for(silent)
    await scoring.receive(*map(attempted, asked))
    await scoring.receive(bought(asked[0], days=30), bought(silent, days=35), call)
    for request, score in zip(asked, scores, strict=False):
        await scoring.score(request, score, reasons=("staff",), comment="Said by Olga")
    await scoring.score(asked[0], 8, comment="Changed by Olga")
    await scoring.receive(
        closed(silent),
        withdrawn(gone),
        CallWithdrawn(
            respondent_id=silent.respondent_id, invitation_id=silent.invitation_id, task_id=call.task_id, reason="over"
        ),
    )
    await as_if_answered_when_asked(scoring)
    return asked


async def count_all(scoring: Scoring) -> None:
    while await scoring.tick():
        pass


async def figures(client: httpx2.AsyncClient) -> dict[str, Any]:
    found = {}
    for path in FIGURES:
        answer = await client.get(path)
        assert answer.status_code == 200, (path, answer.text)
        found[path] = answer.json()
    return found


async def history(scoring: Scoring) -> list[list[SurveyRequested]]:
    """Make three months, of which two are past retention."""
    months = [await month(scoring, days, scores=scores) for days, scores in ((470, (10, 9, 7, 2)), (440, (9, 3)))]
    months.append(await month(scoring, 5, scores=(10, 6)))
    scoring.clock.moment = NOW
    await count_all(scoring)
    return months


async def test_every_figure_is_the_same_after_two_of_three_months_were_dropped(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    *_old, recent = await history(scoring)
    before = await figures(client)
    assert await differences(scoring) == []
    assert await job(scoring).past() == {"surveys": 10, "imported scores": 0, "purchases": 4}
    assert await job(scoring)() == 10
    assert {row["id"] for row in await scoring.rows("SELECT id FROM invitations")} == {
        each.invitation_id for each in recent
    }
    assert await figures(client) == before
    assert await differences(scoring) == []
    assert await counts(scoring) == {
        "invitations": 4,
        "answers": 2,
        "answer_versions": 2,
        "progress": 4,
        "page_views": 3,
        "call_tasks": 1,
        "purchases": 2,
    }
    assert await job(scoring)() == 0


@pytest.mark.parametrize(
    ("table", "column", "says"),
    [
        ("dropped_answers", "s9", "answers: "),
        ("dropped_invited", "invited", "invited: "),
        ("dropped_journeys", "amount", "journeys: "),
    ],
)
async def test_sum_that_was_tampered_with_is_found(scoring: Scoring, table: str, column: str, says: str) -> None:
    await history(scoring)
    await job(scoring)()
    await scoring.rows(
        f"""UPDATE {table} SET {column} = {column} + 1
        WHERE ctid = (SELECT ctid FROM {table} ORDER BY day, dimension LIMIT 1) RETURNING 1"""  # noqa: S608 - ours
    )
    [found] = await differences(scoring)
    assert found.startswith(says)


async def test_downgrade_leaves_the_scores_and_verify_names_the_days_of_deleted_answers(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    await history(scoring)
    before = await figures(client)
    await job(scoring)()
    folder = MIGRATIONS["scoring"]
    async with migrations._alone(scoring.database) as connection:
        await migrations._run(connection, folder, "downgrade", to="0005")
    await migrations.upgrade(scoring.database, folder)
    assert await figures(client) == before
    found = await differences(scoring)
    days = {str(row["day"]) for row in await scoring.rows("SELECT DISTINCT day FROM buckets WHERE day < '2026-01-01'")}
    assert {day for day in days if any(day in each for each in found)} == days
    assert not any(str(NOW.date()) in each for each in found)


async def test_figures_go_on_being_counted_after_a_drop(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    """An answer on a day that has sums already is counted beside them, and dropped in a second round."""
    await history(scoring)
    await job(scoring)()
    scoring.clock.moment = NOW - timedelta(days=470)
    late = await scoring.asked(invitation_id=made(3), send_at=scoring.clock.moment, segments={"store": "Arbat"})
    await scoring.score(late, 0)
    scoring.clock.moment = NOW + timedelta(days=30)
    await count_all(scoring)
    assert await differences(scoring) == []
    before = await figures(client)
    assert await job(scoring, timedelta())() == 5
    assert await figures(client) == before
    assert await differences(scoring) == []


async def test_nothing_is_deleted_where_all_is_kept(scoring: Scoring) -> None:
    await history(scoring)
    before = await counts(scoring)
    assert (await job(scoring, None).past(), await job(scoring, None)()) == ({}, 0)
    assert await counts(scoring) == before


async def test_what_is_still_needed_is_kept(scoring: Scoring) -> None:
    """Who can still answer or be called, who answered late, and what is not counted yet."""
    open_, called, late, uncounted, over = [
        await scoring.asked(invitation_id=made(500, number), expires_at=NOW - timedelta(days=number))
        for number in range(5)
    ]
    await scoring.rows("UPDATE invitations SET expires_at = $2 WHERE id = $1", open_.invitation_id, NOW + KEPT)
    await scoring.receive(call_for(called, expires_at=NOW + KEPT))
    scoring.clock.moment = NOW - timedelta(days=30)
    await scoring.score(late, 9)
    scoring.clock.moment = NOW
    await count_all(scoring)
    await scoring.receive(attempted(uncounted))
    assert await job(scoring)() == 1
    kept = {row["id"] for row in await scoring.rows("SELECT id FROM invitations")}
    assert kept == {each.invitation_id for each in (open_, called, late, uncounted)}
    await count_all(scoring)
    assert await job(scoring)() == 1
    assert over.invitation_id not in kept
    assert await differences(scoring) == []


async def test_journey_that_cannot_be_read_stays(scoring: Scoring) -> None:
    spoiled, _whole = [await scoring.asked(invitation_id=made(500, n), expires_at=NOW) for n in range(2)]
    await count_all(scoring)
    await scoring.rows("UPDATE progress SET counted = 'x' WHERE invitation_id = $1", spoiled.invitation_id)
    assert await job(scoring)() == 1
    [kept] = await scoring.rows("SELECT id FROM invitations")
    assert kept["id"] == spoiled.invitation_id


async def test_many_are_deleted_in_batches(scoring: Scoring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 4)
    await history(scoring)
    assert await job(scoring)() == 10
    assert (await counts(scoring))["purchases"] == 2
    assert await differences(scoring) == []


async def test_interrupted_retention_goes_on(scoring: Scoring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 4)
    await history(scoring)
    stopped = job(scoring)
    stopped.stop.set()
    assert await stopped() == 0
    assert await differences(scoring) == []
    assert await job(scoring)() == 10


async def test_repeats_of_what_was_dropped_change_nothing(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    """Their ids are not in the inbox any more: it keeps them for a month."""
    first, *_rest = (await history(scoring))[0]
    call = call_for(first, expires_at=NOW)
    await job(scoring)()
    before, rows = await figures(client), await counts(scoring)
    about: dict[str, Any] = {"respondent_id": first.respondent_id, "invitation_id": first.invitation_id}
    late: list[Payload] = [
        *(first, withdrawn(first), attempted(first), closed(first), call, bought(first, days=3)),
        CallWithdrawn(**about, task_id=uuid7(), reason="over"),
        RespondentErased(respondent_id=first.respondent_id),
    ]
    for payload in late:
        await scoring.receive(payload)
    assert (await client.get(link_of(first.invitation_id))).status_code == 404
    await count_all(scoring)
    assert await figures(client) == before
    assert await differences(scoring) == []
    await job(scoring)()
    assert await counts(scoring) == rows


async def test_retention_while_events_arrive_loses_nothing_and_counts_nothing_twice(scoring: Scoring) -> None:
    old = [await scoring.asked(invitation_id=made(500, number), expires_at=NOW) for number in range(40)]
    await count_all(scoring)

    async def repeat() -> None:
        for request in old:
            await scoring.receive(request, attempted(request), closed(request))

    async def ask() -> None:
        for number in range(20):
            request = await scoring.asked(invitation_id=made(1, number))
            await scoring.receive(attempted(request))
            await scoring.score(request, number % 11)

    async def tick() -> None:
        for _ in range(20):
            await scoring.tick()
            await job(scoring)()

    await asyncio.gather(repeat(), ask(), tick(), tick())
    await count_all(scoring)
    await job(scoring)()
    assert (await counts(scoring))["invitations"] == 20
    assert await differences(scoring) == []
    [asked] = await scoring.rows("SELECT sum(invited)::int AS n FROM invited WHERE dimension = 'all'")
    assert asked["n"] == 60


async def test_imported_scores_of_ten_years_ago_are_kept_from_their_import_and_counted_once(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    shop = PublishedProgram("after-purchase", 3, "After purchase", "Europe/Moscow")
    scores = [
        ImportedScore(
            str(n),
            n,
            NOW - timedelta(days=3650),
            customer_id=f"c{n}",
            comment="Olga",
            segments={"store": "A", "channel": "shop"},
        )
        for n in range(11)
    ]

    async def store() -> int:
        async with scoring.database.sessions.begin() as session:
            return await imports.store(session, shop, scores)

    assert await store() == 11
    await count_all(scoring)
    assert await job(scoring)() == 0
    for row in await scoring.rows("SELECT invitation_id, score FROM answers"):
        await scoring.rows(
            "UPDATE answers SET answer_id = $2 WHERE invitation_id = $1 RETURNING 1",
            row["invitation_id"],
            made(500 if row["score"] < 5 else 5, row["score"]),
        )
    before = await figures(client)
    assert (await job(scoring).past())["imported scores"] == 5
    assert await job(scoring)() == 5
    assert await store() == 0
    assert await counts(scoring, ["answers", "invitations", "dropped_imports"]) == {
        "answers": 6,
        "invitations": 6,
        "dropped_imports": 5,
    }
    assert await figures(client) == before
    assert await differences(scoring) == []


async def test_answer_to_a_survey_past_retention_is_met_kindly(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    old = (await history(scoring))[0][0]
    await job(scoring)()
    rows = await counts(scoring)
    link = link_of(old.invitation_id)
    for language, words in (("en", "some time ago"), ("ru", "давно")):
        headers = {"accept": "text/html", "accept-language": language}
        answers = [
            await client.post(link, data={"score": "3", "comment": "Late"}, headers=headers),
            await client.get(f"{link}?try=3", headers=headers),
            await client.get(f"{link}/stop?try=3", headers=headers),
            await client.post(f"{link}/stop", headers=headers),
        ]
        for answer in answers:
            assert answer.status_code == 404
            assert words in answer.text
            assert f'lang="{language}"' in answer.text
    assert await counts(scoring) == rows
    assert await differences(scoring) == []

"""Concurrent work in any order: no deadlock, and the same figures."""

from __future__ import annotations

import asyncio
import random
import zlib
from collections.abc import Iterable, Sequence
from datetime import timedelta
from itertools import groupby, permutations
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from msgspec import structs
from uuid_utils.compat import uuid7

from services.scoring.answers.record import Recorded, record
from services.scoring.answers.writer import Writer
from services.scoring.domain.answers import Entry, Refusal
from services.scoring.domain.invitations import Invitation
from services.scoring.repository import invitations, progress
from services.scoring.repository.scores import buckets
from shared.contract import cloudevents, events
from shared.contract.events import (
    CallRequested,
    CallWithdrawn,
    ContactAttempted,
    InvitationClosed,
    Payload,
    RespondentErased,
    SurveyRequested,
    SurveyWithdrawn,
)
from shared.contract.vocabulary import AttemptState, ChannelKind, InvitationOutcome, Service
from shared.database import db
from shared.database.group_commit import GroupCommitter, in_transaction
from shared.database.session import Session
from shared.messaging import codec, parking
from shared.web.problems import Unavailable, as_problem
from tests.integration.scoring.stand import NOW, Scoring, call_for, differences, requested


def story(request: SurveyRequested, call: CallRequested, chance: random.Random) -> list[Payload]:
    """Make events that can follow one survey request, in random order."""
    about = {"respondent_id": request.respondent_id, "invitation_id": request.invitation_id}
    told: list[Payload] = [call]
    if chance.random() < 0.5:
        told.append(SurveyWithdrawn(**about, reason="cancelled"))
    if chance.random() < 0.5:
        told.append(CallWithdrawn(**about, task_id=call.task_id, reason="answered"))
    if chance.random() < 0.2:
        told.append(RespondentErased(respondent_id=request.respondent_id))
    attempt = {"attempt_id": uuid7(), "step": 1, "channel": ChannelKind.EMAIL, "provider": "smtp", "at": NOW}
    for revision, state in enumerate((AttemptState.SENT, AttemptState.DELIVERED), start=1):
        told.append(ContactAttempted(**about, **attempt, revision=revision, state=state))
    told.append(InvitationClosed(**about, outcome=InvitationOutcome.EXHAUSTED, at=NOW))
    return told


def partitions(told: Sequence[Payload]) -> list[list[Payload]]:
    """Split events between two processes by topic and key."""
    parts: list[list[Payload]] = [[], []]
    for payload in told:
        parts[zlib.crc32(f"{payload.topic} {payload.key}".encode()) % 2].append(payload)
    return parts


async def test_concurrent_work_does_not_deadlock(scoring: Scoring) -> None:
    chance = random.Random(11)
    requests = [
        requested(
            segments={"store": chance.choice("ABCDE"), "channel": chance.choice("ab")},
            send_at=NOW + timedelta(days=chance.randrange(3)),
            customer_id=f"c{number // 2}",
        )
        for number in range(300)
    ]
    known, coming = requests[:150], requests[150:]
    await scoring.receive(*known)
    calls = [call_for(request) for request in requests]
    told: list[Payload] = list(coming)
    for request, call in zip(requests, calls, strict=True):
        told += story(request, call, chance)
    chance.shuffle(told)

    async def consume(each: Sequence[Payload]) -> None:
        for start in range(0, len(each), 40):
            await scoring.receive(*each[start : start + 40])

    async def answer(writer: Writer) -> None:
        for _ in range(15):
            said = [
                Entry(request.invitation_id, NOW, chance.randrange(11), step=1)
                for request in chance.sample(requests, 30)
            ]
            await asyncio.gather(*(writer.record(entry) for entry in said))

    async def tick() -> None:
        for _ in range(60):
            await scoring.tick()

    async with asyncio.timeout(60):
        await asyncio.gather(
            *(consume(part) for part in partitions(told)),
            answer(scoring.writer),
            answer(Writer(scoring.database.sessions)),
            tick(),
            tick(),
        )
    while await scoring.tick():
        pass
    assert await differences(scoring) == []
    assert await sequences_grow_to_the_last(scoring)


async def test_answer_to_an_invitation_that_commits_meanwhile_is_refused(
    scoring: Scoring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An invitation that was not locked cannot be answered: its withdrawal would not see the answer."""
    request = requested()
    load = invitations.load

    async def arrive_then_load(session: Session, ids: Iterable[UUID]) -> dict[UUID, Invitation]:
        monkeypatch.setattr(invitations, "load", load)
        await scoring.receive(request)
        known = await load(session, ids)
        await scoring.receive(
            SurveyWithdrawn(
                respondent_id=request.respondent_id, invitation_id=request.invitation_id, reason="cancelled"
            )
        )
        return known

    monkeypatch.setattr(invitations, "load", arrive_then_load)
    assert await scoring.say(request.invitation_id, 9) is Refusal.UNKNOWN
    assert await differences(scoring) == []


def attempted(request: SurveyRequested, *, revision: int = 1, step: int = 1) -> ContactAttempted:
    return ContactAttempted(
        respondent_id=request.respondent_id,
        invitation_id=request.invitation_id,
        attempt_id=uuid7(),
        revision=revision,
        step=step,
        channel=ChannelKind.EMAIL,
        provider="smtp",
        state=AttemptState.SENT,
        at=NOW,
    )


async def test_attempts_at_the_same_moment_before_their_request_are_all_kept(scoring: Scoring) -> None:
    """A parked attempt is handled again by another process while there is no invitation to lock yet."""
    request = requested()
    async with scoring.database.sessions.begin() as session:
        await scoring.handlers(session, scoring.events(attempted(request, step=1)))
        other = asyncio.create_task(scoring.receive(attempted(request, step=2)))
        await asyncio.wait((other,), timeout=0.3)
        assert not other.done()
    await other
    await scoring.receive(request)
    async with scoring.database.sessions.begin() as session:
        found = await progress.attempts(session, [request.invitation_id])
    assert {each.step for each in found[request.invitation_id]} == {1, 2}


async def sequences_grow_to_the_last(scoring: Scoring) -> bool:
    """Return whether each series was published under rising numbers, the last time with its current figures."""
    updates = [event.payload for event in await scoring.published("nps.updated")]
    keyed = sorted((u for u in updates if isinstance(u, events.NpsUpdated)), key=lambda u: u.key)
    series = {key: list(group) for key, group in groupby(keyed, key=lambda u: u.key)}
    for group in series.values():
        numbers = [update.sequence for update in group]
        assert numbers == sorted(set(numbers))
    stored = await scoring.rows(
        """SELECT program, dimension, value, day, coalesce(b.revision, 0) + coalesce(i.revision, 0) AS sequence,
        coalesce(i.invited, 0) AS invited
        FROM buckets b FULL JOIN invited i USING (program, dimension, value, day)"""
    )
    last = [group[-1] for group in series.values()]
    assert {(u.dimension, u.value, u.day, u.sequence, u.invited) for u in last} == {
        (row["dimension"], row["value"], row["day"], row["sequence"], row["invited"]) for row in stored
    }
    return True


async def test_series_halves_are_published_under_one_number(scoring: Scoring) -> None:
    await scoring.score(await scoring.asked(), 9)
    published, left = 0, True
    while left:
        async with scoring.database.sessions.begin() as session:
            left = bool(changed := await buckets.claim_changed(session, limit=3))
        published += len(changed)
    assert published == 6  # all, store, channel, version, mode, step


FACTS = (
    "SELECT state, counted, opted_out_at IS NULL AS there FROM invitations ORDER BY 1",
    "SELECT state, outcome, phone FROM call_tasks",
    "SELECT outcome FROM progress WHERE outcome IS NOT NULL",
    "SELECT dimension, invited, answered FROM invited WHERE invited <> 0 ORDER BY 1",
)


@pytest.mark.parametrize("batch", [1, 2, 5])
async def test_order_between_topics_and_batches_change_nothing(batch: int, scoring: Scoring) -> None:
    """Only events of one topic and key are in order."""
    seen = set()
    for order in permutations(range(5)):
        if order.index(0) > order.index(1) or order.index(3) > order.index(4):
            continue
        request = requested()
        call = call_for(request)
        about: dict[str, Any] = {"respondent_id": request.respondent_id, "invitation_id": request.invitation_id}
        attempt = {"attempt_id": uuid7(), "step": 1, "channel": ChannelKind.EMAIL, "provider": "smtp", "at": NOW}
        told: list[Payload] = [
            request,
            SurveyWithdrawn(**about, reason="cancelled"),
            ContactAttempted(**about, **attempt, revision=1, state=AttemptState.SENT),
            call,
            CallWithdrawn(**about, task_id=call.task_id, reason="withdrawn"),
        ]
        for start in range(0, 5, batch):
            part = [told[place] for place in order[start : start + batch]]
            await scoring.receive(*part)
            await scoring.receive(*part)
        await scoring.score(await scoring.asked(), 9)
        assert await differences(scoring) == []
        kept = await scoring.rows("SELECT attempts FROM progress WHERE attempts IS NOT NULL")
        attempts = [(each.revision, each.state) for row in kept for each in progress.read_attempts(row["attempts"])]
        assert attempts == [(1, "sent")]
        seen.add(str([await scoring.rows(facts) for facts in FACTS]))
        closed = await scoring.published("call.closed")
        assert [event.subject for event in closed] == [str(request.invitation_id)]
        for table in ("invitations", "answers", "call_tasks", "progress", "invited", "buckets", "outbox"):
            await scoring.rows(f"DELETE FROM {table}")  # noqa: S608 - our own tables
    assert len(seen) == 1


@pytest.mark.parametrize("batch", [1, 2, 4])
async def test_erasure_leaves_nothing_whenever_it_comes(batch: int, scoring: Scoring) -> None:
    for order in permutations(range(4)):
        if order.index(0) > order.index(3):
            continue  # a survey after the erasure belongs to a respondent who came back
        request = requested(customer_id="olga@example.com")
        call, about = call_for(request), {"respondent_id": request.respondent_id}
        withdrawn = CallWithdrawn(
            **about, invitation_id=request.invitation_id, task_id=call.task_id, reason="withdrawn"
        )
        told: list[Payload] = [request, call, withdrawn, RespondentErased(**about)]
        for start in range(0, 4, batch):
            await scoring.receive(*(told[place] for place in order[start : start + batch]))
        for table in ("invitations", "answers", "answer_versions", "call_tasks", "parked"):
            kept = await scoring.rows(f"SELECT t::text AS row FROM {table} t")  # noqa: S608 - our own tables
            assert not [row for row in kept if "olga" in row["row"].casefold() or "+7916" in row["row"]], (table, order)


async def test_erasure_deletes_parked_messages(scoring: Scoring) -> None:
    request, other = requested(customer_id="olga@example.com"), requested()
    told = [cloudevents.new(each, service=Service.TRIGGER, at=NOW) for each in (request, call_for(request), other)]
    async with scoring.database.sessions.begin() as session:
        await parking.park(session, [(structs.replace(codec.encode(each), position=each.id), "why") for each in told])
    await scoring.receive(RespondentErased(respondent_id=request.respondent_id))
    assert [row["key"] for row in await scoring.rows("SELECT key FROM parked")] == [other.respondent_id]


async def test_answer_survives_a_connection_killed_before_its_commit(scoring: Scoring) -> None:
    request = await scoring.asked()
    killed = False

    async def kill(session: Session, entries: Sequence[Entry]) -> list[Recorded | Refusal]:
        nonlocal killed
        results = await record(session, entries)
        if not killed:
            killed = True
            [row] = await db.fetch(session, "SELECT pg_backend_pid() AS pid")
            await scoring.rows("SELECT pg_terminate_backend($1)", row["pid"])
        return results

    group: GroupCommitter[Entry, Recorded | Refusal] = GroupCommitter(in_transaction(scoring.database.sessions, kill))
    entry = Entry(request.invitation_id, scoring.clock.now(), 9)
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)) as error:
        await group.do(entry)
    assert isinstance(as_problem(error.value), Unavailable)
    assert isinstance(result := await group.do(entry), Recorded)
    assert result.new
    assert await differences(scoring) == []
    assert len(await scoring.published("survey.answered")) == 1

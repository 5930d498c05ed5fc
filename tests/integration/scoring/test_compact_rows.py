"""Compact rows say the same as those of the version before, which are read and counted as they are."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from msgspec.structs import asdict
from uuid_utils.compat import uuid7

from deploy.databases import MIGRATIONS
from services.scoring.domain.history import NOTHING_ASKED
from services.scoring.repository.scores import journeys
from shared import migrations
from shared.contract.events import ContactAttempted, EventRef, InvitationClosed, RespondentErased, SurveyRequested
from shared.contract.vocabulary import AttemptState, ChannelKind, InvitationOutcome
from shared.database import embedded
from shared.database.db import Database
from tests.integration.scoring.answer_page.test_suspects import BROWSER
from tests.integration.scoring.stand import NOW, Scoring, differences, link_of

ABOUT = EventRef(
    source="shop",
    id="e1",
    type="crm.purchase.completed",
    time=NOW,
    subject="48213",
    amount=Decimal("12.50"),
    number="7",
)
ASKED: dict[str, dict[str, Any]] = {
    "plain": {},
    "customer_with_another_id": {"customer_id": "Ann 7", "respondent_id": "ann 7"},
    "event_with_amount": {"event": ABOUT},
    "segments_that_are_not_counted": {"segments": {"store": "A", "version": "beta"}},
    "no_segments": {"segments": {}},
    "test": {"test": True},
    "other_zone_and_language": {"time_zone": "Asia/Tokyo", "locale": "ru"},
}
_WIDE = """SELECT customer_id, program_version, program_title, locale, time_zone, program_zone, segments,
jsonb_typeof(occasion) AS occasion FROM invitations"""


async def set_compact(scoring: Scoring, *, compact: bool) -> None:
    await scoring.rows("UPDATE compact_rows SET since = $1::text::timestamptz", "-infinity" if compact else "infinity")


async def asked(scoring: Scoring, *, compact: bool, **changes: Any) -> SurveyRequested:
    await set_compact(scoring, compact=compact)
    return await scoring.asked(**{"customer_id": "olga"} | changes)


@pytest.mark.parametrize("changes", ASKED.values(), ids=ASKED)
async def test_compact_row_is_read_like_the_row_of_before(scoring: Scoring, changes: dict[str, Any]) -> None:
    read, listed = [], []
    for compact in (False, True):
        request = await asked(scoring, compact=compact, **changes)
        found = asdict(await scoring.invitation(request.invitation_id))
        assert found.pop("id") == request.invitation_id
        read.append({**found, "occasion": asdict(found["occasion"])})
        await scoring.score(request, 3)
        [row] = await scoring.rows("SELECT * FROM answers_v WHERE invitation_id = $1", request.invitation_id)
        listed.append({name: value for name, value in row.items() if name not in ("answer_id", "invitation_id")})
    assert read[0] == read[1]
    assert listed[0] == listed[1]
    assert await differences(scoring) == []


async def test_row_for_the_version_before_has_every_value_in_its_own_columns(scoring: Scoring) -> None:
    await asked(scoring, compact=False)
    [row] = await scoring.rows(_WIDE)
    assert None not in row.values()
    assert row["occasion"] == "object"


async def test_erased_compact_row_keeps_the_event_without_order_and_number(scoring: Scoring) -> None:
    request = await asked(scoring, compact=True, event=ABOUT)
    await scoring.score(request, 3)
    await scoring.receive(RespondentErased(respondent_id=request.respondent_id))
    [row] = await scoring.rows("SELECT customer_id, event_source, event_id, event_subject FROM answers_v")
    assert row["customer_id"].startswith("erased-")
    assert (row["event_source"], row["event_id"], row["event_subject"]) == ("shop", "e1", None)
    about = (await scoring.invitation(request.invitation_id)).occasion
    assert (about.type, about.amount, about.subject, about.number) == (ABOUT.type, ABOUT.amount, None, None)


@pytest.mark.parametrize("compact", [True, False])
async def test_first_version_is_stored_once_and_kept_when_there_is_a_second(scoring: Scoring, compact: bool) -> None:  # noqa: FBT001 - a parameter
    request = await asked(scoring, compact=compact)
    await scoring.score(request, 3, comment="Slow")
    assert len(await scoring.rows("SELECT 1 FROM answer_versions")) == (0 if compact else 1)
    await set_compact(scoring, compact=True)
    scoring.clock.moment += timedelta(minutes=1)
    await scoring.score(request, 9)
    stored = await scoring.rows("SELECT version, score, comment FROM answer_versions ORDER BY version")
    assert [tuple(row.values()) for row in stored] == [(1, 3, "Slow"), (2, 9, "Slow")]


async def _counted_by_the_version_before(scoring: Scoring, invitation_id: UUID) -> None:
    async with scoring.database.sessions.begin() as session:
        counted, _ = await journeys.stored(session, [invitation_id])
    parts = json.dumps([[*part, str(amount)] for part, amount in counted[invitation_id].parts.items()])
    sql = "INSERT INTO journey_parts SELECT id, program, invited_day, $2::text::jsonb FROM invitations WHERE id = $1"
    await scoring.rows(sql, invitation_id, parts)
    await scoring.rows("UPDATE progress SET counted = NULL")


async def _attempt_of_the_version_before(scoring: Scoring, attempt: ContactAttempted) -> None:
    await scoring.rows(
        "INSERT INTO attempts VALUES ($1, $2, $3, $4, $5, $6, $7)",
        *(attempt.attempt_id, attempt.invitation_id, attempt.revision, attempt.step),
        *(attempt.channel, attempt.state, attempt.at),
    )


def attempt_of(request: SurveyRequested, attempt_id: UUID, revision: int, state: AttemptState) -> ContactAttempted:
    return ContactAttempted(
        respondent_id=request.respondent_id,
        invitation_id=request.invitation_id,
        attempt_id=attempt_id,
        revision=revision,
        step=1,
        channel=ChannelKind.EMAIL,
        provider="smtp",
        state=state,
        at=NOW,
    )


async def _funnel(scoring: Scoring) -> dict[str, int]:
    sql = "SELECT stage, amount FROM journeys WHERE dimension = 'all' AND detail = '' AND amount <> 0"
    return {row["stage"]: int(row["amount"]) for row in await scoring.rows(sql)}


async def test_facts_of_the_version_before_are_counted_once_and_only_here(scoring: Scoring) -> None:
    request = await scoring.asked()
    await scoring.tick()
    await _counted_by_the_version_before(scoring, request.invitation_id)
    await _attempt_of_the_version_before(scoring, attempt_of(request, uuid7(), 1, AttemptState.SENT))
    await scoring.rows("INSERT INTO outcomes VALUES ($1, 'exhausted', $2)", request.invitation_id, NOW)
    await scoring.rows("INSERT INTO journeys_pending (invitation_id) VALUES ($1)", request.invitation_id)
    assert await scoring.rows("SELECT 1 FROM journeys_pending") == []
    await scoring.tick()
    assert await _funnel(scoring) == {"asked": 1, "reached": 1, "ended": 1}
    assert await differences(scoring) == []
    assert await scoring.rows("SELECT 1 FROM journey_parts") == []


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1)])
async def test_highest_revision_counts_whichever_version_stored_it(scoring: Scoring, before: int, after: int) -> None:
    request, attempt_id = await scoring.asked(), uuid7()
    states = {1: AttemptState.SENT, 2: AttemptState.BOUNCED}
    await _attempt_of_the_version_before(scoring, attempt_of(request, attempt_id, before, states[before]))
    await scoring.receive(attempt_of(request, attempt_id, after, states[after]))
    await scoring.tick()
    assert await _funnel(scoring) == {"asked": 1}


async def test_message_that_the_version_before_sent_is_known_to_the_answer_page(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    request = await scoring.asked()
    await _attempt_of_the_version_before(scoring, attempt_of(request, uuid7(), 1, AttemptState.SENT))
    await client.post(link_of(request.invitation_id), data={"score": "9"}, headers=BROWSER)
    assert await scoring.versions("suspicion") == [{"suspicion": "no_page"}]


async def test_what_changes_nothing_is_not_written_again(scoring: Scoring) -> None:
    request, attempt_id = await scoring.asked(), uuid7()
    await scoring.receive(attempt_of(request, attempt_id, 1, AttemptState.SENT))
    await scoring.tick()
    await scoring.receive(attempt_of(request, attempt_id, 2, AttemptState.DELIVERED))
    [stored] = await scoring.rows("SELECT xmin::text FROM progress")
    await scoring.tick()
    assert await scoring.rows("SELECT xmin::text FROM progress") == [stored]


async def test_outcome_that_comes_before_the_request_counts(scoring: Scoring) -> None:
    request = await scoring.asked()
    other = request.model_copy(update={"invitation_id": uuid7()})
    closed = InvitationClosed(
        respondent_id=other.respondent_id,
        invitation_id=other.invitation_id,
        outcome=InvitationOutcome.EXHAUSTED,
        at=NOW,
    )
    await scoring.receive(closed)
    await scoring.receive(other)
    await scoring.tick()
    assert await _funnel(scoring) == {"asked": 2, "ended": 1}


_CONTENT = "INSERT INTO contents (digest, document) VALUES ('one', $1)"
_OLDER = """INSERT INTO invitations (id, fingerprint, respondent_id, customer_id, program, program_version,
program_title, locale, time_zone, program_zone, occasion, content, segments, dimensions, expires_at, invited_day,
counted, name, phone) VALUES ($1, 'f', 'olga', 'Olga', 'p', 1, 'P', 'en', 'Asia/Tokyo', 'UTC',
'{"source": "s", "id": "e", "type": "t", "time": "2026-01-01T00:00:00Z"}', 'one', '{"store": "A"}',
'{"store": "A", "version": "1"}', $2, $3, true, '', '')"""
_IN_A_DAY = """SELECT since > clock_timestamp() + interval '23 hours' AS day
FROM compact_rows"""


async def test_upgrade_leaves_rows_as_they_are_and_writes_such_rows_for_a_day(postgres: embedded.Embedded) -> None:
    urls = await embedded.prepare(postgres, f"e{uuid4().hex[:12]}")
    database = Database(urls["scoring"], schema="scoring", pool_size=2)
    await migrations.upgrade(database, MIGRATIONS["scoring"], to="0004")
    scoring, older = Scoring(database), uuid4()
    await scoring.rows(_CONTENT, NOTHING_ASKED.model_dump_json())
    await scoring.rows(_OLDER, older, NOW + timedelta(days=9), NOW.date())
    await migrations.upgrade(database, MIGRATIONS["scoring"])
    assert await scoring.rows(_IN_A_DAY) == [{"day": True}]
    found = await scoring.invitation(older)
    assert (found.customer_id, found.program_title, found.time_zone) == ("Olga", "P", "Asia/Tokyo")
    assert (found.segments, found.occasion.id) == ({"store": "A"}, "e")
    await scoring.asked()
    assert all(None not in row.values() for row in await scoring.rows(_WIDE))
    await database.close()


async def test_new_installation_writes_compact_rows_at_once(scoring: Scoring) -> None:
    await scoring.asked()
    [row] = await scoring.rows(_WIDE)
    assert {name for name, value in row.items() if value is not None} == {"occasion"}
    assert row["occasion"] == "array"

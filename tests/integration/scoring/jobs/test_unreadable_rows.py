"""A stored row that cannot be read stops no job: the other rows are handled, and the row is reported."""

from __future__ import annotations

from prometheus_client import REGISTRY

from services.scoring.commands.verification import verify
from services.scoring.jobs.alerts import publish_drops
from services.scoring.jobs.count_journeys import count_journeys
from services.scoring.jobs.publish_scores import publish_changes
from shared.contract.cloudevents import Event
from shared.contract.events import NpsDropped, NpsUpdated, Payload
from tests.integration.scoring.jobs.test_alerts import week
from tests.integration.scoring.stand import NOW, Scoring, answer_all


def refused(kind: str) -> float:
    return REGISTRY.get_sample_value("earshot_bad_input_total", {"service": "scoring", "kind": kind}) or 0


def dimension_of(event: Event[Payload]) -> str:
    assert isinstance(event.payload, NpsUpdated | NpsDropped)
    return event.payload.dimension


async def test_series_whose_counters_are_negative_is_left_out(scoring: Scoring) -> None:
    await answer_all(scoring, [9, 3])
    await scoring.rows("UPDATE buckets SET s0 = -1, s9 = 0 WHERE dimension = 'store'")
    before = refused("stored_bucket")
    async with scoring.database.sessions.begin() as session:
        assert await publish_changes(session, now=NOW) > 1
    dimensions = {dimension_of(event) for event in await scoring.published("nps.updated")}
    assert "all" in dimensions
    assert "store" not in dimensions
    assert refused("stored_bucket") == before + 1
    async with scoring.database.sessions.begin() as session:
        assert await publish_changes(session, now=NOW) == 0


async def test_journey_whose_parts_cannot_be_read_is_left_as_it_is(scoring: Scoring) -> None:
    spoiled, whole = await scoring.asked(), await scoring.asked()
    await scoring.tick()
    await scoring.rows("UPDATE progress SET counted = 'x' WHERE invitation_id = $1", spoiled.invitation_id)
    for each in (spoiled, whole):
        await scoring.score(each, 9)
    before = refused("stored_journey")
    async with scoring.database.sessions.begin() as session:
        assert await count_journeys(session, now=NOW) == 2
    assert refused("stored_journey") == before + 1
    [answered] = await scoring.rows(
        "SELECT amount FROM journeys WHERE dimension = 'all' AND stage = 'answered' AND detail = ''"
    )
    assert answered["amount"] == 1
    [kept] = await scoring.rows("SELECT counted FROM progress WHERE invitation_id = $1", spoiled.invitation_id)
    assert kept["counted"] == b"x"
    async with scoring.database.sessions.begin() as session:
        assert f"journeys: the stored parts of invitation {spoiled.invitation_id} cannot be read" in await verify(
            session
        )


async def test_series_that_cannot_be_compared_hides_no_other_drop(scoring: Scoring) -> None:
    await week(scoring, *[9] * 40, days_ago=10)
    await week(scoring, *[2] * 40, days_ago=3)
    await scoring.rows("UPDATE buckets SET s9 = 80, s0 = -40, s2 = 0 WHERE dimension = 'store'")
    async with scoring.database.sessions.begin() as session:
        assert await publish_drops(session, now=NOW) >= 1
    assert "all" in {dimension_of(event) for event in await scoring.published("nps.dropped")}


async def test_negative_counters_are_found_by_verification(scoring: Scoring) -> None:
    await answer_all(scoring, [9])
    await scoring.rows("UPDATE buckets SET s0 = -3")
    async with scoring.database.sessions.begin() as session:
        assert any(line.startswith("answers: ") for line in await verify(session))

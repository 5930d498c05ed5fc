"""An answer is recorded once, counted exactly, and published."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from services.scoring.answers.record import Recorded
from services.scoring.domain.answers import Refusal
from services.scoring.repository import invitations
from shared.contract import events
from shared.contract.events import Reason, Reasons, RespondentErased, SurveyWithdrawn
from shared.contract.vocabulary import Category
from tests.integration.scoring.stand import NOW, Scoring, requested

BUCKETS = "SELECT dimension, value, day, s3, s9, operators FROM buckets ORDER BY dimension, value"


async def test_score_is_recorded_once_and_published_once(scoring: Scoring) -> None:
    request = await scoring.asked()
    await scoring.tick()
    first = await scoring.score(request, 9)
    again = await scoring.score(request, 9)
    assert (first.new, again.new) == (True, False)
    assert again.answer == first.answer
    [answered] = await scoring.published("survey.answered")
    assert isinstance(answered.payload, events.SurveyAnswered)
    assert (answered.payload.score, answered.payload.category, answered.payload.version) == (9, Category.PROMOTER, 1)
    assert answered.payload.customer_id == request.customer_id


async def test_content_is_stored_once_per_program_version_and_language(scoring: Scoring) -> None:
    questions = ("Would you recommend us?", "Порекомендуете нас?")
    asked = [requested(question=questions[number % 2]) for number in range(6)]
    await scoring.receive(*asked)
    async with scoring.database.sessions.begin() as session:
        loaded = await invitations.load(session, [each.invitation_id for each in asked])
    assert [loaded[each.invitation_id].content.question for each in asked] == [each.question for each in asked]
    assert await scoring.rows("SELECT count(*)::int AS n FROM contents") == [{"n": 2}]


async def test_changed_series_are_published_with_their_sums(scoring: Scoring) -> None:
    requests = [await scoring.asked() for _ in range(3)]
    await scoring.tick()
    for request, score in zip(requests, (9, 10, 3), strict=True):
        await scoring.score(request, score)
    assert await scoring.tick() == 6 + 3  # journeys, and all, store, channel, version, mode, step
    assert await scoring.tick() == 0
    updates = [event.payload for event in await scoring.published("nps.updated")]
    last = {update.key: update for update in updates if isinstance(update, events.NpsUpdated)}
    whole = last["after-purchase|all||2026-11-18"]
    assert (whole.n, whole.promoters, whole.detractors, whole.invited) == (3, 2, 1, 3)
    assert whole.nps == pytest.approx(33.33)
    assert whole.by_score == [0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 1]
    assert last["after-purchase|store|Tverskaya|2026-11-18"].n == 3


async def test_sequence_of_a_series_only_grows(scoring: Scoring) -> None:
    request = await scoring.asked()
    for score in (1, 5, 9):
        await scoring.score(request, score)
        await scoring.tick()
    updates = [event.payload for event in await scoring.published("nps.updated")]
    sequences = [u.sequence for u in updates if isinstance(u, events.NpsUpdated) and u.dimension == "all"]
    assert sequences == sorted(set(sequences))
    assert len(sequences) == 3


async def test_second_answer_amends_on_the_day_of_the_first(scoring: Scoring) -> None:
    request = await scoring.asked()
    await scoring.score(request, 3, reasons=("wait", "invented"), comment=" Slow. ")
    scoring.clock.moment += timedelta(days=2)
    amended = await scoring.score(request, 9)
    assert (amended.answer.version, amended.answer.comment, amended.answer.reasons) == (2, "Slow.", ())
    buckets = await scoring.rows(BUCKETS)
    assert {row["day"].isoformat() for row in buckets} == {"2026-11-18"}
    assert {(row["s3"], row["s9"]) for row in buckets if row["dimension"] != "reason"} == {(0, 1)}
    assert {(row["s3"], row["s9"]) for row in buckets if row["dimension"] == "reason"} == {(0, 0)}
    published = [event.type for event in await scoring.published()]
    assert published == ["survey.answered", "detractor.reported", "answer.amended"]
    versions = await scoring.versions("version, score, reasons")
    assert versions == [
        {"version": 1, "score": 3, "reasons": ["wait"]},
        {"version": 2, "score": 9, "reasons": []},
    ]


async def test_reason_is_kept_only_where_its_text_is_the_same(scoring: Scoring) -> None:
    price = Reason(id="price", text="Price")
    promoter = [Reason(id="speed", text="Quick service"), price]
    request = await scoring.asked(
        reasons=Reasons(promoter=promoter, other=[Reason(id="speed", text="Long wait"), price])
    )
    assert (await scoring.score(request, 3, reasons=("speed", "price"))).answer.reasons == ("speed", "price")
    assert (await scoring.score(request, 8)).answer.reasons == ("speed", "price")
    assert (await scoring.score(request, 9)).answer.reasons == ("price",)


async def test_answer_counts_on_the_local_day(scoring: Scoring) -> None:
    scoring.clock.moment = NOW.replace(hour=22)  # past midnight in Moscow
    await scoring.score(await scoring.asked(), 9)
    assert {row["day"].isoformat() for row in await scoring.rows(BUCKETS)} == {"2026-11-19"}


async def test_answers_end_with_the_invitation(scoring: Scoring) -> None:
    request = await scoring.asked()
    scoring.clock.moment = request.expires_at - timedelta(seconds=1)
    assert (await scoring.score(request, 3)).new
    scoring.clock.moment = request.expires_at
    assert await scoring.say(request.invitation_id, 9) is Refusal.CLOSED
    assert await scoring.say(requested().invitation_id, 9) is Refusal.UNKNOWN


async def test_withdrawn_invitation_takes_no_answer_and_was_never_asked(scoring: Scoring) -> None:
    taken, kept = await scoring.asked(), await scoring.asked()
    await scoring.score(kept, 9)
    await scoring.receive(
        *(
            SurveyWithdrawn(respondent_id=each.respondent_id, invitation_id=each.invitation_id, reason="cancelled")
            for each in (taken, kept)
        )
    )
    assert await scoring.say(taken.invitation_id, 3) is Refusal.WITHDRAWN
    assert (await scoring.score(kept, 10)).answer.version == 2
    asked = await scoring.rows("SELECT DISTINCT invited, answered FROM invited")
    assert asked == [{"invited": 1, "answered": 1}]


async def test_erased_respondent_leaves_a_score_and_nothing_else(scoring: Scoring) -> None:
    request = await scoring.asked(customer_id="olga@example.com")
    await scoring.score(request, 3, comment="My name is Olga")
    await scoring.receive(RespondentErased(respondent_id="olga@example.com"))
    kept = await scoring.rows("SELECT i::text AS invitation, a::text AS answer FROM invitations i, answers a")
    versions = await scoring.rows("SELECT v::text FROM answer_versions v")
    assert not any("olga" in text.casefold() for row in kept + versions for text in row.values())
    assert await scoring.say(request.invitation_id, 9) is Refusal.WITHDRAWN
    assert [row["s3"] for row in await scoring.rows(BUCKETS)] == [1] * 6


async def test_two_hundred_answers_at_once_are_exact_in_few_commits(scoring: Scoring) -> None:
    requests = [requested() for _ in range(200)]
    await scoring.receive(*requests)
    results = await asyncio.gather(
        *(scoring.say(request.invitation_id, number % 11) for number, request in enumerate(requests))
    )
    assert all(isinstance(result, Recorded) for result in results)
    [whole] = await scoring.rows("SELECT * FROM buckets WHERE dimension = 'all'")
    assert [whole[f"s{score}"] for score in range(11)] == [19, 19] + [18] * 9
    assert whole["revision"] <= 10  # each commit raises it by one
    assert len(await scoring.published("survey.answered")) == 200


async def test_bad_row_fails_alone(scoring: Scoring) -> None:
    good, bad = await scoring.asked(), await scoring.asked()
    results = await asyncio.gather(
        scoring.say(good.invitation_id, 9), scoring.say(bad.invitation_id, 9, comment="\0"), return_exceptions=True
    )
    assert isinstance(results[0], Recorded)
    assert isinstance(results[1], Exception)
    assert len(await scoring.published("survey.answered")) == 1


async def test_same_request_again_counts_once(scoring: Scoring) -> None:
    request = requested()
    await scoring.receive(request, request)
    await scoring.receive(request)
    assert await scoring.rows("SELECT DISTINCT invited FROM invited") == [{"invited": 1}]


async def test_test_survey_is_answered_but_not_counted(scoring: Scoring) -> None:
    assert (await scoring.score(await scoring.asked(test=True), 9)).new
    assert await scoring.rows(BUCKETS) == []


async def test_request_replayed_after_its_withdrawal_stays_withdrawn(scoring: Scoring) -> None:
    request = requested()
    withdrawn = SurveyWithdrawn(
        respondent_id=request.respondent_id, invitation_id=request.invitation_id, reason="cancelled"
    )
    await scoring.receive(withdrawn)
    await scoring.receive(request)
    assert await scoring.say(request.invitation_id, 9) is Refusal.WITHDRAWN
    assert await scoring.rows("SELECT 1 FROM invited WHERE invited <> 0") == []

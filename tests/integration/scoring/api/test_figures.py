"""What is read of the score: API, dashboard, verification."""

from __future__ import annotations

from datetime import timedelta

import httpx2
import pytest

from services.scoring import repository
from services.scoring.domain.bot_detection import PageView
from services.scoring.repository import page_views
from shared.contract.events import ContactAttempted, InvitationClosed, ProgramPublished
from shared.contract.vocabulary import AttemptState, ChannelKind, InvitationOutcome
from tests.integration.scoring.stand import NOW, Scoring, answer_all, call_for, differences


async def test_nps_has_the_agreed_shape(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    await answer_all(scoring, [9, 10, 8, 3])
    await scoring.asked()
    body = (await client.get("/v1/nps", params={"program": "after-purchase"})).json()
    [whole] = body.pop("series")
    limits = {"from": None, "to": None, "by": None, "segment": None}
    assert body == {"program": "after-purchase", **limits, "definition": "every_answer", "confidence": 0.95}
    assert whole == {
        "value": "",
        "values": [""],
        "period": None,
        "n": 4,
        "by_score": [0, 0, 0, 1, 0, 0, 0, 0, 1, 1, 1],
        "promoters": 2,
        "passives": 1,
        "detractors": 1,
        "nps": 25.0,
        "interval": {"low": -44.16, "high": 72.73},
        "wald": {"low": -56.26, "high": 100.0},
        "invited": 5,
        "silent": 0,
        "waiting": 1,
        "response_rate": 1.0,
        "by_mode": {"self": 4, "operator": 0, "imported": 0},
        "suspects": 0,
        "definition": "every_answer",
    }


async def test_nps_by_store_and_period(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    await answer_all(scoring, [9, 9], segments={"store": "Arbat"})
    scoring.clock.moment += timedelta(days=7)
    await answer_all(scoring, [0], segments={"store": "Khimki"})
    stores = (await client.get("/v1/nps?by=store")).json()["series"]
    assert [(each["value"], each["n"], each["nps"]) for each in stores] == [("Arbat", 2, 100.0), ("Khimki", 1, -100.0)]
    weeks = (await client.get("/v1/nps?period=week&from=2026-11-01&to=2026-11-30")).json()["series"]
    assert [(each["period"], each["n"]) for each in weeks] == [("2026-W47", 2), ("2026-W48", 1)]
    assert (await client.get("/v1/nps?program=other")).json()["series"][0]["nps"] is None
    for wrong in ("by=weather", "period=hour", "from=x", "from=2026-11-02&to=2026-11-01"):
        assert (await client.get(f"/v1/nps?{wrong}")).status_code == 422


async def test_answers_are_paged_in_order(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    await answer_all(scoring, [1, 2, 3])
    first = (await client.get("/v1/answers?limit=2")).json()
    rest = (await client.get("/v1/answers", params={"limit": 2, "after": first["next"]})).json()
    assert [each["score"] for each in first["answers"] + rest["answers"]] == [1, 2, 3]
    assert rest["next"] is None
    assert first["answers"][0]["segments"] == {"store": "Tverskaya", "channel": "shop"}


async def test_dashboard_takes_any_period_and_refuses_junk(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    await answer_all(scoring, [9])
    for good in ("days=7", "from=2026-11-01&to=2026-11-30", "from=2026-12-01&to=2026-11-01", "program=other"):
        assert (await client.get(f"/?{good}")).status_code == 200
    for junk in ("days=0", "days=x", "to=0001-01-01", "from=9999-12-31"):
        assert (await client.get(f"/?{junk}")).status_code == 422


async def test_dashboard_of_nobody_says_what_to_do(client: httpx2.AsyncClient) -> None:
    page = await client.get("/")
    assert page.status_code == 200
    assert "Nobody has been asked yet" in page.text


async def test_dashboard_leads_with_few_answers_themselves(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    [request] = await answer_all(scoring, [4])
    await scoring.score(request, 4, comment="<b>Cold</b> coffee", reasons=("wait",))
    page = (await client.get("/")).text
    assert "1 answer so far" in page
    assert "&lt;b&gt;Cold" in page
    assert "Long wait" in page
    assert "style=" not in page


async def test_dashboard_shows_the_score_with_its_interval(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    await answer_all(scoring, [0] * 30 + [10] * 10)
    page = (await client.get("/")).text
    assert "<b>−50</b>" in page  # noqa: RUF001 - a real minus sign
    assert "40 answers" in page
    assert "Tverskaya" in page


async def test_funnel_counts_who_was_reached_and_who_is_silent(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    [answered], silent = await answer_all(scoring, [9]), await scoring.asked()
    attempt = ContactAttempted(
        respondent_id=silent.respondent_id,
        invitation_id=silent.invitation_id,
        attempt_id=silent.invitation_id,
        revision=2,
        step=1,
        channel=ChannelKind.EMAIL,
        provider="smtp",
        state=AttemptState.BOUNCED,
        at=NOW,
    )
    earlier = attempt.model_copy(update={"revision": 1, "state": AttemptState.SENT})
    closed = InvitationClosed(
        respondent_id=answered.respondent_id,
        invitation_id=answered.invitation_id,
        outcome=InvitationOutcome.ANSWERED,
        at=NOW,
    )
    await scoring.receive(attempt, closed)
    await scoring.receive(earlier)
    await scoring.tick()
    page = (await client.get("/")).text.replace("\n", "")
    for label, count in (
        ("Asked", 2),
        ("Reached", 1),
        ("E-mail", 1),
        ("Repeat", 0),
        ("Silent", 0),
        ("Still waiting", 1),
    ):
        row = page.split(f"<td>{label}</td>")[1].split("</tr>")[0]
        assert f'<td class="number">{count}' in row


async def test_program_document_gives_its_title_and_zone(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    document = {"title": "After delivery", "time_zone": "Asia/Tokyo"}
    for version in (2, 1):
        titled = {**document, "title": f"Version {version}"}
        await scoring.receive(
            ProgramPublished(program_id="after-purchase", program_version=version, document={**titled})
        )
    request = await scoring.asked(send_at=NOW.replace(hour=16))
    assert (await scoring.invitation(request.invitation_id)).invited_day.day == 19
    assert "Version 2" in (await client.get("/")).text


@pytest.mark.parametrize("tampering", ["UPDATE buckets SET s9 = s9 + 1", "UPDATE invited SET invited = 7"])
async def test_verification_sees_tampering(tampering: str, scoring: Scoring) -> None:
    await answer_all(scoring, [9])
    assert await differences(scoring) == []
    await scoring.rows(f"{tampering} WHERE dimension = 'store'")
    [difference] = await differences(scoring)
    assert "after-purchase|store|Tverskaya|2026-11-18" in difference


async def test_work_left_counts_what_the_ticks_must_do(scoring: Scoring) -> None:
    async def left() -> int:
        async with scoring.database.sessions.begin() as session:
            return await repository.work_left(session, scoring.clock.now())

    request = await scoring.asked()
    await scoring.receive(call_for(request))
    assert await left() == 5
    await scoring.tick()
    assert await left() == 0
    scoring.clock.moment = request.expires_at
    assert await left() == 1
    await scoring.tick()
    assert await left() == 0


async def test_page_views_never_hold_an_address(scoring: Scoring) -> None:
    request = await scoring.asked()
    async with scoring.database.sessions.begin() as session:
        await page_views.add(session, [(request.invitation_id, PageView(1, "GET", score=9, automatic=False, at=NOW))])
    [view] = await scoring.rows("SELECT * FROM page_views")
    assert set(view) == {"id", "invitation_id", "step", "method", "score", "automatic", "at"}


@pytest.mark.parametrize("parameters", [{}, {"segment": "store:Tverskaya"}, {"by": "store,channel"}])
async def test_who_may_still_answer_is_waiting_and_not_silent(
    scoring: Scoring, client: httpx2.AsyncClient, parameters: dict[str, str]
) -> None:
    await answer_all(scoring, [9, 3])
    waiting, over = [await scoring.asked() for _ in range(2)]
    await scoring.tick()

    async def people() -> tuple[int, int, int, float]:
        [found] = (await client.get("/v1/nps", params=parameters)).json()["series"]
        funnel = (await client.get("/v1/funnel")).json()
        assert (funnel["asked"], funnel["silent"], funnel["waiting"]) == (
            found["invited"],
            found["silent"],
            found["waiting"],
        )
        return found["invited"], found["silent"], found["waiting"], found["response_rate"]

    assert await people() == (4, 0, 2, 1.0)
    for request in (waiting, over):
        closed = InvitationClosed(
            respondent_id=request.respondent_id,
            invitation_id=request.invitation_id,
            outcome=InvitationOutcome.EXHAUSTED,
            at=NOW,
        )
        await scoring.receive(closed)
        await scoring.tick()
        if request is waiting:
            assert await people() == (4, 1, 1, 0.6667)
    assert await people() == (4, 2, 0, 0.5)
    assert await differences(scoring) == []

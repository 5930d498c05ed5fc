"""What a manager chooses on the dashboard, and what it says of it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from shared.contract.events import ProgramPublished, Reason, Reasons
from shared.contract.vocabulary import ProgramState
from tests.integration.scoring.stand import Scoring, answer_all

SPEED = Reasons(
    promoter=[Reason(id="speed", text="Quick service")],
    other=[Reason(id="speed", text="Long wait")],
)


def text_of(page: str, id_: str) -> str:
    found = re.search(rf'id="{id_}".*?</(?:section|table)>\n</div>', page, re.DOTALL)
    assert found
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", found[0]))


@pytest.mark.parametrize("choice", ["period=", "period=&days=7&against=previous&program=", "from=&to=", "segment="])
async def test_empty_choice_of_a_form_is_none(scoring: Scoring, client: httpx2.AsyncClient, choice: str) -> None:
    await answer_all(scoring, [9, 3])
    assert (await client.get(f"/?{choice}")).status_code == 200


async def test_page_before_the_first_answer_counts_who_may_still_answer(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    await scoring.asked()
    page = await client.get("/")
    assert page.status_code == 200
    waiting = re.search(r"Still waiting, not in this rate</dt><dd>(\d+)</dd>", page.text)
    assert waiting is not None
    assert waiting[1] == "1"


async def test_last_days_end_today_where_the_program_is(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    east = {"title": "Far east", "time_zone": "Asia/Vladivostok"}
    await scoring.receive(ProgramPublished(program_id="after-purchase", program_version=1, document=east))
    scoring.clock.moment = datetime(2026, 11, 18, 20, tzinfo=UTC)  # there it is six in the morning of the 19th
    await answer_all(scoring, [9] * 30)
    scoring.clock.moment -= timedelta(days=7)
    await answer_all(scoring, [3] * 30)
    scoring.clock.moment += timedelta(days=7)
    page = (await client.get("/?days=7")).text
    assert "13 Nov to 19 Nov 2026" in page
    assert "+200, a real change." in page
    assert "13 Nov to 19 Nov 2026 against 6 Nov to 12 Nov 2026." in page
    longer = (await client.get("/?days=8")).text
    assert "12 Nov to 19 Nov 2026" in longer
    assert "16 Nov to 19 Nov 2026 against 12 Nov to 15 Nov 2026: the longest periods that can be compared" in longer


async def test_days_the_other_way_round_are_the_same_days(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    await answer_all(scoring, [9])
    page = (await client.get("/?from=2026-11-20&to=2026-11-10")).text
    assert 'name="from" value="2026-11-10"' in page
    assert 'name="to" value="2026-11-20"' in page


async def test_praise_is_not_shown_as_a_complaint(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    for score, count in ((10, 3), (7, 1), (2, 1)):
        for _ in range(count):
            request = await scoring.asked(reasons=SPEED)
            await scoring.score(request, score, reasons=("speed",), comment=f"a {score}")
    page = (await client.get("/")).text
    told = text_of(page, "reasons")
    assert "Quick service 3 100 % Missed" in told.replace("\N{NO-BREAK SPACE}", " ")
    assert "Long wait 2 100 %" in told.replace("\N{NO-BREAK SPACE}", " ")
    words = re.findall(r"“a (\d+)” <span class=\"chip\">([^<]*)</span>", page)
    assert set(words) == {("10", "Quick service"), ("7", "Long wait"), ("2", "Long wait")}
    assert "Quick service / Long wait <a" in (await client.get("/?reason=speed")).text
    assert "Quick service <a" in (await client.get("/?reason=speed&group=promoter")).text


@pytest.mark.parametrize("segment", ["store:Nowhere", "store", "planet:Mars", "stage:Gleb, Sokol"])
async def test_segment_without_answers_says_so(scoring: Scoring, client: httpx2.AsyncClient, segment: str) -> None:
    await answer_all(scoring, [9] * 30)
    page = await client.get("/", params={"segment": segment})
    assert page.status_code == 200
    assert "was asked or answered in these days" in page.text


async def test_more_comments_are_a_link_away(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    await answer_all(scoring, [9] * 22)
    for number in range(12):
        await scoring.score(await scoring.asked(), 3, comment=f"Comment {number}")
    page = (await client.get("/")).text
    [more] = re.findall(r'href="([^"]*)#words">More comments', page)
    assert page.count("“Comment ") == 8
    further = (await client.get(more.replace("&amp;", "&"))).text
    assert further.count("“Comment ") == 12
    assert "More comments" not in further


async def test_period_that_is_not_over_looks_so(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    await answer_all(scoring, [9, 3] * 5)
    scoring.clock.moment += timedelta(days=1)
    await answer_all(scoring, [9, 3] * 5)
    assert "the day is not over yet" in (await client.get("/?days=7")).text
    scoring.clock.moment += timedelta(days=1)
    assert "is not over yet" not in (await client.get("/?days=7")).text


async def test_days_of_few_answers_are_joined_into_longer_periods_or_left_out(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    late = scoring.clock.now() + timedelta(days=60)
    for _ in range(21):
        await answer_all(scoring, [9], expires_at=late)
        scoring.clock.moment += timedelta(days=1)
    await answer_all(scoring, [9] * 10, expires_at=late)
    automatic = (await client.get("/?days=28")).text
    assert "Trend by month" in automatic  # weeks have 5 to 7 answers
    assert "no point" not in automatic
    by_day = (await client.get("/?days=28&period=day")).text
    assert "Trend by day" in by_day
    assert "A trend needs two days with 10 answers each." in by_day
    await answer_all(scoring, [9] * 9, expires_at=late)
    scoring.clock.moment -= timedelta(days=1)
    await answer_all(scoring, [9] * 9, expires_at=late)
    by_day = (await client.get("/?days=28&period=day&to=2026-12-09")).text
    assert "20 days with fewer than 10 answers have no point." in by_day


async def test_stopped_program_says_so_on_the_dashboard_and_at_the_desk(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    await scoring.score(await scoring.asked(), 9)
    for state, is_said in (("stopped", True), (None, True), ("on", False), ("withdrawn", True), ("off", False)):
        published = ProgramPublished(
            program_id="after-purchase",
            program_version=1,
            document={"title": "After purchase"},
            state=None if state is None else ProgramState(state),
        )
        await scoring.receive(published)
        dashboard, desk = (await client.get("/")).text, (await client.get("/desk")).text
        assert ("This program is stopped" in dashboard) is is_said
        assert ("Stopped: After purchase" in desk) is is_said


async def test_unknown_program_is_named(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    assert "There is no program zzz." in (await client.get("/", params={"program": "zzz"})).text
    await scoring.score(await scoring.asked(), 9)
    page = (await client.get("/", params={"program": "zzz"})).text
    assert "There is no program zzz. This is After purchase." in page
    assert "There is no program" not in (await client.get("/", params={"program": "after-purchase"})).text

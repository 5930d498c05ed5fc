"""What moved leads the first screen: which store fell, since when, and why."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import httpx2
import pytest

from services.scoring.answers.record import record
from services.scoring.domain.answers import Entry
from tests.integration.scoring.stand import NOW, Scoring, requested

DAYS = 60


async def a_store_fell(scoring: Scoring) -> None:
    """Two months of three stores; in the second, customers of Khimki wait."""
    entries = []
    for day in range(DAYS):
        scoring.clock.moment = NOW - timedelta(days=DAYS - 1 - day)
        of_day = [
            requested(segments={"store": store, "region": region, "channel": "shop"}, send_at=scoring.clock.moment)
            for store, region in (("Khimki", "Outside"), ("Arbat", "Moscow"), ("Sokol", "Moscow"))
            for _ in range(3)
        ]
        await scoring.receive(*of_day)
        for number, request in enumerate(of_day):
            waited = request.segments["store"] == "Khimki" and day >= DAYS // 2
            entries.append(
                Entry(
                    request.invitation_id,
                    scoring.clock.now(),
                    2 if waited else (10, 10, 9 if day % 2 else 3)[number % 3],
                    step=1,
                    reasons=("wait",) if waited else ("staff",),
                    comment="Forty minutes." if waited else None,
                )
            )
    async with scoring.database.sessions.begin() as session:
        await record(session, entries)
    while await scoring.tick():
        pass


def words(html: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", html))).strip()


def card(page: str) -> str:
    found = re.search(r'<div id="moved".*?</section>', page, re.DOTALL)
    assert found
    return words(found[0])


def rows(page: str) -> list[str]:
    found = re.search(r'<div id="stores".*?</table>', page, re.DOTALL)
    assert found
    return [words(row) for row in re.findall(r"<tr.*?</tr>", found[0].partition("<tbody>")[2], re.DOTALL)]


async def test_first_screen_says_which_store_fell_and_why(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    await a_store_fell(scoring)
    page = (await client.get("/")).text  # 90 days, and nothing was asked before the last 60
    said = card(page)
    assert "a real change. Khimki fell by 167." in said
    assert "20 Oct to 18 Nov 2026 against 20 Sep to 19 Oct 2026: the longest periods that can be compared" in said
    change = "<strong>Change: 20 Oct to 18 Nov 2026 against 20 Sep to 19 Oct 2026.</strong> The other columns: "
    assert page.index(change) < page.index('aria-label="Scores by store"')
    assert "“Long wait” in 100 % of its answers, was 0 %" in said
    assert "Outside" not in said
    assert "Channel" not in said
    assert "Friendly staff" not in said  # is praised less, but only in Khimki
    assert page.index('id="moved"') < page.index('id="score"')
    [link] = re.findall(r'href="([^"]*)">What detractors say', page)
    answers = (await client.get(unescape(link))).text
    assert "“Forty minutes.”" in answers
    assert 'id="comments" tabindex="-1"' in answers
    assert link.endswith("#comments")


@pytest.mark.parametrize(
    ("sort", "names"),
    [
        ("", ["Khimki", "Arbat", "Sokol"]),
        ("change", ["Khimki", "Arbat", "Sokol"]),
        ("-value", ["Sokol", "Khimki", "Arbat"]),
        ("nps", ["Khimki", "Arbat", "Sokol"]),
        ("-nps", ["Arbat", "Sokol", "Khimki"]),
    ],
)
async def test_stores_are_sorted_by_address(
    scoring: Scoring, client: httpx2.AsyncClient, sort: str, names: list[str]
) -> None:
    await a_store_fell(scoring)
    page = (await client.get("/", params={"sort": sort})).text
    assert [row.split()[0] for row in rows(page)] == names
    kept = [unescape(href) for href in re.findall(r'href="(/\?[^"]*by=region[^"]*)"', page)]
    assert all(("sort=" + sort in href) == (sort not in ("", "change")) for href in kept)
    assert kept


async def test_change_of_a_store_is_shown_with_its_interval(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    await a_store_fell(scoring)
    await scoring.score(await scoring.asked(segments={"store": "New"}), 10)
    await scoring.asked(segments={"store": "Silent"})
    khimki, *_, new = rows((await client.get("/")).text)
    assert "−167 −177 … −145" in khimki  # noqa: RUF001 - real minus signs
    assert new.startswith("New 1 +100")
    assert " – " in new  # noqa: RUF001 - a real dash


async def test_one_answer_is_compared_with_nothing(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    await scoring.score(await scoring.asked(), 3)
    page = (await client.get("/?days=1")).text
    assert "1 answer so far" in page
    assert "fell by" not in page


async def test_many_answers_of_one_day_are_compared_with_nothing(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    for _ in range(30):
        await scoring.score(await scoring.asked(), 9)
    assert "These days cannot be compared with earlier ones" in card((await client.get("/")).text)


@pytest.mark.parametrize("sort", ["zzz", "-", "--nps", "change;drop"])
async def test_unknown_sort_is_refused(client: httpx2.AsyncClient, sort: str) -> None:
    assert (await client.get("/", params={"sort": sort})).status_code == 422

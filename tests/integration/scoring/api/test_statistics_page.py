"""Every example of `docs/statistics.md` is computed again through the API from answers that were recorded."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from services.scoring.dashboard import manual
from services.scoring.domain.answers import Entry
from tests.integration.scoring.stand import NOW, Scoring, requested

PAGE = " ".join(manual.DOCUMENT.read_text().replace("\N{MINUS SIGN}", "-").split())
NUMBER = r"([+-]?[\d,]+(?:\.\d+)?)"


def said(pattern: str) -> list[float]:
    """Return the numbers of the sentence of the page; each `#` of the pattern stands for a number."""
    found = re.search(re.escape(pattern).replace(r"\#", NUMBER), PAGE)
    assert found is not None, f"the page does not say: {pattern}"
    return [float(each.replace(",", "")) for each in found.groups()]


async def answered(
    scoring: Scoring, promoters: float, passives: float, detractors: float, *, days_ago: int = 0
) -> None:
    scores = [9] * int(promoters) + [7] * int(passives) + [2] * int(detractors)
    requests = [requested() for _ in scores]
    await scoring.receive(*requests)
    at = NOW - timedelta(days=days_ago)
    entries = [Entry(each.invitation_id, at, score, step=1) for each, score in zip(requests, scores, strict=True)]
    await asyncio.gather(*map(scoring.writer.record, entries))


async def whole(client: httpx2.AsyncClient) -> Any:
    return (await client.get("/v1/nps")).raise_for_status().json()["series"][0]


async def test_score_is_the_difference_of_two_percentages(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    promoters, detractors, score = said("# % promoters and # % detractors give #.")
    await answered(scoring, promoters, 100 - promoters - detractors, detractors)
    assert (await whole(client))["nps"] == score


async def test_interval_is_the_adjusted_one_beside_the_plain_one(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    promoters, detractors, n, score = said("# promoters and # detractors among # answers give #.")
    await answered(scoring, promoters, n - promoters - detractors, detractors)
    found = await whole(client)
    assert found["nps"] == score
    assert said("# promoters and # detractors of # give # … #.") == pytest.approx(
        [promoters, detractors, n, found["interval"]["low"], found["interval"]["high"]], abs=0.05
    )
    assert said("is `wald` in the API: # … #;") == pytest.approx(
        [found["wald"]["low"], found["wald"]["high"]], abs=0.05
    )


async def test_difference_of_two_scores_has_an_interval(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    was, was_not, n, is_, is_not, m, points, low, high, p = said(
        "Example: # promoters and # detractors of #, then # and # of #: #, interval # … #, p = #."
    )
    await answered(scoring, was, n - was - was_not, was_not, days_ago=5)
    await answered(scoring, is_, m - is_ - is_not, is_not)
    today = NOW.date()
    days = {"from": today - timedelta(days=4), "to": today}
    asked = {"program": "after-purchase", **{name: day.isoformat() for name, day in days.items()}}
    difference = (await client.get("/v1/nps/moves", params=asked)).raise_for_status().json()["difference"]
    assert difference["points"] == points
    interval = difference["interval"]
    assert (interval["low"], interval["high"]) == pytest.approx((low, high), abs=0.05)
    assert difference["p_value"] == pytest.approx(p, abs=0.00005)


async def sample(client: httpx2.AsyncClient, margin: float) -> Any:
    return (await client.get("/v1/nps/sample", params={"margin": margin})).raise_for_status().json()


async def test_sample_of_the_worst_case_is_the_one_of_the_page(client: httpx2.AsyncClient) -> None:
    numbers = said("± # needs # answers, ± # needs #, ± # needs #.")
    for margin, answers in zip(numbers[::2], numbers[1::2], strict=True):
        assert (await sample(client, margin))["at_worst"] == answers


async def test_sample_of_mixed_answers_is_the_one_of_the_page(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    *counts, margin, answers = said("With # promoters, # passives and # detractor so far, ± # needs #.")
    await answered(scoring, *counts)
    assert (await sample(client, margin))["as_now"] == answers


async def test_sample_of_like_answers_is_the_one_of_the_page(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    promoters, answers, margin = said("with # promoters so far # for ± #.")
    await answered(scoring, promoters, 0, 0)
    assert (await sample(client, margin))["as_now"] == answers


async def test_one_promoter_and_one_detractor_need_as_many_as_the_worst_case(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    await answered(scoring, 1, 0, 1)
    found = await sample(client, 10)
    assert found["as_now"] == found["at_worst"] == 382


def test_translation_has_the_same_parts_names_and_sources() -> None:
    pages = [document.read_text() for document in manual.DOCUMENTS.values()]
    for each in (r"^#+ ", r"^\| ", r"^    ", r"^\*[A-Z].*\*$"):
        assert len({len(re.findall(each, page, re.MULTILINE)) for page in pages}) == 1, each
    names = [
        {name for name in re.findall(r"`([^`]+)`", page) if name.isascii() and "mon-" not in name} for page in pages
    ]
    assert names[0] - names[1] == {"Arbat", "Arbat 12", "fri 18:00-26:00"}


async def test_page_is_in_the_language_of_the_reader(client: httpx2.AsyncClient) -> None:
    for language, title in (
        ("ru", "Что значат цифры"),
        ("en", "What the figures mean"),
        ("de", "What the figures mean"),
    ):
        page = (await client.get("/statistics", headers={"accept-language": language})).text
        assert f">{title}</h1>" in page

"""Comments are found by their words, on the page, by the API and in files."""

from __future__ import annotations

import csv
import re
from html import unescape
from io import StringIO
from pathlib import Path

import httpx2
import pytest

from services.scoring.files import exports
from services.scoring.files.tables import Format
from services.scoring.repository.comments import search
from services.scoring.repository.listing import AnswerFilter
from shared.contract.events import ProgramRef, RespondentErased
from shared.database import db
from tests.integration.scoring.stand import Scoring

ANONYMOUS = {"anonymous": True, "call_back": False}


async def said(scoring: Scoring, *comments: str, score: int = 3, **changes: object) -> None:
    for comment in comments:
        await scoring.score(await scoring.asked(**changes), score, comment=comment)


async def found(client: httpx2.AsyncClient, **asked: str) -> list[str]:
    """Return the comments that the page shows, newest first; words that were found stand in brackets."""
    page = await client.get("/comments", params=asked)
    assert page.status_code == 200
    texts = re.findall(r'<p dir="auto">(.*?)</p>', page.text, re.DOTALL)
    return [unescape(re.sub(r"<mark>(.*?)</mark>", r"[\1]", text)) for text in texts]


async def test_words_are_found_in_their_forms_in_russian_and_english(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    await said(scoring, "ДОСТАВКУ ждали час", "The deliveries were late", "Ещё раз спасибо", "Gut, Größe passt")
    assert await found(client, words="доставка") == ["[ДОСТАВКУ] ждали час"]
    assert await found(client, words="Доставки ЧАСА") == ["[ДОСТАВКУ] ждали [час]"]
    assert await found(client, words="delivery") == ["The [deliveries] were late"]
    assert await found(client, words="спасибо") == ["Ещё раз [спасибо]"]
    assert await found(client, words="größe") == ["Gut, [Größe] passt"]
    assert await found(client, words="delivery доставка") == []
    either = ["The [deliveries] were late", "[ДОСТАВКУ] ждали час"]
    assert await found(client, words="delivery or доставка") == either
    assert await found(client, words="delivery или доставка") == either


async def test_phrases_stand_together_and_a_minus_leaves_out(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    await said(scoring, "кофе был холодный", "холодный кофе", "холодный кофе и грубый курьер")
    assert await found(client, words="«холодный кофе» -курьер") == ["[холодный] [кофе]"]
    assert await found(client, words='"холодный кофе"') == [
        "[холодный] [кофе] и грубый курьер",
        "[холодный] [кофе]",
    ]


async def test_what_is_marked_is_escaped_and_whole(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    written = "<script>alert('кофе')</script> <b>кофе</b> & \U0001f600 «кофе»— &lt; ё > قهوة"
    await said(scoring, written)
    page = (await client.get("/comments", params={"words": "кофе"})).text
    assert "<script>alert" not in page
    assert "<b>" not in page
    [shown] = await found(client, words="кофе")
    assert shown.replace("[кофе]", "кофе") == written
    assert shown.count("[кофе]") >= 3
    assert len(await found(client, words="قهوة")) == 1


@pytest.mark.parametrize("words", ["и в на", "the of", ":*&|!<>()", "\u202e\u200f", " . ", "-", '"'])
async def test_search_without_words_says_so(scoring: Scoring, client: httpx2.AsyncClient, words: str) -> None:
    await said(scoring, "the coffee")
    page = await client.get("/comments", params={"words": words})
    refused = await client.get("/v1/answers", params={"words": words})
    export = await client.get("/comments/export", params={"words": words})
    assert (page.status_code, refused.status_code, export.status_code) == (422, 422, 422)
    assert "There is no word to search for" in page.text
    assert "`words` has no word" in refused.json()["detail"]


@pytest.mark.parametrize("around", ["{}\x02", "{} :*&|!<>()", "{}) & (", "!{}", "\u202e{}", "<{}>", "{}:*"])
async def test_operators_of_the_database_are_no_operators_here(
    scoring: Scoring, client: httpx2.AsyncClient, around: str
) -> None:
    await said(scoring, "хороший кофе", "чай")
    words = around.format("кофе")
    assert await found(client, words=words) == ["хороший [кофе]"]
    assert [
        each["comment"] for each in (await client.get("/v1/answers", params={"words": words})).json()["answers"]
    ] == ["хороший кофе"]


async def test_emoji_is_a_word_or_none_and_never_an_error(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    await said(scoring, "\U0001f600 nice")
    for path in ("/comments", "/v1/answers"):
        assert (await client.get(path, params={"words": "\U0001f600"})).status_code in {200, 422}


async def test_long_search_is_refused_and_keeps_the_form(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    await said(scoring, "coffee")
    page = await client.get("/comments", params={"words": "x" * 10_000, "store": "Arbat"})
    assert page.status_code == 422
    assert "A search has room for 200 characters" in page.text
    assert 'value="Arbat"' in page.text
    assert (await client.get("/v1/answers", params={"words": "x" * 201})).status_code == 422


async def test_filters_hold_together_with_the_words(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    bank = ProgramRef(id="bank", version=1, title="Bank")
    await said(scoring, "bad coffee", score=2)
    await said(scoring, "good coffee", score=10, segments={"store": "Arbat"})
    await said(scoring, "coffee in the bank", program=bank)
    assert len(await found(client, words="coffee")) == 3
    assert await found(client, words="coffee", group="promoter") == ["good [coffee]"]
    assert await found(client, words="coffee", store="Arbat") == ["good [coffee]"]
    assert await found(client, words="coffee", program="bank") == ["[coffee] in the bank"]
    assert await found(client, words="coffee", to="2026-11-17") == []
    assert await found(client, group="promoter", words="") == ["good coffee"]


async def test_tests_and_suspect_answers_are_not_shown(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    await said(scoring, "coffee of a test", test=True)
    await said(scoring, "coffee")
    await scoring.rows("UPDATE answers SET suspect = true WHERE comment = 'coffee'")
    assert await found(client, words="coffee") == []
    assert await found(client) == []


async def test_newest_are_first_and_older_ones_a_page_away(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    await said(scoring, *(f"coffee {number}" for number in range(60)))
    first = (await client.get("/comments", params={"words": "coffee"})).text
    [older] = re.findall(r'href="([^"]*)" rel="next"', first)
    second = (await client.get(unescape(older))).text
    numbers = [int(each) for page in (first, second) for each in re.findall(r"</mark> (\d+)", page)]
    assert numbers == list(range(59, -1, -1))
    assert 'rel="next"' not in second


async def test_erased_words_are_found_no_more(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    request = await scoring.asked()
    await scoring.score(request, 3, comment="coffee")
    await scoring.receive(RespondentErased(respondent_id=request.respondent_id))
    assert await found(client, words="coffee") == []


async def test_comment_of_an_anonymous_answer_is_found_and_nobody_with_it(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    await said(scoring, "coffee", customer_id="c-secret", **ANONYMOUS)
    page = (await client.get("/comments", params={"words": "coffee"})).text
    assert await found(client, words="coffee") == ["[coffee]"]
    assert not {"c-secret", "Petrova", "48213"} & set(re.findall(r"[\w-]+", page))


async def test_files_have_what_was_found(scoring: Scoring, client: httpx2.AsyncClient, tmp_path: Path) -> None:
    await said(scoring, "=coffee()", "tea")
    exported = await client.get("/comments/export", params={"words": "coffee"})
    rows = list(csv.DictReader(StringIO(exported.text.removeprefix("\ufeff"))))
    assert [(row["comment"], row["score"], row["store"]) for row in rows] == [("'=coffee()", "3", "Tverskaya")]
    written = await exports.answers(
        scoring.database.sessions,
        AnswerFilter(words="coffee"),
        tmp_path / "a.csv",
        kind=Format.CSV,
        progress=lambda _done, _total: None,
    )
    assert written == 1


async def test_search_uses_the_index(scoring: Scoring) -> None:
    await said(scoring, "coffee")
    condition = search.FOUND.format("'coffee'")
    async with scoring.database.sessions.begin() as session:
        await db.fetch(session, "SET LOCAL enable_seqscan = off")
        plan = await db.fetch(session, f"EXPLAIN SELECT 1 FROM answers WHERE {condition}")  # noqa: S608 - a constant
        assert "answers_words" in str(plan)

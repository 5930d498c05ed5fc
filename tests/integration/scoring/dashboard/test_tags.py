"""Tags of comments: given, taken away, renamed and counted, on the page and by the API."""

from __future__ import annotations

import re
from html import unescape
from uuid import UUID, uuid4

import httpx2
import pytest

from services.scoring.domain.comments.tags import InvalidTag, tag_of
from shared.contract.events import RespondentErased, SurveyRequested
from tests.integration.scoring.stand import Scoring
from tests.staff_pages import done_on, undo

TAGS = "/tags"


async def commented(scoring: Scoring, comment: str, score: int = 3) -> tuple[SurveyRequested, UUID]:
    request = await scoring.asked()
    return request, (await scoring.score(request, score, comment=comment)).answer.answer_id


async def give(client: httpx2.AsyncClient, answer: UUID, tag: str, back: str = "/comments") -> httpx2.Response:
    return await client.post(f"/comments/{answer}/tag", data={"tag": tag, "back": back})


async def tags_of(client: httpx2.AsyncClient, **asked: str) -> dict[str, list[str]]:
    """Return the tags of the answers that the API gives, by comment."""
    answers = (await client.get("/v1/answers", params=asked)).json()["answers"]
    return {each["comment"]: each["tags"] for each in answers}


async def figures(client: httpx2.AsyncClient) -> dict[str, list[str]]:
    """Return the number of comments and their score, by tag."""
    page = (await client.get(TAGS)).text
    rows = re.findall(r"<tr><td><a[^>]*>([^<]*)</a></td>(.*?)</tr>", page, re.DOTALL)
    return {tag: re.findall(r'<td class="number[^"]*">([^<]*)</td>', cells)[:2] for tag, cells in rows}


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("Delivery", "delivery"),
        ("  cold \n Coffee ", "cold coffee"),
        ("ЁЛКА", "ёлка"),
        ("wi-fi & co.", "wi-fi & co."),
        ("2026", "2026"),
        ("قهوة", "قهوة"),
    ],
)
def test_tag_is_small_letters_with_single_spaces(text: str, tag: str) -> None:
    assert tag_of(text) == tag


@pytest.mark.parametrize(
    "text",
    ["", "  ", ",", "a, b", "<b>", "x" * 41, "x" * 200, "\x00", "a\x00", "olga@example.com", "+7 916 123-45-67", "-"],
)
def test_what_is_no_short_word_or_names_a_person_is_no_tag(text: str) -> None:
    with pytest.raises(InvalidTag):
        tag_of(text)


async def test_tag_is_given_found_and_taken_away_and_each_is_undone(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    _, first = await commented(scoring, "cold")
    await commented(scoring, "late")
    given = await give(client, first, " Coffee ", back="/comments?words=cold")
    assert (given.status_code, given.headers["location"]) == (303, "/comments?words=cold")
    assert await tags_of(client) == {"cold": ["coffee"], "late": []}
    assert await tags_of(client, tag="COFFEE") == {"cold": ["coffee"]}
    page = (await client.get("/comments?tag=coffee")).text
    assert (done_on(page), "late" in page) == ("You gave the tag coffee.", False)
    assert '<option value="coffee" selected>' in page
    assert (await undo(client, page)).headers["location"] == "/comments?words=cold"
    assert await tags_of(client) == {"cold": [], "late": []}
    await undo(client, (await client.get("/comments")).text)
    assert await tags_of(client, tag="coffee") == {"cold": ["coffee"]}


async def test_tag_that_is_not_valid_is_refused_with_its_reason(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    _, answer = await commented(scoring, "cold")
    for text, why in (("<b>", "only letters"), ("x" * 200, "room for 40"), ("a@b.example", "name no person")):
        refused = await client.post(
            f"/comments/{answer}/tag", data={"tag": text, "back": "/comments"}, headers={"accept": "text/html"}
        )
        assert refused.status_code == 422
        assert why in refused.text
        assert (await client.post(f"/v1/answers/{answer}/tags", json={"add": [text]})).status_code == 422
    assert await tags_of(client) == {"cold": []}


async def test_answer_has_ten_tags_at_most_and_one_too_many_changes_nothing(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    _, answer = await commented(scoring, "cold")
    for number in range(10):
        assert (await give(client, answer, f"tag {number}")).status_code == 303
    assert (await give(client, answer, "one more")).status_code == 422
    assert (await give(client, answer, "tag 3")).status_code == 303
    assert len((await tags_of(client))["cold"]) == 10


async def test_only_a_comment_has_tags(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    request = await scoring.asked()
    answer = (await scoring.score(request, 9)).answer.answer_id
    assert (await give(client, answer, "coffee")).status_code == 404
    assert (await give(client, uuid4(), "coffee")).status_code == 404
    assert (await client.post(f"/v1/answers/{uuid4()}/tags", json={"add": ["coffee"]})).status_code == 404


async def test_redirect_leads_to_no_other_site(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    _, answer = await commented(scoring, "cold")
    for back in ("//evil.example", "https://evil.example", "/\\evil.example", "/comments?x=a b"):
        assert (await give(client, answer, "coffee", back=back)).status_code == 422
    assert await tags_of(client) == {"cold": []}


async def test_api_changes_tags(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    _, answer = await commented(scoring, "cold")
    url = f"/v1/answers/{answer}/tags"
    assert (await client.post(url, json={"add": ["Coffee", "late"]})).json() == {"tags": ["coffee", "late"]}
    changed = await client.post(url, json={"add": ["coffee"], "remove": ["LATE", "never"]})
    assert changed.json() == {"tags": ["coffee"]}
    assert (await client.post(url, json={"tags": []})).status_code == 422


async def test_comments_are_counted_by_tag_with_their_score(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    for comment, score, tag in (("cold", 2, "coffee"), ("hot", 10, "coffee"), ("late", 0, "delivery")):
        await give(client, (await commented(scoring, comment, score))[1], tag)
    assert await figures(client) == {"coffee": ["2", "0"], "delivery": ["1", "−100"]}  # noqa: RUF001 - a real minus sign
    other = await client.get(f"{TAGS}?to=2026-11-17")
    assert "No comment has a tag" in other.text


async def test_tag_is_renamed_everywhere_and_renamed_back(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    for comment in ("cold", "hot"):
        await give(client, (await commented(scoring, comment))[1], "coffe")
    renamed = await client.post(f"{TAGS}/rename", data={"tag": "coffe", "to": "Coffee"})
    assert (renamed.status_code, renamed.headers["location"]) == (303, TAGS)
    assert await tags_of(client) == {"cold": ["coffee"], "hot": ["coffee"]}
    page = (await client.get(TAGS)).text
    assert done_on(page) == "You renamed the tag coffe to coffee."
    await give(client, (await commented(scoring, "late"))[1], "coffee")
    assert (await undo(client, page)).status_code == 409
    await client.post("/v1/answers/" + str((await commented(scoring, "x"))[1]) + "/tags", json={"add": ["z"]})
    assert (await client.post(f"{TAGS}/rename", data={"tag": "never", "to": "x"})).status_code == 404


async def test_renaming_to_another_tag_asks_first_and_makes_them_one(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    _, both = await commented(scoring, "both")
    _, one = await commented(scoring, "one")
    for answer, tag in ((both, "coffee"), (both, "drinks"), (one, "coffee")):
        await give(client, answer, tag)
    asked = await client.post(f"{TAGS}/rename", data={"tag": "coffee", "to": "drinks"})
    assert (asked.status_code, "Two tags become one" in asked.text) == (200, True)
    assert await tags_of(client) == {"both": ["coffee", "drinks"], "one": ["coffee"]}
    fields = dict(re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', asked.text))
    await client.post(f"{TAGS}/rename", data={name: unescape(value) for name, value in fields.items()})
    assert await tags_of(client) == {"both": ["drinks"], "one": ["drinks"]}


async def test_tag_is_dropped_everywhere(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    await give(client, (await commented(scoring, "cold"))[1], "coffee")
    await client.post(f"{TAGS}/drop", data={"tag": "coffee"})
    page = (await client.get(TAGS)).text
    assert done_on(page) == "You took the tag coffee away from 1 comment."
    assert await tags_of(client) == {"cold": []}


async def test_erasure_takes_the_tags_as_somebody_may_have_written_a_name(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    request, answer = await commented(scoring, "cold")
    await give(client, answer, "petrova")
    await scoring.receive(RespondentErased(respondent_id=request.respondent_id))
    assert await scoring.rows("SELECT * FROM answer_tags") == []
    assert (await give(client, answer, "petrova")).status_code == 404

"""Whether words may be quoted: asked on the thanks page, stored with its wording, withdrawn by the same link."""

from __future__ import annotations

import csv
import json
import re
from datetime import timedelta
from io import StringIO
from typing import Any

import httpx2
import pytest

from shared.contract.events import QuoteConsentChanged, RespondentErased, SurveyRequested
from shared.messaging import codec
from tests.integration.scoring.receiver import deliver, endpoint, receiver
from tests.integration.scoring.stand import Scoring, link_of


async def commented(scoring: Scoring, comment: str | None = "Fine coffee", **changes: Any) -> SurveyRequested:
    request = await scoring.asked(**changes)
    await scoring.score(request, 9, comment=comment)
    return request


async def say(client: httpx2.AsyncClient, request: SurveyRequested, **form: str) -> httpx2.Response:
    return await client.post(f"{link_of(request.invitation_id)}/quote", data=form)


async def names(client: httpx2.AsyncClient, **asked: str) -> list[str | None]:
    """Return the names by which the answers of the API may be quoted."""
    return [each["quote_name"] for each in (await client.get("/v1/answers", params=asked)).json()["answers"]]


def ticked(page: str) -> list[str]:
    """Return the values of what is ticked or chosen in the form to be quoted."""
    form = page.partition('/quote" id="quote">')[2].partition("</form>")[0]
    return [re.findall(r'value="([^"]*)"', box)[0] for box in re.findall(r"<input type=[^>]* checked>", form)]


async def test_thanks_page_asks_unticked_and_without_a_name(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    request = await commented(scoring)
    page = (await client.get(f"{link_of(request.invitation_id)}?done=1")).text
    assert "May we quote you?" in page
    assert ticked(page) == ["nobody"]
    assert "As Olga" in page
    assert await names(client) == [None]


@pytest.mark.parametrize(
    ("form", "name"),
    [
        ({}, ""),
        ({"by": "nobody", "name": "Somebody"}, ""),
        ({"by": "first"}, "Olga"),
        ({"by": "own", "name": "  Ольга   из Твери "}, "Ольга из Твери"),
        ({"by": "own", "name": "Zoë O'Neil-Smith"}, "Zoë O'Neil-Smith"),
        ({"by": "other"}, ""),
    ],
)
async def test_consent_is_stored_with_its_name_time_and_wording(
    scoring: Scoring, client: httpx2.AsyncClient, form: dict[str, str], name: str
) -> None:
    request = await commented(scoring)
    given = await say(client, request, quote="1", **form)
    assert given.status_code == 303
    page = (await client.get(given.headers["location"])).text
    assert "Your words may be quoted." in page
    assert ticked(page)[0] == "1"
    assert await names(client, quotable="true") == [name]
    [stored] = await scoring.rows("SELECT name, wording, given_at, withdrawn_at FROM quotes")
    assert (stored["name"], stored["given_at"], stored["withdrawn_at"]) == (name, scoring.clock.now(), None)
    assert "Kofe Point may show others what you wrote" in stored["wording"]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "  ",
        "olga@example.com",
        "+7 916 123-45-67",
        "ul. Lenina 5",
        "www.example.com",
        "x" * 61,
        "<b>Olga</b>",
        "\u202eaglO",
    ],
)
async def test_name_with_an_address_is_refused_and_the_form_kept(
    scoring: Scoring, client: httpx2.AsyncClient, name: str
) -> None:
    request = await commented(scoring)
    refused = await say(client, request, quote="1", by="own", name=name)
    assert refused.status_code == 422
    assert "Write a name of at most 60 letters" in refused.text
    assert "<b>Olga" not in refused.text
    assert ticked(refused.text) == ["1", "own"]
    assert await names(client) == [None]


async def test_ticking_without_a_comment_is_refused(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    request = await commented(scoring, None)
    page = (await client.get(f"{link_of(request.invitation_id)}?done=1")).text
    assert "quote" not in page
    refused = await say(client, request, quote="1")
    assert (refused.status_code, "write a comment first" in refused.text) == (422, True)
    unanswered = await scoring.asked()
    assert (await say(client, unanswered, quote="1")).status_code == 422
    assert (await client.post(f"/s/{'x' * 43}.1/quote", data={"quote": "1"})).status_code == 404


async def test_consent_is_changed_and_withdrawn_while_the_survey_is_open(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    request = await commented(scoring)
    link = link_of(request.invitation_id)
    await say(client, request, quote="1", by="first")
    assert f"{link}?done=1#quote" in (await client.get(link)).text
    await say(client, request, quote="1", by="nobody")
    assert await names(client) == [""]
    gone = await client.get((await say(client, request, by="first")).headers["location"])
    assert "Your words are not quoted." in gone.text
    assert await names(client) == [None]
    [stored] = await scoring.rows("SELECT name, withdrawn_at FROM quotes")
    assert (stored["name"], stored["withdrawn_at"]) == ("", scoring.clock.now())
    await say(client, request, quote="1", by="first")
    assert await names(client) == ["Olga"]


async def test_consent_is_withdrawn_and_not_given_after_the_survey(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    request, other = await commented(scoring), await commented(scoring)
    link = link_of(request.invitation_id)
    await say(client, request, quote="1", by="first")
    scoring.clock.moment += timedelta(days=30)
    closed = await client.get(link)
    assert (closed.status_code, "Do not quote me any more" in closed.text) == (410, True)
    assert "Do not quote" not in (await client.get(link_of(other.invitation_id))).text
    [action] = re.findall(r'<form method="post" action="([^"]*)"', closed.text)
    said = await client.get((await client.post(action)).headers["location"])
    assert "Your words are not quoted." in said.text
    assert await names(client) == [None, None]
    assert (await say(client, other, quote="1")).status_code == 410
    assert (await client.get(link)).text.count("quoted") == 0


async def test_erasure_takes_the_consent_at_once(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    request = await commented(scoring)
    await say(client, request, quote="1", by="first")
    await scoring.receive(RespondentErased(respondent_id=request.respondent_id))
    assert await names(client) == [None]
    assert await scoring.rows("SELECT * FROM quotes") == []
    assert (await say(client, request, quote="1")).status_code == 404


async def test_anonymous_answer_is_quoted_without_any_name(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    request = await commented(scoring, anonymous=True, call_back=False)
    page = (await client.get(f"{link_of(request.invitation_id)}?done=1")).text
    assert ("May we quote you?" in page, 'type="radio"' in page, "Olga" in page) == (True, False, False)
    await say(client, request, quote="1", by="own", name="Olga")
    assert await names(client) == [""]


async def test_tests_suspect_answers_and_words_of_operators_are_never_quoted(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    test = await commented(scoring, test=True)
    assert (await say(client, test, quote="1")).status_code == 422
    typed = await scoring.asked()
    await scoring.score(typed, 9, comment="On the phone", operator="Anna")
    assert (await say(client, typed, quote="1")).status_code == 422
    request = await commented(scoring)
    await say(client, request, quote="1")
    assert await names(client, quotable="true") == [""]
    await scoring.rows("UPDATE answers SET suspect = true WHERE invitation_id = $1", request.invitation_id)
    assert await names(client, quotable="true") == []
    assert (await say(client, request, quote="1")).status_code == 422


async def test_staff_list_and_export_what_may_be_quoted(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    request = await commented(scoring)
    await commented(scoring, "Not to be quoted")
    await say(client, request, quote="1", by="own", name="O'Neil")
    page = (await client.get("/comments?quotable=true")).text
    assert ("may be quoted as O&#39;Neil" in page, "Not to be quoted" in page) == (True, False)
    text = (await client.get("/comments/export?quotable=true")).text
    rows = list(csv.DictReader(StringIO(text.removeprefix("\ufeff"))))
    assert [(row["comment"], row["quotable"], row["quote_name"]) for row in rows] == [("Fine coffee", "True", "O'Neil")]


async def consents(scoring: Scoring) -> list[tuple[bool, str | None]]:
    """Return what the events about consents say, in order: whether one is given, and the name."""
    found = [event.payload for event in await scoring.published("quote.consent_changed")]
    return [(each.given, each.name) for each in found if isinstance(each, QuoteConsentChanged)]


async def test_every_change_of_a_consent_is_an_event_and_a_repetition_is_none(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    request = await commented(scoring)
    await say(client, request)  # without a consent there is nothing to take back
    for form in ({"by": "first"}, {"by": "first"}, {"by": "own", "name": "O'Neil"}, {"by": "nobody"}):
        await say(client, request, quote="1", **form)
    for _ in range(2):
        await say(client, request, by="first")
    await say(client, request, quote="1", by="own", name="olga@example.com")
    assert await consents(scoring) == [(True, "Olga"), (True, "O'Neil"), (True, None), (False, None)]
    [changed, *_] = [event.payload for event in await scoring.published("quote.consent_changed")]
    [answer] = await scoring.rows("SELECT answer_id FROM answers")
    assert isinstance(changed, QuoteConsentChanged)
    assert (changed.answer_id, changed.customer_id) == (answer["answer_id"], request.customer_id)
    assert (changed.program.id, changed.at) == ("after-purchase", scoring.clock.now())
    assert "Fine coffee" not in changed.model_dump_json()


async def test_event_about_an_anonymous_answer_names_nobody(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    request = await commented(scoring, anonymous=True, call_back=False)
    await say(client, request, quote="1", by="own", name="Olga")
    assert await consents(scoring) == [(True, None)]
    [event] = await scoring.published("quote.consent_changed")
    text = codec.encode(event).body.decode()
    assert [each for each in (request.customer_id, str(request.invitation_id), "Olga") if each in text] == []


async def test_webhook_that_chose_it_gets_the_consent(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    request = await commented(scoring)
    async with receiver() as hook:
        await endpoint(scoring, hook.url, types=["quote.consent_changed"])
        await say(client, request, quote="1", by="first")
        await deliver(scoring)
        [taken] = hook.taken
    assert json.loads(taken.body)["data"]["name"] == "Olga"

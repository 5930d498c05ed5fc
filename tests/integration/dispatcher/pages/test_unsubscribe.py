"""The unsubscribe page."""

from __future__ import annotations

import httpx2
import pytest

from shared.contract.vocabulary import ChannelKind
from tests.integration.dispatcher.conftest import Chain, request
from tests.integration.dispatcher.pages.conftest import unsubscribe_path

EMAIL, SMS = ChannelKind.EMAIL, ChannelKind.SMS


async def test_opening_the_unsubscribe_page_writes_nothing(chain: Chain, client: httpx2.AsyncClient) -> None:
    asked = request()
    await chain.take(asked)
    for method in ("HEAD", "GET", "OPTIONS", "PUT"):
        await client.request(method, unsubscribe_path(asked.invitation_id))
    reply = await client.get(unsubscribe_path(asked.invitation_id))
    assert "no e-mail, no text message, no call" in reply.text
    assert (await client.head(unsubscribe_path(asked.invitation_id))).status_code == 200
    assert await chain.rows("SELECT 1 FROM suppressions") == []
    assert await chain.outcome(asked.invitation_id) is None


async def test_respondent_stops_every_question(chain: Chain, client: httpx2.AsyncClient) -> None:
    asked = request(locale="ru")
    await chain.take(asked)
    replies = [await client.post(unsubscribe_path(asked.invitation_id), data={"what": "all"}) for _ in range(2)]
    for reply in replies:
        assert (reply.status_code, "set-cookie" in reply.headers) == (200, False)
        assert "Kofe Point больше не будет" in reply.text
    await chain.tick()
    assert await chain.outcome(asked.invitation_id) == "declined"
    assert await chain.rows("SELECT 1 FROM mailbox") == []
    assert len(await chain.published("respondent.suppressed")) == 1
    assert len(await chain.published("invitation.closed")) == 1


@pytest.mark.parametrize("form", [{"List-Unsubscribe": "One-Click"}, {"what": "email"}, {"what": "nonsense"}, {}])
async def test_one_click_unsubscribe_of_a_mail_client_stops_all_mail_and_ends_the_survey(
    chain: Chain, client: httpx2.AsyncClient, form: dict[str, str]
) -> None:
    asked = request()
    other = request(program={"id": "after-service", "version": 1})
    await chain.take(asked, other)
    reply = await client.post(unsubscribe_path(asked.invitation_id), data=form)
    assert (reply.status_code, "location" in reply.headers) == (200, False)
    await chain.tick()
    assert await chain.rows("SELECT 1 FROM mailbox WHERE channel = 'email'") == []
    assert await chain.states(asked.invitation_id) == ["skipped"] * 4
    assert await chain.outcome(asked.invitation_id) == "declined"
    assert await chain.states(other.invitation_id) == ["skipped", "skipped", "sent", "planned"]
    (event,) = await chain.published("respondent.suppressed")
    assert (event.channel, event.program, event.reason) == ("email", None, "opt_out")


async def test_respondent_stops_one_kind_of_question(chain: Chain, client: httpx2.AsyncClient) -> None:
    asked, other = request(), request(program={"id": "after-service", "version": 1})
    await chain.take(asked, other)
    await client.post(unsubscribe_path(asked.invitation_id), data={"what": "survey"})
    await chain.tick()
    assert await chain.outcome(asked.invitation_id) == "declined"
    assert (await chain.states(other.invitation_id))[0] == "sent"
    (event,) = await chain.published("respondent.suppressed")
    assert (event.channel, event.program) == (None, "after-purchase")


async def test_invented_unsubscribe_link_does_nothing(chain: Chain, client: httpx2.AsyncClient) -> None:
    for method in ("GET", "POST"):
        assert (await client.request(method, "/u/" + "x" * 22)).status_code == 404
    assert await chain.rows("SELECT 1 FROM suppressions") == []


@pytest.mark.parametrize(
    ("asked", "attributes", "words"),
    [
        ("ru-RU,ru;q=0.9", 'lang="ru"', "Ссылка не работает"),
        ("fr", 'lang="en"', "This link does not work"),
        ("", 'lang="en"', "This link does not work"),
    ],
)
async def test_unknown_link_is_told_in_the_language_of_the_browser(
    client: httpx2.AsyncClient, asked: str, attributes: str, words: str
) -> None:
    page = (await client.get("/u/" + "x" * 22, headers={"accept-language": asked})).text
    assert attributes in page
    assert words in page


@pytest.mark.parametrize(("locale", "attributes"), [("ar", 'lang="ar" dir="rtl"'), ("de-AT", 'lang="de-AT"')])
async def test_page_has_the_language_and_words_of_its_program(
    chain: Chain, client: httpx2.AsyncClient, locale: str, attributes: str
) -> None:
    asked = request(locale=locale, labels={"mail.unsubscribe": "Ja, bitte", "mail.choices.all": "Alles"})
    await chain.take(asked)
    page = (await client.get(unsubscribe_path(asked.invitation_id))).text
    assert f"<html {attributes}>" in page
    assert "Ja, bitte" in page
    assert "Alles" in page
    assert "Every e-mail" in page, "English words, where the program says none"

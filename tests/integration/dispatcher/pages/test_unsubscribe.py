"""The unsubscribe page."""

from __future__ import annotations

import httpx2
import pytest

from services.dispatcher.domain.addresses import NewSuppression
from services.dispatcher.handlers import close_invitations
from shared.contract.events import Suppression
from shared.contract.vocabulary import ChannelKind, SuppressionReason
from tests.integration.dispatcher.conftest import NOW, Chain, plan, request
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


async def test_link_of_a_text_message_stops_text_messages_by_a_press_only(
    chain: Chain, client: httpx2.AsyncClient
) -> None:
    asked, other = request(), request(program={"id": "after-service", "version": 1})
    await chain.take(asked, other)
    assert "Every text message" in (await client.get(unsubscribe_path(asked.invitation_id))).text
    assert await chain.published("respondent.suppressed") == []
    reply = await client.post(unsubscribe_path(asked.invitation_id), data={"what": "sms"})
    assert "no more text messages" in reply.text
    assert await chain.outcome(asked.invitation_id) == "declined"
    (event,) = await chain.published("respondent.suppressed")
    assert (event.channel, event.program, event.reason) == ("sms", None, "opt_out")


async def test_only_channels_of_the_plan_are_offered(chain: Chain, client: httpx2.AsyncClient) -> None:
    asked = request(plan=plan((SMS, 0)))
    await chain.take(asked)
    page = (await client.get(unsubscribe_path(asked.invitation_id))).text
    assert ("Every text message" in page, "Every e-mail" in page) == (True, False)


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


@pytest.mark.parametrize(
    ("what", "said"),
    [("all", "will not ask you again"), ("email", "no more questions by e-mail"), ("survey", "a question like this")],
)
async def test_later_visit_says_what_was_stopped_and_takes_it_back(
    chain: Chain, client: httpx2.AsyncClient, what: str, said: str
) -> None:
    asked = request()
    await chain.take(asked)
    path = unsubscribe_path(asked.invitation_id)
    for page in (await client.post(path, data={"what": what}), await client.get(path)):
        assert said in page.text
        assert 'name="what" value="again"' in page.text
        assert 'value="survey"' not in page.text, "it does not ask as if nothing was said"
    assert "may ask you again" in (await client.post(path, data={"what": "again"})).text
    assert await chain.rows("SELECT 1 FROM suppressions") == []
    (released,) = await chain.published("respondent.released")
    assert (released.respondent_id, released.reason) == (asked.respondent_id, "opt_out")
    assert 'value="survey"' in (await client.get(path)).text


async def test_what_is_not_an_opt_out_is_not_taken_back(chain: Chain, client: httpx2.AsyncClient) -> None:
    asked = request()
    await chain.take(asked)
    complaint = Suppression(respondent_id=asked.respondent_id, channel=EMAIL, reason=SuppressionReason.COMPLAINT)
    async with chain.database.sessions.begin() as session:
        await close_invitations.suppress(session, [NewSuppression(complaint)], now=NOW)
    page = await client.post(unsubscribe_path(asked.invitation_id), data={"what": "again"})
    assert "a moment ago" in page.text, "an opt-out on the answer page arrives some seconds later"
    assert await chain.published("respondent.released") == []


async def test_opt_out_that_has_not_arrived_yet_can_be_taken_back_a_moment_later(
    chain: Chain, client: httpx2.AsyncClient
) -> None:
    asked = request()
    await chain.take(asked)
    path = f"{unsubscribe_path(asked.invitation_id)}?again=1"
    page = (await client.get(path)).text
    assert "a moment ago" in page
    assert 'name="what" value="again"' in page
    await client.post(path, data={"what": "all"})
    assert "will not ask you again" in (await client.get(path)).text

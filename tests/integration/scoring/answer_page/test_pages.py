"""The answer page: what it shows and refuses; only a POST records an answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from html import unescape

import httpx2
import pytest

from services.scoring.config import ScoringSettings
from services.scoring.main import build_app
from shared.contract.events import (
    Brand,
    EventRef,
    ExtraQuestion,
    Reason,
    RespondentErased,
    RespondentReleased,
    SurveyWithdrawn,
)
from shared.contract.vocabulary import ChannelKind, SuppressionReason
from shared.web import links
from tests.integration.scoring.stand import NOW, QUESTION, SECRETS, Scoring, link_of, requested


async def test_score_is_saved_at_once_and_the_reasons_after(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    request = await scoring.asked(extra_questions=[ExtraQuestion(id="q1", text="What did you miss?")])
    link = link_of(request.invitation_id, step=3)
    saved = await client.post(link, data={"score": "4"})
    assert (saved.status_code, saved.headers["location"]) == (303, link)
    answer = (await scoring.invitation(request.invitation_id)).answer
    assert answer is not None
    assert (answer.score, answer.step, answer.channel) == (4, 3, "sms")
    page = (await client.get(link)).text
    assert "Thanks, your answer <strong>4</strong> is saved." in page
    assert "Long wait" in page
    assert "Taste and quality" not in page
    assert "What did you miss?" in page
    why = await client.post(link, data={"reasons": ["wait", "staff"], "comment": "Slow.\r\nCold.", "extra.q1": "Sugar"})
    assert why.headers["location"] == f"{link}?done=1"
    answer = (await scoring.invitation(request.invitation_id)).answer
    assert answer is not None
    assert (answer.version, answer.score, answer.reasons) == (2, 4, ("wait", "staff"))
    assert (answer.comment, answer.extra) == ("Slow.\nCold.", {"q1": "Sugar"})
    assert "We are sorry." in (await client.get(why.headers["location"])).text


async def test_page_shows_shop_purchase_and_date_and_no_personal_data(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    request = await scoring.asked(customer_id="olga@example.com")
    page = unescape((await client.get(link_of(request.invitation_id))).text)
    for text in ("Kofe Point", "Your order 48213 of 18 November, Tverskaya", QUESTION, "until 9 December", "Send"):
        assert text in page
    for secret in ("Olga", "Petrova", "olga@example.com", "9161234567"):
        assert secret not in page


async def test_page_speaks_of_the_number_that_people_know_until_an_erasure(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    event = EventRef(source="shop", id="1", type="crm.purchase.completed", time=NOW, subject="584392", number="#1030")
    request = await scoring.asked(event=event)
    page = unescape((await client.get(link_of(request.invitation_id))).text)
    assert "Your order #1030 of" in page
    assert "584392" not in page
    await scoring.receive(RespondentErased(respondent_id=request.respondent_id))
    occasion = (await scoring.invitation(request.invitation_id)).occasion
    assert (occasion.subject, occasion.number) == (None, None)


async def test_page_speaks_russian(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    request = await scoring.asked(locale="ru", question="Порекомендуете нас?")
    page = (await client.get(link_of(request.invitation_id))).text
    for text in ('<html lang="ru">', "Ваш заказ 48213 от 18 ноября, Tverskaya", "Порекомендуете нас?", "до 9 декабря"):
        assert text in page
    await client.post(link_of(request.invitation_id), data={"score": "10"})
    assert "Что понравилось больше всего?" in (await client.get(link_of(request.invitation_id))).text


@pytest.mark.parametrize(
    ("locale", "said"),
    [
        ("en", "Kofe &amp; Co reads your answer together with your name."),
        ("ru", "Ваш ответ вместе с вашим именем прочтёт Kofe &amp; Co."),  # noqa: RUF001 - Cyrillic it is
    ],
)
async def test_question_page_says_who_reads_the_answer_with_its_name(
    scoring: Scoring, client: httpx2.AsyncClient, locale: str, said: str
) -> None:
    request = await scoring.asked(locale=locale, brand=Brand(name="Kofe & Co"))
    assert said in (await client.get(link_of(request.invitation_id))).text


async def test_another_link_of_the_mail_shows_the_saved_answer(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    request = await scoring.asked()
    link = link_of(request.invitation_id)
    assert "so far" not in (await client.get(f"{link}?score=0")).text
    await client.post(link, data={"score": "3"})
    page = (await client.get(f"{link}?score=0")).text
    assert "Your answer so far is 3." in page
    assert 'value="0" required checked' in page


async def test_link_preselects_its_score(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    request = await scoring.asked()
    page = (await client.get(link_of(request.invitation_id) + "?score=9")).text
    assert 'value="9" required checked' in page
    assert page.count("checked") == 1
    await client.post(link_of(request.invitation_id), data={"score": "9"})
    other = (await client.get(link_of(request.invitation_id) + "?score=3")).text
    assert 'value="3" required checked' in other


async def test_reading_every_link_counts_nothing(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    request = await scoring.asked()
    await scoring.tick()
    before = len(await scoring.published())
    for score in range(11):
        for method in ("GET", "HEAD"):
            response = await client.request(method, f"{link_of(request.invitation_id)}?score={score}")
            assert response.status_code == 200
    await client.get(link_of(request.invitation_id) + "/stop")
    assert (await scoring.invitation(request.invitation_id)).answer is None
    assert await scoring.rows("SELECT 1 FROM buckets") == []
    await scoring.tick()  # counts page views
    assert len(await scoring.published()) == before
    assert await scoring.rows("SELECT count(*) AS n FROM page_views") == [{"n": 22}]


@pytest.mark.parametrize("score", ["11", "true", "", "-1", "9.5", "٩", "9 ", "1e1", "\0"])
async def test_invalid_score_is_refused(score: str, scoring: Scoring, client: httpx2.AsyncClient) -> None:
    request = await scoring.asked()
    refused = await client.post(link_of(request.invitation_id), data={"score": score}, headers={"accept": "text/html"})
    assert refused.status_code == 422
    assert "choose a number from 0 to 10" in refused.text
    problem = await client.post(link_of(request.invitation_id), data={}, headers={"accept": "application/json"})
    assert (problem.status_code, problem.headers["content-type"]) == (422, "application/problem+json")
    assert (await scoring.invitation(request.invitation_id)).answer is None


async def test_too_long_comment_and_invalid_fields_are_refused(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    link = link_of((await scoring.asked()).invitation_id)
    assert (await client.post(link, data={"score": "9", "comment": "x" * 4001})).status_code == 422
    assert (await client.post(link, content=b"\xff\x00", headers={"content-type": "text/plain"})).status_code == 422
    assert (await client.post(link, content=b"x" * 200_000)).status_code == 413
    junk = {"content-type": "multipart/form-data; boundary=x"}
    assert (await client.post(link, content=b"--junk", headers=junk)).status_code in (400, 422)


async def test_control_characters_are_removed_from_a_comment(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    request = await scoring.asked()
    form = {"score": "9", "comment": "a\0b\x1bc"}
    assert (await client.post(link_of(request.invitation_id), data=form)).status_code == 303
    answer = (await scoring.invitation(request.invitation_id)).answer
    assert answer is not None
    assert answer.comment == "abc"


async def test_unknown_link_reloads_a_few_times_and_then_responds_404(client: httpx2.AsyncClient) -> None:
    invented = link_of(requested().invitation_id)
    first = await client.get(invented)
    assert (first.status_code, "One moment" in first.text) == (404, True)
    assert f'content="3;url={invented}?try=1"' in first.text
    last = await client.get(f"{invented}?try=3", headers={"accept-language": "ru-RU,ru;q=0.9"})
    assert (last.status_code, "Ссылка не работает" in last.text) == (404, True)
    assert "http-equiv" not in last.text
    assert (await client.post(invented, data={"score": "9"})).status_code == 404
    assert (await client.get("/s/x", headers={"accept": "application/json"})).json()["status"] == 404


async def test_expired_and_withdrawn_links_respond_410(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    expired, withdrawn = await scoring.asked(), await scoring.asked()
    await scoring.receive(
        SurveyWithdrawn(
            respondent_id=withdrawn.respondent_id, invitation_id=withdrawn.invitation_id, reason="cancelled"
        )
    )
    assert "This survey was withdrawn" in (await client.get(link_of(withdrawn.invitation_id))).text
    assert (await client.post(link_of(withdrawn.invitation_id), data={"score": "9"})).status_code == 410
    scoring.clock.moment += timedelta(days=30)
    over = await client.get(link_of(expired.invitation_id))
    assert (over.status_code, "This survey is over" in over.text) == (410, True)
    assert (await client.post(link_of(expired.invitation_id), data={"score": "9"})).status_code == 410


async def test_opt_out_is_confirmed_and_published_once(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    link = link_of((await scoring.asked()).invitation_id)
    asked = await client.get(f"{link}/stop")
    assert "Shall we stop asking you?" in asked.text
    assert await scoring.published("respondent.opted_out") == []
    for _ in range(2):
        assert (await client.post(f"{link}/stop")).status_code == 200
    assert len(await scoring.published("respondent.opted_out")) == 1


@pytest.fixture
async def with_link_keys(scoring: Scoring) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of an application with the keys that made the links."""
    app = build_app(ScoringSettings(link_keys=SECRETS), database=scoring.database, clock=scoring.clock)
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
        yield client


async def test_later_visit_says_that_the_respondent_opted_out(
    scoring: Scoring, with_link_keys: httpx2.AsyncClient
) -> None:
    client = with_link_keys
    request = await scoring.asked()
    link = link_of(request.invitation_id)
    token = links.token(SECRETS, "k1", links.Purpose.UNSUBSCRIBE, request.invitation_id)
    for page in (await client.post(f"{link}/stop"), await client.get(link), await client.get(f"{link}/stop")):
        assert page.status_code == 200
        assert "We will not ask you again" in page.text
        assert f'/u/{token}?again=1">You may ask me again' in page.text
        assert "Shall we stop asking you?" not in page.text
    question = (await client.get(f"{link}?change=1")).text
    assert 'name="score"' in question
    assert "We will not ask you again" in question
    await client.post(link, data={"score": "9"})
    for page in (await client.get(link), await client.get(f"{link}?done=1")):
        assert "We will not ask you again" in page.text
    await client.post(link, data={"score": "3"})
    assert "You asked us to send you no more surveys, and we send none." in (await client.get(link)).text


async def test_opt_out_that_was_taken_back_is_no_longer_shown(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    request = await scoring.asked()
    link, who = link_of(request.invitation_id), {"respondent_id": request.respondent_id}
    await client.post(f"{link}/stop")
    scoring.clock.moment += timedelta(minutes=2)
    await scoring.receive(RespondentReleased(**who, channel=ChannelKind.EMAIL, reason=SuppressionReason.OPT_OUT))
    await scoring.receive(RespondentReleased(**who, reason=SuppressionReason.COMPLAINT))
    assert "We will not ask you again" in (await client.get(link)).text
    await scoring.receive(RespondentReleased(**who, reason=SuppressionReason.OPT_OUT))
    assert "We will not ask you again" not in (await client.get(link)).text


async def test_opt_out_after_one_that_was_taken_back_is_published_again(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    link = link_of((await scoring.asked()).invitation_id)
    await client.post(f"{link}/stop")
    scoring.clock.moment += timedelta(minutes=2)
    await client.post(f"{link}/stop")
    assert len(await scoring.published("respondent.opted_out")) == 2


async def test_texts_of_a_brand_are_escaped(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    request = await scoring.asked(
        question="<script>alert(1)</script>",
        segments={"store": '"><b>'},
        reasons={"promoter": [Reason(id='"><i>', text="<i>")], "other": []},
    )
    link = link_of(request.invitation_id)
    page = (await client.get(link)).text
    await client.post(link, data={"score": "9"})
    page += (await client.get(link)).text
    assert "<script>alert" not in page
    assert "<b>" not in page
    assert "<i>" not in page


async def test_step_that_is_not_in_the_plan_is_ignored(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    for step in ("99", "x", "", "9999999999"):
        request = await scoring.asked()
        link = link_of(request.invitation_id).removesuffix("1") + step
        assert (await client.post(link, data={"score": "9"})).status_code == 303
        answer = (await scoring.invitation(request.invitation_id)).answer
        assert answer is not None
        assert (answer.step, answer.channel) == (0, None)


async def test_answer_has_its_device(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    request = await scoring.asked()
    agent = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) Mobile/15E148 Safari/604.1"
    await client.post(link_of(request.invitation_id), data={"score": "9"}, headers={"user-agent": agent})
    assert await scoring.rows("SELECT device FROM answers") == [{"device": "phone"}]
    assert await scoring.versions("device") == [{"device": "phone"}]


async def test_first_page_view_is_stored_and_crawlers_are_marked(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    request = await scoring.asked()
    link = link_of(request.invitation_id)
    await client.get(f"{link}?score=9", headers={"user-agent": "Googlebot/2.1"})
    await client.head(link)
    scoring.clock.moment += timedelta(minutes=5)
    opened_at = scoring.clock.moment
    await client.get(link)
    scoring.clock.moment += timedelta(minutes=5)
    await client.get(link)
    sql = "SELECT min(at) AS at FROM page_views WHERE invitation_id = $1 AND NOT automatic"
    assert await scoring.rows(sql, request.invitation_id) == [{"at": opened_at}]
    assert await scoring.rows("SELECT score FROM page_views WHERE automatic AND method = 'GET'") == [{"score": 9}]


async def test_text_with_many_line_ends_is_saved(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    """A browser counts a line end as one character and sends two."""
    request = await scoring.asked()
    link = link_of(request.invitation_id)
    await client.post(link, data={"score": "4"})
    text = "a\n" * 1999 + "b"
    sent = await client.post(link, data={"comment": text.replace("\n", "\r\n")})
    assert sent.status_code == 303
    answer = (await scoring.invitation(request.invitation_id)).answer
    assert answer is not None
    assert answer.comment == text


async def test_page_that_refuses_a_text_gives_it_back(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    request = await scoring.asked(extra_questions=[ExtraQuestion(id="q1", text="What did you miss?")])
    link = link_of(request.invitation_id)
    await client.post(link, data={"score": "4"})
    long = "<b>" + "слово " * 800
    for sent in ({"comment": long, "reasons": ["wait"], "extra.q1": "Sugar"}, {"comment": "Slow", "extra.q1": long}):
        page = await client.post(link, data=sent)
        assert page.status_code == 422
        shown = unescape(page.text)
        assert "there is room for 4000 characters" in shown
        assert all(str(text) in shown for text in (long.strip(), sent["extra.q1"] if "reasons" in sent else "Slow"))
        assert "<b>" not in page.text
    assert 'value="wait" checked' in (await client.post(link, data={"comment": long, "reasons": "wait"})).text
    answer = (await scoring.invitation(request.invitation_id)).answer
    assert answer is not None
    assert answer.comment is None


@pytest.mark.parametrize("score", [{}, {"score": "eleven"}, {"score": "true"}, {"score": "9.0"}, {"score": "\uff19"}])
async def test_text_without_a_score_is_given_back(
    scoring: Scoring, client: httpx2.AsyncClient, score: dict[str, str]
) -> None:
    request = await scoring.asked()
    page = await client.post(link_of(request.invitation_id), data={**score, "comment": "My parcel never came"})
    assert (page.status_code, "My parcel never came" in page.text) == (422, True)
    assert (await scoring.invitation(request.invitation_id)).answer is None


GERMAN = {
    "send": "Absenden",
    "lowest": "0 auf keinen Fall",
    "order": "Ihre Bestellung {number}vom {date}",
    "after": "Änderbar bis {date}.",
    "more_other": "Noch {n} Fragen:",
}


async def test_page_has_the_language_of_its_program(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    request = await scoring.asked(locale="de", question="Empfehlen Sie uns weiter?")
    page = unescape((await client.get(link_of(request.invitation_id))).text)
    assert '<html lang="de">' in page
    assert "Send" in page, "English words, where the program says none"
    request = await scoring.asked(locale="de", question="Empfehlen Sie uns weiter?", labels=GERMAN | {"unknown": "x"})
    page = unescape((await client.get(link_of(request.invitation_id))).text)
    for text in (
        "Absenden",
        "0 auf keinen Fall",
        "Ihre Bestellung 48213 vom 18. November",
        "Änderbar bis 9. Dezember.",
    ):
        assert text in page


@pytest.mark.parametrize("locale", ["ar", "he-IL", "fa", "ar-EG"])
async def test_page_of_a_language_from_right_to_left_is_written_so(
    scoring: Scoring, client: httpx2.AsyncClient, locale: str
) -> None:
    request = await scoring.asked(locale=locale, question="ما مدى احتمال أن توصي بنا؟", labels={"send": "إرسال"})
    link = link_of(request.invitation_id)
    page = (await client.get(link)).text
    assert f'<html lang="{locale}" dir="rtl">' in page
    assert "إرسال" in page
    await client.post(link, data={"score": "3"})
    for path in (link, f"{link}?done=1", f"{link}/stop"):
        assert 'dir="rtl"' in (await client.get(path)).text

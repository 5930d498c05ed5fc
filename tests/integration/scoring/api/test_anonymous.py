"""Anonymous answers: nothing that leaves scoring tells who gave one, and an opt-out and an erasure still work."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import pytest
from fastapi.routing import iter_route_contexts

from services.scoring.config import ScoringSettings
from services.scoring.domain.webhooks import EVENT_TYPES
from services.scoring.files import exports
from services.scoring.files.tables import Format
from services.scoring.main import build_app
from services.scoring.repository.listing import AnswerFilter
from shared.contract.events import AnswerPayload, EventRef, PlanStep, RespondentErased, SurveyRequested
from shared.contract.vocabulary import ChannelKind
from shared.messaging import codec
from tests.integration.scoring.receiver import deliver, endpoint, receiver
from tests.integration.scoring.stand import NOW, Scoring, link_of
from tests.staff import STAFF

WORDS, MENDED = "Waited for an hour", "Waited for two hours"
PLAN = [PlanStep(step=1, channel=ChannelKind.EMAIL, delay_s=0)]
EVENT = EventRef(
    source="till-9", id="receipt-4711", type="crm.purchase.completed", time=NOW, subject="order-48213", number="N-48213"
)
PERSON = (
    "c-secret",
    "r-secret",
    "Olga Petrova",
    "olga@example.com",
    "9161234567",
    "order-48213",
    "N-48213",
    "receipt-4711",
    "till-9",
)
ENDLESS = "/live"
OF_ASKED = {"invitation.answered", "respondent.opted_out"}  # these tell who was asked, and nothing of the answer


async def asked(scoring: Scoring, **changes: Any) -> SurveyRequested:
    fields = {"customer_id": "c-secret", "respondent_id": "r-secret", "event": EVENT, "plan": PLAN, "anonymous": True}
    return await scoring.asked(**fields | {"call_back": False} | changes)


@pytest.fixture
async def request_(scoring: Scoring) -> SurveyRequested:
    """A survey that was answered, and amended."""
    request = await asked(scoring)
    await scoring.score(request, 3, comment=WORDS)
    await scoring.score(request, 2, comment=MENDED)
    await scoring.tick()
    return request


def told(text: str, request: SurveyRequested) -> list[str]:
    """Return what a text says of who gave the answer."""
    return [each for each in (*PERSON, str(request.invitation_id), request.invitation_id.hex) if each in text]


def paths_of(app: Any, answer: UUID, request: SurveyRequested) -> list[str]:
    """Return every address of the app that staff and programs read, with those that ask for this person or answer."""
    found = {
        str(route.path).replace("{answer_id}", str(answer))
        for route in iter_route_contexts(app.routes)
        if "GET" in (route.methods or ()) and not str(route.path).startswith("/s/")
    }
    by_person = [
        *("/?program=after-purchase", "/?program=after-purchase&empty=1", "/?by=store", "/?segment=store:Tverskaya"),
        *("/v1/answers", "/v1/answers?customer=c-secret", "/v1/answers?customer=olga@example.com"),
        *("/customer/scoring?id=r-secret", "/v1/customer-scoring?id=r-secret", "/v1/nps?program=after-purchase"),
        f"/v1/answers?invitation={request.invitation_id}",
    ]
    return sorted(found - {ENDLESS}) + by_person


async def test_no_page_and_no_answer_of_the_api_tells_who_answered(scoring: Scoring, request_: SurveyRequested) -> None:
    app = build_app(ScoringSettings(_env_file=None), database=scoring.database, clock=scoring.clock)
    transport = httpx2.ASGITransport(app)
    [answer] = await scoring.rows("SELECT answer_id FROM answers")
    paths = paths_of(app, answer["answer_id"], request_)
    assert len(paths) > 30
    async with httpx2.AsyncClient(auth=STAFF, transport=transport, base_url="http://127.0.0.1:8000") as client:
        shown = {path: await client.get(path) for path in paths}
    assert {path: bad for path, each in shown.items() if (bad := told(_without_query(each.text, path), request_))} == {}
    assert {path for path, each in shown.items() if each.status_code >= 500} == set()
    assert MENDED in shown["/?program=after-purchase"].text
    [row] = shown["/v1/answers"].json()["answers"]
    assert (row["comment"], row["event"], row["segments"]["store"]) == (MENDED, None, "Tverskaya")
    assert row["invitation_id"] == row["answer_id"]
    for path in ("/v1/answers?customer=c-secret", f"/v1/answers?invitation={request_.invitation_id}"):
        assert shown[path].json()["answers"] == []
    about = shown["/v1/customer-scoring?id=r-secret"].json()
    assert (about["facts"], about["entries"]) == ([], [])


def _without_query(text: str, path: str) -> str:
    """Leave out what was asked for, which pages repeat in their links."""
    for asked_for in [each.partition("=")[2] for each in path.partition("?")[2].split("&")]:
        text = text.replace(asked_for, "") if asked_for else text
    return text


async def test_no_event_webhook_view_or_export_tells_who_answered(scoring: Scoring, tmp_path: Path) -> None:
    async with receiver() as hook:
        await endpoint(scoring, hook.url, types=EVENT_TYPES)
        request = await asked(scoring)
        await scoring.score(request, 3, comment=WORDS)
        await scoring.score(request, 2, comment=MENDED)
        await scoring.tick()
        await deliver(scoring)
        texts = {f"webhook {number}": each.body.decode() for number, each in enumerate(hook.taken)}
    for event in await scoring.published():
        if event.type not in OF_ASKED:
            message = codec.encode(event)
            texts[f"{event.type} {event.id}"] = f"{message.key} {message.headers} {message.body.decode()}"
    for view in ("answers_v", "nps_v"):
        texts[view] = str(await scoring.rows(f"SELECT * FROM {view}"))  # noqa: S608 - our own names
    for name, export, wanted in (("answers", exports.answers, AnswerFilter()), ("nps", exports.nps, AnswerFilter())):
        for kind in (Format.CSV, Format.XLSX):
            path = tmp_path / f"{name}.{kind}"
            await export(scoring.database.sessions, wanted, path, kind=kind, progress=lambda _done, _all: None)
            texts[path.name] = path.read_bytes().decode(errors="replace")
    assert {name: bad for name, text in texts.items() if (bad := told(text, request))} == {}
    assert {"survey.answered", "answer.amended", "detractor.reported", "nps.updated"} <= {
        name.partition(" ")[0] for name in texts
    }
    assert len([name for name in texts if name.startswith("webhook")]) >= 4
    assert MENDED in texts["answers.csv"]
    first, second = [event.payload for event in await scoring.published() if isinstance(event.payload, AnswerPayload)]
    assert first.anonymous
    assert (first.invitation_id, first.respondent_id) == (second.invitation_id, second.respondent_id)


async def test_the_invitation_ends_with_the_first_answer_that_counts(
    scoring: Scoring, request_: SurveyRequested
) -> None:
    [ended] = await scoring.published("invitation.answered")
    assert ended.payload.model_dump() == {"respondent_id": "r-secret", "invitation_id": request_.invitation_id}


async def test_the_page_says_that_the_answer_is_anonymous_and_names_nobody(
    client: httpx2.AsyncClient, scoring: Scoring
) -> None:
    request = await asked(scoring)
    page = (await client.get(link_of(request.invitation_id))).text
    assert "Your answer is anonymous: Kofe Point reads it without your name" in page
    assert "together with your name" not in page
    assert told(page.replace(link_of(request.invitation_id), ""), request) == []
    russian = await asked(scoring, locale="ru")
    assert "Ваш ответ анонимный" in (await client.get(link_of(russian.invitation_id))).text


async def test_a_detractor_is_offered_no_call(client: httpx2.AsyncClient, scoring: Scoring) -> None:
    request = await asked(scoring)
    await scoring.score(request, 1)
    page = (await client.get(link_of(request.invitation_id))).text
    assert 'name="comment"' in page
    assert 'name="phone"' not in page


async def test_opt_out_names_the_customer(client: httpx2.AsyncClient, scoring: Scoring) -> None:
    request = await asked(scoring)
    await client.post(f"{link_of(request.invitation_id)}/stop", data={"sure": "1"})
    [opted_out] = await scoring.published("respondent.opted_out")
    assert opted_out.payload.key == "r-secret"


async def test_erasure_deletes_the_words_and_who_was_asked(scoring: Scoring, request_: SurveyRequested) -> None:
    await scoring.receive(RespondentErased(respondent_id="r-secret"))
    [left] = await scoring.rows("""SELECT i.state, i.asked_id, v.score, v.comment, v.invitation_id = v.answer_id AS cut
FROM invitations i JOIN answers a ON a.invitation_id = i.id JOIN answers_v v ON v.answer_id = a.answer_id""")
    assert left == {"state": "erased", "asked_id": "", "score": 2, "comment": None, "cut": True}
    versions = await scoring.rows("SELECT comment FROM answer_versions")
    assert {each["comment"] for each in versions} == {None}
    assert told(str(await scoring.rows("SELECT * FROM invitations")), request_) == [str(request_.invitation_id)]

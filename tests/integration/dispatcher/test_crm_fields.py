"""Answers in fields of Bitrix24's contacts, companies and deals, and what an erasure leaves of them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from pydantic import SecretStr
from starlette.responses import JSONResponse, Response

from services.dispatcher.config import DispatcherSettings
from services.dispatcher.domain.crm_fields import CrmEntity, CrmFields
from services.dispatcher.domain.send_mode import SendMode
from services.dispatcher.jobs.bitrix24 import Bitrix24
from services.dispatcher.jobs.crm_field_writes import CrmFieldWrites
from shared.contract.events import AnswerAmended, AnsweredEvent, AnswerPayload, RespondentErased, SurveyAnswered
from shared.contract.vocabulary import Category
from shared.web.http_client import HttpClient
from tests.fakes import Gateway, gateway
from tests.integration.dispatcher.conftest import NOW, Chain, answered, request

NAMES = {
    "contact.score": "UF_CRM_NPS",
    "contact.group": "UF_CRM_NPS_GROUP",
    "contact.date": "UF_CRM_NPS_DATE",
    "company.score": "UF_CRM_NPS",
    "deal.score": "UF_CRM_DEAL_NPS",
}
CONTACT = {"UF_CRM_NPS": 9, "UF_CRM_NPS_GROUP": "promoter", "UF_CRM_NPS_DATE": "2026-03-02T12:00:00+00:00"}
EMPTIED = {"UF_CRM_NPS": "", "UF_CRM_NPS_GROUP": "", "UF_CRM_NPS_DATE": ""}
MINUTE = timedelta(minutes=1)


@dataclass
class CrmPortal:
    """A fake Bitrix24 with fields; `failure` is the reply to each request, which is carried out if `swallow`."""

    server: Gateway
    entities: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    gone: bool = False
    failure: Response | None = None
    swallow: bool = False

    def answer(self, _fields: dict[str, str]) -> Response:
        if self.failure is not None and not self.swallow:
            return self.failure
        method, body = self.server.paths[-1].rpartition("/")[2], json.loads(self.server.bodies[-1])
        if self.gone:
            return JSONResponse({"error": "", "error_description": "Not found"}, 400)
        self.entities.setdefault((method.split(".")[1], body["id"]), {}).update(body["fields"])
        return self.failure or JSONResponse({"result": True})


@dataclass(frozen=True)
class InterruptedBitrix24(Bitrix24):
    """`meanwhile` runs after each update, before its reply is recorded."""

    meanwhile: Callable[[], Awaitable[None]]

    async def update(self, entity: CrmEntity, id_: str, fields: Mapping[str, str | int]) -> None:
        await Bitrix24.update(self, entity, id_, fields)
        await self.meanwhile()


@pytest.fixture
async def portal(chain: Chain) -> AsyncIterator[CrmPortal]:
    chain.fields = CrmFields("bitrix24", NAMES)
    async with gateway() as server:
        fake = CrmPortal(server)
        server.answer = fake.answer
        yield fake


@pytest.fixture
async def writes(chain: Chain, portal: CrmPortal) -> AsyncIterator[CrmFieldWrites]:
    http = HttpClient(f"{portal.server.url}/rest/1/code/")
    yield CrmFieldWrites(chain.database.sessions, Bitrix24(http, responsible=7), chain.fields)
    await http.close()


def answer_of(
    customer: str = "5", deal: str | None = None, *, source: str = "bitrix24", respondent: str = "", **changes: Any
) -> SurveyAnswered:
    asked = request(respondent=respondent or customer, customer_id=customer)
    event = AnsweredEvent(source=source, id="deal-1-won", subject=deal)
    return answered(asked).model_copy(update={"event": event, **changes})


def amended(first: AnswerPayload, **changes: Any) -> AnswerAmended:
    return AnswerAmended(**{**dict(first), "version": 2, "answered_at": NOW + MINUTE, **changes})


async def due_again(chain: Chain) -> None:
    await chain.rows("UPDATE crm_fields SET look_at = clock_timestamp() WHERE look_at IS NOT NULL RETURNING 1")


async def run(chain: Chain, writes: CrmFieldWrites) -> None:
    for _ in range(3):
        await due_again(chain)
        await writes()


async def test_answer_is_written_into_contact_and_deal_once(
    chain: Chain, portal: CrmPortal, writes: CrmFieldWrites
) -> None:
    await chain.take(answer_of(deal="48213"))
    await run(chain, writes)
    assert portal.entities == {("contact", "5"): CONTACT, ("deal", "48213"): {"UF_CRM_DEAL_NPS": 9}}
    assert len(portal.server.paths) == 2


async def test_answer_of_a_company_is_written_into_the_company(
    chain: Chain, portal: CrmPortal, writes: CrmFieldWrites
) -> None:
    await chain.take(answer_of("company-5"))
    await run(chain, writes)
    assert portal.entities == {("company", "5"): {"UF_CRM_NPS": 9}}


async def test_customer_of_a_namespace_is_written_by_the_id_of_the_crm(
    chain: Chain, portal: CrmPortal, writes: CrmFieldWrites
) -> None:
    await chain.take(answer_of(respondent="ns:bitrix24:5"))
    await run(chain, writes)
    assert portal.entities == {("contact", "5"): CONTACT}


async def test_amended_answer_replaces_the_first_and_a_late_older_one_changes_nothing(
    chain: Chain, portal: CrmPortal, writes: CrmFieldWrites
) -> None:
    first = answer_of()
    newer = amended(first, score=3, category=Category.DETRACTOR)
    await chain.take(first)
    await run(chain, writes)
    await chain.take(newer)
    await chain.take(amended(first, score=7, category=Category.PASSIVE, answered_at=NOW))
    await run(chain, writes)
    contact = portal.entities["contact", "5"]
    assert (contact["UF_CRM_NPS"], contact["UF_CRM_NPS_GROUP"]) == (3, "detractor")
    assert len(portal.server.paths) == 2


async def test_latest_of_two_answers_in_one_batch_is_written(
    chain: Chain, portal: CrmPortal, writes: CrmFieldWrites
) -> None:
    newer, older = answer_of(score=2, answered_at=NOW + MINUTE), answer_of()
    await chain.take(newer, older)
    await run(chain, writes)
    assert portal.entities["contact", "5"]["UF_CRM_NPS"] == 2


@pytest.mark.parametrize(
    "answer",
    [
        answer_of(suspect=True, deal="7"),
        answer_of(source="shop", deal="7"),
        answer_of(event=None),
        *(
            answer_of(bad, deal=bad)
            for bad in ("guest-abc", "0", "-5", "5.0", "\u0665", "5' OR '1'='1", "5; DROP TABLE x", "9" * 200)
        ),
        *(answer_of(bad) for bad in ("company-", "company-x", "company-company-5", "Company-5", "ns:bitrix24:5")),
    ],
    ids=lambda answer: f"{answer.customer_id[:20]}-{answer.event and answer.event.source}-{answer.suspect}",
)
async def test_suspect_answer_and_ids_that_are_no_numbers_of_the_crm_store_nothing(
    chain: Chain, portal: CrmPortal, writes: CrmFieldWrites, answer: SurveyAnswered
) -> None:
    await chain.take(answer)
    await run(chain, writes)
    assert (portal.server.paths, await chain.rows("SELECT 1 FROM crm_fields")) == ([], [])


async def test_without_fields_nothing_is_stored(chain: Chain) -> None:
    chain.fields = CrmFields("bitrix24", {})
    await chain.take(answer_of(deal="7"))
    assert await chain.rows("SELECT 1 FROM crm_fields") == []


async def test_deleted_contact_is_asked_for_once(chain: Chain, portal: CrmPortal, writes: CrmFieldWrites) -> None:
    portal.gone = True
    await chain.take(answer_of())
    await run(chain, writes)
    assert (len(portal.server.paths), await chain.rows("SELECT 1 FROM crm_fields")) == (1, [])


@pytest.mark.parametrize(
    "failure",
    [
        JSONResponse({"error": "QUERY_LIMIT_EXCEEDED"}, 503),
        JSONResponse({"error": "insufficient_scope"}, 401),
        JSONResponse({}),
        JSONResponse({"result": False}),
        JSONResponse([1]),
        Response("<html>"),
    ],
)
async def test_refused_or_unreadable_reply_is_no_success_and_is_tried_again_after_growing_pauses(
    chain: Chain, portal: CrmPortal, writes: CrmFieldWrites, failure: Response
) -> None:
    await chain.take(answer_of())
    portal.failure = failure
    waits = []
    for _ in range(3):
        await due_again(chain)
        await writes()
        await writes()
        (row,) = await chain.rows("SELECT extract(epoch FROM look_at - clock_timestamp()) AS wait FROM crm_fields")
        waits.append(round(row["wait"] / 30))
    assert (waits, len(portal.server.paths)) == ([1, 2, 4], 3)
    portal.failure = None
    await run(chain, writes)
    assert portal.entities == {("contact", "5"): CONTACT}


async def test_write_whose_reply_was_lost_is_made_again(
    chain: Chain, portal: CrmPortal, writes: CrmFieldWrites
) -> None:
    await chain.take(answer_of())
    portal.failure, portal.swallow = Response("<html>", 502), True
    await writes()
    portal.failure = None
    await run(chain, writes)
    assert (portal.entities, len(portal.server.paths)) == ({("contact", "5"): CONTACT}, 2)


async def test_answer_that_changes_during_the_request_is_written_afterwards(
    chain: Chain, portal: CrmPortal, writes: CrmFieldWrites
) -> None:
    first = answer_of()
    await chain.take(first)
    change = partial(chain.take, amended(first, score=1, category=Category.DETRACTOR))
    await replace(writes, crm=InterruptedBitrix24(writes.crm.http, 7, change))()
    await run(chain, writes)
    assert portal.entities["contact", "5"]["UF_CRM_NPS"] == 1


async def test_erasure_empties_what_was_written_and_deletes_the_rows(
    chain: Chain, portal: CrmPortal, writes: CrmFieldWrites
) -> None:
    await chain.take(answer_of(deal="48213"))
    await run(chain, writes)
    await chain.take(RespondentErased(respondent_id="5"))
    await run(chain, writes)
    assert portal.entities == {("contact", "5"): EMPTIED, ("deal", "48213"): {"UF_CRM_DEAL_NPS": ""}}
    assert await chain.rows("SELECT 1 FROM crm_fields") == []


async def test_erasure_before_anything_was_written_asks_nothing_of_the_crm(
    chain: Chain, portal: CrmPortal, writes: CrmFieldWrites
) -> None:
    await chain.take(answer_of())
    await chain.take(RespondentErased(respondent_id="5"))
    await run(chain, writes)
    assert (portal.server.paths, await chain.rows("SELECT 1 FROM crm_fields")) == ([], [])


async def test_erasure_after_a_lost_reply_empties_what_may_have_been_written(
    chain: Chain, portal: CrmPortal, writes: CrmFieldWrites
) -> None:
    await chain.take(answer_of())
    portal.failure, portal.swallow = Response("<html>", 502), True
    await writes()
    await chain.take(RespondentErased(respondent_id="5"))
    portal.failure = None
    await run(chain, writes)
    assert portal.entities == {("contact", "5"): EMPTIED}


async def test_erasure_waits_for_a_crm_that_is_away_and_keeps_no_answer_meanwhile(
    chain: Chain, portal: CrmPortal, writes: CrmFieldWrites
) -> None:
    await chain.take(answer_of())
    await run(chain, writes)
    await chain.take(RespondentErased(respondent_id="5"))
    portal.failure = Response("", 503)
    await run(chain, writes)
    assert portal.entities == {("contact", "5"): CONTACT}
    assert await chain.rows("SELECT score, category FROM crm_fields") == [{"score": 0, "category": ""}]
    portal.failure = None
    await run(chain, writes)
    assert (portal.entities, await chain.rows("SELECT 1 FROM crm_fields")) == ({("contact", "5"): EMPTIED}, [])


async def test_erasure_during_the_request_empties_what_it_wrote(
    chain: Chain, portal: CrmPortal, writes: CrmFieldWrites
) -> None:
    await chain.take(answer_of())
    change = partial(chain.take, RespondentErased(respondent_id="5"))
    await replace(writes, crm=InterruptedBitrix24(writes.crm.http, 7, change))()
    await run(chain, writes)
    assert portal.entities == {("contact", "5"): EMPTIED}


async def test_erasure_empties_fields_that_are_not_configured_any_more(
    chain: Chain, portal: CrmPortal, writes: CrmFieldWrites
) -> None:
    await chain.take(answer_of())
    await run(chain, writes)
    await chain.take(RespondentErased(respondent_id="5"))
    await run(chain, replace(writes, fields=CrmFields("bitrix24", {})))
    assert portal.entities == {("contact", "5"): EMPTIED}


async def test_answer_that_arrives_after_the_erasure_is_not_written(
    chain: Chain, portal: CrmPortal, writes: CrmFieldWrites
) -> None:
    asked = request(respondent="5")
    await chain.take(asked)
    await chain.take(RespondentErased(respondent_id="5"))
    await chain.take(answer_of(invitation_id=asked.invitation_id))
    await run(chain, writes)
    assert portal.server.paths == []


@pytest.mark.parametrize(
    ("changes", "stored"),
    [({}, 1), ({"bitrix24_url": SecretStr("")}, 0), ({"send": SendMode.MAILBOX}, 0), ({"bitrix24_source": "b"}, 0)],
)
def test_answers_are_stored_only_while_the_crm_is_configured_and_messages_leave(
    changes: dict[str, Any], stored: int
) -> None:
    settings = DispatcherSettings(
        _env_file=None, bitrix24_fields="contact.score:UF_CRM_NPS", bitrix24_url="https://portal.example/rest/1/code"
    ).model_copy(update={"send": SendMode.LIVE, **changes})
    assert len(list(settings.crm_fields.entities_of(answer_of()))) == stored

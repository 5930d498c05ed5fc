"""Customers without an address are asked by a link that the shop shows itself."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from services.trigger.config import TriggerSettings
from services.trigger.domain.deciding.suppressions import KnownSuppressionKey
from services.trigger.domain.programs.document import ProgramDocument
from services.trigger.domain.programs.lint import lint
from services.trigger.repository import suppressions
from shared.contract.events import RespondentContactAdded, SurveyRequested
from shared.contract.vocabulary import SuppressionReason
from shared.database.db import Database
from shared.web.links import Purpose, token
from tests.integration.trigger.samples import body, published, purchase
from tests.integration.trigger.test_programs import apply

EVENTS = "/v1/events"
NOBODY = {"id": "till-7"}
PLAN = [{"channel": "link"}, {"channel": "email", "after": "1d"}]


async def post(client: httpx2.AsyncClient, event: Any) -> Any:
    return (await client.post(EVENTS, json=event)).raise_for_status().json()


async def test_reply_holds_the_link_and_its_qr_picture(
    client: httpx2.AsyncClient, installed: Database, settings: TriggerSettings
) -> None:
    await apply(installed, priority=10, plan=PLAN)
    event = purchase("e1", customer=NOBODY)
    decided = await post(client, event)
    [request] = [each.payload for each in await published(installed) if isinstance(each.payload, SurveyRequested)]
    secret = token(settings.link_secrets, request.link_key, Purpose.ANSWER, request.invitation_id)
    assert decided["reason"] == "asked"
    assert decided["link"]["url"] == f"{settings.public_url}/s/{secret}.1"
    assert decided["link"]["qr_url"] == f"{decided['link']['url']}/qr.svg"
    assert decided["link"]["qr_svg"].startswith("<svg")
    assert [step.channel for step in request.plan] == ["link", "email"]
    assert request.consent.email is True
    assert await post(client, event) == decided


async def test_links_of_a_batch_come_without_pictures(client: httpx2.AsyncClient, installed: Database) -> None:
    await apply(installed, priority=10, plan=PLAN)
    events = [purchase(f"e{number}", customer={"id": f"till-{number}"}) for number in range(3)]
    links = [each["link"] for each in (await post(client, events))["results"]]
    assert len({each["url"] for each in links}) == 3
    assert {each["qr_svg"] for each in links} == {None}


async def test_only_surveys_whose_plan_has_the_step_have_a_link(
    client: httpx2.AsyncClient, installed: Database
) -> None:
    assert (await post(client, purchase("e1")))["link"] is None
    assert (await post(client, purchase("e2", customer=NOBODY)))["reason"] == "unreachable"
    await apply(installed, priority=10, plan=PLAN, conditions={"field": "order.amount", "operator": "gt", "value": 5})
    assert (await post(client, purchase("e3", customer=NOBODY)))["link"] is None


async def test_customer_who_opted_out_gets_no_link(client: httpx2.AsyncClient, installed: Database) -> None:
    await apply(installed, plan=PLAN, priority=10)
    opted_out = KnownSuppressionKey("till-7", None, None, SuppressionReason.OPT_OUT)
    async with installed.sessions.begin() as session:
        await suppressions.put(session, {opted_out: None})
    decided = await post(client, purchase("e1", customer=NOBODY))
    assert (decided["reason"], decided["link"]) == ("suppressed", None)


async def test_address_that_comes_later_is_published_once(client: httpx2.AsyncClient, installed: Database) -> None:
    await apply(installed, plan=PLAN, priority=10)
    known = {**NOBODY, "email": "ann@shop.example"}
    await post(client, body("customer.updated", "e0", customer={**NOBODY, "phone": "+79161234567"}))
    await post(client, purchase("e1", customer=NOBODY))
    for number in range(2):
        await post(client, body("customer.updated", f"later-{number}", customer=known))
    added = [each.payload for each in await published(installed) if isinstance(each.payload, RespondentContactAdded)]
    assert [each.model_dump() for each in added] == [
        {"respondent_id": "till-7", "contact": {"email": "ann@shop.example", "phone": None}}
    ]


async def test_stored_decisions_show_no_link(client: httpx2.AsyncClient, installed: Database) -> None:
    await apply(installed, plan=PLAN, priority=10)
    url = (await post(client, purchase("e1", customer=NOBODY)))["link"]["url"]
    shown = (await client.get("/v1/decisions", params={"event": "e1"})).raise_for_status().text
    assert url.rpartition("/")[2][:22] not in shown


@pytest.mark.parametrize(("plan", "warned"), [([{"channel": "link"}], False), ([{"channel": "sms"}], True)])
def test_plan_with_a_link_needs_no_assumed_consent(plan: list[dict[str, str]], warned: bool) -> None:  # noqa: FBT001
    document = ProgramDocument.model_validate(
        {"id": "p", "brand": {"name": "Shop"}, "starts_on": ["crm.purchase.completed"], "plan": plan}
    )
    assert any("never asked" in each for each in lint(document)) is warned

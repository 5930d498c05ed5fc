"""Links that a shop shows itself: told by webhook, drawn as a picture, and counted apart by mode."""

from __future__ import annotations

import json

import httpx2
import pytest

from services.scoring.handlers import Handlers
from shared.contract.events import PlanStep
from shared.contract.vocabulary import ChannelKind
from tests.integration.scoring.receiver import endpoint
from tests.integration.scoring.stand import SECRETS, Scoring, differences, link_of, requested

LINK_PLAN = [
    PlanStep(step=1, channel=ChannelKind.LINK, delay_s=0),
    PlanStep(step=2, channel=ChannelKind.EMAIL, delay_s=86400),
]


async def test_webhook_holds_the_link_and_its_picture(scoring: Scoring) -> None:
    scoring.handlers = Handlers(link_secrets=SECRETS, clock=scoring.clock, public_url="https://ask.shop.example")
    await endpoint(scoring, "http://127.0.0.1:9/hook", types=["survey.link_ready"])
    shown, other = requested(plan=LINK_PLAN), requested()
    await scoring.receive(shown, other, shown)
    [row] = await scoring.rows("SELECT subject, body FROM webhook_deliveries")
    event = json.loads(row["body"])
    url = f"https://ask.shop.example{link_of(shown.invitation_id)}"
    assert row["subject"] == str(shown.invitation_id)
    assert event["type"] == "survey.link_ready"
    assert (event["data"]["url"], event["data"]["qr_url"]) == (url, f"{url}/qr.svg")
    assert event["data"]["event"] == {"source": "shop", "id": "e1", "subject": "48213"}
    assert await scoring.published() == []  # no event of the log holds a link


async def test_picture_of_a_link_is_drawn(client: httpx2.AsyncClient) -> None:
    reply = await client.get(f"{link_of(requested().invitation_id)}/qr.svg")
    assert reply.headers["content-type"].startswith("image/svg+xml")
    assert reply.text.startswith("<svg")


@pytest.mark.parametrize("path", ["/s/x/qr.svg", "/s/%3Cscript%3E.1/qr.svg", "/s/" + "a" * 5000 + "/qr.svg"])
async def test_no_picture_of_what_is_no_link(client: httpx2.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code in (404, 414, 431)


async def test_answers_by_shown_links_are_counted_apart_by_mode(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    shown, mailed = await scoring.asked(plan=LINK_PLAN), await scoring.asked()
    for request, score in ((shown, 9), (mailed, 2)):
        await scoring.score(request, score)
    by_mode = (await client.get("/v1/nps", params={"by": "mode"})).json()["series"]
    assert [(each["value"], each["n"], each["nps"]) for each in by_mode] == [("link", 1, 100), ("self", 1, -100)]
    crossed = (await client.get("/v1/nps", params={"by": "mode,store"})).json()["series"]
    assert sorted(each["values"][0] for each in crossed) == ["link", "self"]
    assert await differences(scoring) == []


async def test_dashboard_names_the_step(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    await scoring.score(await scoring.asked(plan=LINK_PLAN), 9)
    await scoring.tick()
    page = (await client.get("/", params={"program": "after-purchase"})).raise_for_status().text
    assert "a link of the shop" in page or "Link" in page

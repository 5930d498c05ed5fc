"""The score API: crossings, definitions, funnel, returns, significant changes, benchmarks."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from services.scoring.config import ScoringSettings
from services.scoring.dashboard.live import Live
from services.scoring.domain.bot_detection import PageView
from services.scoring.repository import page_views, programs
from services.scoring.web.score_queries import NpsQuery
from shared.contract.events import (
    ContactAttempted,
    EventRef,
    ProgramPublished,
    ProgramRef,
    Reason,
    Reasons,
    RespondentErased,
    RespondentPurchased,
)
from shared.contract.vocabulary import AttemptState, ChannelKind
from tests.integration.scoring.stand import NOW, REASONS, Scoring, answer_all, differences

PROGRAM = {"program": "after-purchase"}


async def get(client: httpx2.AsyncClient, path: str, **params: Any) -> Any:
    return (await client.get(path, params=PROGRAM | params)).raise_for_status().json()


async def by(client: httpx2.AsyncClient, **params: Any) -> dict[str, int]:
    return {each["value"]: each["n"] for each in (await get(client, "/v1/nps", **params))["series"]}


async def test_two_dimensions_are_crossed_on_demand(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    await answer_all(scoring, [9, 3], segments={"store": "Arbat", "channel": "shop"})
    await answer_all(scoring, [9], segments={"store": "Arbat", "channel": "web"})
    crossed = (await get(client, "/v1/nps", by="store,channel"))["series"]
    assert [(each["values"], each["n"], each["invited"]) for each in crossed] == [
        (["Arbat", "shop"], 2, 2),
        (["Arbat", "web"], 1, 1),
    ]
    assert await by(client, by="channel", segment="store:Arbat") == {"shop": 2, "web": 1}
    assert await by(client, by="mode,step") == {"self × 1": 3}  # noqa: RUF001 - the sign of a crossing
    assert (await client.get("/v1/nps?by=store,channel,mode")).status_code == 422
    assert (await client.get("/v1/nps?by=weather")).status_code == 422


async def test_long_list_of_series_is_read_page_by_page(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    for store in ("Arbat", "Khimki", "Mega"):
        await answer_all(scoring, [9, 3], segments={"store": store, "channel": "shop"})
    at_once = await get(client, "/v1/nps", by="store", period="day")
    first = await get(client, "/v1/nps", by="store", period="day", limit=2)
    second = await get(client, "/v1/nps", by="store", period="day", limit=2, after=first["next"])
    assert [first["series"], second["series"]] == [at_once["series"][:2], at_once["series"][2:]]
    assert "next" not in at_once | second
    for bad in ("x", "e30", "WzFd", "é", "W1tb" * 900):
        assert (await client.get("/v1/nps", params={"after": bad})).status_code == 422


async def test_counting_the_answers_gives_what_the_buckets_hold(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    for store, scores in {"Arbat": [9, 3, 8], "Khimki": [0, 10]}.items():
        requests = await answer_all(scoring, scores, segments={"store": store, "channel": "shop"})
        await scoring.score(requests[0], 1, reasons=("wait",))
        scoring.clock.moment += timedelta(days=1)
    for split in ("store", "mode", "version", "reason"):
        kept = {each["value"]: each for each in (await get(client, "/v1/nps", by=split))["series"]}
        crossed = (await get(client, "/v1/nps", by=f"{split},channel"))["series"]
        assert {each["values"][0]: each["by_score"] for each in crossed} == {
            value: each["by_score"] for value, each in kept.items()
        }


async def test_answers_of_a_guest_are_found_by_the_address(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    await answer_all(scoring, [2], customer_id=ScoringSettings().address_fingerprints.pseudonym("olga@shop.example"))
    await answer_all(scoring, [9], customer_id="pavel")
    for typed in ("Olga@shop.example", "guest:olga@shop.example"):
        assert [each["score"] for each in (await get(client, "/v1/answers", customer=typed))["answers"]] == [2]


async def test_latest_answer_of_each_customer_counts_once(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    await answer_all(scoring, [2], customer_id="olga")
    scoring.clock.moment += timedelta(days=3)
    await answer_all(scoring, [10], customer_id="olga")
    await answer_all(scoring, [8], customer_id="pavel")

    async def latest(**params: Any) -> list[list[int]]:
        found = await get(client, "/v1/nps", definition="latest_per_customer", **params)
        return [[score for score, n in enumerate(each["by_score"]) for _ in range(n)] for each in found["series"]]

    assert await latest() == [[8, 10]]
    assert await latest(to="2026-11-19") == [[2]]
    assert await latest(period="day") == [[2], [8, 10]]
    await scoring.receive(RespondentErased(respondent_id="olga"))
    assert await latest() == [[8, 10]]
    assert (await get(client, "/v1/nps"))["series"][0]["n"] == 3


async def test_funnel_knows_step_channel_and_hour(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    answered, opened, silent = [await scoring.asked() for _ in range(3)]
    for request in (answered, opened, silent):
        await scoring.receive(sent(request.invitation_id, request.respondent_id))
    async with scoring.database.sessions.begin() as session:
        seen = PageView(1, "GET", None, automatic=False, at=NOW)
        views = [(opened.invitation_id, seen), (silent.invitation_id, replace(seen, automatic=True))]
        await page_views.add(session, views)
    await scoring.score(answered, 9)
    await scoring.tick()
    found = await get(client, "/v1/funnel")
    at_ten = {"reached": 3, "opened": 1, "answered": 1}
    assert found == {
        "asked": 3,
        "reached": 3,
        "opened": 1,
        "answered": 1,
        "silent": 0,
        "silent_share": 0.0,
        "waiting": 2,
        "by_channel": {"email": at_ten},
        "by_step": [{"step": 1, "channel": "email", **at_ten}],
        "by_hour": [{"hour": 15, **at_ten}],
    }
    assert await differences(scoring) == []


def sent(invitation_id: Any, respondent_id: str) -> ContactAttempted:
    return ContactAttempted(
        respondent_id=respondent_id,
        invitation_id=invitation_id,
        attempt_id=invitation_id,
        revision=1,
        step=1,
        channel=ChannelKind.EMAIL,
        provider="smtp",
        state=AttemptState.SENT,
        at=NOW,
    )


async def test_reasons_are_named_in_the_language_of_the_reader_else_in_that_of_the_program(scoring: Scoring) -> None:
    document = {"title": "Shop", "default_locale": "en", "texts": {}}
    await scoring.receive(ProgramPublished(program_id="after-purchase", program_version=1, document=document))
    await answer_all(scoring, [3])
    russian = Reasons(promoter=[], other=[Reason(id="wait", text="Ожидание")])
    request = await scoring.asked(locale="ru", reasons=russian)
    await scoring.score(request, 2)
    async with scoring.database.sessions() as session:
        named = [await programs.reason_texts(session, "after-purchase", language=each) for each in ("de", "ru")]
    assert named == [REASONS, russian]


async def test_reasons_of_a_published_program_are_read_in_the_language_of_the_reader(scoring: Scoring) -> None:
    wait = {each: {"reasons": {"other": [{"id": "wait", "text": each}]}} for each in ("en", "ru-RU")}
    document = {"title": "Shop", "default_locale": "en", "texts": wait}
    await scoring.receive(ProgramPublished(program_id="after-purchase", program_version=1, document=document))
    async with scoring.database.sessions() as session:
        named = [await programs.reason_texts(session, "after-purchase", language=each) for each in ("de", "ru")]
    assert [[each.text for each in reasons.other] for reasons in named] == [["en"], ["ru-RU"]]


async def test_who_bought_again_is_told_by_group_once(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    [promoter] = await answer_all(scoring, [10], customer_id="olga")
    silent = await scoring.asked(customer_id="pavel")
    for request, days in ((promoter, 5), (promoter, 20), (silent, 200)):
        about = EventRef(
            source="shop",
            id=f"again-{days}",
            type="crm.purchase.completed",
            time=NOW + timedelta(days=days),
            amount=Decimal("120.50"),
            currency="RUB",
        )
        purchase = RespondentPurchased(respondent_id=request.respondent_id, event=about)
        await scoring.receive(purchase)
        await scoring.receive(purchase)
    await scoring.tick()
    await scoring.receive(RespondentErased(respondent_id="olga"))
    await scoring.tick()
    groups = {each["group"]: each for each in (await get(client, "/v1/returns"))["groups"]}
    assert (groups["promoter"]["returned"], groups["promoter"]["revenue"]) == (1, {"RUB": "241.00"})
    assert (groups["silent"]["people"], groups["silent"]["returned"]) == (1, 0)
    assert await differences(scoring) == []


async def test_what_moved_names_the_store(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    await answer_all(scoring, [10] * 30, segments={"store": "Khimki"})
    await answer_all(scoring, [10] * 30, segments={"store": "Arbat"})
    scoring.clock.moment += timedelta(days=5)
    await answer_all(scoring, [2] * 30, segments={"store": "Khimki"})
    await answer_all(scoring, [10] * 30, segments={"store": "Arbat"})
    window = {"from": "2026-11-21", "to": "2026-11-25"}
    found = await get(client, "/v1/nps/moves", **window)
    assert [(each["value"], each["before"], each["after"]) for each in found["moved"]] == [("Khimki", 100, -100)]
    assert (found["compared"], found["before_from"], found["difference"]["significant"]) == (2, "2026-11-16", True)
    assert "Khimki fell by 200" in (await client.get("/", params=PROGRAM | window)).text


async def test_annotation_tells_before_from_after(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    await answer_all(scoring, [3] * 40)
    scoring.clock.moment += timedelta(days=2)
    await answer_all(scoring, [10] * 40)
    body = {"program": "after-purchase", "day": "2026-11-19", "text": "New delivery service"}
    made = await client.post("/v1/annotations", json=body)
    assert made.status_code == 201
    [note] = await get(client, "/v1/annotations")
    assert (note["before"]["nps"], note["after"]["nps"], note["difference"]["significant"]) == (-100, 100, True)
    assert "New delivery service" in (await client.get("/")).text
    assert (await client.delete(f"/v1/annotations/{made.json()['id']}")).status_code == 204
    assert (await client.delete(f"/v1/annotations/{made.json()['id']}")).status_code == 404
    assert (await client.post("/v1/annotations", json=body | {"text": " "})).status_code == 422


async def test_benchmarks_are_given_and_can_be_changed(client: httpx2.AsyncClient) -> None:
    given = {each["name"]: each["nps"] for each in (await client.get("/v1/benchmarks")).json()}
    assert given == {"Car sales": 60, "Restaurants": 20, "Construction": 15}
    rival = {"nps": 44, "source": "Their annual report 2025"}
    assert (await client.put("/v1/benchmarks/Coffee Bay", json=rival)).json() == {"name": "Coffee Bay", **rival}
    assert (await client.delete("/v1/benchmarks/Car sales")).status_code == 204
    names = [each["name"] for each in (await client.get("/v1/benchmarks")).json()]
    assert names == ["Coffee Bay", "Restaurants", "Construction"]
    assert (await client.put("/v1/benchmarks/x", json={"nps": 101, "source": "?"})).status_code == 422


async def test_sample_says_how_many_answers_a_margin_needs(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    await answer_all(scoring, [10, 10, 10, 8])
    found = await get(client, "/v1/nps/sample", margin=10)
    assert found["at_worst"] == 382
    assert found["as_now"] < 382


async def test_open_page_hears_of_a_new_answer(scoring: Scoring) -> None:
    live = Live(scoring.database.sessions, asyncio.Event())
    async with asyncio.timeout(10), aclosing(live.changes_of("after-purchase")) as told:
        assert await anext(told) == "event: figures\ndata: 0\n\n"
        assert await anext(told) == "event: state\ndata: live\n\n"
        await answer_all(scoring, [9])
        await scoring.tick()
        assert (await anext(told)).startswith("event: figures\ndata: ")


async def test_dashboard_opens_on_the_program_that_asks(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    for program, document in (("a-starter", {"active": False}), ("b-new", {}), ("shop", {"title": "The shop"})):
        await scoring.receive(ProgramPublished(program_id=program, program_version=1, document=document))
    await answer_all(scoring, [9] * 3, program=ProgramRef(id="shop", version=1, title="The shop"))
    page = (await client.get("/")).text
    assert '<option value="shop" selected>The shop</option>' in page
    assert '<option value="a-starter">a-starter (off)</option>' in page


async def test_view_is_in_the_address(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    await scoring.receive(ProgramPublished(program_id="after-purchase", program_version=3, document={"target": 45}))
    await answer_all(scoring, [9] * 30, segments={"store": "Arbat"})
    scoring.clock.moment += timedelta(days=1)
    await answer_all(scoring, [2] * 31, segments={"store": "Khimki"})
    arbat = (await client.get("/?segment=store:Arbat&by=mode&definition=latest_per_customer")).text
    assert "<b>+100</b>" in arbat
    assert "From asked to answered" not in arbat
    khimki = (await client.get("/?segment=store:Khimki&days=7&period=day&against=last_year&group=detractor")).text
    assert "<b>−100</b>" in khimki  # noqa: RUF001 - a real minus sign
    assert "target +45" in (await client.get("/?period=day")).text
    for junk in ("segment=" + "x" * 500, "period=hour", "group=all", "definition=mine"):
        assert (await client.get(f"/?{junk}")).status_code == 422


@pytest.mark.parametrize("path", ["nps", "nps/moves", "nps/sample", "funnel", "returns", "annotations", "answers"])
async def test_parameter_that_would_change_nothing_is_refused(client: httpx2.AsyncClient, path: str) -> None:
    """A figure of everything would pass for the one that was asked for."""
    needed: dict[str, Any] = PROGRAM | ({"margin": "10"} if path == "nps/sample" else {})
    assert (await client.get(f"/v1/{path}", params=needed)).status_code == 200
    for more in ({"nonsense": "1"}, {"confidence": "0.9"}, {"from_": "2026-11-01"}):
        refused = await client.get(f"/v1/{path}", params=needed | more)
        assert (refused.status_code, *more) == (422, refused.json()["errors"][0]["where"].removeprefix("query."))
    twice = await client.get(f"/v1/{path}", params=needed | {"program": ["a", "b"]})
    assert (twice.status_code, twice.json()["errors"]) == (
        422,
        [{"where": "query.program", "what": "It is taken once"}],
    )


def test_every_parameter_of_the_score_is_documented_with_its_default() -> None:
    page = (Path(__file__).parents[4] / "docs/outputs.md").read_text()
    rows = [line.split(" | ") for line in page.partition("| parameter |")[2].partition("\n\n")[0].splitlines()[2:]]
    defaults = {row[0].strip("| `"): row[1].strip("`") for row in rows}
    taken = {field.alias or name: field.default for name, field in NpsQuery.model_fields.items()}
    assert list(defaults) == list(taken)
    assert {name: default for name, default in defaults.items() if taken[name] is not None} == {
        "definition": taken["definition"],
        "limit": str(taken["limit"]),
    }


async def test_what_takes_no_parameter_refuses_them_all(client: httpx2.AsyncClient) -> None:
    rival = {"nps": 44, "source": "Their annual report 2025"}
    note = {"day": "2026-11-19", "text": "New delivery service"}
    for refused in (
        await client.get("/v1/benchmarks", params=PROGRAM),
        await client.put("/v1/benchmarks/x", params=PROGRAM, json=rival),
        await client.delete("/v1/benchmarks/Car sales", params=PROGRAM),
        await client.post("/v1/annotations", params=PROGRAM, json=note),
        await client.delete(f"/v1/annotations/{uuid4()}", params=PROGRAM),
    ):
        assert (refused.status_code, refused.json()["errors"][0]["where"]) == (422, "query.program")
    assert len((await client.get("/v1/benchmarks")).json()) == 3


async def test_one_segment_is_taken_and_what_moved_takes_none(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    two: dict[str, Any] = {"segment": ["store:Arbat", "channel:shop"]}
    for path in ("nps", "funnel", "returns"):
        assert (await client.get(f"/v1/{path}", params=PROGRAM | two)).status_code == 422
    assert (await client.get("/v1/nps/moves", params=PROGRAM | {"segment": "store:Arbat"})).status_code == 422
    await answer_all(scoring, [9], segments={"store": "Arbat", "channel": "shop"})
    assert len((await get(client, "/v1/answers", **two))["answers"]) == 1
    both = {"segment": ["store:Arbat", "store:Khimki"]}
    assert (await client.get("/v1/answers", params=both)).status_code == 422


@pytest.mark.parametrize("path", ["answers", "nps", "nps/moves", "nps/sample", "funnel", "returns", "annotations"])
async def test_period_that_ends_before_it_begins_is_refused_at_every_door(
    client: httpx2.AsyncClient, path: str
) -> None:
    needed: dict[str, Any] = PROGRAM | ({"margin": "10"} if path == "nps/sample" else {})
    backwards = {"from": "2026-11-20", "to": "2026-11-01"}
    assert (await client.get(f"/v1/{path}", params=needed | backwards)).status_code == 422
    assert (await client.get(f"/v1/{path}", params=needed | {"from": "0001-01-01"})).status_code == 422


async def test_dimension_is_not_crossed_with_itself(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    await answer_all(scoring, [9], segments={"store": "Arbat"})
    refused = await client.get("/v1/nps", params={"by": "store,store"})
    assert (refused.status_code, refused.json()["detail"]) == (
        422,
        "by takes one dimension, or two different ones with a comma between them.",
    )


async def test_segment_says_nothing_of_the_contacts_it_does_not_count(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    request = await scoring.asked(segments={"store": "Arbat"})
    await scoring.receive(sent(request.invitation_id, request.respondent_id))
    await scoring.score(request, 9)
    await scoring.tick()
    found = await get(client, "/v1/funnel", segment="store:Arbat")
    known = {"reached": None, "opened": None, "answered": 1}
    assert (found["asked"], found["reached"], found["opened"]) == (1, 1, 0)
    assert found["by_channel"] == {"email": known}
    assert found["by_step"] == [{"step": 1, "channel": "email", **known}]
    assert found["by_hour"] is None


@pytest.mark.parametrize("path", ["funnel", "returns"])
async def test_what_only_an_answer_tells_has_no_funnel(scoring: Scoring, client: httpx2.AsyncClient, path: str) -> None:
    [request] = await answer_all(scoring, [9], segments={"store": "Arbat"})
    await scoring.tick()
    for answers_only in ("mode:self", "step:1", "reason:staff", "answering_device:mobile", "weather:fair"):
        refused = await client.get(f"/v1/{path}", params={"segment": answers_only})
        assert (refused.status_code, answers_only.split(":")[0] in refused.json()["detail"]) == (422, True)
    for asked in ("store:Arbat", "store:Nowhere", f"version:{request.program.version}"):
        assert (await client.get(f"/v1/{path}", params={"segment": asked})).status_code == 200


async def test_usual_period_is_ninety_days_to_today_where_the_program_is(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    for program, time_zone in (("samoa", "Pacific/Pago_Pago"), ("kiritimati", "Pacific/Kiritimati")):
        document = {"time_zone": time_zone}
        await scoring.receive(ProgramPublished(program_id=program, program_version=1, document=document))

    async def period(**params: str) -> tuple[str, str]:
        found = (await client.get("/v1/nps/moves", params=params)).raise_for_status().json()
        return found["from"], found["to"]

    assert await period(program="kiritimati") == ("2026-08-22", "2026-11-19")
    assert await period(program="samoa") == ("2026-08-21", "2026-11-18")
    assert await period(program="nobody-knows") == ("2026-08-21", "2026-11-18")
    assert await period(**{"program": "samoa", "from": "2026-11-20"}) == ("2026-11-20", "2026-11-20")
    await client.post("/v1/annotations", json={"day": "2026-11-19", "text": "New delivery service"})
    assert len((await client.get("/v1/annotations")).json()) == 1
    assert (await client.get("/v1/annotations", params={"program": "samoa"})).json() == []

"""From an event to a score through all services, over the postgres transport."""

from __future__ import annotations

import asyncio
import re

import pytest
import structlog

from shared import logging
from shared.contract.events import NpsUpdated, SurveyAnswered
from shared.messaging import codec
from shared.runtime import open_event_log
from tests.journey.stage import MONDAY, Stage, event, link_in, purchase


async def published(stage: Stage, topic: str, kind: type) -> list[object]:
    """Read a topic from its start, as another system would."""
    log = open_event_log(stage.settings.trigger, stage.settings.trigger.events_url)
    found: list[object] = []
    try:
        async with asyncio.timeout(10):
            async for batch in log.read("downstream", [topic]):
                found += [codec.parse(message).payload for message in batch.messages]
                await batch.ack()
                if not await log.lag("downstream", [topic]):
                    break
    finally:
        await log.close()
    return [payload for payload in found if isinstance(payload, kind)]


async def test_purchase_becomes_a_published_score(stage: Stage) -> None:
    [result] = await stage.happens(purchase())
    assert result["reason"] == "asked"
    [mail] = await stage.mailbox()
    assert (mail["channel"], mail["to"]) == ("email", "olga1@example.com")

    page = await stage.answer(link_in(mail), 9)
    assert page.status_code == 200

    whole = (await stage.score())["series"][0]
    assert (whole["n"], whole["nps"], whole["invited"]) == (1, 100.0, 1)
    assert (await stage.invitation(result["invitation_id"]))["outcome"] == "answered"
    [answered] = await published(stage, "survey.answers", SurveyAnswered)
    assert isinstance(answered, SurveyAnswered)
    assert (str(answered.invitation_id), answered.score) == (result["invitation_id"], 9)
    updates = await published(stage, "nps.updates", NpsUpdated)
    assert {(u.dimension, u.value, u.n) for u in updates if isinstance(u, NpsUpdated) and u.n} == {
        ("all", "", 1),
        ("store", "Tverskaya", 1),
        ("channel", "store", 1),
        ("mode", "self", 1),
        ("step", "1", 1),
        ("version", "1", 1),
    }


async def test_silent_respondent_reaches_call_center(stage: Stage) -> None:
    [result] = await stage.happens(purchase())
    for _ in range(8):
        await stage.after(days=1)
    assert [(m["channel"], m["step"]) for m in await stage.mailbox()] == [("email", 1), ("email", 2), ("sms", 3)]

    task = (await stage.web.post(f"{stage.scoring}/v1/desk/take", json={"operator": "7"})).json()
    assert task["phone"].replace(" ", "").replace("-", "") == "+79000000001"
    answer = {"operator": "7", "score": 4, "reasons": [], "comment": "Too slow"}
    done = await stage.web.post(f"{stage.scoring}/v1/desk/{task['task_id']}/answer", json=answer)
    assert done.is_success
    await stage.settle()

    assert (await stage.invitation(result["invitation_id"]))["outcome"] == "answered"
    whole = (await stage.score())["series"][0]
    assert whole["by_mode"] == {"self": 0, "operator": 1, "imported": 0}
    assert whole["detractors"] == 1


async def test_answer_stops_reminders(stage: Stage) -> None:
    await stage.happens(purchase())
    [mail] = await stage.mailbox()
    await stage.answer(link_in(mail), 10)
    for _ in range(10):
        await stage.after(days=1)
    assert len(await stage.mailbox()) == 1


async def test_cancelled_purchase_withdraws_its_survey(stage: Stage) -> None:
    [asked] = await stage.happens(purchase())
    [mail] = await stage.mailbox()
    [withdrawn] = await stage.happens(
        event("crm.purchase.cancelled", {"id": "customer-1"}, order={"id": "order-1"}, reason="returned")
    )
    assert withdrawn["reason"] == "withdrawn"
    for _ in range(10):
        await stage.after(days=1)
    assert len(await stage.mailbox()) == 1
    assert (await stage.invitation(asked["invitation_id"]))["outcome"] == "withdrawn"
    assert (await stage.answer(link_in(mail), 9)).status_code == 410
    assert (await stage.score())["series"][0]["n"] == 0


async def test_nobody_answers_and_every_chain_ends(stage: Stage) -> None:
    [result] = await stage.happens(purchase())
    for _ in range(7):
        await stage.after(days=1)
    for _ in range(3):
        taken = await stage.web.post(f"{stage.scoring}/v1/desk/take", json={"operator": "7"})
        task = taken.raise_for_status().json()
        call_result = {"operator": "7", "disposition": "no_answer"}
        await stage.web.post(f"{stage.scoring}/v1/desk/{task['task_id']}/outcome", json=call_result)
        await stage.after(minutes=181)
    assert (await stage.invitation(result["invitation_id"]))["outcome"] == "exhausted"


async def test_late_answer_counts_until_the_window_ends(stage: Stage) -> None:
    [result] = await stage.happens(purchase())
    mail = (await stage.mailbox())[0]
    for _ in range(20):
        await stage.after(days=1)
    await stage.answer(link_in(mail), 8)
    assert (await stage.invitation(result["invitation_id"]))["outcome"] == "answered"
    await stage.after(days=3)
    assert (await stage.answer(link_in(mail), 2)).status_code == 410
    assert (await stage.score())["series"][0]["passives"] == 1


async def test_unsubscribing_ends_the_chain_and_is_remembered(stage: Stage) -> None:
    await stage.happens(purchase())
    mail = (await stage.mailbox())[0]
    found = re.search(r"https?://\S+/u/[\w-]{22}", mail["text"])
    assert found is not None
    assert (await stage.web.get(found.group())).status_code == 200
    await stage.after(days=3)
    assert len(await stage.mailbox()) == 2  # reading changes nothing
    assert (await stage.web.post(found.group(), data={"what": "all"})).is_success
    await stage.settle()
    for _ in range(8):
        await stage.after(days=1)
    assert len(await stage.mailbox()) == 2
    await stage.after(days=120)
    later = purchase(1, at=stage.clock.now())
    later["data"]["order"]["id"] = "order-2"
    [second] = await stage.happens(later)
    assert second["reason"] == "suppressed"


async def test_same_event_a_thousand_times_asks_once(stage: Stage) -> None:
    bought = purchase()
    results = await stage.happens(*[bought] * 1000)
    assert {result["decision_id"] for result in results} == {results[0]["decision_id"]}
    assert len(await stage.mailbox()) == 1


async def test_one_bad_item_does_not_hold_up_the_others(stage: Stage) -> None:
    bad = purchase(2) | {"type": "shop.sold"}
    worse = purchase(3)
    worse["data"]["customer"] = {}
    results = await stage.happens(purchase(1), bad, worse, purchase(4))
    assert [result.get("reason") or result["status"] for result in results] == ["asked", 422, 422, "asked"]
    assert {m["to"] for m in await stage.mailbox()} == {"olga1@example.com", "olga4@example.com"}


@pytest.mark.parametrize("score", ["11", "-1", "true", "9.5", "", "ten", "9" * 400, "\0"])
async def test_impossible_score_is_refused_and_counts_nothing(stage: Stage, score: str) -> None:
    await stage.happens(purchase())
    link = link_in((await stage.mailbox())[0])
    assert (await stage.answer(link, score)).status_code == 422
    assert (await stage.score())["series"][0]["n"] == 0


async def test_invented_link_tells_nothing(stage: Stage) -> None:
    await stage.happens(purchase())
    invented = f"{stage.scoring}/s/{'A' * 22}.1"
    assert (await stage.answer(invented, 9)).status_code == 404
    assert (await stage.score())["series"][0]["n"] == 0


async def test_no_personal_data_reaches_a_log_line(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    logging.configure("debug")
    await stage.happens(purchase(), purchase(2, email="not an address"), purchase(3) | {"type": "nonsense"})
    link = link_in((await stage.mailbox())[0])
    await stage.answer(link, 3, comment="the secret comment")
    await stage.answer(link, 11)
    structlog.get_logger().info("last.line")
    printed = "".join(capsys.readouterr())
    logging.configure("warning", service="tests")
    assert "last.line" in printed
    for private in ("olga", "Olga", "7900000", "secret comment", link.rpartition("/")[2]):
        assert private not in printed


async def test_events_out_of_order_and_from_long_ago(stage: Stage) -> None:
    cancelled = event("crm.purchase.cancelled", {"id": "customer-9"}, order={"id": "order-9"})
    old = purchase(8, at=MONDAY.replace(year=2024))
    results = await stage.happens(cancelled, purchase(9), old)
    assert [result["reason"] for result in results] == ["nothing_to_withdraw", "withdrawn", "too_old"]
    assert await stage.mailbox() == []

"""This version works on the schema of the next one, where every table has one more column."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from shared.contract.vocabulary import Service
from tests.journey.stage import link_in, open_stage, purchase
from tests.upgrade.widened import widen


async def test_every_service_works_on_tables_that_a_newer_version_added_columns_to(
    urls: Mapping[str, str], tmp_path: Path
) -> None:
    await widen(urls)
    bought, answered, cancelled = purchase(1), purchase(2), purchase(3)
    async with open_stage(urls, tmp_path) as stage:
        for service in Service:
            port = stage.settings.port(service)
            assert (await stage.web.get(f"http://127.0.0.1:{port}/readyz")).json() == {"status": "ready"}
        asked = await stage.happens(bought, answered, cancelled)
        assert await stage.happens(bought, answered, cancelled) == asked
        taken_back = {**cancelled, "id": "cancelled", "type": "crm.purchase.cancelled"}
        assert [each["reason"] for each in await stage.happens(taken_back)] == ["withdrawn"]
        mails = {mail["to"]: mail for mail in await stage.mailbox()}
        await stage.answer(link_in(mails["olga2@example.com"]), 9)
        for _ in range(8):
            await stage.after(days=1)
        task = (await stage.web.post(f"{stage.scoring}/v1/desk/take", json={"operator": "7"})).json()
        call_result = {"operator": "7", "score": 4, "reasons": [], "comment": "Too slow"}
        await stage.web.post(f"{stage.scoring}/v1/desk/{task['task_id']}/answer", json=call_result)
        await stage.settle()
        outcomes = [(await stage.invitation(each["invitation_id"]))["outcome"] for each in asked]
        assert outcomes == ["answered", "answered", "withdrawn"]
        whole = (await stage.score())["series"][0]
        assert (whole["promoters"], whole["detractors"]) == (1, 1)

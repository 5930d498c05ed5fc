"""An endpoint, delivery or stored row that cannot be handled is counted and does not stop the others."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from services.scoring.domain.webhooks import DEFAULT_TYPES
from shared.contract.vocabulary import Service
from shared.tables.records import Position, inspect
from tests.integration.scoring.receiver import deliver, endpoint, receiver
from tests.integration.scoring.stand import NOW, Scoring, call_for


def counted(kind: str) -> float:
    labels = {"service": Service.SCORING, "kind": kind}
    return REGISTRY.get_sample_value("earshot_bad_input_total", labels) or 0.0


BROKEN = [
    "url = 'https://' || repeat('a', 300) || '.example/'",
    "url = 'https://a..b/'",
    "url = 'https://['",
    "url = 'https://h:99999/'",
    "url = 'http://127.0.0.1\\n:1/'",
    "url = 'http://xn--0.127.0.0.1/'",
    "secret = 'whsec_%%%'",
]


@pytest.mark.parametrize("broken", BROKEN)
async def test_broken_endpoint_does_not_stop_others(scoring: Scoring, broken: str) -> None:
    async with receiver() as hook:
        bad, _ = await endpoint(scoring, hook.url), await endpoint(scoring, hook.url)
        await scoring.rows(f"UPDATE webhook_endpoints SET {broken} WHERE id = $1", bad.id)  # noqa: S608 - a case
        await scoring.score(await scoring.asked(), 9)
        for _ in range(2):
            await deliver(scoring)
        assert len(hook.taken) == 1
    rows = await scoring.rows("SELECT endpoint_id = $1 AS bad, state FROM webhook_deliveries", bad.id)
    assert {row["bad"]: row["state"] for row in rows} == {True: "due", False: "delivered"}


async def test_broken_delivery_does_not_stop_others(scoring: Scoring) -> None:
    async with receiver() as hook:
        await endpoint(scoring, hook.url, types=DEFAULT_TYPES)
        for score in (9, 10):
            await scoring.score(await scoring.asked(), score)
        first = "SELECT min(event_id) FROM webhook_deliveries"
        await scoring.rows(f"UPDATE webhook_deliveries SET body = '\\xff' WHERE event_id = ({first})")  # noqa: S608 - a constant
        before = counted("webhook")
        await deliver(scoring)
        assert len(hook.taken) == 1
    assert counted("webhook") == before + 1
    rows = await scoring.rows("SELECT state, outcome FROM webhook_deliveries ORDER BY event_id")
    assert [tuple(row.values()) for row in rows] == [("due", "the request cannot be built"), ("delivered", "204")]


@pytest.mark.parametrize(
    "occasion", ["{}", "[]", '{"source": 1}', '{"source": "s", "id": "i", "type": "t", "time": "soon"}']
)
async def test_unreadable_stored_event_does_not_stop_the_count(scoring: Scoring, occasion: str) -> None:
    bad, good = await scoring.asked(), await scoring.asked()
    sql = "UPDATE invitations SET occasion = $2::text::jsonb WHERE id = $1"
    await scoring.rows(sql, bad.invitation_id, occasion)
    before = counted("stored_invitation")
    assert await scoring.tick() > 0
    parts = await scoring.rows("SELECT invitation_id FROM progress WHERE counted IS NOT NULL")
    assert [row["invitation_id"] for row in parts] == [good.invitation_id]
    assert counted("stored_invitation") == before + 1
    assert await scoring.rows("SELECT 1 FROM uncounted") == []


async def test_call_of_an_unknown_kind_does_not_stop_others(scoring: Scoring) -> None:
    calls = [call_for(await scoring.asked()) for _ in range(2)]
    await scoring.receive(*calls)
    await scoring.rows("UPDATE call_tasks SET kind = 'hologram' WHERE task_id = $1", calls[0].task_id)
    scoring.clock.moment = max(NOW, calls[1].expires_at)
    before = counted("stored_call")
    await scoring.tick()
    rows = await scoring.rows("SELECT task_id, outcome FROM call_tasks")
    assert {row["task_id"]: row["outcome"] for row in rows} == {calls[0].task_id: None, calls[1].task_id: "expired"}
    assert counted("stored_call") == before + 1


def test_cell_that_is_too_long_is_a_refused_line(tmp_path: Path) -> None:
    path = tmp_path / "old.csv"
    path.write_text(f"external_id,score\n1,9\n2,{'x' * 200_000}\n3,8\n")
    found = [one.problem or (one.cells or {})["external_id"] for one in inspect(path).records(Position())]
    assert found == ["1", "not CSV: field larger than field limit (131072)", "3"]

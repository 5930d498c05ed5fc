"""What a score is kept for: every segment, and what is known of the answer."""

from __future__ import annotations

import httpx2
import pytest

from services.scoring.domain import dimensions
from services.scoring.domain.bot_detection import Device
from shared.contract.vocabulary import AnswerMode
from tests.integration.scoring.stand import Scoring, answer_all, differences

SEGMENTS = {
    "store": "Arbat",
    "region": "Moscow",
    "channel": "shop",
    "employee": "e-7",
    "stage": "delivery",
    "age": "25–34",  # noqa: RUF001 - a range as a shop writes it
}


async def kept(scoring: Scoring) -> dict[tuple[str, str], int]:
    rows = await scoring.rows("SELECT dimension, value, s4 FROM buckets")
    return {(row["dimension"], row["value"]): row["s4"] for row in rows}


async def test_every_segment_is_a_dimension_and_so_is_the_answer_itself(scoring: Scoring) -> None:
    request = await scoring.asked(segments=SEGMENTS)
    await scoring.score(request, 4, reasons=("wait", "price"), device=Device.PHONE)
    own = {
        ("all", ""): 1,
        ("version", "3"): 1,
        ("mode", AnswerMode.SELF.value): 1,
        ("step", "1"): 1,
        ("answering_device", "phone"): 1,
        ("reason", "wait"): 1,
        ("reason", "price"): 1,
    }
    counted = {name: value for name, value in SEGMENTS.items() if name != "employee"}
    assert await kept(scoring) == {**dict.fromkeys(counted.items(), 1), **own}
    assert await differences(scoring) == []


async def test_segment_with_one_of_our_names_is_not_counted(scoring: Scoring) -> None:
    await scoring.score(await scoring.asked(segments={"mode": "weird", "all": "x"}), 4)
    assert await kept(scoring) == {("all", ""): 1, ("version", "3"): 1, ("mode", "self"): 1, ("step", "1"): 1}


async def test_values_beyond_the_most_are_counted_together(
    scoring: Scoring, client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dimensions, "MOST_VALUES", 3)
    for number in range(5):
        await answer_all(scoring, [9], segments={"stage": f"e-{number}"})
    await answer_all(scoring, [9], segments={"stage": "e-0"})
    series = (await client.get("/v1/nps?program=after-purchase&by=stage")).json()["series"]
    assert {each["value"]: each["n"] for each in series} == {"e-0": 2, "e-1": 1, "e-2": 1, "(other)": 2}
    assert await differences(scoring) == []

"""The figures of a view as a file: what the page says, and no comments."""

from __future__ import annotations

import csv
import io

import httpx2

from tests.integration.scoring.dashboard.test_moved import a_store_fell
from tests.integration.scoring.stand import Scoring

LIKE_THE_PAGE = {"answers": "180", "nps": "-16.67", "change": "-166.67", "compared_from": "2026-10-20"}


async def exported(client: httpx2.AsyncClient, **parameters: str) -> list[dict[str, str]]:
    response = (await client.get("/export", params=parameters)).raise_for_status()
    assert response.headers["content-disposition"] == 'attachment; filename="figures.csv"'
    return list(csv.DictReader(io.StringIO(response.text.lstrip("\N{BYTE ORDER MARK}"))))


async def test_export_has_the_figures_of_the_view(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    await a_store_fell(scoring)
    whole, *stores = await exported(client)
    assert (whole["dimension"], whole["answers"], whole["silent"], whole["waiting"]) == ("", "540", "0", "0")
    khimki = next(row for row in stores if row["value"] == "Khimki")
    assert {name: khimki[name] for name in LIKE_THE_PAGE} == LIKE_THE_PAGE
    assert not any("Forty minutes" in cell for row in stores for cell in row.values())
    assert {row["value"] for row in (await exported(client, by="region"))[1:]} == {"Outside", "Moscow"}


async def test_export_without_answers_names_its_columns(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/export")).text.count("\n") == 1
    assert await exported(client, sort="answers", days="1") == []
    assert (await client.get("/export", params={"sort": "zzz"})).status_code == 422


async def test_formula_in_the_name_of_a_store_is_text(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    await scoring.score(await scoring.asked(segments={"store": "=1+1"}), 9)
    assert (await exported(client))[1]["value"] == "'=1+1"

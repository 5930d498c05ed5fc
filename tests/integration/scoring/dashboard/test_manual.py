"""A manager who looks at a figure finds what it means beside it."""

from __future__ import annotations

import httpx2

from tests.integration.scoring.stand import Scoring


async def test_statistics_page_shows_the_document(client: httpx2.AsyncClient) -> None:
    response = await client.get("/statistics")
    assert response.status_code == 200
    page = response.text
    assert '<h1 lang="en">What the figures mean</h1>' in page
    assert "<h2>The interval</h2>" in page
    assert "<td>response rate</td>" in page
    assert ".md" not in page


async def test_dashboard_leads_to_it(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    await scoring.asked()
    assert 'href="/statistics"' in (await client.get("/")).text

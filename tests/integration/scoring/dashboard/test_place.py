"""What is pressed on the dashboard comes back to where it was pressed."""

from __future__ import annotations

import re
from html import unescape

import httpx2

from tests.integration.scoring.stand import Scoring, answer_all


async def test_links_of_a_card_come_back_to_its_heading(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    await answer_all(scoring, [9] * 20 + [3] * 20)
    await scoring.score(await scoring.asked(), 3, reasons=("wait",), comment="Slow.")
    page = (await client.get("/", params={"reason": "wait", "group": "detractor"})).text
    place_of = {"group": "comments", "reason": "comments", "by": "by", "sort": "by", "definition": "trust"}
    links = [unescape(href) for href in re.findall(r'<a [^>]*?href="(/\?[^"]*)"', page)]
    for name, place in place_of.items():
        changed = [each for each in links if (f"{name}=" in each) and name not in ("group", "reason")]
        changed += [each for each in links if name in ("group", "reason") and each.endswith("#comments")]
        assert changed, name
        assert {each.partition("#")[2] for each in changed} == {place}, name
        assert len(re.findall(rf'id="{place}" tabindex="-1"', page)) == 1

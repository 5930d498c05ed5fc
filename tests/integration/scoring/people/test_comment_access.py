"""Who reads comments on their page, and what the audit log says of it."""

from __future__ import annotations

import httpx2

from services.scoring.repository.stores import listed
from shared.contract.vocabulary import Role
from tests.integration.scoring.dashboard.test_comments import found, said
from tests.integration.scoring.people.test_scopes import ARBAT, enter_as
from tests.integration.scoring.stand import Scoring


async def test_search_shows_only_what_the_person_may_see(web: httpx2.AsyncClient, scoring: Scoring) -> None:
    await said(scoring, "secret coffee", segments={"store": "Nevsky"})
    await said(scoring, "open coffee", segments={"store": "Arbat"})
    async with scoring.database.sessions.begin() as session:
        await listed.put(session, [ARBAT])
    await enter_as(web, scoring, Role.MANAGER, stores={ARBAT.code})
    assert await found(web, words="coffee") == ["open [coffee]"]
    assert await found(web, words="coffee", store="Nevsky") == []
    assert "secret" not in (await web.get("/comments/export", params={"words": "coffee"})).text


async def test_audit_log_has_the_search_and_not_its_words(web: httpx2.AsyncClient, scoring: Scoring) -> None:
    await said(scoring, "coffee")
    await enter_as(web, scoring, Role.MANAGER)
    before = await scoring.rows("SELECT action FROM audit_log")
    await web.get("/comments")
    assert await scoring.rows("SELECT action FROM audit_log") == before
    for path in ("/comments", "/comments/export", "/v1/answers"):
        await web.get(path, params={"words": "unheardof"})
    rows = [str(row) for row in await scoring.rows("SELECT * FROM audit_log ORDER BY number")]
    assert len(rows) == len(before) + 6
    assert [path for path in ("GET /comments'", "GET /comments/export'", "GET /v1/answers'") if path in "".join(rows)]
    assert "unheardof" not in "".join(rows)


async def test_who_sees_some_stores_tags_their_comments_and_renames_no_tag(
    web: httpx2.AsyncClient, scoring: Scoring
) -> None:
    await said(scoring, "secret coffee", segments={"store": "Nevsky"})
    await said(scoring, "open coffee", segments={"store": "Arbat"})
    async with scoring.database.sessions.begin() as session:
        await listed.put(session, [ARBAT])
    await enter_as(web, scoring, Role.MANAGER, stores={ARBAT.code})
    rows = await scoring.rows("SELECT answer_id, comment FROM answers")
    given = {
        row["comment"]: (await web.post(f"/comments/{row['answer_id']}/tag", data={"tag": "cold"})).status_code
        for row in rows
    }
    assert given == {"secret coffee": 404, "open coffee": 303}
    assert (await web.post("/tags/rename", data={"tag": "cold", "to": "hot"})).status_code == 403
    page = (await web.get("/tags")).text
    assert ("cold" in page, "Rename" in page) == (True, False)


async def test_privacy_officer_reads_comments_and_tags_none(web: httpx2.AsyncClient, scoring: Scoring) -> None:
    await said(scoring, "coffee")
    await enter_as(web, scoring, Role.PRIVACY_OFFICER)
    page = (await web.get("/comments")).text
    assert ("coffee" in page, "/tag" in page) == (True, False)
    [row] = await scoring.rows("SELECT answer_id FROM answers")
    assert (await web.post(f"/comments/{row['answer_id']}/tag", data={"tag": "cold"})).status_code == 403

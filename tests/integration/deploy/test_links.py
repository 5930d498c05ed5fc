"""`earshot links`: what dispatcher mails and scoring never heard of is named, and mended from what dispatcher has."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from deploy.all_settings import AllSettings
from deploy.operations import doctor, links
from services.scoring.handlers import Handlers
from shared.contract.vocabulary import Service
from shared.database.db import Database
from shared.messaging import codec
from shared.messaging.transport import open_log
from tests.integration.dispatcher.conftest import LINK_KEYS, Chain, chain, request
from tests.integration.scoring.stand import Scoring

__all__ = ["chain"]


@pytest.fixture(autouse=True)
def _settings(urls: Mapping[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARSHOT_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("EARSHOT_EVENTS_URL", urls["transport"])
    for service in Service:
        monkeypatch.setenv(f"EARSHOT_{service.upper()}_DATABASE_URL", urls[service])


async def earshot(*words: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, links.app, [*words])


async def faults() -> list[str]:
    found = [finding async for finding in doctor.examine(AllSettings.from_environment())]
    return [finding.cure for finding in found if "links are dead" in finding.text]


async def test_links_that_scoring_never_heard_of_are_named_and_mended(
    chain: Chain, scoring_db: Database, urls: Mapping[str, str]
) -> None:
    scoring = Scoring(scoring_db)
    scoring.handlers = Handlers(link_secrets=LINK_KEYS, clock=scoring.clock)
    asked = [request(f"r{number}") for number in range(4)]
    heard, *dead, new = asked
    await scoring.receive(heard)
    await chain.take(*asked)
    older = "UPDATE invitations SET created_at = created_at - interval '1 hour' WHERE id <> $1"
    await chain.rows(older, new.invitation_id)
    named = await earshot("check")
    assert (named.exit_code, set(named.stdout.split())) == (1, {str(each.invitation_id) for each in dead})
    assert await faults() == ["run earshot links mend"]

    assert (await earshot("mend")).stdout == "2 requests published again\n"
    event_log = open_log(urls["transport"])
    async for messages in event_log.history("survey.requests"):
        await scoring.receive(*(codec.parse(message).payload for message in messages))
    await event_log.close()
    assert (await earshot("check")).exit_code == 0
    assert await faults() == []
    stored = {row["id"] for row in await scoring.rows("SELECT id FROM invitations WHERE respondent_id LIKE 'r_'")}
    assert stored == {each.invitation_id for each in (heard, *dead)}

"""The commands of scoring, run through the command line."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from deploy.cli import app
from shared.contract.events import ProgramPublished
from tests.integration.scoring.receiver import receiver
from tests.integration.scoring.stand import Scoring

Type = Callable[..., Any]


@pytest.fixture
def typed(urls: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Type:
    monkeypatch.setenv("EARSHOT_SCORING_DATABASE_URL", urls["scoring"])
    monkeypatch.setenv("EARSHOT_WEBHOOK_NETWORKS", "127.0.0.0/8")
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


async def test_webhook_is_added_tried_and_listed(scoring: Scoring, typed: Type) -> None:
    async with receiver() as hook:
        made = await asyncio.to_thread(typed, "webhooks", "add", hook.url, "--type", "nps.dropped")
        endpoint, secret = made.stdout.split()
        tried = await asyncio.to_thread(typed, "webhooks", "test", endpoint)
        hook.status = lambda _taken: 500
        refused = await asyncio.to_thread(typed, "webhooks", "test", endpoint)
    assert (tried.stdout, tried.exit_code) == ("204: accepted\n", 0)
    assert (refused.stdout, refused.exit_code) == ("500: not accepted\n", 1)
    assert (await asyncio.to_thread(typed, "webhooks", "rotate", endpoint)).stdout.strip() not in ("", secret)
    for command in ("disable", "enable", "replay"):
        assert (await asyncio.to_thread(typed, "webhooks", command, endpoint)).exit_code == 0
    listed = await asyncio.to_thread(typed, "webhooks", "list")
    assert f"{hook.url}  enabled; 0 delivered, 0 due, 0 failed  [nps.dropped]" in listed.stdout
    assert secret not in listed.stdout
    assert (await asyncio.to_thread(typed, "webhooks", "remove", endpoint)).exit_code == 0
    assert (await asyncio.to_thread(typed, "webhooks", "remove", endpoint)).exit_code == 1
    assert await scoring.rows("SELECT * FROM webhook_endpoints") == []


async def test_history_is_imported_and_exported(scoring: Scoring, typed: Type, tmp_path: Path) -> None:
    old, out = tmp_path / "old.csv", tmp_path / "out.csv"
    old.write_text("external_id,score,answered_at\n1,9,2025-03-01\n2,x,2025-03-01\n")
    unknown = await asyncio.to_thread(typed, "import", "answers", old, "--program", "shop")
    assert (unknown.exit_code, "program shop is not published" in unknown.stderr) == (1, True)
    await scoring.receive(ProgramPublished(program_id="shop", program_version=1, document={"title": "Shop"}))
    taken = await asyncio.to_thread(typed, "import", "answers", old, "--program", "shop")
    assert (taken.exit_code, taken.stdout.splitlines()[0]) == (1, "1 stored, 0 were stored before, 1 refused")
    assert (tmp_path / "old.csv.refused.csv").read_text().startswith('line,why\n3,"score: ')
    old.write_text("external_id,score,answered_at\n1,9,2025-03-01\n")
    again = await asyncio.to_thread(typed, "import", "answers", old, "--program", "shop")
    assert (again.exit_code, again.stdout) == (0, "0 stored, 1 were stored before, 0 refused\n")
    assert sorted(path.name for path in (old, out, tmp_path / "old.csv.refused.csv") if path.exists()) == ["old.csv"]
    for what in ("answers", "nps"):
        given = ("--from", "2025-01-01", "--to", "2025-12-31", "--program", "shop")
        assert (await asyncio.to_thread(typed, "export", what, out, *given)).exit_code == 0
        assert "shop" in out.read_text()
    assert (await asyncio.to_thread(typed, "export", "answers", tmp_path / "out.pdf")).exit_code == 2


async def test_file_that_cannot_be_written_is_reported_in_one_line(
    scoring: Scoring, typed: Type, tmp_path: Path
) -> None:
    for what, name in (("answers", "b.csv"), ("nps", "b.xlsx"), ("nps", "b.parquet")):
        out = tmp_path / "nowhere" / name
        found = await asyncio.to_thread(typed, "export", what, out)
        assert (found.exit_code, found.stderr) == (1, f"earshot: {out} cannot be written: No such file or directory\n")
    folder, old = tmp_path / "folder.csv", tmp_path / "old.csv"
    (tmp_path / "old.csv.refused.csv").mkdir()
    folder.mkdir()
    assert (await asyncio.to_thread(typed, "export", "nps", folder)).exit_code == 2
    old.write_text("external_id,score,answered_at\n1,9,2025-03-01\n")
    await scoring.receive(ProgramPublished(program_id="shop", program_version=1, document={"title": "Shop"}))
    found = await asyncio.to_thread(typed, "import", "answers", old, "--program", "shop")
    assert (found.exit_code, found.stderr) == (1, f"earshot: {old}.refused.csv cannot be written: Is a directory\n")


def test_help_says_that_a_disabled_webhook_keeps_its_events(typed: Type) -> None:
    for words in (("--help",), ("disable", "--help")):
        said = " ".join(typed("webhooks", *words).stdout.split())
        assert "events are kept for seven days" in said
        assert "not queued" not in said

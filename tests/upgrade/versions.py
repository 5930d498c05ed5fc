"""Several versions of Earshot, each in its own folder, run as processes on one database and one event log."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from deploy.databases import ROOT
from deploy.ports import free_ports
from shared.contract.vocabulary import Service
from shared.database.schema import Migrations

BASELINE = (Path(__file__).parent / "BASELINE").read_text().strip()
START_S = 60.0
_REVISION = '''"""One more column."""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{before}"
oldest_reader = "{oldest_reader}"


def upgrade() -> None:
    op.add_column("respondents", sa.Column("mood", sa.Text))


def downgrade() -> None:
    op.drop_column("respondents", "mood")
'''
_EVENT = '\nclass SurveyPostponed(InvitationPayload):\n    type = "survey.postponed"\n    topic = "survey.requests"\n\n'
_PATCHES = (  # a later version has one more event type and enum value: file, the line to insert before, text
    ("shared/contract/events.py", "\nclass RespondentConsentChanged(", _EVENT),
    ("shared/contract/vocabulary.py", "    COMPLAINT =", '    ON_HOLIDAY = "on_holiday"\n'),
)


async def until(holds: Callable[[], Awaitable[bool]], *, seconds: float = 60.0) -> None:
    """Poll until the condition holds; raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not await holds():  # noqa: ASYNC110 - other processes set no event of ours
            await asyncio.sleep(0.1)


def baseline(folder: Path) -> Path:
    """Unpack the commit of BASELINE into a folder; without a git history the test is skipped, and fails in CI."""
    git = ("git", "-c", "safe.directory=*", "-C", str(ROOT), "archive", BASELINE)
    try:
        archived = subprocess.run(git, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        lacking = f"no history with the commit {BASELINE[:7]} here"
        if os.environ.get("EARSHOT_REQUIRE_HISTORY") == "1":
            pytest.fail(f"{lacking}: {error}")
        pytest.skip(lacking)
    folder.mkdir(parents=True, exist_ok=True)
    unpack: list[str] = [shutil.which("tar") or "/bin/tar", "-x", "-C", str(folder)]
    subprocess.run(unpack, input=archived, check=True)
    return folder


def later(folder: Path) -> Path:
    """Copy this version, and add an event type, an enum value and a column."""
    for part in ("deploy", "docs", "services", "shared"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    for name, line, added in _PATCHES:
        before, found, after = (folder / name).read_text().partition(line)
        assert found, name
        (folder / name).write_text(f"{before}{added}{found}{after}")
    migrations = folder / "services/trigger/migrations"
    add_revision(migrations, oldest_reader="0001")  # as every landed revision, so that the baseline works on it
    return folder


def add_revision(folder: Path, *, oldest_reader: str = "") -> None:
    """Add a revision to trigger's migrations; without `oldest_reader`, older code must refuse the schema."""
    known = Migrations(folder)
    before, revision = known.head, f"{int(known.head) + 1:04}"
    text = _REVISION.format(revision=revision, before=before, oldest_reader=oldest_reader or revision)
    (folder / "versions" / f"{revision}_mood.py").write_text(text)
    known.path(revision).write_text(f"{known.catalogue(before).text}respondents column mood text\n")


@dataclass(frozen=True, slots=True)
class RunningVersion:
    """The three services of one version in one process."""

    process: asyncio.subprocess.Process
    ports: Mapping[Service, int]
    log: Path

    def at(self, service: Service) -> str:
        return f"http://127.0.0.1:{self.ports[service]}"

    async def is_ready(self, web: httpx2.AsyncClient) -> bool:
        assert self.process.returncode is None, self.log.read_text()[-3000:]
        try:
            answers = [await web.get(f"{self.at(service)}/readyz") for service in Service]
        except httpx2.TransportError:
            return False
        return all(answer.is_success for answer in answers)

    async def stop(self) -> int:
        """Stop it with SIGTERM, and return its exit code."""
        if self.process.returncode is None:
            self.process.terminate()
        return await self.process.wait()


async def migrate(code: Path, settings: Mapping[str, str]) -> str:
    """Run `earshot migrate` of the version in this folder, and return its output."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy.cli", "migrate"),
        cwd=code,
        env={"PATH": os.environ["PATH"], **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


async def start(code: Path, web: httpx2.AsyncClient, settings: Mapping[str, str]) -> RunningVersion:
    """Start all services of the version in this folder, and wait until they are ready."""
    ports = dict(zip(Service, free_ports(3), strict=True))
    own = {f"EARSHOT_{service.upper()}_PORT": str(port) for service, port in ports.items()}
    log = Path(settings["EARSHOT_CLOCK"]).with_name(f"run-{ports[Service.TRIGGER]}.log")
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "deploy.cli", "run", "all"),
            cwd=code,
            env={"PATH": os.environ["PATH"], **settings, **own},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    running = RunningVersion(process, ports, log)
    try:
        await until(lambda: running.is_ready(web), seconds=START_S)
    except BaseException:
        await running.stop()
        raise
    return running

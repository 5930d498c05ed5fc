"""`earshot doctor`: what is missing or set wrong, and how to mend it."""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from sqlalchemy.ext.asyncio import AsyncSession

from deploy import all_in_one
from deploy.all_in_one import AllSettings
from deploy.kafka import broker
from deploy.operations import database_findings, error_messages, ledger_findings, links, running_findings
from deploy.operations.findings import Finding, State, fail, note, ok
from services.dispatcher import repository as dispatcher
from services.scoring.repository import webhooks
from services.trigger.repository import programs
from shared.clock import open_clock
from shared.config import DEVELOPMENT_LINK_KEYS, Settings
from shared.contract import topics
from shared.contract.vocabulary import Service
from shared.database.opening import open_for_command
from shared.messaging.transport import TransportUnavailable
from shared.runtime import open_event_log

LATE = timedelta(minutes=15)
CHROMIUM = "/usr/bin/chromium"


async def command() -> None:
    """Print every finding; exit with 1 when one must be mended."""
    console = Console(highlight=False)
    failed = False
    async for finding in examine(AllSettings.from_environment()):
        colour = {State.OK: "green", State.NOTE: "yellow", State.FAIL: "red"}[finding.state]
        console.print(f"[{colour}]{finding.state:<5}[/] {escape(finding.text)}")
        if finding.cure:
            console.print(f"      → {escape(finding.cure)}")
        failed |= finding.state is State.FAIL
    if failed:
        raise SystemExit(1)


async def examine(settings: AllSettings) -> AsyncIterator[Finding]:
    base = settings.trigger
    yield ok(f"Python {sys.version.split()[0]}")
    for finding in (*_secrets(base), *_sending(settings), *_folder(base), *_tools()):
        yield finding
    async for finding in running_findings.examine(settings):
        yield finding
    async for finding in database_findings.examine(base):
        yield finding
    yield await _events(base)
    async for finding in _assumptions(base):
        yield finding
    async for finding in _chains(settings):
        yield finding
    async for finding in ledger_findings.examine(settings.dispatcher):
        yield finding
    async for finding in _links(base):
        yield finding
    async for finding in _webhooks(settings):
        yield finding


def secrets_at_fault(settings: Settings) -> str | None:
    """What a production start refuses, in one line with its cure."""
    if settings.link_secrets == DEVELOPMENT_LINK_KEYS:
        return "EARSHOT_LINK_KEYS is the development key: set id:secret, for example k1:$(openssl rand -hex 32)"
    if not settings.staff_secret.get_secret_value():
        return "EARSHOT_STAFF_SECRET is empty: set one, or staff pages serve this machine only"
    return None


def _secrets(settings: Settings) -> Iterator[Finding]:
    text = secrets_at_fault(settings)
    if text is None:
        yield ok("secrets are set")
    else:
        what, _, cure = text.partition(": ")
        yield fail(what, cure) if settings.environment == "production" else note(what, f"in production: {cure}")


def _sending(settings: AllSettings) -> Iterator[Finding]:
    mode = settings.dispatcher.send
    if mode == "mailbox":
        yield note("EARSHOT_SEND=mailbox: nothing leaves, every message is on the mailbox page")
    else:
        yield ok(f"EARSHOT_SEND={mode}")
        if not (settings.dispatcher.mail_accounts or settings.dispatcher.twilio_account_sid):
            yield fail("no provider is configured: every step is skipped", "set EARSHOT_SMTP_URL, EARSHOT_TWILIO_…")
    if not all_in_one.is_loopback(settings.trigger.public_url) or mode == "mailbox":
        return
    yield fail(
        f"links in messages lead to {settings.trigger.public_url}", "set EARSHOT_PUBLIC_URL to what phones can open"
    )


def _folder(settings: Settings) -> Iterator[Finding]:
    folder = settings.data_dir.resolve()
    parent = next(path for path in (folder, *folder.parents) if path.exists())
    if not _writable(parent):
        yield fail(f"{parent} cannot be written to", "set EARSHOT_DATA_DIR to a folder of your own")
    else:
        yield ok(f"data folder {settings.data_dir}")


def _writable(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _tools() -> Iterator[Finding]:
    lacking = broker.missing()
    yield note(f"a local Kafka is not possible: {lacking}") if lacking else ok("a local Kafka can be started")
    if Path(CHROMIUM).exists() or shutil.which("chromium"):
        yield ok("chromium, for the browser tests")
    else:
        yield note("no chromium: browser tests are skipped", "apt-get install chromium")


async def _events(settings: Settings) -> Finding:
    if not settings.events_url:
        return ok("events: the postgres transport")
    event_log = open_event_log(settings, settings.events_url)
    try:
        async with asyncio.timeout(10):
            await event_log.ping()
            await event_log.lag("earshot-doctor", [topic.name for topic in topics.TOPICS])
    except (TransportUnavailable, TimeoutError):
        return fail("events: no answer, or topics are missing", "mend EARSHOT_EVENTS_URL, then earshot topics --create")
    finally:
        await event_log.close()
    return ok("events: Kafka answers and the topics are there")


@asynccontextmanager
async def _session(settings: Settings, service: Service) -> AsyncIterator[AsyncSession]:
    async with (
        open_for_command(settings, service, options=settings.database_options) as database,
        database.sessions() as session,
    ):
        yield session


async def _assumptions(settings: Settings) -> AsyncIterator[Finding]:
    """Say loudly which programs contact people whose consent nobody recorded."""
    try:
        async with _session(settings, Service.TRIGGER) as session:
            current = await programs.current(session)
    except Exception as error:  # noqa: BLE001 - said already, where databases were looked at
        if not error_messages.is_missing_table(error):
            yield note(f"programs cannot be read ({type(error).__name__})")
        return
    for program in current.values():
        if channels := ", ".join(program.document.assume_consent):
            yield note(
                f"program {program.id} assumes consent to {channels} when an event says nothing",
                "state consent in your events, or set assume_consent: [] in the program",
            )


async def _chains(settings: AllSettings) -> AsyncIterator[Finding]:
    """Say whether every open invitation goes on, and on time."""
    try:
        async with _session(settings.dispatcher, Service.DISPATCHER) as session:
            stalled = await dispatcher.stalled(session)
            stored = settings.dispatcher.clock
            now = open_clock(stored if stored and stored.exists() else None).now()
            oldest = await dispatcher.oldest_due(session, now)
    except Exception as error:  # noqa: BLE001 - said already, where databases were looked at
        if not error_messages.is_missing_table(error):
            yield note(f"invitations cannot be read ({type(error).__name__})")
        return
    if stalled:
        yield fail(f"{len(stalled)} open invitations are stalled", "earshot stalled names them; report it as a bug")
    elif oldest is not None and now - oldest > LATE:
        yield note(
            f"a step has been due for {now - oldest}", "run dispatcher; a provider that is away holds its channel"
        )
    else:
        yield ok("every open invitation goes on")


async def _links(settings: Settings) -> AsyncIterator[Finding]:
    """Name links that were sent and answer nothing."""
    try:
        async with links.opened(settings) as both:
            dead = await both.dead()
    except Exception as error:  # noqa: BLE001 - said already, where databases were looked at
        if not error_messages.is_missing_table(error):
            yield note(f"links cannot be compared ({type(error).__name__})")
        return
    if dead:
        yield fail(
            f"scoring never got the requests of {len(dead)} open surveys: their links are dead", "earshot links mend"
        )


async def _webhooks(settings: AllSettings) -> AsyncIterator[Finding]:
    """Name the endpoints that are told nothing any more."""
    try:
        async with _session(settings.trigger, Service.SCORING) as session:
            listed = await webhooks.listed(session)
    except Exception as error:  # noqa: BLE001 - said already, where databases were looked at
        if not error_messages.is_missing_table(error):
            yield note(f"webhooks cannot be read ({type(error).__name__})")
        return
    for each in listed:
        if each.endpoint.disabled:
            yield note(
                f"webhook {each.endpoint.id} is disabled: {each.endpoint.disabled}",
                f"mend it, then earshot webhooks enable {each.endpoint.id}; webhooks replay sends what failed",
            )

"""`earshot doctor`: what is missing or configured wrongly, and how to repair it."""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from deploy.all_settings import AllSettings
from deploy.kafka import broker
from deploy.operations import (
    address_findings,
    address_key_findings,
    clash_findings,
    database_findings,
    error_messages,
    ledger_findings,
    links,
    provider_findings,
    running_findings,
)
from deploy.operations.findings import Finding, Severity
from deploy.operations.secret_findings import problems_of_secrets
from services.dispatcher import repository as dispatcher
from services.dispatcher.channels.sms import EVERYWHERE
from services.dispatcher.config import DispatcherSettings
from services.dispatcher.domain.send_mode import SendMode
from services.dispatcher.repository import stalled as stalled_invitations
from services.scoring.config import ScoringSettings
from services.scoring.repository import webhooks
from services.trigger.config import TriggerSettings
from services.trigger.domain.programs.document import NO_ZONE
from services.trigger.domain.programs.lint import demands_of_production
from services.trigger.domain.programs.program import CompiledProgram
from services.trigger.repository import programs
from shared.clock import open_clock
from shared.config import Settings, is_loopback
from shared.contract import topics
from shared.contract.vocabulary import Service
from shared.database.opening import open_for_command
from shared.database.session import Session
from shared.messaging.transport import TransportUnavailable
from shared.runtime import open_event_log
from shared.staff_mail import StaffMail

LATE = timedelta(minutes=15)
CHROMIUM = ("chromium-headless-shell", "chromium")


async def command() -> None:
    """Print every finding; exit with 1 when one has to be repaired."""
    console = Console(highlight=False)
    failed = False
    async for finding in examine(AllSettings.from_environment()):
        colour = {Severity.OK: "green", Severity.NOTE: "yellow", Severity.FAIL: "red"}[finding.severity]
        console.print(f"[{colour}]{finding.severity:<5}[/] {escape(finding.text)}")
        if finding.cure:
            console.print(f"      → {escape(finding.cure)}")
        failed |= finding.severity is Severity.FAIL
    if failed:
        raise SystemExit(1)


async def examine(settings: AllSettings) -> AsyncIterator[Finding]:
    base = settings.trigger
    yield Finding.ok(f"Python {sys.version.split()[0]}")
    for finding in (*_secrets(base), *_sending(settings), *_folder(base), *_tools()):
        yield finding
    yield await _staff_mail(settings.scoring)
    async for finding in running_findings.examine(settings):
        yield finding
    async for finding in address_findings.examine(settings.dispatcher):
        yield finding
    async for finding in mail_domains(settings.dispatcher):
        yield finding
    async for finding in database_findings.examine(base):
        yield finding
    yield await _events(base)
    async for finding in provider_findings.examine(settings.scoring):
        yield finding
    async for finding in _schema_registry(settings.trigger):
        yield finding
    async for finding in _data(settings):
        yield finding


async def mail_domains(settings: DispatcherSettings) -> AsyncIterator[Finding]:
    """Look up the domains of our senders, where mail is sent."""
    if settings.send is SendMode.MAILBOX or not settings.mail_accounts:
        return
    from deploy.operations.mail_domains import findings  # noqa: PLC0415 - loads a DNS library

    async for finding in findings.examine(settings):
        yield finding


async def _schema_registry(settings: TriggerSettings) -> AsyncIterator[Finding]:
    if not settings.schema_registry_url:
        return
    from services.trigger.main import open_registry  # noqa: PLC0415 - it loads the whole service
    from services.trigger.sources.schema_registry import RegistryUnavailable  # noqa: PLC0415

    async with AsyncExitStack() as resources:
        registry = open_registry(settings, resources)
        assert registry is not None
        try:
            await registry.ping()
        except RegistryUnavailable as error:
            cure = "check EARSHOT_SCHEMA_REGISTRY_URL, _USERNAME and _PASSWORD: Avro messages wait for it"
            yield Finding.fail(f"the schema registry does not answer: {error}", cure)
        else:
            yield Finding.ok("the schema registry answers")


async def _data(settings: AllSettings) -> AsyncIterator[Finding]:
    """Check stored data. A check that fails is only a note: errors of databases and log are reported already."""
    checks = (
        ("programs cannot be read", _programs(settings.trigger)),
        ("invitations cannot be read", _open_invitations(settings)),
        ("the ledger cannot be compared with the log", ledger_findings.examine(settings.dispatcher)),
        ("fingerprints of addresses cannot be read", address_key_findings.examine(settings.dispatcher)),
        ("decisions cannot be read", clash_findings.examine(settings.trigger)),
        ("links cannot be compared", _dead_links(settings.trigger)),
        ("webhooks cannot be read", _webhooks(settings)),
    )
    for failure, check in checks:
        try:
            async for finding in check:
                yield finding
        except Exception as error:  # noqa: BLE001 - reported already with the databases and the log
            if not error_messages.is_missing_table(error):
                yield Finding.note(f"{failure} ({type(error).__name__})")


def _secrets(settings: Settings) -> Iterator[Finding]:
    problems = problems_of_secrets(settings)
    if not problems:
        yield Finding.ok("secrets are set")
    for problem in problems:
        what, _, cure = problem.partition(": ")
        yield (
            Finding.fail(what, cure)
            if settings.environment == "production"
            else Finding.note(what, f"in production: {cure}")
        )


def _sending(settings: AllSettings) -> Iterator[Finding]:
    mode = settings.dispatcher.send
    if mode == "mailbox":
        yield Finding.note("EARSHOT_SEND=mailbox: messages are only shown on the mailbox page")
    else:
        yield Finding.ok(f"EARSHOT_SEND={mode}")
        yield from _sms_routes(settings.dispatcher)
        if not (settings.dispatcher.mail_accounts or settings.dispatcher.sms_gateways):
            yield Finding.fail(
                "no provider is configured: every step is skipped", "set EARSHOT_SMTP_URL, or an SMS gateway"
            )
    if not is_loopback(settings.trigger.public_url) or mode == "mailbox":
        return
    yield Finding.fail(
        f"links in messages lead to {settings.trigger.public_url}", "set EARSHOT_PUBLIC_URL to one that phones can open"
    )


async def _staff_mail(settings: ScoringSettings) -> Finding:
    mail = StaffMail.of(settings, Service.SCORING)
    if mail is None:
        return Finding.ok("EARSHOT_STAFF_SEND=off: links for staff are shown and not sent")
    if problem := (await mail.check()).why:
        return Finding.fail(f"mail to staff: {problem}", "correct EARSHOT_STAFF_SMTP_URL and _CA_FILE")
    return Finding.ok("mail to staff: the mail server takes our log-in")


def _sms_routes(settings: DispatcherSettings) -> Iterator[Finding]:
    """Say over which gateways SMS go to each country, and which would take over."""
    for country, gateways in sorted(settings.sms_routes.items(), reverse=True):
        where = "other countries" if country == EVERYWHERE else country
        yield Finding.ok(f"SMS to {where}: {', then '.join(gateways)}")
    if settings.sms_routes and EVERYWHERE not in settings.sms_routes:
        yield Finding.note("SMS to other countries are refused", "add * to EARSHOT_SMS_ROUTES, if you send there")


def _folder(settings: Settings) -> Iterator[Finding]:
    folder = settings.data_dir.resolve()
    parent = next(path for path in (folder, *folder.parents) if path.exists())
    if not _writable(parent):
        yield Finding.fail(f"{parent} cannot be written to", "set EARSHOT_DATA_DIR to a folder of your own")
    else:
        yield Finding.ok(f"data folder {settings.data_dir}")


def _writable(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _tools() -> Iterator[Finding]:
    problem = broker.missing_tool()
    yield (
        Finding.note(f"a local Kafka is not possible: {problem}")
        if problem
        else Finding.ok("a local Kafka can be started")
    )
    if any(map(shutil.which, CHROMIUM)):
        yield Finding.ok("chromium, for the browser tests")
    else:
        yield Finding.note("no chromium: browser tests are skipped", f"apt-get install {CHROMIUM[0]}")


async def _events(settings: Settings) -> Finding:
    if not settings.events_url:
        return Finding.ok("events: the postgres transport")
    event_log = open_event_log(settings, settings.events_url)
    try:
        async with asyncio.timeout(10):
            await event_log.ping()
            await event_log.lag("earshot-doctor", [topic.name for topic in topics.TOPICS])
    except (TransportUnavailable, TimeoutError):
        return Finding.fail(
            "events: no answer, or topics are missing", "correct EARSHOT_EVENTS_URL, then run earshot topics --create"
        )
    finally:
        await event_log.close()
    return Finding.ok("events: Kafka answers and the topics are there")


@asynccontextmanager
async def _session(settings: Settings, service: Service) -> AsyncIterator[Session]:
    async with (
        open_for_command(settings, service, options=settings.database_options) as database,
        database.sessions() as session,
    ):
        yield session


async def _programs(settings: TriggerSettings) -> AsyncIterator[Finding]:
    """Report programs that contact people whose consent was never recorded, or at the hours of UTC."""
    async with _session(settings, Service.TRIGGER) as session:
        current = await programs.current(session)
    for program in current.values():
        if program.document.assume_consent:
            yield _assumed_consent(program, settings)
        if settings.environment == "production" and program.document.active:
            for lack in demands_of_production(program.document):
                yield Finding.fail(f"program {program.id}: {lack}", "set it, and apply the program again")
        if program.document.time_zone == NO_ZONE:
            yield Finding.note(
                f"program {program.id} has no time zone: it uses UTC where the customer's is unknown",
                "set time_zone in the program, such as Europe/Moscow; Etc/UTC if it is UTC",
            )


def _assumed_consent(program: CompiledProgram, settings: TriggerSettings) -> Finding:
    """Say which consent a program assumes; in production it must have a ground."""
    channels, ground = ", ".join(program.document.assume_consent), settings.installation.consent_ground
    what = f"program {program.id} assumes consent to {channels} when an event does not state it"
    cure = "name the ground in EARSHOT_CONSENT_GROUND, or state consent in your events and set assume_consent: []"
    if ground:
        return Finding.note(f"{what}; ground: {ground}")
    is_running = settings.environment == "production" and program.document.active
    return Finding.fail(f"{what}, and no ground is named", cure) if is_running else Finding.note(what, cure)


async def _open_invitations(settings: AllSettings) -> AsyncIterator[Finding]:
    """Check that every open invitation has a next step, and that no step is late."""
    async with _session(settings.dispatcher, Service.DISPATCHER) as session:
        stalled = await stalled_invitations.of_all(session)
        stored = settings.dispatcher.clock
        now = open_clock(stored if stored and stored.exists() else None).now()
        oldest = await dispatcher.oldest_due(session, now)
        refused = await dispatcher.refused_accounts(session, now)
    for each in refused:
        yield Finding.fail(
            f"{each.waiting} messages wait: the provider of {each.account} refuses our account ({each.code})",
            "look the code up in the provider's documents: quota, credentials, or a block of our address",
        )
    if stalled:
        yield Finding.fail(
            f"{len(stalled)} open invitations are stalled", "earshot stalled names them; report it as a bug"
        )
    elif oldest is not None and now - oldest > LATE:
        yield Finding.note(
            f"a step has been due for {now - oldest}", "start dispatcher, or check the provider of its channel"
        )
    else:
        yield Finding.ok("every open invitation has a next step, and none is late")


async def _dead_links(settings: Settings) -> AsyncIterator[Finding]:
    """Report open surveys whose links are dead, because scoring does not know them."""
    async with links.open_databases(settings) as surveys:
        dead = await surveys.dead_links()
    if dead:
        yield Finding.fail(
            f"scoring never got the requests of {len(dead)} open surveys: their links are dead",
            "run earshot links mend",
        )


async def _webhooks(settings: AllSettings) -> AsyncIterator[Finding]:
    """Report webhook endpoints that are disabled."""
    async with _session(settings.trigger, Service.SCORING) as session:
        listed = await webhooks.summaries(session)
    for each in listed:
        if each.endpoint.disabled:
            yield Finding.note(
                f"webhook {each.endpoint.id} is disabled: {each.endpoint.disabled}",
                f"repair it, then run earshot webhooks enable {each.endpoint.id}; webhooks replay sends what failed",
            )

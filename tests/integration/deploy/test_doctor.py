"""`earshot doctor` names what is wrong and its cure."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from starlette.responses import Response
from uuid_utils.compat import uuid7

from deploy.all_settings import ALL, AllSettings
from deploy.operations import doctor, running_findings
from deploy.operations.findings import Finding, Severity
from deploy.operations.replay import isolated_settings
from services.scoring.domain.webhooks import Endpoint
from services.scoring.repository import webhooks
from services.trigger.main import install_programs
from shared import database_url
from shared.clock import SystemClock
from shared.contract import cloudevents
from shared.contract.events import ContactAttempted
from shared.contract.vocabulary import AttemptState, ChannelKind, Service
from shared.database import embedded
from shared.database.db import Database, fetch
from shared.health import Health, NotReady
from shared.messaging import codec
from shared.messaging.transport import open_log
from shared.runtime import ServiceContext
from shared.serving import serve
from shared.web.app import create_app
from tests.integration.deploy.processes import black_hole, database_of_its_own, hang_commits
from tests.integration.scoring.people.fake_provider import fake_provider
from tests.integration.trigger.samples import decide, purchase
from tests.staff import ACCESS

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


async def findings(settings: AllSettings) -> list[Finding]:
    return [finding async for finding in doctor.examine(settings)]


def own(urls: Mapping[str, str], folder: Path, **more: object) -> AllSettings:
    databases = {f"{service}_database_url": urls[service] for service in Service}
    return isolated_settings(folder, **{"database_url": urls["transport"], **databases, **more})


async def test_identity_provider_that_does_not_answer_is_named(urls: Mapping[str, str], tmp_path: Path) -> None:
    async with fake_provider(SystemClock().now) as fake:
        settings = own(urls, tmp_path, oidc=(fake.settings(), fake.settings(id="away", issuer=f"{fake.issuer}/away")))
        fake.replies["GET /away/.well-known/openid-configuration"] = Response(status_code=404)
        found = {finding.text: finding for finding in await findings(settings)}
    assert found["the identity provider fake answers"].severity is Severity.OK
    away = found["nobody can log in with Company account: it answered with 404"]
    assert (away.severity, "issuer of away in EARSHOT_OIDC" in away.cure) == (Severity.FAIL, True)


async def test_healthy_installation_has_nothing_to_mend(
    urls: Mapping[str, str], tmp_path: Path, trigger_db: Database
) -> None:
    await install_programs(trigger_db, SystemClock())
    found = await findings(own(urls, tmp_path))
    assert [finding for finding in found if finding.severity is Severity.FAIL] == []
    assert sum(", schema 00" in finding.text for finding in found) == len(urls)
    assert any("EARSHOT_SEND=mailbox" in finding.text for finding in found)
    assert any("email" in finding.text and "assume" in finding.text for finding in found)
    assert any(finding.text.startswith("program after-purchase has no time zone") for finding in found)


@pytest.mark.parametrize(
    ("more", "right"),
    [
        ({"environment": "production"}, (Severity.FAIL, "does not state it, and no ground is named")),
        ({"environment": "production", "consent_ground": " buyers "}, (Severity.NOTE, "not state it; ground: buyers")),
        ({}, (Severity.NOTE, "does not state it")),
    ],
)
async def test_assumed_consent_needs_a_ground_in_production(
    urls: Mapping[str, str], tmp_path: Path, trigger_db: Database, more: dict[str, str], right: tuple[Severity, str]
) -> None:
    await install_programs(trigger_db, SystemClock())
    [found] = [each for each in await findings(own(urls, tmp_path, **more)) if "assumes consent to email" in each.text]
    assert (found.severity, found.text[-len(right[1]) :]) == right
    assert ("EARSHOT_CONSENT_GROUND" in found.cure) is ("consent_ground" not in more)


async def test_production_needs_a_page_about_privacy(
    urls: Mapping[str, str], tmp_path: Path, trigger_db: Database
) -> None:
    await install_programs(trigger_db, SystemClock())
    lacks = "program after-purchase: brand.privacy_url: not set"
    for environment, severities in (("production", [Severity.FAIL]), ("development", [])):
        found = await findings(own(urls, tmp_path, environment=environment))
        assert [each.severity for each in found if each.text.startswith(lacks)] == severities


async def test_clock_that_is_wrong_is_a_fault(urls: Mapping[str, str]) -> None:
    databases = {f"{service}_database_url": urls[service] for service in Service}
    settings = AllSettings.for_demo(**databases, database_url=urls["transport"])
    found = await findings(settings)
    assert sum("the clocks agree to" in finding.text for finding in found if finding.severity is Severity.OK) == len(
        urls
    )
    with time_machine.travel(SystemClock().now() + timedelta(days=4)):
        faults = [finding for finding in await findings(settings) if finding.severity is Severity.FAIL]
    assert [finding.text for finding in faults] == [
        f"{schema}: the machine's clock is 345600 s ahead of the database's" for schema in (*ALL, "transport")
    ]


async def test_database_without_letters_of_other_languages_is_named(
    postgres: embedded.Embedded, tmp_path: Path
) -> None:
    admin = await database_url.connect(postgres.admin_url)
    await admin.execute("CREATE DATABASE english TEMPLATE template0 LOCALE_PROVIDER libc LOCALE 'C'")
    await admin.close()
    found = await findings(own(await embedded.prepare(postgres, "english"), tmp_path))
    named = [each for each in found if "no letters but English ones" in each.text]
    assert [each.severity for each in named] == [Severity.NOTE] * 4
    assert "LOCALE 'C.UTF-8'" in named[0].cure


async def test_fresh_clone_is_told_once_that_its_schemas_are_empty(postgres: embedded.Embedded, tmp_path: Path) -> None:
    found = await findings(own(await embedded.prepare(postgres, "fresh"), tmp_path))
    assert sum("is empty and this version needs 00" in finding.text for finding in found) == 4
    assert [finding.text for finding in found if "cannot be read" in finding.text] == []


async def test_an_edited_schema_is_named_with_what_differs(
    urls: Mapping[str, str], tmp_path: Path, trigger_db: Database
) -> None:
    async with trigger_db.sessions.begin() as session:
        await fetch(session, "ALTER TABLE decisions DROP COLUMN trail")
    found = [each for each in await findings(own(urls, tmp_path)) if each.severity is Severity.FAIL]
    assert len(found) == 1
    assert found[0].text.startswith("schema trigger is not what its migrations make at revision 0")
    assert found[0].text.endswith("it “lacks decisions column trail jsonb”")
    assert found[0].cure.startswith("restore it from a backup")


async def test_each_fault_is_named_with_its_cure(urls: Mapping[str, str], tmp_path: Path) -> None:
    settings = own(
        urls,
        tmp_path,
        environment="production",
        send="live",
        scoring_database_url="postgresql://nobody@127.0.0.1:1/nowhere",
        events_url="kafka://127.0.0.1:1",
        schema_registry_url="http://127.0.0.1:1",
        kafka_protocol="PLAINTEXT",
    )
    faults = {finding.text: finding.cure for finding in await findings(settings) if finding.severity is Severity.FAIL}
    assert any("EARSHOT_LINK_KEYS" in text for text in faults)
    assert any("links in messages" in text for text in faults)
    assert any(text.startswith("scoring: no database") for text in faults)
    assert any(text.startswith("events: no answer") for text in faults)
    assert "the schema registry does not answer: no reply" in faults
    assert all(faults.values())


async def test_gateways_that_take_over_are_shown(urls: Mapping[str, str], tmp_path: Path) -> None:
    gateways = {"smsc_login": "shop", "twilio_account_sid": "AC1"}
    settings = own(urls, tmp_path, send="allowlist", sms_routes="RU:smsc+twilio,DE:twilio", **gateways)
    said = [finding.text for finding in await findings(settings)]
    assert {"SMS to RU: smsc, then twilio", "SMS to DE: twilio", "SMS to other countries are refused"} <= {*said}
    assert not any("no provider" in text for text in said)


async def test_one_fault_ends_the_command_with_1_although_all_after_it_is_well(
    urls: Mapping[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for service in Service:
        monkeypatch.setenv(f"EARSHOT_{service.upper()}_DATABASE_URL", urls[service])
    monkeypatch.setenv("EARSHOT_EVENTS_URL", urls["transport"])
    monkeypatch.setenv("EARSHOT_DATA_DIR", str(tmp_path))
    await doctor.command()  # notes alone are no fault
    assert "fail " not in capsys.readouterr().out
    monkeypatch.setenv("EARSHOT_ENVIRONMENT", "production")
    with pytest.raises(SystemExit) as ended:
        await doctor.command()
    states = [line.split()[0] for line in capsys.readouterr().out.splitlines() if not line.startswith(" ")]
    assert (ended.value.code, states[1], states[-1]) == (1, "fail", "ok")


async def test_data_folder_nobody_can_write_to_is_a_fault(urls: Mapping[str, str], tmp_path: Path) -> None:
    (tmp_path / "a-file").touch()
    found = await findings(own(urls, tmp_path / "a-file" / "data"))
    assert any(finding.severity is Severity.FAIL and "a-file" in finding.text for finding in found)


async def test_chain_that_stands_still_is_a_fault(
    urls: Mapping[str, str], tmp_path: Path, dispatcher_db: Database
) -> None:
    async with dispatcher_db.sessions.begin() as session:
        await fetch(
            session,
            """INSERT INTO invitations (id, respondent_id, program, request, unsubscribe, expires_at)
            VALUES (gen_random_uuid(), 'r1', 'p', '{}', 'u', '2100-01-01')""",
        )
    found = await findings(own(urls, tmp_path))
    assert any(
        finding.severity is Severity.FAIL and "1 open invitations are stalled" in finding.text for finding in found
    )


async def test_database_that_lacks_what_was_sent_is_a_fault(urls: Mapping[str, str], tmp_path: Path) -> None:
    sent = ContactAttempted(
        respondent_id="r1",
        invitation_id=uuid7(),
        attempt_id=uuid7(),
        revision=1,
        step=1,
        channel=ChannelKind.EMAIL,
        provider="smtp",
        state=AttemptState.SENT,
        at=NOW,
    )
    event_log = open_log(urls["transport"])
    settings = own(urls, tmp_path, events_url=urls["transport"])
    assert any(
        finding.text.startswith("every message that the log says was sent") for finding in await findings(settings)
    )
    await event_log.append([codec.encode(cloudevents.new(sent, service=Service.DISPATCHER, at=NOW))])
    await event_log.close()
    [found] = [finding for finding in await findings(settings) if "nothing is sent" in finding.text]
    assert (found.severity, "earshot ledger adopt" in found.cure) == (Severity.FAIL, True)
    assert "1 attempts" in found.text


async def test_webhook_that_was_given_up_is_named(
    urls: Mapping[str, str], tmp_path: Path, scoring_db: Database
) -> None:
    endpoint = Endpoint(uuid7(), "https://crm.example.com/nps", ("nps.dropped",), ("whsec_c2VjcmV0",))
    async with scoring_db.sessions.begin() as session:
        await webhooks.add(session, endpoint)
        await webhooks.disable(session, endpoint.id, reason="it took nothing for three days")
    every = await findings(own(urls, tmp_path))
    [found] = [finding for finding in every if finding.text.startswith("webhook")]
    assert (found.severity, str(endpoint.id) in found.cure) == (Severity.NOTE, True)
    assert found.text.endswith("is disabled: it took nothing for three days")


@asynccontextmanager
async def listening(urls: Mapping[str, str], health: Health) -> AsyncIterator[int]:
    """Serve what every service says of itself."""
    stop, event_log = asyncio.Event(), open_log(urls["transport"])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        app = create_app(Service.SCORING, access=ACCESS, health=health)
        around = ServiceContext(urls["scoring"], event_log, SystemClock(), stop, listener)
        serving = asyncio.create_task(serve(app, around, service=Service.SCORING))
        try:
            yield listener.getsockname()[1]
        finally:
            stop.set()
            await serving
            await event_log.close()


async def test_service_that_runs_is_asked_how_it_is(urls: Mapping[str, str], tmp_path: Path) -> None:
    async def away() -> None:
        raise NotReady("does not commit within 3 s")

    health = Health()
    async with listening(urls, health) as port:
        texts = [finding.text for finding in await findings(own(urls, tmp_path, scoring_port=port))]
        assert f"scoring: running on port {port}, alive and ready" in texts
        health.require("database", away)
        health.heartbeat("relay", silent_s=-1)
        found = await findings(own(urls, tmp_path, scoring_port=port, trigger_port=port))
    assert [finding.text for finding in found if finding.severity is Severity.FAIL] == [
        "running: relay is stuck",
        "running: database: does not commit within 3 s",
    ]


async def test_port_of_somebody_else_is_named(
    urls: Mapping[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with black_hole() as port:
        monkeypatch.setattr(running_findings, "TIMEOUT_S", 0.2)
        found = await findings(own(urls, tmp_path, scoring_port=port))
    assert f"scoring: port {port} is in use" in [each.text for each in found if each.severity is Severity.NOTE]


async def test_database_that_hangs_is_a_fault(
    postgres: embedded.Embedded, urls: Mapping[str, str], tmp_path: Path
) -> None:
    async with database_of_its_own(postgres, urls):
        await hang_commits(postgres)
        faults = [each.text for each in await findings(own(urls, tmp_path)) if each.severity is Severity.FAIL]
    assert faults == [f"{schema}: the database does not commit within 3 s" for schema in (*ALL, "transport")]


async def test_a_missing_key_that_stored_addresses_need_is_named(
    urls: Mapping[str, str], tmp_path: Path, dispatcher_db: Database
) -> None:
    async with dispatcher_db.sessions.begin() as session:
        await fetch(
            session,
            """WITH s AS (INSERT INTO suppressions (id, respondent_id, reason, at)
            VALUES (gen_random_uuid(), 'c-1', 'opt_out', now()) RETURNING id)
            INSERT INTO bound_addresses SELECT id, '\\x01', 'a1' FROM s""",
        )
    faults = [each.text for each in await findings(own(urls, tmp_path)) if each.severity is Severity.FAIL]
    assert faults == ["1 fingerprints of suppressed addresses need the key a1, which EARSHOT_ADDRESS_KEYS lacks"]
    keys = "a2:newer,a1:older"
    assert not any(
        "EARSHOT_ADDRESS_KEYS lacks" in each.text for each in await findings(own(urls, tmp_path, address_keys=keys))
    )


async def test_customers_whose_addresses_two_sources_gave_are_counted(
    urls: Mapping[str, str], tmp_path: Path, trigger_db: Database
) -> None:
    await install_programs(trigger_db, SystemClock())
    bought = [
        purchase(f"e{number}", source=source, customer={"id": "42", "email": f"{source}@shop.example"})
        for number, source in enumerate(("till", "web", "till"))
    ]
    await decide(trigger_db, bought)
    (clash,) = [each for each in await findings(own(urls, tmp_path)) if "another source" in each.text]
    assert clash.severity is Severity.NOTE
    assert clash.text.startswith("1 customer has addresses that replaced those of another source")
    assert "namespace" in clash.cure

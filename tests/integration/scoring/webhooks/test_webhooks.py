"""Webhooks: signed, retried until accepted, and sent to permitted addresses only."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from standardwebhooks import Webhook

from services.scoring.answers.record import opt_out
from services.scoring.domain.webhooks import DEFAULT_TYPES, RETRIES, delivery_result, new_secret
from services.scoring.repository import webhooks
from services.scoring.webhooks import delivery
from services.scoring.webhooks.delivery import WebhookSender
from services.scoring.webhooks.routes import Webhooks
from shared.contract.events import (
    AnsweredEvent,
    RespondentErased,
    RespondentReleased,
    RespondentSuppressed,
    SurveyAnswered,
)
from shared.contract.vocabulary import SuppressionReason
from shared.health import Heartbeat
from shared.web.http_client import tls
from tests.integration.scoring.receiver import (
    DELIVERIES,
    LOOPBACK,
    ReceivedWebhook,
    Receiver,
    deliver,
    endpoint,
    receiver,
)
from tests.integration.scoring.stand import NOW, Scoring


@pytest.fixture
async def hook() -> AsyncIterator[Receiver]:
    async with receiver() as fake:
        yield fake


async def make_due(scoring: Scoring) -> None:
    await scoring.rows("UPDATE webhook_deliveries SET due_at = clock_timestamp()")


def verified(taken: ReceivedWebhook, secret: str) -> Any:
    return Webhook(secret).verify(taken.body, taken.headers)


async def test_answer_is_delivered_signed_as_the_public_library_verifies(scoring: Scoring, hook: Receiver) -> None:
    made = await endpoint(scoring, hook.url)
    request = await scoring.asked()
    await scoring.score(request, 9)
    await deliver(scoring)
    [taken] = hook.taken
    event = verified(taken, made.secrets[0])
    [published] = await scoring.published("survey.answered")
    assert (event["id"], event["type"]) == (published.id, "survey.answered")
    assert event["data"]["invitation_id"] == str(request.invitation_id)
    assert (taken.path, taken.headers["webhook-id"]) == ("/hook?team=7", published.id)
    assert taken.headers["host"] == f"127.0.0.1:{hook.port}"
    assert await scoring.rows(DELIVERIES) == [{"state": "delivered", "tries": 1, "outcome": "204"}]
    await deliver(scoring)
    assert len(hook.taken) == 1


async def test_each_endpoint_gets_its_event_types(scoring: Scoring, hook: Receiver) -> None:
    await endpoint(scoring, hook.url + "&a", types=["detractor.reported"])
    await endpoint(scoring, hook.url + "&b", types=["nps.updated"])
    off = await endpoint(scoring, hook.url + "&c")
    async with scoring.database.sessions.begin() as session:
        assert await webhooks.disable(session, off.id, reason="by hand")
    await scoring.score(await scoring.asked(), 3)
    await scoring.tick()
    await deliver(scoring)
    heard = {(taken.path[-1], json.loads(taken.body)["type"]) for taken in hook.taken}
    assert heard == {("a", "detractor.reported"), ("b", "nps.updated")}


async def test_what_does_not_commit_is_not_queued(scoring: Scoring, hook: Receiver) -> None:
    await endpoint(scoring, hook.url)
    request = await scoring.asked()
    with pytest.raises(asyncpg.CharacterNotInRepertoireError):
        await scoring.say(request.invitation_id, 9, comment="\0")
    assert await scoring.rows(DELIVERIES) == []


async def test_refused_delivery_is_tried_for_days_and_then_the_endpoint_is_disabled(
    scoring: Scoring, hook: Receiver
) -> None:
    made = await endpoint(scoring, hook.url)
    hook.status = lambda _taken: 500
    await scoring.score(await scoring.asked(), 9)
    for number in range(len(RETRIES)):
        await deliver(scoring)
        [row] = await scoring.rows("SELECT state, tries, due_at - clock_timestamp() AS wait FROM webhook_deliveries")
        assert (row["state"], row["tries"]) == ("due", number + 1)
        assert timedelta(0) < RETRIES[number] - row["wait"] < timedelta(seconds=5)
        await make_due(scoring)
    await deliver(scoring)
    assert await scoring.rows(DELIVERIES) == [{"state": "failed", "tries": len(RETRIES) + 1, "outcome": "500"}]
    [endpoint_row] = await scoring.rows("SELECT disabled FROM webhook_endpoints")
    assert endpoint_row["disabled"] == delivery.GIVEN_UP
    assert sum(RETRIES, timedelta()) > timedelta(days=3)

    hook.status = lambda _taken: 200
    async with scoring.database.sessions.begin() as session:
        assert await webhooks.enable(session, made.id)
        assert await webhooks.replay(session, made.id, since=datetime.now(UTC) - timedelta(days=1), delivered_too=False)
    await deliver(scoring)
    assert verified(hook.taken[-1], made.secrets[0])["type"] == "survey.answered"
    assert hook.taken[-1].headers["webhook-id"] == hook.taken[0].headers["webhook-id"]


async def test_one_refused_event_does_not_disable_an_endpoint_that_accepts_others(
    scoring: Scoring, hook: Receiver
) -> None:
    await endpoint(scoring, hook.url)
    hook.status = lambda taken: 400 if json.loads(taken.body)["data"]["score"] == 8 else 200
    await scoring.score(await scoring.asked(), 8)
    await scoring.rows("UPDATE webhook_deliveries SET tries = $1", len(RETRIES))
    await scoring.score(await scoring.asked(), 9)
    await deliver(scoring)
    assert {row["state"] for row in await scoring.rows(DELIVERIES)} == {"failed", "delivered"}
    assert await scoring.rows("SELECT disabled FROM webhook_endpoints") == [{"disabled": None}]


async def test_gone_disables_at_once(scoring: Scoring, hook: Receiver) -> None:
    await endpoint(scoring, hook.url)
    hook.status = lambda _taken: 410
    await scoring.score(await scoring.asked(), 9)
    await deliver(scoring)
    assert await scoring.rows("SELECT disabled FROM webhook_endpoints") == [{"disabled": "it answered 410 Gone"}]


async def test_events_wait_while_an_endpoint_is_disabled(scoring: Scoring, hook: Receiver) -> None:
    made = await endpoint(scoring, hook.url)
    async with scoring.database.sessions.begin() as session:
        assert await webhooks.disable(session, made.id, reason="by hand")
    await scoring.score(await scoring.asked(), 9)
    await deliver(scoring)
    assert hook.taken == []
    async with scoring.database.sessions.begin() as session:
        assert await webhooks.enable(session, made.id)
    await deliver(scoring)
    assert [verified(taken, made.secrets[0])["type"] for taken in hook.taken] == ["survey.answered"]


async def test_redirect_is_not_followed(scoring: Scoring, hook: Receiver) -> None:
    await endpoint(scoring, hook.url)
    hook.status, hook.extra = lambda _taken: 307, f"location: {hook.url}\r\n".encode()
    await scoring.score(await scoring.asked(), 9)
    await deliver(scoring)
    assert len(hook.taken) == 1
    assert await scoring.rows(DELIVERIES) == [{"state": "due", "tries": 1, "outcome": "307"}]


async def test_rotated_secret_and_the_one_before_both_verify_for_a_day(scoring: Scoring, hook: Receiver) -> None:
    made = await endpoint(scoring, hook.url)
    newer = new_secret()
    async with scoring.database.sessions.begin() as session:
        assert await webhooks.rotate(session, made.id, secret=newer)
    await scoring.score(await scoring.asked(), 9)
    await deliver(scoring)
    assert verified(hook.taken[0], made.secrets[0]) == verified(hook.taken[0], newer)
    await scoring.rows("UPDATE webhook_endpoints SET old_until = clock_timestamp()")
    await scoring.score(await scoring.asked(), 9)
    await deliver(scoring)
    assert len(hook.taken[1].headers["webhook-signature"].split()) == 1
    assert verified(hook.taken[1], newer)["type"] == "survey.answered"


async def test_hanging_endpoint_does_not_delay_others(scoring: Scoring, hook: Receiver) -> None:
    async with receiver() as slow:
        slow.status = lambda _taken: None
        await endpoint(scoring, slow.url)
        await endpoint(scoring, hook.url)
        for _ in range(20):
            await scoring.score(await scoring.asked(), 9)
        all_taken = asyncio.Event()

        def taken(_taken: ReceivedWebhook) -> int:
            if len(hook.taken) == 20:
                all_taken.set()
            return 204

        hook.status = taken
        sender = WebhookSender(scoring.database.sessions, LOOPBACK)
        await sender.start_due()
        async with asyncio.timeout(10):
            await all_taken.wait()
        assert len(slow.taken) <= delivery.MAX_CONCURRENT
        for task in sender._running.values():
            task.cancel()
        await asyncio.gather(*sender._running.values(), return_exceptions=True)


async def test_backlog_does_not_delay_a_stop(scoring: Scoring, hook: Receiver) -> None:
    await endpoint(scoring, hook.url)
    for _ in range(delivery.MAX_CONCURRENT * 3):
        await scoring.score(await scoring.asked(), 9)
    stop = asyncio.Event()

    def taken(_taken: ReceivedWebhook) -> int:
        stop.set()
        return 204

    hook.status = taken
    sender = WebhookSender(scoring.database.sessions, LOOPBACK)
    async with asyncio.timeout(20):
        await sender.run(stop, Heartbeat("scoring.webhooks"))
    assert len(hook.taken) == delivery.MAX_CONCURRENT
    [states] = await scoring.rows("SELECT count(*) FILTER (WHERE state = 'delivered') AS n FROM webhook_deliveries")
    assert states["n"] == delivery.MAX_CONCURRENT


async def test_hanging_endpoint_delays_a_stop_for_the_timeout_only(
    scoring: Scoring, hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "STOP_TIMEOUT_S", 0.1)
    await endpoint(scoring, hook.url)
    await scoring.score(await scoring.asked(), 9)
    stop = asyncio.Event()

    def taken(_taken: ReceivedWebhook) -> None:
        stop.set()

    hook.status = taken
    sender = WebhookSender(scoring.database.sessions, LOOPBACK, timeout_s=20)
    async with asyncio.timeout(10):
        await sender.run(stop, Heartbeat("scoring.webhooks"))
    assert len(hook.taken) == 1


async def test_timeout_is_retried_later(scoring: Scoring, hook: Receiver) -> None:
    await endpoint(scoring, hook.url)
    hook.status = lambda _taken: None
    await scoring.score(await scoring.asked(), 9)
    await deliver(scoring, timeout_s=0.2)
    assert await scoring.rows(DELIVERIES) == [{"state": "due", "tries": 1, "outcome": "no reply in time"}]


async def _endless(reply: bytes, more: bytes) -> asyncio.Server:
    """Accept a request and begin a reply that never ends."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        with suppress(ConnectionError):
            while not writer.is_closing():
                writer.write(more)
                await writer.drain()
                await asyncio.sleep(0.01)

    return await asyncio.start_server(serve, "127.0.0.1", 0)


@pytest.mark.parametrize(
    ("reply", "more", "outcome", "state"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65_536, "200", "delivered"),
        (b"HTTP/1.1 200 OK\r\nx-slow: ", b"x", "no reply in time", "due"),
        (b"HTTP/1.1 200 OK\r\nx-huge: ", b"x" * 65_536, "no reply in time", "due"),
    ],
    ids=["endless body", "dripping header", "endless header"],
)
async def test_endless_reply_is_cut_off_at_the_timeout(
    scoring: Scoring, reply: bytes, more: bytes, outcome: str, state: str
) -> None:
    async with await _endless(reply, more) as server:
        await endpoint(scoring, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        await scoring.score(await scoring.asked(), 9)
        await deliver(scoring, timeout_s=1)
        assert await scoring.rows(DELIVERIES) == [{"state": state, "tries": 1, "outcome": outcome}]


async def test_lease_that_ended_is_tried_again_and_counted_once(scoring: Scoring, hook: Receiver) -> None:
    made = await endpoint(scoring, hook.url)
    await scoring.score(await scoring.asked(), 9)
    async with scoring.database.sessions.begin() as session:
        [lost] = await webhooks.claim(session, made.id, limit=8, lease=timedelta())
    await deliver(scoring)
    async with scoring.database.sessions.begin() as session:
        late = delivery_result(lost, 500)
        assert await webhooks.record(session, made.id, [late], reason="") is False
    assert await scoring.rows(DELIVERIES) == [{"state": "delivered", "tries": 2, "outcome": "204"}]


@pytest.mark.parametrize(
    ("url", "outcome"),
    [
        ("https://intranet.example.com/", "the address is private and not in EARSHOT_WEBHOOK_NETWORKS"),
        ("http://public.example.com/", "plain http is only allowed to networks in EARSHOT_WEBHOOK_NETWORKS"),
        ("https://nowhere.example.com/", "no connection"),
    ],
)
async def test_private_addresses_are_refused_unless_configured(scoring: Scoring, url: str, outcome: str) -> None:
    async def resolve(host: str, _port: int) -> list[str]:
        if host.startswith("nowhere"):
            raise OSError
        return ["93.184.216.34", "10.0.0.7"] if host.startswith("intranet") else ["93.184.216.34"]

    await endpoint(scoring, url)
    await scoring.score(await scoring.asked(), 9)
    await deliver(scoring, resolve=resolve, networks=())
    assert await scoring.rows(DELIVERIES) == [{"state": "due", "tries": 1, "outcome": outcome}]


async def test_name_that_is_rebound_is_looked_up_once_and_pinned_with_its_certificate(
    scoring: Scoring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second look-up would return another address; there must be none."""
    context, authority = certified("hooks.example.com", tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    asked: list[str] = []

    async def resolve(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    async with receiver(context) as hook:
        made = await endpoint(scoring, f"https://hooks.example.com:{hook.port}/hook")
        await scoring.score(await scoring.asked(), 9)
        await deliver(scoring, resolve=resolve, context=tls())
    [taken] = hook.taken
    assert verified(taken, made.secrets[0])
    assert taken.headers["host"] == f"hooks.example.com:{hook.port}"
    assert asked == ["hooks.example.com"]


async def test_certificate_of_another_name_is_refused(
    scoring: Scoring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, authority = certified("hooks.example.com", tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))

    async def resolve(_host: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    async with receiver(context) as hook:
        await endpoint(scoring, f"https://other.example.com:{hook.port}/hook")
        await scoring.score(await scoring.asked(), 9)
        await deliver(scoring, resolve=resolve, context=tls())
    assert hook.taken == []
    assert await scoring.rows(DELIVERIES) == [{"state": "due", "tries": 1, "outcome": "no connection"}]


async def test_erasure_deletes_queued_deliveries(scoring: Scoring, hook: Receiver) -> None:
    await endpoint(scoring, hook.url)
    request = await scoring.asked()
    await scoring.score(request, 9, comment="My name is Olga")
    await scoring.receive(RespondentErased(respondent_id=request.respondent_id))
    assert await scoring.rows(DELIVERIES) == []


async def test_endpoints_hear_who_is_suppressed_released_opted_out_and_erased(scoring: Scoring, hook: Receiver) -> None:
    kinds = ("respondent.suppressed", "respondent.released", "respondent.opted_out", "respondent.erased")
    await endpoint(scoring, hook.url, types=kinds)
    request = await scoring.asked()
    who = {"respondent_id": request.respondent_id}
    suppressed = scoring.events(RespondentSuppressed(**who, reason=SuppressionReason.STOP))
    for _ in range(2):  # a consumer may get the same event again
        async with scoring.database.sessions.begin() as session:
            await scoring.handlers(session, suppressed)
    await scoring.receive(RespondentReleased(**who, reason=SuppressionReason.STOP))
    async with scoring.database.sessions.begin() as session:
        await opt_out(session, await scoring.invitation(request.invitation_id), now=NOW)
    rows = await scoring.rows("SELECT type FROM webhook_deliveries ORDER BY event_id")
    assert [row["type"] for row in rows] == list(kinds[:3])
    await scoring.receive(RespondentErased(**who))
    assert await scoring.rows("SELECT type FROM webhook_deliveries") == [{"type": "respondent.erased"}]
    assert (await scoring.rows("SELECT body FROM webhook_deliveries"))[0]["body"]


async def test_published_answer_names_the_event_it_is_about(scoring: Scoring) -> None:
    request = await scoring.asked()
    await scoring.score(request, 9)
    [answered] = [each.payload for each in await scoring.published("survey.answered")]
    assert isinstance(answered, SurveyAnswered)
    assert answered.event == AnsweredEvent(
        source=request.event.source, id=request.event.id, subject=request.event.subject
    )


async def test_old_deliveries_are_deleted(scoring: Scoring, hook: Receiver) -> None:
    await endpoint(scoring, hook.url)
    for score in (9, 10):
        await scoring.score(await scoring.asked(), score)
    await scoring.rows(
        """UPDATE webhook_deliveries SET created_at = created_at - interval '8 days'
WHERE event_id = (SELECT min(event_id) FROM webhook_deliveries)"""
    )
    async with scoring.database.sessions.begin() as session:
        assert await delivery.delete_old(session, now=NOW) == 1
    assert len(await scoring.rows(DELIVERIES)) == 1


async def test_endpoints_are_managed_over_http(scoring: Scoring, hook: Receiver, client: httpx2.AsyncClient) -> None:
    refused = await client.post("/v1/webhooks", json={"url": hook.url})
    assert (refused.status_code, refused.json()["detail"]) == (
        422,
        "the address is private and not in EARSHOT_WEBHOOK_NETWORKS",
    )
    for wrong in ({"url": "ftp://x/"}, {"url": "https://u:p@x/"}, {"url": "https://x/", "types": ["nope"]}):
        assert (await client.post("/v1/webhooks", json=wrong)).status_code == 422

    made = await endpoint(scoring, hook.url)
    path = f"/v1/webhooks/{made.id}"
    rotated = (await client.post(f"{path}/rotate")).json()
    assert rotated["secret"].startswith("whsec_")
    assert (await client.post(f"{path}/disable")).status_code == 204
    [listed] = (await client.get("/v1/webhooks")).json()
    assert (listed["disabled"], listed["types"], "secret" in listed) == ("by hand", list(DEFAULT_TYPES), False)
    changed = listed["changed"]["what"], listed["changed"]["by"]
    assert (listed["made"], changed) == (None, ("turned off", "by software"))
    assert (await client.post(f"{path}/enable")).status_code == 204
    assert (await client.post(f"{path}/replay", json={"since": NOW.isoformat()})).json() == {"deliveries": 0}
    assert (await client.post(f"{path}/test")).json() == {
        "outcome": "the address is private and not in EARSHOT_WEBHOOK_NETWORKS"
    }
    assert (await client.delete(path)).status_code == 204
    for gone in ("disable", "enable", "rotate", "test"):
        assert (await client.post(f"{path}/{gone}")).status_code == 404


async def test_sample_is_signed_like_an_event(scoring: Scoring, hook: Receiver) -> None:
    made = await endpoint(scoring, hook.url)
    surface = Webhooks(scoring.database.sessions, WebhookSender(scoring.database.sessions, LOOPBACK))
    assert (await surface.test(made.id)).outcome == 204
    assert verified(hook.taken[0], made.secrets[0])["type"] == "webhook.tested"


def test_documented_sample_is_the_one_that_is_posted() -> None:
    page = (Path(__file__).parents[4] / "docs/outputs.md").read_text()
    [documented] = [
        json.loads(line) for line in page.splitlines() if line.startswith("    {") and "webhook.tested" in line
    ]
    posted = json.loads(delivery.sample_delivery().body)
    assert [*documented] == [*posted]
    assert documented == posted | {"id": documented["id"], "time": documented["time"]}


def certified(name: str, folder: Path) -> tuple[ssl.SSLContext, Path]:
    """Make a TLS context for a host name, and the file of its certificate authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ip_address("192.0.2.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    authority, private = folder / "ca.pem", folder / "key.pem"
    authority.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority, private)
    return context, authority

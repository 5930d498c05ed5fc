"""Callbacks of providers: verified or refused, repeated, too old, and the receipts they become."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from fastapi import FastAPI

from services.dispatcher import main
from services.dispatcher.channels.feedback import ses
from services.dispatcher.channels.sms import twilio
from services.dispatcher.config import DispatcherSettings
from services.dispatcher.webhooks.routes import WebhookRoutes
from services.dispatcher.webhooks.sns import SnsVerifier
from shared.contract.vocabulary import Service, address_fingerprint
from shared.health import Health
from shared.web.app import create_app
from shared.web.http_client import Call, HttpClient, Reply
from tests.integration.dispatcher.conftest import Chain
from tests.staff import ACCESS

REFERENCE = "0198d3a0-0000-7000-8000-00000000beef.2"
INVITATION = UUID("0198d3a0-0000-7000-8000-00000000beef")
SECRET = "token"
PUBLIC = "https://nps.example.com"
CALLBACK = {
    "status": "dlr.status",
    "reference": "dlr.ref",
    "kinds": {"DELIVRD": "delivered", "UNDELIV": "soft_bounce"},
    "sender": "from",
    "text": "text",
}
SETTINGS = {
    "hooks_url": PUBLIC,
    "twilio_auth_token": SECRET,
    "smsc_secret": "word",
    "sms_gateway": json.dumps({"url": "https://sms.example.com", "callback": CALLBACK}),
    "sms_gateway_secret": "shared",
    "postmark_hook": "postmark:pass",
}


def client_of(app: FastAPI) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app, client=("192.0.2.7", 1)), base_url="http://inside")


@pytest.fixture
async def client(chain: Chain) -> AsyncIterator[httpx2.AsyncClient]:
    settings = DispatcherSettings(_env_file=None, **SETTINGS)  # type: ignore[arg-type]
    async with client_of(main.build_app(settings, chain.database, chain.clock)) as opened:
        yield opened


async def stored(chain: Chain) -> list[dict[str, Any]]:
    return await chain.rows("SELECT provider, kind, reason, invitation_id, step, message_id, phone FROM receipts")


async def test_provider_without_a_secret_has_no_webhook(chain: Chain) -> None:
    settings = DispatcherSettings(_env_file=None)
    async with client_of(main.build_app(settings, chain.database, chain.clock)) as closed:
        for provider in ("twilio", "smsc", "generic", "postmark", "ses", "bitrix24", "nobody"):
            assert (await closed.post(f"/hooks/{provider}")).status_code == 404


async def test_webhook_takes_no_get(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/hooks/twilio")).status_code == 405


# --- Twilio


async def from_twilio(
    client: httpx2.AsyncClient, form: dict[str, str], *, query: str = "", secret: str = SECRET
) -> httpx2.Response:
    path = "/hooks/twilio" + (f"?{query}" if query else "")
    signature = twilio.signature(secret, PUBLIC + path, list(form.items()))
    return await client.post(path, data=form, headers={"X-Twilio-Signature": signature})


def test_signature_is_the_one_of_twilios_own_example() -> None:
    form = {"CallSid": "CA1234567890ABCDE", "Caller": "+12349013030", "Digits": "1234", "From": "+12349013030"}
    form["To"] = "+18005551212"
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    assert twilio.signature("12345", url, list(form.items())) == "0/KCTR6DLpKmkAf8muzZqo1nDgQ="


async def test_status_callback_names_its_message_by_our_reference(chain: Chain, client: httpx2.AsyncClient) -> None:
    form = {"MessageSid": "SM1", "MessageStatus": "delivered", "To": "+15550001", "Новое": "поле"}
    for _ in range(2):
        assert (await from_twilio(client, form, query=urlencode({"ref": REFERENCE}))).status_code == 204
    assert await stored(chain) == [
        {
            "provider": "twilio",
            "kind": "delivered",
            "reason": None,
            "invitation_id": INVITATION,
            "step": 2,
            "message_id": "SM1",
            "phone": None,
        }
    ]


@pytest.mark.parametrize(
    ("status", "code", "kinds"),
    [
        ("sent", "", ["accepted"]),
        ("undelivered", "30003", ["soft_bounce"]),
        ("undelivered", "30005", ["hard_bounce"]),
        ("undelivered", "30007", ["undelivered"]),
        ("failed", "21610", ["stop", "undelivered"]),
        ("somethingnew", "", []),
    ],
)
async def test_error_codes_of_twilio(
    chain: Chain, client: httpx2.AsyncClient, status: str, code: str, kinds: list[str]
) -> None:
    form = {"MessageSid": "SM1", "MessageStatus": status, "ErrorCode": code}
    assert (await from_twilio(client, form)).status_code == 204
    assert sorted(row["kind"] for row in await stored(chain)) == kinds


async def test_callback_without_twilios_signature_is_refused(chain: Chain, client: httpx2.AsyncClient) -> None:
    form = {"MessageSid": "SM1", "MessageStatus": "delivered"}
    assert (await from_twilio(client, form, secret="guessed")).status_code == 403
    assert (await client.post("/hooks/twilio", data=form)).status_code == 403
    reply = await client.post(f"/hooks/twilio?ref={REFERENCE}", data=form, headers=[(b"X-Twilio-Signature", b"\xe9")])
    assert reply.status_code == 403
    assert await stored(chain) == []


@pytest.mark.parametrize(
    ("form", "kind", "confirmed"),
    [
        ({"Body": "STOP", "OptOutType": "STOP"}, "stop", False),
        ({"Body": "stop"}, "stop", False),
        ({"Body": "СТОП"}, "stop", True),
        ({"Body": "start"}, "start", False),
        ({"Body": "9"}, None, False),
    ],
)
async def test_reply_by_text_message(
    chain: Chain, client: httpx2.AsyncClient, form: dict[str, str], kind: str | None, *, confirmed: bool
) -> None:
    reply = await from_twilio(client, {"MessageSid": "SM9", "From": "+15550001", **form})
    assert reply.headers["content-type"].startswith("text/xml")
    assert ("<Message>" in reply.text) is confirmed
    expected = [(kind, address_fingerprint("+15550001"))] if kind else []
    assert [(row["kind"], row["phone"]) for row in await stored(chain)] == expected


# --- SMSC


def of_smsc(*names: str, **form: str) -> dict[str, str]:
    signed = ":".join([*(form[name] for name in names), "word"])
    return {**form, "md5": hashlib.md5(signed.encode()).hexdigest()}  # noqa: S324 - what SMSC signs with


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("1", "delivered"),
        ("0", "accepted"),
        ("20", "soft_bounce"),
        ("22", "hard_bounce"),
        ("24", "undelivered"),
        ("77", None),
    ],
)
async def test_status_of_smsc(chain: Chain, client: httpx2.AsyncClient, status: str, kind: str | None) -> None:
    form = of_smsc("id", "phone", "status", id="14", phone="79161234567", status=status, time="1", ts="2", err="0")
    assert (await client.post("/hooks/smsc", data=form)).status_code == 204
    found = [(row["kind"], row["reason"], row["message_id"]) for row in await stored(chain)]
    assert found == ([(kind, f"smsc_{status}", "14")] if kind else [])


async def test_stop_that_comes_through_smsc(chain: Chain, client: httpx2.AsyncClient) -> None:
    form = of_smsc("phone", "mes", "to", phone="79161234567", mes="Стоп", to="79990000000", id="5", time="1")
    assert (await client.post("/hooks/smsc", data=form)).status_code == 204
    found = [(row["kind"], row["phone"]) for row in await stored(chain)]
    assert found == [("stop", address_fingerprint("+79161234567"))]


async def test_callback_without_smscs_signature_is_refused(chain: Chain, client: httpx2.AsyncClient) -> None:
    form = of_smsc("id", "phone", "status", id="14", phone="7", status="1")
    for wrong in ({**form, "status": "22"}, {**form, "md5": ""}, {}):
        assert (await client.post("/hooks/smsc", data=wrong)).status_code == 403
    assert await stored(chain) == []


# --- any other gateway


async def test_receipts_of_a_described_gateway(chain: Chain, client: httpx2.AsyncClient) -> None:
    body = json.dumps(
        [
            {"dlr": {"status": "DELIVRD", "ref": REFERENCE}},
            {"dlr": {"status": "ENROUTE", "ref": REFERENCE}},
            {"from": "79161234567", "text": "stop"},
        ]
    ).encode()
    signature = hmac.new(b"shared", body, hashlib.sha256).hexdigest()
    for given in (signature, f"sha256={signature.upper()}"):
        reply = await client.post("/hooks/generic", content=body, headers={"X-Signature": given})
        assert reply.status_code == 204
    assert [(row["kind"], row["step"]) for row in await stored(chain)] == [("delivered", 2), ("stop", None)]
    refused = await client.post("/hooks/generic", content=body + b" ", headers={"X-Signature": signature})
    assert refused.status_code == 403


# --- Postmark


def of_postmark(record: str, **fields: Any) -> dict[str, Any]:
    return {"RecordType": record, "MessageID": "m1", "Metadata": {"attempt": REFERENCE}, "Email": "a@b.test", **fields}


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (of_postmark("Delivery"), "delivered"),
        (of_postmark("Bounce", Type="HardBounce", TypeCode=1), "hard_bounce"),
        (of_postmark("Bounce", Type="SoftBounce"), "soft_bounce"),
        (of_postmark("Bounce", Type="Transient"), None),
        (of_postmark("Bounce", Type="AutoResponder"), None),
        (of_postmark("Bounce", Type="SMTPApiError", Details="Error 406: inactive recipient"), "blocked"),
        (of_postmark("SpamComplaint"), "complaint"),
        (of_postmark("SubscriptionChange", SuppressSending=True, SuppressionReason="ManualSuppression"), "stop"),
        (of_postmark("SubscriptionChange", SuppressSending=False), None),
        (of_postmark("Open"), None),
        (of_postmark("Delivery", Metadata={}), None),
        (of_postmark("Delivery", Metadata=None), None),
    ],
)
async def test_events_of_postmark(
    chain: Chain, client: httpx2.AsyncClient, event: dict[str, Any], kind: str | None
) -> None:
    for _ in range(2):
        reply = await client.post("/hooks/postmark", json=event, auth=("postmark", "pass"))
        assert reply.status_code == 204
    assert [row["kind"] for row in await stored(chain)] == ([kind] if kind else [])


async def test_callback_without_postmarks_password_is_refused(chain: Chain, client: httpx2.AsyncClient) -> None:
    event = of_postmark("Delivery")
    assert (await client.post("/hooks/postmark", json=event)).status_code == 403
    assert (await client.post("/hooks/postmark", json=event, auth=("postmark", "guess"))).status_code == 403
    assert await stored(chain) == []


async def test_body_that_is_no_json_object_is_a_bad_request(client: httpx2.AsyncClient) -> None:
    for body in (b"[]", b"{", b"\xff"):
        assert (await client.post("/hooks/postmark", content=body, auth=("postmark", "pass"))).status_code == 400


# --- SES by way of SNS

TOPIC = "arn:aws:sns:eu-west-1:1:bounces"
CERTIFICATE = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem"
CONFIRM = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=t"
_KEY = rsa.generate_private_key(65537, 2048)


def certificate(*, days: int = 30) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    now = datetime.now(UTC)
    built = x509.CertificateBuilder(name, name, _KEY.public_key(), 1, now - timedelta(days=60), now + days * DAY)
    return built.sign(_KEY, SHA256()).public_bytes(Encoding.PEM)


DAY = timedelta(days=1)


class Aws(HttpClient):
    """A stand-in for AWS: serves the certificate and records the fetched URLs."""

    def __init__(self) -> None:
        super().__init__("")
        self.fetched: list[str] = []
        self.certificate = certificate()

    async def send(self, call: Call, *, within_s: float) -> Reply:
        assert within_s <= 10
        self.fetched.append(call.path)
        return Reply(200, self.certificate)


@pytest.fixture
def aws() -> Aws:
    return Aws()


@pytest.fixture
async def sns(chain: Chain, aws: Aws) -> AsyncIterator[httpx2.AsyncClient]:
    app = create_app(Service.DISPATCHER, access=ACCESS, health=Health())
    app.include_router(WebhookRoutes(chain.database.sessions, {"ses": SnsVerifier(aws, topics=[TOPIC])}).router())
    async with client_of(app) as opened:
        yield opened


def notification(event: dict[str, Any], *, version: str = "2", **fields: str) -> dict[str, str]:
    message = {
        "Type": "Notification",
        "MessageId": "n1",
        "TopicArn": TOPIC,
        "Message": json.dumps(event),
        "Timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "SigningCertURL": CERTIFICATE,
        "SignatureVersion": version,
        **fields,
    }
    names = ses._NOTIFICATION if message["Type"] == "Notification" else ses._CONFIRMATION
    signed = "".join(f"{name}\n{message[name]}\n" for name in names if name in message)
    algorithm = SHA1() if version == "1" else SHA256()  # noqa: S303 - what SNS signs with by default
    message["Signature"] = base64.b64encode(_KEY.sign(signed.encode(), padding.PKCS1v15(), algorithm)).decode()
    return message


def bounce(type_: str, subtype: str = "General", *recipients: str) -> dict[str, Any]:
    return {
        "notificationType": "Bounce",
        "bounce": {
            "bounceType": type_,
            "bounceSubType": subtype,
            "bouncedRecipients": [{"emailAddress": each, "status": "5.1.1"} for each in recipients or ["a@b.test"]],
        },
        "mail": {"messageId": "ses1", "headers": [{"name": "Message-ID", "value": f"<{REFERENCE}@shop.test>"}]},
    }


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (bounce("Permanent"), "hard_bounce"),
        (bounce("Permanent", "OnAccountSuppressionList"), "blocked"),
        (bounce("Transient", "MailboxFull"), "soft_bounce"),
        (bounce("Transient", "MessageTooLarge"), "undelivered"),
        (bounce("Undetermined", "Undetermined"), "soft_bounce"),
        (
            {
                **bounce("x"),
                "notificationType": "Complaint",
                "complaint": {"complainedRecipients": [{"emailAddress": "a@b.test"}]},
            },
            "complaint",
        ),
        (
            {**bounce("x"), "eventType": "Delivery", "notificationType": None, "delivery": {"recipients": ["a"]}},
            "delivered",
        ),
    ],
)
async def test_events_of_ses(
    chain: Chain, sns: httpx2.AsyncClient, event: dict[str, Any], kind: str, version: str
) -> None:
    for _ in range(2):
        assert (await sns.post("/hooks/ses", json=notification(event, version=version))).status_code == 204
    assert [(row["kind"], row["invitation_id"], row["step"]) for row in await stored(chain)] == [(kind, INVITATION, 2)]


async def test_each_recipient_of_a_bounce_is_a_receipt(chain: Chain, sns: httpx2.AsyncClient, aws: Aws) -> None:
    event = bounce("Permanent", "General", "a@b.test", "c@b.test")
    await sns.post("/hooks/ses", json=notification(event))
    assert len(await stored(chain)) == 2
    await sns.post("/hooks/ses", json=notification(event, MessageId="n2"))
    assert aws.fetched == [CERTIFICATE]  # kept


@pytest.mark.parametrize(
    "changed",
    [
        {"TopicArn": "arn:aws:sns:eu-west-1:666:theirs"},
        {"SigningCertURL": "https://sns.eu-west-1.amazonaws.com.evil.test/x.pem"},
        {"SigningCertURL": "https://evil.test/sns.eu-west-1.amazonaws.com/x.pem"},
        {"SigningCertURL": "https://u@sns.eu-west-1.amazonaws.com/x.pem"},
        {"SigningCertURL": "http://sns.eu-west-1.amazonaws.com/x.pem"},
        {"SigningCertURL": "https://s3.eu-west-1.amazonaws.com/x.pem"},
        {"Timestamp": "2020-01-01T00:00:00.000Z"},
        {"Timestamp": "soon"},
        {"Timestamp": "0001-01-01T00:00:00+14:00"},
        {"SigningCertURL": "https://["},
    ],
)
async def test_signed_notification_of_another_topic_host_or_age_is_refused(
    chain: Chain, sns: httpx2.AsyncClient, aws: Aws, changed: dict[str, str]
) -> None:
    assert (await sns.post("/hooks/ses", json=notification(bounce("Permanent"), **changed))).status_code == 403
    assert await stored(chain) == []
    assert all(url == CERTIFICATE for url in aws.fetched)


@pytest.mark.parametrize(
    "changed", [{"Message": "{}"}, {"Signature": "AAAA"}, {"Signature": "%"}, {"SignatureVersion": "3"}]
)
async def test_forged_notification_is_refused(chain: Chain, sns: httpx2.AsyncClient, changed: dict[str, str]) -> None:
    forged = {**notification(bounce("Permanent")), **changed}
    assert (await sns.post("/hooks/ses", json=forged)).status_code == 403
    assert await stored(chain) == []


async def test_certificate_past_its_end_is_refused(sns: httpx2.AsyncClient, aws: Aws) -> None:
    aws.certificate = certificate(days=-1)
    assert (await sns.post("/hooks/ses", json=notification(bounce("Permanent")))).status_code == 403


async def test_subscription_is_confirmed_at_sns_and_nowhere_else(sns: httpx2.AsyncClient, aws: Aws) -> None:
    wanted = {"Type": "SubscriptionConfirmation", "Token": "t"}
    evil = notification({}, **wanted, SubscribeURL="https://evil.test/?Action=ConfirmSubscription")
    assert (await sns.post("/hooks/ses", json=evil)).status_code == 403
    genuine = notification({}, **wanted, SubscribeURL=CONFIRM)
    assert (await sns.post("/hooks/ses", json=genuine)).status_code == 204
    assert aws.fetched == [CERTIFICATE, CONFIRM]

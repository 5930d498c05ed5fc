"""Mails made to keep the reader busy: each is read, or refused, in time that grows with its size."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest

from services.dispatcher.channels.feedback import dsn
from tests.integration.dispatcher.channels import bounces

REFERENCE = "0198d3a0-0000-7000-8000-00000000beef.1"
SIZE = 190_000  # bytes; more of a mail is not fetched
PARTS = (
    b"--b\r\nContent-Type: text/rfc822-headers%b\r\n\r\nMessage-ID: <" + REFERENCE.encode() + b"@x>\r\n\r\n"
    b"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: x\r\n\r\nAction: failed\r\n%b\r\n--b--\r\n"
)
REPORT = b"Content-Type: multipart/report; report-type=delivery-status%b; boundary=b%b\r\n\r\n"


def report(
    *, before: bytes = b"", after: bytes = b"", part: bytes = b"", status: bytes = b"Status: 5.1.1\r\n"
) -> bytes:
    return REPORT % (before, after) + PARTS % (part, status)


HOSTILE = {
    "semicolons in an open quote": report(after=b'; x="' + b";" * SIZE),
    "semicolons in a quote": report(before=b'; x="' + b";" * SIZE + b'"'),
    "folded semicolons": report(before=b'; x="' + b";\r\n " * (SIZE // 4) + b'"'),
    "folded with line feeds": report(before=b'; x="' + b";\n\t" * (SIZE // 3) + b'"'),
    "short quotes in many parts": report(
        before=b"".join(b'\r\n--b\r\nContent-Type: x; y="' + b";" * 1900 for _ in range(95))
    ),
    "numbered parts of a parameter": report(after=b"".join(b"; a*%d*=punycode''%%41" % n for n in range(SIZE // 25))),
    "a boundary in punycode": report(before=b"; boundary*=punycode''" + b"%41" * (SIZE // 3)),
    "a boundary in idna": report(before=b"; boundary*=idna''" + b"%C3" * (SIZE // 3)),
    "an encoded word": b"Message-ID: =?punycode?q?" + b"a9" * (SIZE // 2) + b"?=\r\n" + report(),
    "many encoded words": b"Message-ID: " + b"=?idna?q?a9?=\r\n " * (SIZE // 16) + b"\r\n" + report(),
    "a part in punycode": report(part=b"; charset=punycode", status=b"X: " + b"a9" * (SIZE // 2) + b"\r\n"),
    "a part in uuencode": report(part=b"\r\nContent-Transfer-Encoding: x-uuencode", status=b"M x\n" * (SIZE // 4)),
    "numbers that are no status": report(status=b"Status: " + b"5." * (SIZE // 2) + b"\r\n"),
    "many recipients": report(status=b"\r\n\r\nAction: failed" * (SIZE // 18) + b"\r\n"),
    "many references": b"References: " + REFERENCE[:36].encode() * (SIZE // 36) + b"\r\n" + report(),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_mail_costs_more_than_reading_it(name: str) -> None:
    before = time.process_time()
    with suppress(Exception):  # the reader counts a mail that raises, and goes on
        dsn.receipts(HOSTILE[name])
    assert time.process_time() - before < 2.0


@pytest.mark.parametrize("shape", bounces.REPORTS)
def test_no_report_of_a_mail_server_is_too_long(shape: str) -> None:
    assert len(dsn.receipts(bounces.mail(shape, REFERENCE))) == 1

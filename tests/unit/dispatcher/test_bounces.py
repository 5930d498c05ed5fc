"""What refusals of mail servers mean, as tables of codes and texts."""

from __future__ import annotations

import json

import pytest

from services.dispatcher.channels.feedback import postmark, ses
from services.dispatcher.domain.bounces import RefusalCause, read_refusal
from services.dispatcher.domain.receipts import ReceiptKind

REFERENCE = "0198d3a0-0000-7000-8000-00000000beef.2"
US, NOBODY, MAILBOX = RefusalCause.ABOUT_US, RefusalCause.NO_SUCH_ADDRESS, RefusalCause.MAILBOX


@pytest.mark.parametrize(
    ("status", "diagnostic", "kind"),
    [
        ("5.0.0", "smtp; 550 5.1.1 <anna@example.com>: Recipient address rejected: User unknown", "hard_bounce"),
        ("5.0.0", "smtp; 450 TEMPERROR: retry timeout exceeded", "soft_bounce"),
        ("5.1.1", "smtp; 550 5.0.0 rejected", "hard_bounce"),
        ("5.1.1", "", "hard_bounce"),
        ("5.0.0", "", "soft_bounce"),
        ("", "", "soft_bounce"),
        ("4.4.7", "smtp; 550 5.1.1 no such user", "hard_bounce"),
        ("5.1.1", "smtp; 451 4.3.0 lookup failed", "soft_bounce"),
        ("5.0.0", "smtp; 550 5.7.1 Service unavailable; client blocked using zen.spamhaus.org", "undelivered"),
        ("5.1.1", "smtp; 550 5.7.1 relaying denied", "undelivered"),
        ("5.7.1", "smtp; 550 5.7.1 No such user!", "hard_bounce"),
        ("5.7.1", "smtp; 550 5.7.1 rejected", "undelivered"),
        ("5.0.0", "smtp; 552 mailbox full", "soft_bounce"),
        ("5.0.0", "smtp; 550 5.4.5 Daily user sending limit exceeded", "undelivered"),
    ],
)
def test_more_precise_of_the_two_codes_of_a_bounce_decides(status: str, diagnostic: str, kind: str) -> None:
    assert read_refusal(status=status, text=diagnostic).bounce == kind


@pytest.mark.parametrize(
    ("code", "text", "cause"),
    [
        (454, "Throttling failure: Maximum sending rate exceeded.", US),
        (454, "Throttling failure: Daily message quota exceeded.", US),
        (452, "4.5.3 Error: too many recipients", US),
        (421, "4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to user complaints", US),
        (
            421,
            "4.7.28 Our system has detected an unusual rate of unsolicited mail originating from your IP address",
            US,
        ),
        (550, "5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org", US),
        (554, "5.7.1 192.0.2.1 is listed on our blacklist", US),
        (550, "5.4.5 Daily user sending limit exceeded", US),
        (553, "5.1.8 <survey@shop.test>... Domain of sender address survey@shop.test does not exist", US),
        (501, "5.1.8 Sender's address does not exist", US),
        (550, "5.1.7 The sender's address was not found", US),
        (550, "The return-path address does not exist", US),
        (550, "MAIL FROM domain does not exist", US),
        (550, "Verification failed for <survey@shop.test>\nCalled: 192.0.2.1\nResponse: 550 No such user here", US),
        (550, "Requested action not taken: mailbox unavailable\ninvalid DNS MX or A/AAAA resource record", US),
        (554, "Transaction failed: bad DNS PTR resource record", US),
        (550, "5.7.606 Access denied, banned sending IP [192.0.2.1]", US),
        (550, "5.1.1 The user doesn't exist, says the sender's list of recipients", NOBODY),
        (550, "5.7.60 SMTP; Client does not have permissions to send as this sender", US),
        (554, "Message rejected: Email address is not verified. The following identities failed the check", US),
        (454, "4.7.0 Temporary authentication failure: credentials have expired", US),
        (
            550,
            "Domain example.com has exceeded the max emails per hour (500/500 (100%)) allowed. Message discarded.",
            US,
        ),
        (451, "4.7.1 Greylisted, please try again in 300 seconds", RefusalCause.GREYLISTED),
        (450, "4.2.0 <anna@example.com>: Recipient address rejected: Greylisted", RefusalCause.GREYLISTED),
        (450, "4.2.1 The user you are trying to contact is receiving mail at a rate that is too high", MAILBOX),
        (452, "4.2.2 Mailbox full", MAILBOX),
        (450, "4.1.1 <anna@example.com>: User unknown in local recipient table", MAILBOX),
        (550, "5.1.1 <spam@example.com>: Recipient address rejected: User unknown", NOBODY),
        (550, "Requested action not taken: mailbox unavailable", NOBODY),
        (550, "5.4.1 Recipient address rejected: Access denied.", NOBODY),
        (451, "4.3.2 try later", RefusalCause.UNCLEAR),
        (421, "4.7.0 Try again later, closing connection.", RefusalCause.UNCLEAR),
        (550, "no", RefusalCause.UNCLEAR),
    ],
)
def test_refusal_is_about_us_or_about_the_recipient(code: int, text: str, cause: RefusalCause) -> None:
    assert read_refusal(code=code, text=text).cause is cause


@pytest.mark.parametrize(
    ("type_", "details", "kind"),
    [
        ("HardBounce", "smtp;550 5.1.1 The email account does not exist", ReceiptKind.HARD_BOUNCE),
        ("HardBounce", "smtp;550 5.7.1 client blocked using zen.spamhaus.org", ReceiptKind.UNDELIVERED),
        ("Unknown", "smtp;550 5.1.1 user unknown", ReceiptKind.HARD_BOUNCE),
        ("SoftBounce", "smtp;550 5.1.1 no such user", ReceiptKind.HARD_BOUNCE),
        ("HardBounce", "smtp;450 retry timeout exceeded", ReceiptKind.SOFT_BOUNCE),
        ("HardBounce", "", ReceiptKind.HARD_BOUNCE),
        ("Blocked", "smtp;550 5.1.1 x", ReceiptKind.UNDELIVERED),
    ],
)
def test_reply_of_the_server_refines_a_bounce_of_postmark(type_: str, details: str, kind: ReceiptKind) -> None:
    body = {"RecordType": "Bounce", "Type": type_, "Details": details, "Metadata": {"attempt": REFERENCE}}
    assert [each.kind for each in postmark.receipts(body)] == [kind]


@pytest.mark.parametrize(
    ("type_", "diagnostic", "kind"),
    [
        ("Undetermined", "smtp; 550 5.1.1 user unknown", "hard_bounce"),
        ("Permanent", "smtp; 450 TEMPERROR: retry timeout exceeded", "soft_bounce"),
        ("Permanent", "smtp; 554 5.7.1 192.0.2.1 blocked using spamhaus", "undelivered"),
        ("Permanent", "smtp; 550 5.1.1 user unknown", "hard_bounce"),
        ("Permanent", "", "hard_bounce"),
    ],
)
def test_reply_of_the_server_refines_a_general_bounce_of_ses(type_: str, diagnostic: str, kind: str) -> None:
    recipient = {"emailAddress": "anna@example.com", "status": "5.0.0", "diagnosticCode": diagnostic}
    event = {
        "notificationType": "Bounce",
        "bounce": {"bounceType": type_, "bounceSubType": "General", "bouncedRecipients": [recipient]},
        "mail": {"headers": [{"name": "Message-ID", "value": f"<{REFERENCE}@example.com>"}]},
    }
    assert [each.kind for each in ses.receipts({"Message": json.dumps(event)})] == [kind]

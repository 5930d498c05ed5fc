"""Mails in our mailbox: what a person wrote is told from automatic replies, and from the mail quoted below it."""

from __future__ import annotations

import time
from email.message import EmailMessage
from pathlib import Path

import pytest

from services.dispatcher.channels.feedback import incoming
from services.dispatcher.channels.feedback.quoting import own_words
from services.dispatcher.domain.receipts import ReceiptKind

REFERENCE = "0198d3a0-0000-7000-8000-00000000beef.1"
CORPUS = Path(__file__).parents[2] / "integration/dispatcher/channels/corpus"


def answer(text: str, *, subject: str = "Re: One question, Anna", charset: str = "utf-8", **headers: str) -> bytes:
    mail = EmailMessage()
    mail["From"], mail["Subject"], mail["Message-ID"] = "Anna K <Anna@Example.com>", subject, "<a1@example.com>"
    mail["In-Reply-To"] = f"<{REFERENCE}@nps.example.com>"
    for name, value in headers.items():
        mail[name.replace("_", "-")] = value
    mail.set_content(text, charset=charset)
    return mail.as_bytes()


@pytest.mark.parametrize("charset", ["utf-8", "koi8-r", "windows-1251"])
def test_answer_to_the_survey_mail_is_kept_with_its_invitation(charset: str) -> None:
    text = "Посылка не пришла, позвоните мне"
    found = incoming.read(answer(text, charset=charset))
    assert found.receipts == []
    assert found.reply is not None
    assert (found.reply.text, found.reply.sender) == (text, "anna@example.com")
    assert str(found.reply.reference) == REFERENCE


def test_answer_in_html_loses_its_tags() -> None:
    mail = EmailMessage()
    mail["From"], mail["References"] = "anna@example.com", f"<{REFERENCE}@nps.example.com>"
    mail.set_content(
        "<style>p{}</style><p>My parcel<br>never came</p><script>alert(1)</script><b>call &lt;me&gt;</b>",
        subtype="html",
    )
    found = incoming.read(mail.as_bytes()).reply
    assert found is not None
    assert found.text.split() == ["My", "parcel", "never", "came", "call", "<me>"]


@pytest.mark.parametrize("text", ["Please unsubscribe me.", "STOP", "Отпишите меня, пожалуйста", "Bitte abmelden"])
def test_request_to_unsubscribe_in_words_stops_mails(text: str) -> None:
    quoted = "\n\nOn Mon, 2 Mar 2026 at 12:00, Kofe Point <survey@nps.example.com> wrote:\n> One question\n"
    found = incoming.read(answer(text + quoted))
    assert [(each.kind, str(each.reference)) for each in found.receipts] == [(ReceiptKind.STOP, REFERENCE)]
    assert found.reply is not None


def test_quoted_footer_of_our_mail_stops_nothing() -> None:
    text = "Great shop!\n\n-----Original Message-----\nFrom: Kofe Point\nSent: Monday\nSubject: x\n\nUnsubscribe\n"
    assert incoming.read(answer(text)).receipts == []


def test_yes_in_a_mail_lifts_no_suppression() -> None:
    found = incoming.read(answer("Yes"))
    assert (found.receipts, found.reply and found.reply.asks) == ([], None)


def test_subject_of_a_new_mail_is_read_too() -> None:
    assert [each.kind for each in incoming.read(answer("", subject="Unsubscribe")).receipts] == [ReceiptKind.STOP]
    assert incoming.read(answer("", subject="Re: unsubscribe")).receipts == []


@pytest.mark.parametrize("path", sorted((CORPUS / "automatic").glob("*.eml")), ids=lambda path: path.stem)
def test_automatic_reply_is_neither_bounce_nor_reply(path: Path) -> None:
    assert incoming.read(path.read_bytes()) == incoming.IncomingMail([])


@pytest.mark.parametrize("path", sorted(CORPUS.glob("[!a]*/*.eml")), ids=lambda path: path.stem)
def test_report_of_a_mail_server_is_no_reply(path: Path) -> None:
    assert incoming.read(path.read_bytes()).reply is None


def test_mail_without_text_is_kept_and_a_hostile_sender_is_not_linked() -> None:
    found = incoming.read(b'From: =?x?q?a?= <a"onclick=@b>\r\nSubject: \xff\r\n\r\n').reply
    assert found is not None
    assert (found.text, found.sender) == ("", "")


def test_text_is_bounded() -> None:
    found = incoming.read(answer("word " * 10_000)).reply
    assert found is not None
    assert len(found.text) <= 10_000


@pytest.mark.parametrize(
    "quoted",
    [
        "On Mon, 2 Mar 2026 at 12:00, Kofe Point <survey@nps.example.com> wrote:\n> One question",
        "On Mon, 2 Mar 2026 at 12:00, Kofe Point\n<survey@nps.example.com> wrote:\n\n> One question",
        "пн, 2 мар. 2026 г. в 12:00, Kofe Point <survey@nps.example.com>:\n\n> One question",
        '02.03.2026, 12:00, "Kofe Point" <survey@nps.example.com>:\nOne question',
        "Понедельник, 2 марта 2026, 12:00 +03:00 от Kofe Point <survey@nps.example.com>:\nOne question",
        "Am 02.03.2026 um 12:00 schrieb Kofe Point <survey@nps.example.com>:\n> Eine Frage",
        "Le lun. 2 mars 2026 à 12:00, Kofe Point <survey@nps.example.com> a écrit :\n> Une question",
        "El lun, 2 mar 2026 a las 12:00, Kofe Point (<survey@nps.example.com>) escribió:\n> Una pregunta",
        "________________________________\nFrom: Kofe Point\nSent: Monday\nOne question",
        "-----Original Message-----\nFrom: Kofe Point\nOne question",
        "От: Kofe Point <survey@nps.example.com>\nОтправлено: 2 марта 2026\nКому: Анна\nОдин вопрос",
        "-- \nAnna",
        "> One question",
    ],
)
def test_mail_quoted_below_is_left_out(quoted: str) -> None:
    assert own_words(f"My parcel never came.\nCall me: 555\n\n{quoted}\n") == "My parcel never came.\nCall me: 555"


def test_text_that_only_looks_like_a_quotation_is_kept_whole() -> None:
    text = "On Monday I ordered, and your courier wrote me nothing.\nFrom now on I buy elsewhere."
    assert own_words(text) == text


@pytest.mark.parametrize("line", ["1" * 200, "1 <a@" * 40, "a 1 " * 50, "", "From: a", "-" * 200, " " * 200 + "--a"])
def test_hostile_text_is_read_in_no_time(line: str) -> None:
    text = (line + "\n") * (10_000 // (len(line) + 1))
    started = time.perf_counter()
    own_words(text)
    assert time.perf_counter() - started < 0.2

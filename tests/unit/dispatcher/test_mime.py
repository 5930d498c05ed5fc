# ruff: noqa: RUF001 - Russian texts
"""Headers and parts of mails: no name or subject can inject a header."""

from __future__ import annotations

import quopri
import re
from email import message_from_bytes, policy

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.dispatcher.messages import mime

EVIL = [
    "=?utf-8?q?a=0D=0ABcc:_e@x?=",
    "Kofe\r\nBcc: e@example.com",
    "Kofe\nBcc: e@example.com",
    "Kofe\u2028Bcc: e@example.com",
    '"Kofe" <e@example.com>',
    "a" * 500,
    "Кофе Пойнт " * 20,
    "x\x00y",
]


def built(name: str, subject: str) -> bytes:
    headers = {"From": mime.mailbox(name, "survey@example.com"), "Subject": mime.text_header(subject)}
    text, html = mime.quoted("plain ❤\n.\n"), mime.quoted("<p>ü</p>")
    return b"".join((mime.head(headers), mime.BEFORE_TEXT, text, mime.BEFORE_HTML, html, mime.END))


@pytest.mark.parametrize("evil", EVIL)
def test_no_name_injects_a_header(evil: str) -> None:
    raw = built(evil, evil)
    for parsed in (message_from_bytes(raw), message_from_bytes(raw, policy=policy.default)):
        assert parsed.keys() == ["From", "Subject", "MIME-Version", "Content-Type"]
    strict = message_from_bytes(raw, policy=policy.default)
    assert [address.addr_spec for address in strict["From"].addresses] == ["survey@example.com"]
    assert not strict.defects


@given(name=st.text(max_size=80), subject=st.text(max_size=200))
def test_no_text_at_all_injects_a_header(name: str, subject: str) -> None:
    raw = built(name.encode(errors="ignore").decode(), subject.encode(errors="ignore").decode())
    assert message_from_bytes(raw).keys() == ["From", "Subject", "MIME-Version", "Content-Type"]
    assert all(len(line) <= 998 for line in raw.split(b"\r\n"))
    assert b"\n" not in raw.replace(b"\r\n", b"")


def test_names_are_decoded_as_they_were_given() -> None:
    parsed = message_from_bytes(
        built("Кофе Пойнт", "Один вопрос о заказе от 18 ноября, Тверская"), policy=policy.default
    )
    assert parsed["From"].addresses[0].display_name == "Кофе Пойнт"
    assert parsed["Subject"] == "Один вопрос о заказе от 18 ноября, Тверская"


@example(["a" * 76, "b"])
@example(["a" * 72 + "é", "b"])
@example(["a" * 75 + " \nb"])
@example(["." * 300, ".a"])
@example(["a" * 73 + ".b é", "\n.\n.."])
@given(st.lists(st.text(max_size=200), min_size=1, max_size=4))
def test_quoted_parts_joined_by_soft_breaks_are_one_text_on_short_lines(parts: list[str]) -> None:
    texts = [part.encode(errors="ignore").decode() for part in parts]
    encoded = b"=\r\n".join(mime.quoted(text) for text in texts)
    assert all(len(line) <= 76 and not line.startswith(b".") for line in encoded.split(b"\r\n"))
    assert not {b"\r", b"\n"} & {bytes([byte]) for byte in encoded.replace(b"\r\n", b"")}
    expected = "".join(text.replace("\r\n", "\n").replace("\r", "\n") for text in texts)
    assert quopri.decodestring(encoded).decode().replace("\r\n", "\n") == expected


@given(st.text(max_size=300))
@example("я" * 100)
@example("a" * 61)
@example("😀" * 30)
def test_no_encoded_word_is_longer_than_75_characters(text: str) -> None:
    """RFC 2047, 2: also, the line with the header's name has at most 78 characters."""
    words = mime.text_header(text.encode(errors="ignore").decode()).split("\r\n ")
    assert all(len(word) <= 75 for word in words)


@pytest.mark.parametrize("escapes", [1, 2, 3, 24])
@pytest.mark.parametrize("end", [" \nb", "\t\nb", " ", "=", "é\n"])
def test_no_line_is_broken_inside_an_escape(escapes: int, end: str) -> None:
    for before in range(80):
        text = "a" * before + "=" * escapes + end
        encoded = mime.quoted(text)
        assert not re.search(rb"=[0-9A-F]?=\r\n", encoded)
        assert quopri.decodestring(encoded).decode().replace("\r\n", "\n") == text


def test_parts_are_read_back_and_no_line_is_a_lone_dot() -> None:
    raw = built("Kofe", "One question")
    assert mime.read_alternative(raw) == ("plain ❤\n.\n", "<p>ü</p>")
    assert b"\r\n.\r\n" not in raw


@pytest.mark.parametrize(
    "address",
    [
        "",
        "a",
        "a@",
        "@b",
        "a@b@c",
        "a b@c.d",
        "a@b.c\r\nRCPT TO:<e@x>",
        "a@b.c>",
        "ü@b.c",
        "a@-b.c",
        "a@b..c" + "." * 300,
    ],
)
def test_broken_address_is_refused(address: str) -> None:
    with pytest.raises(mime.BadAddress):
        mime.checked_address(address)


def test_international_domain_becomes_ascii() -> None:
    assert mime.checked_address(" anna@почта.рф ") == "anna@xn--80a1acny.xn--p1ai"

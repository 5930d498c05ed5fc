"""The mailbox that receives bounces, read by IMAP (RFC 3501). Its calls block: run them in a thread."""

from __future__ import annotations

import contextlib
import imaplib
import re
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

_PORTS = {"imap": 143, "imaps": 993}
_TIMEOUT_S = 20.0
_MOST_BYTES = 200_000  # of one mail: the report is at its beginning
_UID = re.compile(rb"UID (\d+)")


class BadImapUrl(ValueError):
    """EARSHOT_IMAP_URL must be imaps://user:password@host[:port][/folder]."""


class MailboxUnavailable(Exception):
    """The mailbox cannot be opened or read; try again later."""


@dataclass(frozen=True, slots=True)
class BounceMail:
    """A mail of the mailbox; `content` is None if the server does not give it out."""

    uid: str
    content: bytes | None


@dataclass(frozen=True, slots=True)
class BounceMailbox:
    host: str
    port: int
    user: str
    password: str
    folder: str
    tls: bool

    @classmethod
    def from_url(cls, url: str) -> BounceMailbox:
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname or not parts.username:
            raise BadImapUrl(BadImapUrl.__doc__)
        return cls(
            host=parts.hostname,
            port=parts.port or _PORTS[parts.scheme],
            user=unquote(parts.username),
            password=unquote(parts.password or ""),
            folder=unquote(parts.path.strip("/")) or "INBOX",
            tls=parts.scheme == "imaps",
        )

    def unread(self, *, limit: int) -> list[BounceMail]:
        """Fetch at most `limit` unread mails, oldest first, and leave them unread; raises MailboxUnavailable.

        A server that refuses one mail of several refuses the command: then each is fetched alone.
        """
        with self._opened() as imap:
            _, found = imap.uid("SEARCH", "UNSEEN")
            uids = [uid.decode() for uid in (found[0] or b"").split()[:limit]] if found else []
            mails = _fetched(imap, uids)
            return mails if len(mails) == len(uids) else [mail for uid in uids for mail in self._alone(imap, uid)]

    def _alone(self, imap: imaplib.IMAP4, uid: str) -> list[BounceMail]:
        return _fetched(imap, [uid]) or [BounceMail(uid, None)]

    def mark_read(self, uids: Sequence[str]) -> None:
        """Mark mails as read; raises MailboxUnavailable, also when the server refuses it."""
        if uids:
            with self._opened() as imap:
                status, _ = imap.uid("STORE", ",".join(uids), "+FLAGS.SILENT", r"(\Seen)")
                if status != "OK":
                    raise MailboxUnavailable("mails cannot be marked as read")

    @contextlib.contextmanager
    def _opened(self) -> Iterator[imaplib.IMAP4]:
        try:
            with self._connected() as imap:
                imap.login(self.user, self.password)
                status, _ = imap.select(f'"{self.folder}"')
                if status != "OK":
                    raise MailboxUnavailable("no such folder")
                yield imap
        except (imaplib.IMAP4.error, OSError) as error:
            raise MailboxUnavailable(type(error).__name__) from error

    def _connected(self) -> imaplib.IMAP4:
        if self.tls:
            context = ssl.create_default_context()
            return imaplib.IMAP4_SSL(self.host, self.port, ssl_context=context, timeout=_TIMEOUT_S)
        return imaplib.IMAP4(self.host, self.port, timeout=_TIMEOUT_S)


def _fetched(imap: imaplib.IMAP4, uids: Sequence[str]) -> list[BounceMail]:
    """Fetch mails; none if the server refuses the command."""
    if not uids:
        return []
    try:
        _, fetched = imap.uid("FETCH", ",".join(uids), f"(UID BODY.PEEK[]<0.{_MOST_BYTES}>)")
    except imaplib.IMAP4.abort:
        raise
    except imaplib.IMAP4.error:  # BAD; after NO the reply has no mails
        return []
    return [mail for item in fetched if (mail := _bounce_mail(item)) is not None and mail.uid in uids]


def _bounce_mail(item: object) -> BounceMail | None:
    """Return the mail in an item of a FETCH reply, which is a tuple of UID and content; None for other items."""
    if not isinstance(item, tuple) or len(item) < 2 or not (uid := _UID.search(item[0])):
        return None
    return BounceMail(uid[1].decode(), item[1])

"""An SMTP server: address, login and TLS, as the URL of an account says."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    import aiosmtplib

_DEFAULT_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}


class BadSmtpUrl(ValueError):
    """The URL of an SMTP account must be smtp://, smtp+starttls:// or smtps://[user:password@]host[:port]."""


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """`starttls` None uses TLS when the server offers it; `ca_file` is used instead of the system's CAs."""

    host: str
    port: int
    username: str | None
    password: str | None
    tls: bool
    starttls: bool | None
    ca_file: Path | None = None

    @classmethod
    def from_url(cls, url: str, *, ca_file: Path | None = None) -> SmtpServer:
        parts = urlsplit(url)
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
            raise BadSmtpUrl(BadSmtpUrl.__doc__)
        return cls(
            host=parts.hostname,
            port=parts.port or _DEFAULT_PORTS[parts.scheme],
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            tls=parts.scheme == "smtps",
            starttls={"smtps": False, "smtp+starttls": True}.get(parts.scheme),
            ca_file=ca_file,
        )

    def client(self) -> aiosmtplib.SMTP:
        import aiosmtplib  # noqa: PLC0415 - settings only read the URL

        return aiosmtplib.SMTP(
            hostname=self.host,
            port=self.port,
            username=self.username,
            password=self.password,
            use_tls=self.tls,
            start_tls=self.starttls,
            tls_context=ssl.create_default_context(cafile=self.ca_file),
            timeout=5,
        )

"""How to connect to a Kafka cluster: addresses, TLS and credentials, as arguments of aiokafka's clients."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from aiokafka.abc import AbstractTokenProvider
from aiokafka.conn import create_conn
from aiokafka.errors import KafkaError

# Longer than a rebalance (the session timeout below), during which the broker delays its reply.
REQUEST_MS = 15_000
SESSION_MS = 10_000
PROBE_SECONDS = 2.0

Protocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]


@dataclass(frozen=True, slots=True)
class KafkaSecurity:
    """Protocol, credentials and PEM files of one cluster: a private CA in `cafile`, mTLS in `certfile` and `keyfile`.

    `token_file` holds the OAUTHBEARER token. It is read again for every connection: replace it to rotate the token.
    """

    protocol: Protocol = "PLAINTEXT"
    mechanism: Mechanism = "PLAIN"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    cafile: Path | None = None
    certfile: Path | None = None
    keyfile: Path | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not self.protocol.startswith("SASL_"):
            return
        if self.mechanism == "OAUTHBEARER":
            if self.token_file is None:
                raise ValueError("OAUTHBEARER needs a token file")
        elif self.username is None or self.password is None:
            raise ValueError(f"{self.mechanism} needs a username and a password")

    def options(self) -> dict[str, Any]:
        """Arguments for every aiokafka client."""
        options: dict[str, Any] = {"security_protocol": self.protocol}
        if self.protocol.endswith("SSL"):
            options["ssl_context"] = self._ssl_context()
        if self.protocol.startswith("SASL_"):
            options["sasl_mechanism"] = self.mechanism
            if self.token_file is not None and self.mechanism == "OAUTHBEARER":
                options["sasl_oauth_token_provider"] = TokenFile(self.token_file)
            else:
                options["sasl_plain_username"] = self.username
                options["sasl_plain_password"] = self.password
        return options

    def _ssl_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.cafile)
        if self.certfile is not None:
            context.load_cert_chain(self.certfile, self.keyfile)
        return context


class TokenFile(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka has no type hints
    def __init__(self, path: Path) -> None:
        self._path = path

    async def token(self) -> str:
        return (await asyncio.to_thread(self._path.read_text)).strip()


@dataclass(frozen=True, slots=True)
class Connection:
    """Addresses of a cluster, and the client id and credentials to use there."""

    url: str
    client_id: str = "earshot"
    security: KafkaSecurity | None = None

    @property
    def bootstrap(self) -> list[str]:
        return urlsplit(self.url).netloc.split(",")

    def options(self) -> dict[str, Any]:
        """Arguments of a new client; certificate files are read again, so that replaced ones are used."""
        return {
            "bootstrap_servers": self.bootstrap,
            "client_id": self.client_id,
            "request_timeout_ms": REQUEST_MS,
            **(self.security or KafkaSecurity()).options(),
        }


async def why_unreachable(connection: Connection) -> str:
    """Connect to the first broker and describe the error: aiokafka's clients only report that none could be reached."""
    host, _, port = connection.bootstrap[0].rpartition(":")
    options = {name: value for name, value in connection.options().items() if name != "bootstrap_servers"}
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            (await create_conn(host, int(port), **options)).close()
    except (KafkaError, OSError, TimeoutError) as error:
        return f"{type(error).__name__}: {error}".partition(" (_ssl")[0]
    return "the broker accepts connections and does not answer"

"""A second listener of the test broker that requires TLS and SCRAM, with a certificate of a private CA."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LISTENER: Final = "SECURE"
MECHANISM: Final = "SCRAM-SHA-512"


@dataclass(frozen=True, slots=True)
class SecuredListener:
    """The listener's only user; `ca.pem` and `keystore.pem` (key and certificate of the broker) are in `folder`."""

    folder: Path
    username: str
    password: str

    @property
    def ca_file(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def _keystore(self) -> Path:
        return self.folder / "keystore.pem"

    @property
    def credentials(self) -> str:
        """The value of `format --add-scram`: Kafka keeps SCRAM users in the cluster's metadata."""
        return f"{MECHANISM}=[name={self.username},password={self.password}]"

    def settings(self) -> Mapping[str, str]:
        """The settings of this listener for server.properties."""
        prefix = f"listener.name.{LISTENER.lower()}."
        login = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        return {
            "listener.security.protocol.map": f"PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,{LISTENER}:SASL_SSL",
            "inter.broker.listener.name": "PLAINTEXT",
            "sasl.enabled.mechanisms": MECHANISM,
            f"{prefix}{MECHANISM.lower()}.sasl.jaas.config": login,
            f"{prefix}ssl.keystore.type": "PEM",
            f"{prefix}ssl.keystore.location": str(self._keystore),
        }

    def make_certificates(self) -> None:
        """Make a CA and a certificate for 127.0.0.1, valid for two days."""
        from deploy.kafka.certificates import Authority  # noqa: PLC0415 - the doctor, which asks for Java, needs none

        authority = Authority.make()
        certificate, key = authority.signed("127.0.0.1")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ca_file.write_bytes(authority.pem)
        self._keystore.touch(mode=0o600)
        self._keystore.write_bytes(key + certificate + authority.pem)

"""A second listener of the broker for tests, which requires TLS and SCRAM; its certificate is from a private CA."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LISTENER: Final = "SECURE"
MECHANISM: Final = "SCRAM-SHA-512"
_VALID = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class SecuredListener:
    """The one user of the listener; `ca.pem` and the broker's key and certificate are written to `folder`."""

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
        """What server.properties needs for this listener."""
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
        ca_key, broker_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        authority = _name("Earshot test authority")
        ca = _signed(authority, ca_key.public_key(), authority, ca_key, x509.BasicConstraints(ca=True, path_length=0))
        loopback = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        broker = _signed(_name("127.0.0.1"), broker_key.public_key(), authority, ca_key, loopback)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ca_file.write_bytes(_pem(ca))
        self._keystore.touch(mode=0o600)
        key = broker_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self._keystore.write_bytes(key + _pem(broker) + _pem(ca))


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _signed(
    subject: x509.Name,
    key: ec.EllipticCurvePublicKey,
    issuer: x509.Name,
    issuers_key: ec.EllipticCurvePrivateKey,
    extension: x509.ExtensionType,
) -> x509.Certificate:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _VALID)
        .not_valid_after(now + _VALID)
        .add_extension(extension, critical=False)
        .sign(issuers_key, hashes.SHA256())
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)

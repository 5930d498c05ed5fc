"""Settings that every service has; each adds its own in `services/<name>/config.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from shared import database_url, made_keys
from shared.contract.address_keys import AddressKeys
from shared.database_url import DatabaseOptions
from shared.languages import current as languages
from shared.mail_address import mail_address, read_sender
from shared.smtp_server import SmtpServer

DEVELOPMENT_LINK_KEYS = {"dev": "only-for-this-machine"}
DEVELOPMENT_ADDRESS_KEYS = {"dev": "addresses-of-this-machine"}
DEVELOPMENT_TICKET_KEYS = {"dev": "tickets-of-this-machine"}
_DERIVED = Field(default="", validate_default=True)


def _of_folder(setting: str, otherwise: Mapping[str, str]) -> Callable[[dict[str, Any]], dict[str, SecretStr]]:
    """Return a default: the keys made in the data folder, or else these."""

    def keys(known: dict[str, Any]) -> dict[str, SecretStr]:
        found = made_keys.read(known["data_dir"]).get(setting, otherwise)
        return {name: SecretStr(secret) for name, secret in found.items()}

    return keys


class _Files(EnvSettingsSource):
    """Reads a setting from the file that `EARSHOT_…_FILE` names, as container platforms mount secrets."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        path = self.env_vars.get(f"{self.env_prefix}{field_name}_file".lower())
        return Path(path).read_text().strip() if path else None, field_name, self.field_is_complex(field)


class Settings(BaseSettings):
    """With the defaults everything runs on one machine, with an embedded PostgreSQL."""

    model_config = SettingsConfigDict(
        env_prefix="EARSHOT_", env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    environment: Literal["development", "production"] = "development"
    data_dir: Path = Path(".data/run")
    database_url: str = ""  # empty: the embedded PostgreSQL in data_dir
    trigger_database_url: str = ""
    dispatcher_database_url: str = ""
    scoring_database_url: str = ""
    database_pool_size: int = Field(default=8, ge=2, le=1000)  # connections of each service
    database_connect_s: float = Field(default=5.0, gt=0)
    database_command_s: float = Field(default=25.0, gt=0)
    database_statement_s: float = Field(default=20.0, gt=0)
    database_idle_s: float = Field(default=60.0, gt=0)
    database_pooled: Literal["", "transaction"] = ""
    migrate_on_start: bool = Field(default_factory=lambda known: known["environment"] == "development")
    migrate_url: str = ""  # `earshot migrate` connects with it; empty: the services' URLs
    events_url: str = ""  # empty: the postgres transport
    topic_prefix: str = ""
    kafka_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] = "PLAIN"
    kafka_username: str = ""
    kafka_password: SecretStr = SecretStr("")
    kafka_token_file: Path | None = None
    kafka_ca_file: Path | None = None
    kafka_cert_file: Path | None = None
    kafka_key_file: Path | None = None
    clock: Path | None = None  # a stored business clock, for demo and replay
    host: str = "127.0.0.1"
    public_host: str = ""  # a second address that serves all paths but those for staff
    client_address_header: str = ""
    # who may write it; empty: all addresses that are not public
    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = ()
    scoring_port: int = Field(default=8000, ge=0, le=65535)
    trigger_port: int = Field(default=8001, ge=0, le=65535)
    dispatcher_port: int = Field(default=8002, ge=0, le=65535)
    # bounds of each connection to the HTTP servers, in bytes and seconds
    http_head_bytes: int = Field(default=32_768, ge=1024)
    http_headers: int = Field(default=100, ge=10)
    http_url_bytes: int = Field(default=8192, ge=512)
    http_head_s: float = Field(default=30.0, gt=0)
    http_body_s: float = Field(default=180.0, gt=0)
    http_idle_s: float = Field(default=30.0, ge=1)
    http_stalled_s: float = Field(default=120.0, gt=0)
    http_connections: int = Field(default=500, ge=10)
    http_client_connections: int = Field(default=100, ge=1)
    public_url: str = Field(default_factory=lambda known: f"http://127.0.0.1:{known['scoring_port']}")
    # URLs for particular links and pages; empty: derived from public_url
    short_url: str = _DERIVED
    unsubscribe_url: str = _DERIVED
    dashboard_url: str = _DERIVED  # the staff URLs below are derived from it
    decisions_url: str = _DERIVED
    mailbox_url: str = _DERIVED
    invitations_url: str = _DERIVED
    link_keys: Annotated[dict[str, SecretStr], NoDecode] = Field(
        default_factory=_of_folder("link_keys", DEVELOPMENT_LINK_KEYS)
    )
    address_keys: Annotated[dict[str, SecretStr], NoDecode] = Field(
        default_factory=_of_folder("address_keys", DEVELOPMENT_ADDRESS_KEYS)
    )
    ticket_keys: Annotated[dict[str, SecretStr], NoDecode] = Field(
        default_factory=_of_folder("ticket_keys", DEVELOPMENT_TICKET_KEYS)
    )
    shared_address_ids: int = Field(default=10, ge=1)  # an address of more ids is no identity of a person
    audit_kept_days: int = Field(default=730, ge=0, le=36_500)  # 0: for ever
    audit_mail_to: str = ""  # gets the anchors of the audit log, over the account for staff
    staff_send: Literal["off", "live"] = "off"  # mail to staff, whatever may be sent to respondents
    staff_smtp_url: SecretStr = SecretStr("")
    staff_smtp_ca_file: Path | None = None
    staff_from: str = ""
    staff_mails_per_hour: int = Field(default=200, ge=1, le=100_000)
    language: str = "en"  # of pages for staff whose browser asks for none that there is
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - unused: one file for each setting
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        files = _Files(settings_cls)
        if isinstance(dotenv_settings, DotEnvSettingsSource):
            files.env_vars = {**dotenv_settings.env_vars, **files.env_vars}
        return init_settings, env_settings, dotenv_settings, files

    @field_validator(
        "database_url", "trigger_database_url", "dispatcher_database_url", "scoring_database_url", "migrate_url"
    )
    @classmethod
    def _is_postgresql(cls, url: str) -> str:
        if url:
            database_url.parse(url)
        return url

    @field_validator("events_url")
    @classmethod
    def _names_a_log(cls, url: str) -> str:
        if url and not url.startswith("kafka://"):
            database_url.parse(url)
        return url

    @field_validator("short_url", "unsubscribe_url", "dashboard_url")
    @classmethod
    def _same_as_public(cls, url: str, info: ValidationInfo) -> str:
        return url or str(info.data.get("public_url", ""))

    @field_validator("decisions_url", "mailbox_url", "invitations_url")
    @classmethod
    def _beside_dashboard(cls, url: str, info: ValidationInfo) -> str:
        page = str(info.field_name).removesuffix("_url")
        return url or f"{str(info.data.get('dashboard_url', '')).rstrip('/')}/{page}"

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _split_networks(cls, value: object) -> object:
        return networks(value)

    @field_validator("link_keys", "address_keys", "ticket_keys", mode="before")
    @classmethod
    def _split_keys(cls, value: object, info: ValidationInfo) -> object:
        """Read `k2:secret,k1:older secret`; the first key is used for what is new."""
        if not isinstance(value, str):
            return value
        pairs = [pair.partition(":") for pair in value.split(",") if pair.strip()]
        if not pairs or not all(name.strip() and secret.strip() for name, _, secret in pairs):
            raise ValueError(f"EARSHOT_{str(info.field_name).upper()} must be id:secret pairs separated by commas")
        return {name.strip(): secret.strip() for name, _, secret in pairs}

    @field_validator("staff_smtp_url")
    @classmethod
    def _names_a_mail_server(cls, url: SecretStr) -> SecretStr:
        if url.get_secret_value():
            SmtpServer.from_url(url.get_secret_value())
        return url

    @field_validator("staff_from")
    @classmethod
    def _is_a_sender(cls, sender: str) -> str:
        if sender:
            read_sender(sender)
        return sender

    @field_validator("language")
    @classmethod
    def _has_a_catalogue(cls, language: str) -> str:
        if language not in languages.known():
            raise ValueError(f"there are only these languages: {', '.join(languages.known())}")
        return language

    @field_validator("audit_mail_to")
    @classmethod
    def _is_an_address(cls, address: str) -> str:
        if address and mail_address(address) is None:
            raise ValueError("this has to be a mail address")
        return address

    @model_validator(mode="after")
    def _has_an_account_for_staff(self) -> Self:
        if self.staff_send == "live" and not (self.staff_smtp_url.get_secret_value() and self.staff_from):
            raise ValueError("EARSHOT_STAFF_SEND=live needs EARSHOT_STAFF_SMTP_URL and EARSHOT_STAFF_FROM")
        if self.audit_mail_to and self.staff_send == "off":
            raise ValueError("EARSHOT_AUDIT_MAIL_TO needs EARSHOT_STAFF_SEND=live")
        return self

    @property
    def database_options(self) -> DatabaseOptions:
        return DatabaseOptions(
            pool_size=self.database_pool_size,
            connect_s=self.database_connect_s,
            command_s=self.database_command_s,
            statement_s=self.database_statement_s,
            idle_s=self.database_idle_s,
            pooled=self.database_pooled == "transaction",
        )

    @property
    def audit_kept(self) -> timedelta | None:
        return timedelta(days=self.audit_kept_days) if self.audit_kept_days else None

    @property
    def link_secrets(self) -> dict[str, str]:
        return {name: secret.get_secret_value() for name, secret in self.link_keys.items()}

    @property
    def ticket_secrets(self) -> dict[str, str]:
        return {name: secret.get_secret_value() for name, secret in self.ticket_keys.items()}

    @property
    def address_fingerprints(self) -> AddressKeys:
        return AddressKeys({name: secret.get_secret_value() for name, secret in self.address_keys.items()})

    @property
    def signing_key(self) -> str:
        return next(iter(self.link_keys))


def networks(value: object) -> object:
    """Parse comma-separated networks such as `10.0.0.0/8,192.168.7.0/24`; raises ValueError."""
    return (
        tuple(ip_network(each.strip()) for each in value.split(",") if each.strip())
        if isinstance(value, str)
        else value
    )


def is_loopback(url: str) -> bool:
    return urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")

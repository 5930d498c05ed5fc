"""Settings every service has. Each service adds its own in `services/<name>/config.py`; only `main.py` makes one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urljoin

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from shared import database_url
from shared.database_url import DatabaseOptions

DEVELOPMENT_LINK_KEYS = {"dev": "only-for-this-machine"}


@dataclass(frozen=True, slots=True)
class StaffPages:
    """Where the services' pages for staff are, to lead from one to another."""

    dashboard: str
    decisions: str
    mailbox: str
    invitations: str

    @property
    def menu(self) -> Mapping[str, str]:
        """Every page by its name, in the order in which each of them shows the others."""
        scoring = f"{self.dashboard.rstrip('/')}/"
        return {
            "Dashboard": scoring,
            "Desk": urljoin(scoring, "desk"),
            "Suspects": urljoin(scoring, "suspects"),
            "Decisions": self.decisions,
            "Mailbox": self.mailbox,
            "Invitations": self.invitations,
            "Mails": urljoin(self.invitations, "mail"),
            "Suppressions": urljoin(self.invitations, "suppressions"),
        }


class Settings(BaseSettings):
    """Every default works with nothing installed."""

    model_config = SettingsConfigDict(
        env_prefix="EARSHOT_", env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    environment: Literal["development", "production"] = "development"
    data_dir: Path = Path(".data/run")
    database_url: str = ""  # empty: the embedded PostgreSQL in data_dir
    trigger_database_url: str = ""
    dispatcher_database_url: str = ""
    scoring_database_url: str = ""
    database_pool_size: int = Field(default=8, ge=2, le=1000)  # of each service
    database_connect_s: float = Field(default=5.0, gt=0)
    database_command_s: float = Field(default=25.0, gt=0)
    database_statement_s: float = Field(default=20.0, gt=0)
    database_idle_s: float = Field(default=60.0, gt=0)
    database_pooled: Literal["", "transaction"] = ""
    migrate_on_start: bool = Field(default_factory=lambda known: known["environment"] == "development")
    migrate_url: str = ""  # `earshot migrate` connects with it; empty: as the services do
    events_url: str = ""  # empty: the postgres transport beside the services' database
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
    public_host: str = ""  # when set, public paths are served there as well, and nothing else is
    staff_secret: SecretStr = SecretStr("")
    scoring_port: int = Field(default=8000, ge=0, le=65535)
    trigger_port: int = Field(default=8001, ge=0, le=65535)
    dispatcher_port: int = Field(default=8002, ge=0, le=65535)
    public_url: str = Field(default_factory=lambda known: f"http://127.0.0.1:{known['scoring_port']}")
    short_url: str = ""  # empty: public_url
    unsubscribe_url: str = Field(default_factory=lambda known: f"http://127.0.0.1:{known['dispatcher_port']}")
    dashboard_url: str = Field(default_factory=lambda known: f"http://127.0.0.1:{known['scoring_port']}")
    decisions_url: str = Field(default_factory=lambda known: f"http://127.0.0.1:{known['trigger_port']}/decisions")
    mailbox_url: str = Field(default_factory=lambda known: f"http://127.0.0.1:{known['dispatcher_port']}/mailbox")
    invitations_url: str = Field(
        default_factory=lambda known: f"http://127.0.0.1:{known['dispatcher_port']}/invitations"
    )
    link_keys: Annotated[dict[str, SecretStr], NoDecode] = Field(
        default_factory=lambda: {name: SecretStr(secret) for name, secret in DEVELOPMENT_LINK_KEYS.items()}
    )
    log_level: Literal["debug", "info", "warning", "error"] = "info"

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

    @field_validator("link_keys", mode="before")
    @classmethod
    def _split_keys(cls, value: object) -> object:
        """Read `k2:secret,k1:older secret`; the first one signs new links."""
        if not isinstance(value, str):
            return value
        pairs = [pair.partition(":") for pair in value.split(",") if pair.strip()]
        if not pairs or not all(name.strip() and secret.strip() for name, _, secret in pairs):
            raise ValueError("EARSHOT_LINK_KEYS wants id:secret pairs with commas between them")
        return {name.strip(): secret.strip() for name, _, secret in pairs}

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
    def staff_pages(self) -> StaffPages:
        return StaffPages(self.dashboard_url, self.decisions_url, self.mailbox_url, self.invitations_url)

    @property
    def link_secrets(self) -> dict[str, str]:
        return {name: secret.get_secret_value() for name, secret in self.link_keys.items()}

    @property
    def signing_key(self) -> str:
        return next(iter(self.link_keys))

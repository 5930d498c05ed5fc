"""Settings of trigger, and the sources of events that they configure."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

import phonenumbers
from pydantic import Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from services.trigger.domain.deciding.batch import InstallationSettings
from services.trigger.domain.sources.mapping import MappingDocument
from services.trigger.domain.sources.source import (
    InvalidSource,
    Source,
    SourceDocument,
    read_mapping,
    read_source,
    source_of,
)
from shared.config import Settings
from shared.zones import is_time_zone

MAPPINGS = Path(__file__).parent / "mappings"


class TriggerSettings(Settings):
    crm_events_url: str = ""  # the event log with the topic crm.events; empty: that of Earshot
    crm_kafka_protocol: Literal["", "PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = ""  # empty: as for Earshot
    crm_kafka_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] = "PLAIN"
    crm_kafka_username: str = ""
    crm_kafka_password: SecretStr = SecretStr("")
    crm_kafka_token_file: Path | None = None
    crm_kafka_ca_file: Path | None = None
    crm_kafka_cert_file: Path | None = None
    crm_kafka_key_file: Path | None = None
    schema_registry_url: str = ""  # of a registry with Confluent's API; empty: Avro messages are parked
    schema_registry_username: str = ""
    schema_registry_password: SecretStr = SecretStr("")
    sources: Path | None = None  # a folder of YAML files, each a webhook source or topics in a foreign format
    source_secrets: Annotated[tuple[tuple[str, SecretStr], ...], NoDecode] = ()
    source_urls: Annotated[tuple[tuple[str, SecretStr], ...], NoDecode] = ()
    events_per_second: float = Field(default=500.0, gt=0)  # average per API key; a burst may have 1,000 events
    phone_region: str = ""  # country of numbers without a country code, such as RU; empty: they are invalid
    store_zones: Annotated[dict[str, str], NoDecode] = Field(default_factory=dict)  # store:Asia/Omsk,…
    consent_ground: Annotated[str, Field(max_length=300)] = ""  # on which programs assume consent; shown in decisions
    decisions_kept_days: Annotated[int, Field(ge=0, le=36_500)] = 400  # and their touchpoints; 0: for ever
    cadence_tick_s: float = Field(default=5.0, gt=0)  # seconds between two runs of the job of relational programs

    @property
    def decisions_kept(self) -> timedelta | None:
        return timedelta(days=self.decisions_kept_days) if self.decisions_kept_days else None

    @property
    def installation(self) -> InstallationSettings:
        return InstallationSettings(
            link_key=self.signing_key,
            phone_region=self.phone_region,
            store_zones=self.store_zones,
            address_keys=self.address_fingerprints,
            shared_address_ids=self.shared_address_ids,
            consent_ground=self.consent_ground.strip(),
        )

    @field_validator("schema_registry_url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        if url and not url.startswith(("http://", "https://")):
            raise ValueError("expected http:// or https://")
        return url

    @field_validator("phone_region")
    @classmethod
    def _known_region(cls, region: str) -> str:
        if region and region not in phonenumbers.SUPPORTED_REGIONS:
            raise ValueError("expected a country of two capital letters, such as RU")
        return region

    @field_validator("store_zones", mode="before")
    @classmethod
    def _known_zones(cls, value: object) -> object:
        """Parse `store:zone` pairs; the zone follows the last colon, since a store's code may have one."""
        if not isinstance(value, str):
            return value
        pairs = [pair.rpartition(":") for pair in value.split(",") if pair.strip()]
        if unknown := [zone for store, _, zone in pairs if not (store.strip() and is_time_zone(zone.strip()))]:
            raise ValueError(f"expected pairs such as store:Europe/Moscow separated by commas, not {unknown[0]}")
        return {store.strip(): zone.strip() for store, _, zone in pairs}

    @field_validator("source_secrets", "source_urls", mode="before")
    @classmethod
    def _split_pairs(cls, value: object) -> object:
        """Parse `source:secret` pairs; a source may have several secrets while one is replaced."""
        if not isinstance(value, str):
            return value
        pairs = [pair.partition(":") for pair in value.split(",") if pair.strip()]
        if not all(name.strip() and secret.strip() for name, _, secret in pairs):
            raise ValueError("expected source:value pairs separated by commas")
        return tuple((name.strip(), secret.strip()) for name, _, secret in pairs)

    def for_crm(self, topic_prefix: str) -> Settings:
        """Return the settings for the cluster of `crm.events`: its own credentials, if set, and its topic prefix."""
        overrides = {name.removeprefix("crm_"): getattr(self, name) for name in _CRM_KAFKA if self.crm_kafka_protocol}
        return self.model_copy(update={**overrides, "topic_prefix": topic_prefix})


_CRM_KAFKA = [name for name in TriggerSettings.model_fields if name.startswith("crm_kafka_")]


def load_sources(settings: TriggerSettings) -> dict[str, Source]:
    """Read the folder of sources; raises InvalidSource with the file's name."""
    found: dict[str, Source] = {}
    for path in sorted(settings.sources.glob("*.y*ml")) if settings.sources else ():
        try:
            source = _with_secrets(read_source(path.read_bytes()), settings)
        except (InvalidSource, OSError) as error:
            raise InvalidSource(f"{path}: {error}") from None
        if source.id in found:
            raise InvalidSource(f"{path}: another file has the source {source.id}")
        found[source.id] = source
    return found


def _with_secrets(document: SourceDocument, settings: TriggerSettings) -> Source:
    secrets, urls = (
        [secret.get_secret_value() for name, secret in pairs if name == document.id]
        for pairs in (settings.source_secrets, settings.source_urls)
    )
    return source_of(document, vendors=vendors_mapping(document.kind), secrets=secrets, url=urls[0] if urls else "")


def vendors_mapping(kind: str) -> MappingDocument | None:
    """Read the built-in mapping of a vendor's webhooks; None for other kinds."""
    path = MAPPINGS / f"{kind}.yaml"
    return read_mapping(path.read_bytes()) if path.is_file() else None

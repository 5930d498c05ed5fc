"""Settings of scoring."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from shared.addresses import Network
from shared.config import Settings


class ScoringSettings(Settings):
    mailbox_url: str = Field(default_factory=lambda known: f"http://127.0.0.1:{known['dispatcher_port']}/mailbox")
    webhook_networks: Annotated[tuple[Network, ...], NoDecode] = ()  # private networks a webhook may lead to

    @field_validator("webhook_networks", mode="before")
    @classmethod
    def _split_networks(cls, value: object) -> object:
        """Read `10.0.0.0/8,192.168.7.0/24`."""
        return (
            tuple(ip_network(each.strip()) for each in value.split(",") if each.strip())
            if isinstance(value, str)
            else value
        )

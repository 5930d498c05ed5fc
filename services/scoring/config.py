"""Settings of the scoring service."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from services.scoring.domain.bot_detection import ScannerWindows
from services.scoring.people.oidc.settings import ProviderSettings
from shared.config import Settings, networks
from shared.contract.vocabulary import Role
from shared.web.addresses import Network


class ScoringSettings(Settings):
    logos_dir: Path = Path(".data/logos")
    answer_link_rate: float = Field(default=2, gt=0)  # requests per second for one answer link
    answer_link_burst: int = Field(default=120, ge=1)
    answer_client_rate: float = Field(default=50, gt=0)  # requests per second of one public address
    answer_client_burst: int = Field(default=1000, ge=1)
    # invitations with answers, attempts, page views and calls, from when they were made and answered; 0: for ever
    answers_kept_days: int = Field(default=400, ge=0, le=36_500)
    employee_figures: bool = False  # count scores per employee, and show them to managers
    desk_lease_minutes: int = Field(default=15, ge=1, le=240)
    desk_call_link: str = "tel:{phone}"  # what the button "Dial" opens, such as sip:{phone}@pbx.example.com
    scanner_reading_s: float = Field(default=1, ge=0)  # nobody reads and sends the form in less
    scanner_links_s: float = Field(default=10, ge=0)  # several links of one mail fetched within this time
    scanner_after_send_s: float = Field(default=86_400, ge=0)  # a browser must have been shown the form
    second_factor: Annotated[frozenset[Role], NoDecode] = frozenset()  # roles that may not log in without one
    oidc: tuple[ProviderSettings, ...] = ()  # identity providers by which staff may log in, as JSON: docs/security.md
    webhook_networks: Annotated[tuple[Network, ...], NoDecode] = ()  # private networks allowed for webhooks

    @field_validator("second_factor", mode="before")
    @classmethod
    def _split_roles(cls, value: object) -> object:
        """Read `administrator,privacy_officer`."""
        return frozenset(each.strip() for each in value.split(",") if each.strip()) if isinstance(value, str) else value

    @field_validator("desk_call_link")
    @classmethod
    def _check_link(cls, link: str) -> str:
        if not re.fullmatch(r"(tel|sip|sips|callto|https):[^{}\s]*\{phone\}[^{}\s]*", link):
            raise ValueError("it begins with tel:, sip:, sips:, callto: or https: and holds {phone} once")
        return link

    @field_validator("oidc")
    @classmethod
    def _check_providers(cls, providers: tuple[ProviderSettings, ...]) -> tuple[ProviderSettings, ...]:
        ids, issuers = {each.id for each in providers}, {each.issuer for each in providers}
        if len(ids) < len(providers) or len(issuers) < len(providers):
            raise ValueError("every provider needs an id and an issuer of its own")
        return providers

    @field_validator("webhook_networks", mode="before")
    @classmethod
    def _split_webhook_networks(cls, value: object) -> object:
        return networks(value)

    @property
    def scanner_windows(self) -> ScannerWindows:
        return ScannerWindows(
            reading=timedelta(seconds=self.scanner_reading_s),
            links=timedelta(seconds=self.scanner_links_s),
            after_send=timedelta(seconds=self.scanner_after_send_s),
        )

    @property
    def answers_kept(self) -> timedelta | None:
        return timedelta(days=self.answers_kept_days) if self.answers_kept_days else None

    @property
    def desk_lease(self) -> timedelta:
        return timedelta(minutes=self.desk_lease_minutes)

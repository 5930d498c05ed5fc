"""Settings of trigger."""

from __future__ import annotations

import phonenumbers
from pydantic import Field, field_validator

from shared.config import Settings


class TriggerSettings(Settings):
    crm_events_url: str = ""  # where crm.events lives; empty: with our own topics
    phone_region: str = ""  # country of numbers written without one, such as RU; empty: only +… can be read

    cadence_tick_s: float = Field(default=5.0, gt=0)  # how often relational programs look whose turn it is

    @field_validator("phone_region")
    @classmethod
    def _known_region(cls, region: str) -> str:
        if region and region not in phonenumbers.SUPPORTED_REGIONS:
            raise ValueError("a country of two capital letters is wanted, such as RU")
        return region

"""Settings of scoring."""

from __future__ import annotations

from pydantic import Field

from shared.config import Settings


class ScoringSettings(Settings):
    mailbox_url: str = Field(default_factory=lambda known: f"http://127.0.0.1:{known['dispatcher_port']}/mailbox")

"""Settings of scoring."""

from __future__ import annotations

from shared.config import Settings


class ScoringSettings(Settings):
    scoring_port: int = 8000
    mailbox_url: str = "http://127.0.0.1:8002/mailbox"

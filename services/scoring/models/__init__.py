"""Database tables of the scoring service."""

from __future__ import annotations

from services.scoring.models import (
    alerts,
    answers,
    calls,
    dropped,
    invitations,
    journeys,
    people,
    scores,
    stores,
    webhooks,
)
from services.scoring.models.columns import metadata

__all__ = [
    "alerts",
    "answers",
    "calls",
    "dropped",
    "invitations",
    "journeys",
    "metadata",
    "people",
    "scores",
    "stores",
    "webhooks",
]

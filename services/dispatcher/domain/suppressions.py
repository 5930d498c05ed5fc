"""The key of a suppression: respondent, channel, program and reason."""

from __future__ import annotations

from shared.contract.events import Suppression

SuppressionKey = tuple[str, str | None, str | None, str]


def key_of(suppression: Suppression) -> SuppressionKey:
    return suppression.respondent_id, suppression.channel, suppression.program, suppression.reason.value

"""The links of surveys that a shop shows itself: on a receipt, a screen or in a chat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from services.trigger.domain.deciding.cases import DecisionReason
from services.trigger.domain.deciding.stored_decision import StoredDecision
from shared.web import links


@dataclass(frozen=True, slots=True)
class SurveyLinks:
    """Derives links from stored decisions; none is stored, so a repeated event gets the same one again."""

    public_url: str
    secrets: Mapping[str, str]

    def of(self, decision: StoredDecision) -> str | None:
        """Return the link of a survey whose plan has a step `link`; None for other decisions and a key that is gone."""
        if decision.invitation_id is None or decision.reason != DecisionReason.ASKED:
            return None
        found = next((trial["facts"].get("link") for trial in decision.trail if trial["rule"] == decision.reason), None)
        if found is None or found["key"] not in self.secrets:
            return None
        return links.answer_url(self.public_url, self.secrets, found["key"], decision.invitation_id, step=found["step"])

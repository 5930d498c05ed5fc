"""Why somebody is not contacted, in words for pages."""

from __future__ import annotations

from collections.abc import Mapping

from shared.contract.vocabulary import SuppressionReason
from shared.languages.marking import mark

REASONS: Mapping[str, str] = {
    SuppressionReason.OPT_OUT: mark("opted out of surveys"),
    SuppressionReason.STOP: mark("replied STOP"),
    SuppressionReason.COMPLAINT: mark("reported a mail as spam"),
    SuppressionReason.HARD_BOUNCE: mark("no such address"),
    SuppressionReason.SOFT_BOUNCE: mark("three soft bounces within 30 days"),
    SuppressionReason.BLOCKED: mark("the provider blocks this address"),
    SuppressionReason.DO_NOT_CALL: mark("asked not to be called"),
    SuppressionReason.WRONG_NUMBER: mark("somebody else's number"),
}

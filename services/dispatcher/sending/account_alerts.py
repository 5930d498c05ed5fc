"""Tells staff that a provider refuses our account: a person must act, waiting alone does not help."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from services.dispatcher.domain.steps import Disposition, SendResult
from shared import metrics
from shared.contract.vocabulary import Service

log = structlog.get_logger()

_SEVERAL = 3  # refusals in a row; a single one may be a server that restarts


@dataclass(slots=True)
class AccountAlerts:
    """Logs one error per account when it is refused several times in a row, and again only after it sent a message."""

    _refusals: dict[str, int] = field(default_factory=dict)

    def note(self, account: str, dispositions: Sequence[Disposition]) -> None:
        for each in dispositions:
            name = each.account or account
            if each.refuses_account:
                self._refused(name, each.reason or "unknown")
            elif each.result is SendResult.SENT:
                self._accepted(name)

    def _refused(self, account: str, reason: str) -> None:
        self._refusals[account] = self._refusals.get(account, 0) + 1
        metrics.ACCOUNT_REFUSALS.labels(Service.DISPATCHER, account, reason).inc()
        if self._refusals[account] == _SEVERAL:
            log.error("account.refused", account=account, reason=reason)

    def _accepted(self, account: str) -> None:
        if self._refusals.pop(account, 0) >= _SEVERAL:
            log.info("account.accepted_again", account=account)

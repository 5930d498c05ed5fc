"""Recognises that a mail server refuses us, and not the recipients: several of them in a row get an unclear refusal.

Each account of each process has its own memory of that; it uses machine time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from msgspec import structs

from services.dispatcher.domain.steps import Disposition, OutgoingMessage, SendResult

_SEVERAL = 3
_REMEMBERED = 1000
_REST_S = 60.0
_LONGEST_REST_S = 960.0


@dataclass(slots=True)
class _Run:
    """Refusals of a domain's recipients in a row."""

    since: float
    last: float
    recipients: set[str] = field(default_factory=set)
    rest_s: float = 0.0
    resting_until: float = 0.0


@dataclass(slots=True)
class RefusalRuns:
    """Counts recipients that get an unclear refusal in a row, by mail domain and over all domains of the account.

    After `patience_s` seconds without an accepted mail to a domain, its refusals count as tries again, so that chains
    continue.
    """

    patience_s: float = 6 * 3600.0
    monotonic: Callable[[], float] = time.monotonic
    _runs: dict[str, _Run] = field(default_factory=dict)
    _refused: dict[str, str] = field(default_factory=dict)  # domain by recipient, since the last accepted mail

    def wait(self, domain: str) -> float:
        """Return the seconds for which a domain that refuses us gets no mail; usually 0."""
        run = self._runs.get(domain)
        return max(0.0, run.resting_until - self.monotonic()) if run is not None else 0.0

    def judge(self, message: OutgoingMessage, disposition: Disposition) -> Disposition:
        """Count a disposition; return what it means after those before it."""
        domain = _domain(message)
        if disposition.unclear:
            self._add(message.recipient, domain)
            return self._judged(domain, disposition)
        if disposition.result is SendResult.SENT:
            self._refused.clear()
        if disposition.result in (SendResult.SENT, SendResult.REFUSED):
            self._runs.pop(domain, None)
        return disposition

    def settle(self, message: OutgoingMessage, disposition: Disposition) -> Disposition:
        """Return what a disposition means once its whole batch is known: the first of a run cost no try either."""
        if not disposition.unclear:
            return disposition
        return structs.replace(self._judged(_domain(message), disposition), unclear=False)

    def _add(self, recipient: str, domain: str) -> None:
        now, run = self.monotonic(), self._runs.get(domain)
        if run is None or now - run.last > self.patience_s:
            if len(self._runs) >= _REMEMBERED:
                self._runs.clear()
            run = self._runs[domain] = _Run(since=now, last=now)
        run.last = now
        if len(run.recipients) < _SEVERAL:
            run.recipients.add(recipient)
        if len(self._refused) < _REMEMBERED:
            self._refused[recipient] = domain

    def _judged(self, domain: str, disposition: Disposition) -> Disposition:
        if len(self._refused) >= _SEVERAL and len(set(self._refused.values())) > 1:
            return Disposition(SendResult.UNAVAILABLE, disposition.reason, wait_s=_REST_S)
        run, now = self._runs.get(domain), self.monotonic()
        if run is None or len(run.recipients) < _SEVERAL or now - run.since >= self.patience_s:
            return disposition
        if run.resting_until <= now:
            run.rest_s = min(run.rest_s * 2 or _REST_S, _LONGEST_REST_S)
            run.resting_until = now + run.rest_s
        return Disposition(SendResult.THROTTLED, disposition.reason, wait_s=run.resting_until - now)


def _domain(message: OutgoingMessage) -> str:
    return message.recipient.rpartition("@")[2].lower()

"""`earshot doctor`: whether each URL in messages is answered by its service."""

from __future__ import annotations

from collections.abc import AsyncIterator

from deploy.operations.findings import Finding
from services.dispatcher import wiring
from services.dispatcher.config import DispatcherSettings
from services.dispatcher.domain.send_mode import SendMode
from shared.web.public_urls import Result, Verdict, ask


async def examine(settings: DispatcherSettings) -> AsyncIterator[Finding]:
    for result in await ask(wiring.public_urls(settings)):
        if (finding := _finding(result, settings.send)) is not None:
            yield finding


def _finding(result: Result, mode: SendMode) -> Finding | None:
    """Return a finding; None for an unanswered URL while nothing is sent, because the services may not run."""
    is_sent = mode is not SendMode.MAILBOX
    match result.verdict:
        case Verdict.RIGHT:
            return Finding.ok(str(result))
        case Verdict.WRONG:
            return (Finding.fail if is_sent else Finding.note)(str(result), result.cure)
        case Verdict.UNKNOWN:
            return Finding.note(str(result), "open it from outside, or start its service") if is_sent else None

"""The only one in a process who records answers: many in one transaction."""

from __future__ import annotations

from services.scoring.answers import Recorded, record
from services.scoring.domain.answers import Entry, Refusal
from services.scoring.groups import Group
from shared import metrics
from shared.db import Sessions
from shared.vocabulary import Service

Result = Recorded | Refusal


class Writer:
    def __init__(self, sessions: Sessions) -> None:
        self._group: Group[Entry, Result] = Group(sessions, record)

    async def record(self, entry: Entry) -> Result:
        """Record what somebody says; returns once it is committed, and may be called again with the same."""
        result = await self._group.do(entry)
        if isinstance(result, Recorded) and result.new:
            metrics.ANSWERS.labels(Service.SCORING, entry.mode).inc()
        return result

"""Records the answers of one process in group commits."""

from __future__ import annotations

from functools import lru_cache, partial

from services.scoring.answers.record import Recorded, SubmissionResult, record, submit
from services.scoring.domain.answer_form import Submission
from services.scoring.domain.answers import Entry, Refusal
from services.scoring.domain.bot_detection import DEFAULT_WINDOWS, ScannerWindows
from shared import metrics
from shared.contract.vocabulary import Service
from shared.database.group_commit import GroupCommitter, in_transaction
from shared.database.session import Sessions

EntryResult = Recorded | Refusal


class Writer:
    def __init__(self, sessions: Sessions, windows: ScannerWindows = DEFAULT_WINDOWS) -> None:
        self._entries: GroupCommitter[Entry, EntryResult] = GroupCommitter(in_transaction(sessions, record))
        self._submissions: GroupCommitter[Submission, SubmissionResult | None] = GroupCommitter(
            in_transaction(sessions, partial(submit, windows=windows))
        )

    async def record(self, entry: Entry) -> EntryResult:
        """Record an entry and return its result after the commit; repeating the same entry changes nothing."""
        result = await self._entries.do(entry)
        _count(entry, result)
        return result

    async def submit(self, submission: Submission) -> SubmissionResult | None:
        """Record a submitted form and return its result after the commit; None for an unknown link."""
        submitted = await self._submissions.do(submission)
        if submitted and submitted.entry:
            _count(submitted.entry, submitted.result)
        return submitted


def _count(entry: Entry, result: EntryResult) -> None:
    if isinstance(result, Recorded) and result.new:
        _answers(Service.SCORING, entry.mode).inc()


_answers = lru_cache(metrics.ANSWERS.labels)

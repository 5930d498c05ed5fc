"""Decides the events of a file in batches, like events of HTTP requests, and resumes an interrupted file."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

import msgspec
from pydantic import TypeAdapter

from services.trigger.domain.deciding.stored_decision import EventKey, StoredDecision
from services.trigger.domain.sources.source import Source
from services.trigger.files.reading import FileRecord, digest_of, event_of, read_records
from services.trigger.handlers.events import EventIdConflict, check_crm_event, read_event
from services.trigger.handlers.intake import REUSED, EventIntake
from services.trigger.handlers.mapped_events import from_source, read_message
from services.trigger.repository import decisions, files
from services.trigger.repository.files import Position
from shared.contract.cloudevents import Event
from shared.contract.events import Attributes, CrmPayload
from shared.contract.vocabulary import Service
from shared.database.db import retry_outages
from shared.database.isolated import isolated
from shared.messaging.codec import InvalidEvent
from shared.messaging.transport import Message

BATCH = 500
_ATTRIBUTES = TypeAdapter(Attributes)


class IngestMode(StrEnum):
    INGEST = "ingest"  # decides about surveys
    BACKFILL = "backfill"  # only adds to the history


@dataclass(slots=True)
class IngestReport:
    """Counts the records of a file by their outcome, and decisions by reason."""

    reasons: Counter[str] = field(default_factory=Counter)
    known: int = 0  # decisions that existed before, for the same event
    ignored: int = 0
    refused: int = 0
    refused_before: int = 0  # in the earlier run that this run resumes
    resumed_at: int = 0


@dataclass(frozen=True, slots=True)
class FileIngest:
    """One file; `source` is the source of its events that do not name one."""

    intake: EventIntake
    path: Path
    mode: IngestMode
    source: Source

    @property
    def refusals_path(self) -> Path:
        return self.path.with_name(f"{self.path.name}.refused.csv")

    async def run(self, *, again: bool = False, progress: Callable[[int], None] = lambda _offset: None) -> IngestReport:
        """Process the rest of the file, or with `again` all of it; `progress` is called with the bytes done.

        Raises InvalidFile.
        """
        digest, report = digest_of(self.path), IngestReport()
        start = Position() if again else await self._position(digest)
        report.resumed_at = start.line
        if start.offset:
            report.refused_before = self._count_refusals()
        elif self.refusals_path.exists():  # from another file with this name, or from an earlier run
            self.refusals_path.rename(unused_path(self.refusals_path, stem=self.path.name))
        for batch in _batched(read_records(self.path, start)):
            self._write_refusals(await retry_outages()(self._process, batch, report, digest))
            progress(batch[-1].after.offset)
        return report

    async def _position(self, digest: bytes) -> Position:
        async with self.intake.sessions() as session:
            return await files.find(session, digest, self.mode)

    async def _process(self, batch: Sequence[FileRecord], report: IngestReport, digest: bytes) -> list[tuple[int, str]]:
        """Decide a batch, save the position after it, and return the refused lines with their reasons."""
        refused: list[tuple[int, str]] = []
        events: list[tuple[int, Event[CrmPayload]]] = []
        ignored = 0
        for record in batch:
            try:
                with isolated("line", service=Service.TRIGGER, passing=(InvalidEvent,), line=record.line) as guarded:
                    event = self._read(record)
            except InvalidEvent as error:
                refused.append((record.line, str(error)))
                continue
            if guarded.error is not None:
                refused.append((record.line, f"cannot be read: {type(guarded.error).__name__}"))
                continue
            ignored += event is None
            events += [] if event is None else [(record.line, event)]
        known = await self._known([event for _, event in events])
        decided = await self._decide(events, refused)
        async with self.intake.sessions.begin() as session:
            await files.save(session, digest, self.mode, batch[-1].after)
        report.reasons += Counter(each.reason for each in decided)
        report.known += sum(each.key in known for each in decided)
        report.ignored += ignored
        report.refused += len(refused)
        return sorted(refused)

    async def _known(self, events: Sequence[Event[CrmPayload]]) -> Collection[EventKey]:
        async with self.intake.sessions() as session:
            return await decisions.find(session, {EventKey(event.source, event.id) for event in events})

    async def _decide(
        self, events: Sequence[tuple[int, Event[CrmPayload]]], refused: list[tuple[int, str]]
    ) -> list[StoredDecision]:
        """Decide the events; add those that cannot be handled to `refused`."""
        decided: list[StoredDecision] = []
        verdicts = await self.intake.decide_each([event for _, event in events])
        for (line, _), verdict in zip(events, verdicts, strict=True):
            match verdict:
                case StoredDecision():
                    decided.append(verdict)
                case EventIdConflict():
                    refused.append((line, REUSED[0]))
                case _:
                    refused.append((line, f"could not be handled: {type(verdict).__name__}"))
        return decided

    def _read(self, record: FileRecord) -> Event[CrmPayload] | None:
        if record.problem:
            raise InvalidEvent(record.problem)
        event = self._event(record.body)
        return _historic(event) if event and self.mode is IngestMode.BACKFILL else event

    def _event(self, body: bytes) -> Event[CrmPayload] | None:
        message, now = Message("", "", body), self.intake.clock.now()
        if self.source.read is not None:
            return read_message(from_source(self.source, message), {self.source.id: self.source}, received=now)
        if self.path.suffix.lower() == ".csv":
            event = event_of(msgspec.json.decode(body), source=self.source.id)
            return read_event(Message("", "", json.dumps(event).encode()), now=now)
        return read_event(message, now=now)

    def _count_refusals(self) -> int:
        if not self.refusals_path.exists():
            return 0
        with self.refusals_path.open(newline="") as file:
            return sum(1 for _ in csv.reader(file)) - 1

    def _write_refusals(self, refused: Sequence[tuple[int, str]]) -> None:
        if not refused:
            return
        new = not self.refusals_path.exists()
        with self.refusals_path.open("a", newline="") as file:
            writer = csv.writer(file)
            writer.writerows([*([("line", "reason")] if new else []), *refused])


def unused_path(wanted: Path, *, stem: str) -> Path:
    """Return the path, or if a file is there, the first free one with a number after its stem."""
    rest = wanted.name.removeprefix(stem)
    numbered = (wanted.with_name(f"{stem}.{number}{rest}") for number in count(2))
    return next(path for path in chain([wanted], numbered) if not path.exists())


def _batched(records: Iterator[FileRecord]) -> Iterator[Sequence[FileRecord]]:
    while batch := list(islice(records, BATCH)):
        yield batch


def _historic(event: Event[CrmPayload]) -> Event[CrmPayload]:
    """Set `attributes.historic`, so that the event starts no survey; types without attributes start none anyway."""
    if "attributes" not in type(event.payload).model_fields:
        return event
    attributes: dict[str, Any] = getattr(event.payload, "attributes", None) or {}
    marked = event.payload.model_copy(
        update={"attributes": _ATTRIBUTES.validate_python({**attributes, "historic": True})}
    )
    return check_crm_event(replace(event, payload=marked))

"""Decides the events of a file in batches, like events of HTTP requests, and resumes an interrupted file."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

from msgspec import structs

from services.trigger.domain.deciding.stored_decision import EventKey, StoredDecision
from services.trigger.domain.identities import with_addresses_hidden
from services.trigger.domain.sources.source import Source
from services.trigger.files.rows import RefusedEventRow, event_of, is_field
from services.trigger.handlers.events import EventIdConflict, check_crm_event, read_event
from services.trigger.handlers.intake import REUSED, EventIntake
from services.trigger.handlers.mapped_events import from_source, read_message
from services.trigger.repository import decisions, files
from shared.contract.cloudevents import Event, place_of
from shared.contract.events import CrmPayload
from shared.contract.vocabulary import Service
from shared.database.db import retry_outages
from shared.database.isolated import isolated
from shared.messaging.codec import InvalidEvent
from shared.messaging.transport import Message
from shared.tables.layout import LINE, TableOptions
from shared.tables.records import FileRecord, Position, RecordFile, inspect, with_line
from shared.tables.report import FileReport, Refusals

BATCH = 500
FIELDS = TableOptions(unique=None)  # columns are fields, so that none may be there twice
_MAX_OTHERS = 99  # attributes beside `historic`


class IngestMode(StrEnum):
    INGEST = "ingest"  # decides about surveys
    BACKFILL = "backfill"  # only adds to the history


@dataclass(slots=True)
class IngestReport(FileReport):
    """Counts also the decisions by reason, those about known events too."""

    reasons: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class FileIngest:
    """One file; `source` is the source of its events that do not name one."""

    intake: EventIntake
    path: Path
    mode: IngestMode
    source: Source
    options: TableOptions = FIELDS

    @property
    def refusals_path(self) -> Path:
        return Refusals.of(self.path).path

    async def run(self, *, again: bool = False, progress: Callable[[int], None] = lambda _line: None) -> IngestReport:
        """Process the rest of the file, or with `again` all of it; `progress` is called with the lines done.

        Raises InvalidFile.
        """
        file = inspect(self.path, self.options)
        digest = _digest_of(self.path, encoding=file.layout.encoding)
        report = IngestReport(layout=file.layout.describe())
        start = Position() if again else await self._position(digest)
        report.resumed_at = start.line
        refusals = Refusals.of(self.path)
        if start.offset:
            report.refused_before = refusals.count()
        elif refusals.path.exists():  # from another file with this name, or from an earlier run
            refusals.path.rename(unused_path(refusals.path, stem=self.path.name))
        for batch in _batched(file.records(start)):
            refused: list[tuple[int, str]] = await retry_outages()(self._process, batch, file, report, digest)
            report.refuse(refused)
            refusals.add(refused)
            progress(batch[-1].after.line)
        return report

    async def _position(self, digest: bytes) -> Position:
        async with self.intake.sessions() as session:
            return await files.find(session, digest, self.mode)

    async def _process(
        self, batch: Sequence[FileRecord], file: RecordFile, report: IngestReport, digest: bytes
    ) -> list[tuple[int, str]]:
        """Decide a batch, save the position after it, and return the refused lines with their reasons."""
        events, refused, ignored = self._read_batch(batch, file)
        known = set(await self._known([event for _, event in events]))
        decided = await self._decide(events, refused)
        async with self.intake.sessions.begin() as session:
            await files.save(session, digest, self.mode, batch[-1].after)
        report.read += len(batch)
        for name in self._unknown_columns(batch, file):
            report.ignore_field(name, "no such field")
        report.ignored += ignored
        report.reasons += Counter(each.reason for each in decided)
        new = {each.key for each in decided} - known  # an event may stand in a file several times
        report.stored += len(new)
        report.known += len(decided) - len(new)
        for each in (one for decision in decided for one in decision.ignored or ()):
            report.ignore_field(place_of(each["field"]), each["why"])
        return sorted(refused)

    def _unknown_columns(self, batch: Sequence[FileRecord], file: RecordFile) -> Iterator[str]:
        """Yield the names of filled cells that are no fields; a mapping reads columns of any name."""
        unknown = {name for name in file.layout.names if not is_field(name)} if self.source.read is None else set()
        return (name for record in batch for name in unknown.intersection(record.cells or ()))

    def _read_batch(
        self, batch: Sequence[FileRecord], file: RecordFile
    ) -> tuple[list[tuple[int, Event[CrmPayload]]], list[tuple[int, str]], int]:
        """Return the events with their lines, the refused lines with their reasons, and the number ignored."""
        events: list[tuple[int, Event[CrmPayload]]] = []
        refused: list[tuple[int, str]] = []
        ignored = 0
        for record in batch:
            try:
                with isolated("line", service=Service.TRIGGER, passing=(InvalidEvent,), line=record.line) as guarded:
                    event = self._read(record, file)
            except InvalidEvent as error:
                refused.append((record.line, str(error)))
                continue
            if guarded.error is not None:
                refused.append((record.line, f"cannot be read: {type(guarded.error).__name__}"))
                continue
            ignored += event is None
            events += [] if event is None else [(record.line, event)]
        return events, refused, ignored

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

    def _read(self, record: FileRecord, file: RecordFile) -> Event[CrmPayload] | None:
        if record.problem:
            raise InvalidEvent(record.problem)
        event = self._event(record, file)
        return _historic(event) if event and self.mode is IngestMode.BACKFILL else event

    def _event(self, record: FileRecord, file: RecordFile) -> Event[CrmPayload] | None:
        now = self.intake.clock.now()
        if self.source.read is not None:
            message = Message("", "", _document(record))
            return read_message(from_source(self.source, message), {self.source.id: self.source}, received=now)
        if record.cells is None:
            return read_event(Message("", "", record.body), now=now)
        try:
            event = event_of(record.cells, source=self.source.id, options=self.options, decimals=file.layout.decimals)
        except RefusedEventRow as error:
            raise InvalidEvent(str(error)) from None
        if "id" not in record.cells:  # made of the customer's id, which may be an address
            event["id"] = with_addresses_hidden(event["id"], self.intake.settings.address_keys)
        return read_event(Message("", "", json.dumps(event).encode()), now=now)


def _document(record: FileRecord) -> bytes:
    """Return what a mapping reads: the cells or the JSON object, and the number of the line."""
    if record.cells is None:
        return with_line(record).body
    return json.dumps({LINE: record.line, **record.cells}).encode()


def _digest_of(path: Path, *, encoding: str) -> bytes:
    """Return the digest that positions are kept under; they count bytes of UTF-8, so it depends on the encoding."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
    return digest if encoding.startswith("utf-8") else hashlib.sha256(digest + encoding.encode()).digest()


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
        update={"attributes": dict(sorted({**dict(islice(attributes.items(), _MAX_OTHERS)), "historic": True}.items()))}
    )
    return check_crm_event(structs.replace(event, payload=marked))

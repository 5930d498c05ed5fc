"""Simulates programs on past events: the same code as in production, with the history in memory.

Every event is decided at its own time. No simulated survey is answered, so caps after an answer or a decline have no
effect.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from services.trigger.domain.addresses import KnownAddresses
from services.trigger.domain.deciding.batch import DecisionBatch, InstallationSettings
from services.trigger.domain.deciding.cadence import CadenceDay
from services.trigger.domain.deciding.cases import DecisionReason
from services.trigger.domain.deciding.requests import SurveyRequest
from services.trigger.domain.deciding.suppressions import KnownSuppression
from services.trigger.domain.programs.program import CompiledProgram, by_priority
from services.trigger.domain.respondents import Respondent
from services.trigger.domain.sampling import spread_of
from services.trigger.domain.touchpoints import CadenceDue, TriggerPayload
from shared.contract.cloudevents import Event
from shared.contract.vocabulary import ChannelKind, Service
from shared.zones import local_day


@dataclass(frozen=True, slots=True)
class SimulatedSurvey:
    """One simulated survey; `contacts` are the channels of the steps that can reach the customer, in order."""

    event_id: str
    customer_id: str
    program_id: str
    send_at: datetime
    contacts: Sequence[ChannelKind]

    @classmethod
    def of(cls, request: SurveyRequest) -> SimulatedSurvey:
        contacts = [step.channel for step in request.plan if _can_reach(request, step.channel)]
        return cls(request.event.id, request.customer_id, request.program.id, request.send_at, contacts)


def _can_reach(request: SurveyRequest, channel: ChannelKind) -> bool:
    if not channel.contacts:
        return True
    address = request.contact.email if channel is ChannelKind.EMAIL else request.contact.phone
    return bool(address) and getattr(request.consent, channel) is True


@dataclass(slots=True)
class SimulationOutcome:
    """The result of a simulation; `reasons` counts by (program id, reason), with an empty id if no program started."""

    events: int = 0
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    asked: list[SimulatedSurvey] = field(default_factory=list)

    def of(self, program_id: str) -> list[SimulatedSurvey]:
        return [asked for asked in self.asked if asked.program_id == program_id]


class _Respondents(dict[str, Respondent]):
    """Respondents by id, added on first access, and sorted by their position in a cadence."""

    def __init__(self, known: Mapping[str, Respondent]) -> None:
        super().__init__(known)
        self._by_spread = sorted((spread_of(id_), id_) for id_ in known)

    def __missing__(self, id_: str) -> Respondent:
        self[id_] = Respondent(id_)
        insort(self._by_spread, (spread_of(id_), id_))
        return self[id_]

    def due_on(self, day: CadenceDay) -> list[str]:
        first, last = (bisect_left(self._by_spread, (spread, "")) for spread in (day.first, day.last))
        return [id_ for _, id_ in self._by_spread[first:last] if self[id_].known_at is not None]


class Simulation:
    """Simulates one set of programs; events have to be added in the order of their times."""

    def __init__(
        self,
        programs: Mapping[str, CompiledProgram],
        *,
        respondents: Mapping[str, Respondent],
        suppressions: Mapping[str, Sequence[KnownSuppression]],
        settings: InstallationSettings,
    ) -> None:
        self._respondents = _Respondents(respondents)
        self._relational = [program for program in by_priority(programs) if program.document.cadence is not None]
        self._days: dict[str, date] = {}
        self._batch = DecisionBatch(
            programs=by_priority(programs),
            groups={program.id: program.document.group for program in programs.values() if program.document.group},
            respondents=self._respondents,
            touchpoints={},
            suppressions=dict(suppressions),
            quotas_used={},
            now=datetime.min,  # noqa: DTZ901 - set by the first event
            settings=settings,
            addresses=KnownAddresses(settings.address_keys, settings.shared_address_ids),
        )
        self.outcome = SimulationOutcome()

    def add(self, event: Event[TriggerPayload]) -> None:
        """Decide an event at its own time, after the relational programs of the days before it."""
        for due in list(self._due_until(event.time)):
            self._decide(due)
        self._decide(event)
        self.outcome.events += 1

    def _decide(self, event: Event[TriggerPayload]) -> None:
        batch = self._batch
        batch.now = event.time
        decision = batch.decide(event, digest=b"")
        self.outcome.reasons[decision.program_id or "", decision.reason] += 1
        if decision.reason == DecisionReason.ASKED:
            requests = (e.payload for e in batch.events if isinstance(e.payload, SurveyRequest))
            self.outcome.asked += map(SimulatedSurvey.of, requests)
        for collected in (batch.decisions, batch.events, batch.missing):
            collected.clear()

    def _due_until(self, now: datetime) -> Iterator[Event[CadenceDue]]:
        for program in self._relational:
            cadence, zone = program.document.cadence, program.document.time_zone
            assert cadence is not None
            today = local_day(now, zone)
            day = self._days.get(program.id, today)
            while day < today:
                yield from self._due_on(program, CadenceDay.of(day, cadence=cadence))
                day += timedelta(days=1)
            self._days[program.id] = today

    def _due_on(self, program: CompiledProgram, day: CadenceDay) -> Iterator[Event[CadenceDue]]:
        at = day.begins_at(program.document.time_zone)
        for id_ in self._respondents.due_on(day):
            payload = CadenceDue(respondent_id=id_, program_id=program.id, period=day.period)
            yield Event(f"{program.id}:{day.period}:{id_}", Service.TRIGGER.source, at, payload)

"""A program: one version of a survey definition, compiled so that events can be decided by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from services.trigger.domain.programs.conditions import ConditionCheck, compile_check, fields_in
from services.trigger.domain.programs.document import DelayFrom, ProgramDocument
from services.trigger.domain.programs.event_fields import Fields
from services.trigger.domain.programs.timing import length
from services.trigger.domain.touchpoints import CadenceDue, TriggerPayload, is_completion
from shared.contract.events import (
    AnswerPayload,
    CallPriority,
    OrderDelivered,
    PlanStep,
    ProgramRef,
    PurchaseCompleted,
    Window,
)
from shared.contract.vocabulary import ChannelKind, ProgramState

_USUAL_PRIORITY = CallPriority()


@dataclass(frozen=True, slots=True)
class CompiledProgram:
    """One version of a program document; `ref` is how requests name it.

    `condition_fields` are the fields its conditions read, by name, `channels` the distinct channels of its plan,
    `shortest_window` the shortest contact hours of a step, `link_step` the step whose link the shop shows itself.
    `call_rules` say how soon a call is made; none in a plan without calls.
    `shared_json` caches, by locale, what all requests of the program have in common, see `requests.request_json`.
    `state` is that of the program, whatever the version.
    """

    id: str
    version: int
    ref: ProgramRef
    document: ProgramDocument
    check: ConditionCheck
    condition_fields: Sequence[str]
    plan: Sequence[PlanStep]
    channels: Sequence[ChannelKind]
    shortest_window: Window
    link_step: int | None
    call_rules: Sequence[tuple[ConditionCheck, CallPriority]] = ()
    state: ProgramState = ProgramState.ON
    shared_json: dict[str, Mapping[str, msgspec.Raw]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def follows_answers(self) -> bool:
        return "survey.answered" in self.document.starts_on

    def waits_for_delivery(self, payload: TriggerPayload) -> bool:
        return self.document.delay_from is DelayFrom.DELIVERY and type(payload) in (PurchaseCompleted, OrderDelivered)

    def starts_on(self, payload: TriggerPayload) -> bool:
        """Whether the program is tried for this event."""
        if is_completion(payload):
            return payload.type in self.document.starts_on
        match payload:
            case CadenceDue():
                return payload.program_id == self.id
            case OrderDelivered():
                return self.waits_for_delivery(payload)
            case AnswerPayload():
                return self.follows_answers
        return False

    def call_priority_for(self, fields: Fields) -> CallPriority:
        """Return how soon the call is made, by the first rule whose condition holds."""
        return next((priority for check, priority in self.call_rules if check(fields) is None), _USUAL_PRIORITY)

    def locale_for(self, wanted: str | None) -> str:
        """Return the closest locale that has texts: the wanted one, its fallback, or its language without a region.

        If there is none, return the default locale.
        """
        if wanted is None or wanted in self.document.texts:
            return wanted or self.document.default_locale
        by_name = {locale.lower(): locale for locale in self.document.texts}
        fallbacks = {locale.lower(): other.lower() for locale, other in self.document.fallback.items()}
        name = wanted.lower().replace("_", "-")
        while name and name not in by_name:
            name = fallbacks.pop(name, "") or name.rpartition("-")[0]  # popped: fallbacks may form a cycle
        return by_name.get(name, self.document.default_locale)


def compile_program(version: int, document: ProgramDocument) -> CompiledProgram:
    plan, conditions = _plan(document), document.conditions
    return CompiledProgram(
        document.id,
        version,
        ProgramRef(id=document.id, version=version, title=document.title),
        document,
        check=(lambda _fields: None) if conditions is None else compile_check(conditions),
        condition_fields=() if conditions is None else sorted(fields_in(conditions)),
        plan=plan,
        channels=list(dict.fromkeys(step.channel for step in plan)),
        shortest_window=_shortest_window(plan),
        link_step=next((step.step for step in plan if not step.channel.contacts), None),
        call_rules=_call_rules(document) if any(step.channel is ChannelKind.CALL for step in plan) else (),
    )


def _call_rules(document: ProgramDocument) -> list[tuple[ConditionCheck, CallPriority]]:
    """Return the rules in their order; the last one holds for every call."""
    rules = [
        (compile_check(rule.conditions), CallPriority(value=rule.priority, reason=rule.name))
        for rule in document.calls.rules
    ]
    return [*rules, (lambda _fields: None, CallPriority(value=document.calls.priority))]


def _plan(document: ProgramDocument) -> list[PlanStep]:
    return [
        PlanStep(
            step=number,
            channel=step.channel,
            delay_s=int(step.after.total_seconds()),
            template=step.template,
            window=step.window,
            holidays=step.holidays,
            max_attempts=step.max_attempts,
            retries={outcome: each.retry for outcome, each in step.retries.items()},
        )
        for number, step in enumerate(document.plan, start=1)
    ]


def _shortest_window(plan: Sequence[PlanStep]) -> Window:
    windows = [step.window for step in plan if step.window is not None]
    return min(windows, key=length, default=Window())


def by_priority(programs: Mapping[str, CompiledProgram]) -> list[CompiledProgram]:
    """Return the active programs in the order they are tried."""
    active = (program for program in programs.values() if program.document.active)
    return sorted(active, key=lambda program: (-program.document.priority, program.id))

"""Explains a stored decision: the outcome of every rule, and what would have changed it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from services.trigger.domain.deciding.cases import DecisionReason, TrialFacts
from services.trigger.domain.deciding.rules import RULES
from shared.contract.events import PurchaseCancelled, ServiceReopened


class RuleOutcome(StrEnum):
    PASSED = "passed"
    STOPPED = "stopped"
    NOT_TRIED = "not_tried"


TITLES: Mapping[DecisionReason, str] = {
    DecisionReason.NO_PROGRAM: "No program starts on this event",
    DecisionReason.SWITCHED_OFF: "The program is switched off",
    DecisionReason.HISTORIC: "The event only adds to the history",
    DecisionReason.TOO_OLD: "The event is too old",
    DecisionReason.DUPLICATE: "This order or service was decided before",
    DecisionReason.WITHDRAWN: "The order or service was cancelled",
    DecisionReason.WAITING: "Waiting for the purchase or the delivery",
    DecisionReason.UNREACHABLE: "No address for any planned channel",
    DecisionReason.NO_CONSENT: "No consent to any reachable channel",
    DecisionReason.SUPPRESSED: "Every channel is suppressed",
    DecisionReason.CONDITION: "A condition does not hold",
    DecisionReason.HOLDOUT: "The customer is in the holdout",
    DecisionReason.SAMPLED_OUT: "Not in the sample",
    DecisionReason.QUARANTINED: "A cap blocks the survey",
    DecisionReason.OVER_QUOTA: "The quota of the day is used up",
    DecisionReason.ASKED: "Asked",
    DecisionReason.NOTHING_TO_WITHDRAW: "No open survey to withdraw",
}


_REVERSALS = (PurchaseCancelled.type, ServiceReopened.type)


def title(reason: DecisionReason | str, *, event_type: str) -> str:
    if reason == DecisionReason.WITHDRAWN and event_type in _REVERSALS:
        return "The survey was withdrawn"
    return TITLES[DecisionReason(reason)]


def rule_outcomes(reason: DecisionReason) -> list[tuple[DecisionReason, RuleOutcome]]:
    """Return the outcome of every rule, in order, in a trial that ended with this reason."""
    order = [rule for rule, _ in RULES]
    stopped_at = order.index(reason) if reason in order else len(order)
    return [
        (
            rule,
            RuleOutcome.PASSED
            if place < stopped_at
            else RuleOutcome.STOPPED
            if place == stopped_at
            else RuleOutcome.NOT_TRIED,
        )
        for place, rule in enumerate(order)
    ]


def would_change(reason: DecisionReason, facts: TrialFacts, *, event_type: str) -> str:
    """Return what would have let the event pass the rule that stopped it; empty if nothing stopped it."""
    if reason is DecisionReason.NO_PROGRAM:
        return f"An active program that starts on {event_type}."
    if reason == DecisionReason.WITHDRAWN and event_type in _REVERSALS:
        return ""
    remedy = _REMEDIES.get(reason)
    return remedy(facts) if remedy else ""


def format_fact(fact: object) -> str:
    """Format one fact of a trail for people."""
    match fact:
        case None:
            return "unknown"
        case bool():
            return "yes" if fact else "no"
        case Mapping():
            return "; ".join(f"{name}: {format_fact(value)}" for name, value in fact.items())
        case list() | tuple():
            return ", ".join(map(format_fact, fact))
        case str():
            return _format_time(fact)
    return str(fact)


def _format_time(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return text if moment.tzinfo is None else moment.astimezone(UTC).strftime("%d %b %Y, %H:%M UTC")


def format_facts(facts: TrialFacts) -> dict[str, str]:
    """Format the facts of a trail and their names for people; seconds become days and hours."""
    return {
        name.removesuffix("_s").replace("_", " "): str(timedelta(seconds=value)).removesuffix(", 0:00:00")
        if name.endswith("_s") and isinstance(value, int)
        else format_fact(value)
        for name, value in facts.items()
    }


def _too_old(facts: TrialFacts) -> str:
    days = facts.get("max_age_s", 0) / 86_400
    return f"An event at most {days:g} days old, or a longer max_age."


def _condition(facts: TrialFacts) -> str:
    unmet = facts.get("unmet", {})
    if "field" not in unmet:
        return f"Meeting the condition {unmet}."
    condition = " ".join(str(unmet[part]) for part in ("field", "operator", "value") if part in unmet)
    if unmet["field"] in facts.get("missing", ()):
        return f"A value for {unmet['field']}, which is missing; the condition is {condition}."
    found = f"; the value is {facts['found']}" if "found" in facts else ""
    return f"Meeting the condition {condition}{found}."


def _cap(facts: TrialFacts) -> str:
    too_long = (
        " The survey is not delayed until then because max_age is shorter." if facts.get("too_long_to_wait") else ""
    )
    cap, until = facts.get("cap"), format_fact(facts.get("until"))
    return f"A survey that goes out at {until} or later: the cap {cap} runs until then.{too_long}"


def _quota(facts: TrialFacts) -> str:
    return f"A limit of {facts.get('quota')} over {facts.get('limit')}, or another day than {facts.get('day')}."


def _suppressed(facts: TrialFacts) -> str:
    lifted = (f"{', '.join(reasons)} on {channel}" for channel, reasons in facts.get("suppressions", {}).items())
    return f"Lifting one of these: {'; '.join(lifted)}."


_REMEDIES: Mapping[DecisionReason, Callable[[TrialFacts], str]] = {
    DecisionReason.SWITCHED_OFF: lambda facts: f"Switching the program on: it was {facts.get('state')}.",
    DecisionReason.HISTORIC: lambda _: "An event without attributes.historic, or an answer that was not imported.",
    DecisionReason.TOO_OLD: _too_old,
    DecisionReason.DUPLICATE: lambda _: "Nothing: each order or service is decided once.",
    DecisionReason.WITHDRAWN: lambda _: "Nothing: there is no survey about a cancelled order or service.",
    DecisionReason.WAITING: lambda facts: f"The event {facts.get('for')} of the same order.",
    DecisionReason.UNREACHABLE: lambda facts: f"An address for one of: {', '.join(facts.get('wanted', ()))}.",
    DecisionReason.NO_CONSENT: lambda facts: f"Consent to one of: {', '.join(facts.get('consent', ()))}.",
    DecisionReason.SUPPRESSED: _suppressed,
    DecisionReason.CONDITION: _condition,
    DecisionReason.HOLDOUT: lambda facts: f"A holdout up to {facts.get('drawn')} instead of {facts.get('holdout')}.",
    DecisionReason.SAMPLED_OUT: lambda facts: f"A sample above {facts.get('drawn')} instead of {facts.get('sample')}.",
    DecisionReason.QUARANTINED: _cap,
    DecisionReason.OVER_QUOTA: _quota,
    DecisionReason.NOTHING_TO_WITHDRAW: lambda _: "An open survey about the same order or service.",
}

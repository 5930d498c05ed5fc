"""A stored decision in plain words: every rule in order, where it stopped, and what would have changed it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from services.trigger.domain.deciding.cases import Reason
from services.trigger.domain.deciding.rules import RULES
from shared.contract.events import PurchaseCancelled, ServiceReopened

Facts = Mapping[str, Any]


class Outcome(StrEnum):
    PASSED = "passed"
    STOPPED = "stopped"
    NOT_TRIED = "not_tried"


TITLES: Mapping[Reason, str] = {
    Reason.NO_PROGRAM: "No program starts on this event",
    Reason.HISTORIC: "The event only fills the history",
    Reason.TOO_OLD: "The event is too old",
    Reason.DUPLICATE: "This was decided before",
    Reason.WITHDRAWN: "It was cancelled",
    Reason.WAITING: "The other half of a delivery is awaited",
    Reason.UNREACHABLE: "No address for any planned channel",
    Reason.NO_CONSENT: "No consent to any reachable channel",
    Reason.SUPPRESSED: "Every channel is suppressed",
    Reason.CONDITION: "A condition does not hold",
    Reason.HOLDOUT: "The customer is in the holdout",
    Reason.SAMPLED_OUT: "Not drawn in the sample",
    Reason.QUARANTINED: "A cap leaves the customer in peace",
    Reason.OVER_QUOTA: "The quota of the day is used up",
    Reason.ASKED: "Asked",
    Reason.NOTHING_TO_WITHDRAW: "No open survey to withdraw",
}


_REVERSALS = (PurchaseCancelled.type, ServiceReopened.type)


def title(reason: Reason | str, *, event_type: str) -> str:
    if reason == Reason.WITHDRAWN and event_type in _REVERSALS:
        return "The survey was withdrawn"
    return TITLES[Reason(reason)]


def rules_of(reason: Reason) -> list[tuple[Reason, Outcome]]:
    """Say of every rule, in order, what became of it in a trial that ended like this."""
    order = [rule for rule, _ in RULES]
    stopped_at = order.index(reason) if reason in order else len(order)
    return [
        (rule, Outcome.PASSED if place < stopped_at else Outcome.STOPPED if place == stopped_at else Outcome.NOT_TRIED)
        for place, rule in enumerate(order)
    ]


def would_change(reason: Reason, facts: Facts, *, event_type: str) -> str:
    """Say what would have let the event pass the rule it stopped at; empty where it did what it was for."""
    if reason is Reason.NO_PROGRAM:
        return f"An active program that starts on {event_type}."
    if reason == Reason.WITHDRAWN and event_type in _REVERSALS:
        return ""
    words = _REMEDIES.get(reason)
    return words(facts) if words else ""


def worded(fact: object) -> str:
    """Put one fact of a trail as a person reads it."""
    match fact:
        case None:
            return "not known"
        case bool():
            return "yes" if fact else "no"
        case Mapping():
            return "; ".join(f"{name}: {worded(value)}" for name, value in fact.items())
        case list() | tuple():
            return ", ".join(map(worded, fact))
        case str():
            return _moment(fact)
    return str(fact)


def _moment(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return text if moment.tzinfo is None else moment.astimezone(UTC).strftime("%d %b %Y, %H:%M UTC")


def named(facts: Facts) -> dict[str, str]:
    """Name the facts of a trail as a person reads them; those in seconds become days and hours."""
    return {
        name.removesuffix("_s").replace("_", " "): str(timedelta(seconds=value)).removesuffix(", 0:00:00")
        if name.endswith("_s") and isinstance(value, int)
        else worded(value)
        for name, value in facts.items()
    }


def _too_old(facts: Facts) -> str:
    days = facts.get("max_age_s", 0) / 86_400
    return f"An event at most {days:g} days old, or a longer max_age."


def _condition(facts: Facts) -> str:
    unmet = facts.get("unmet", {})
    if "field" not in unmet:
        return f"Meeting this: {unmet}."
    wanted = " ".join(str(unmet[part]) for part in ("field", "operator", "value") if part in unmet)
    if unmet["field"] in facts.get("missing", ()):
        return f"The event or the customer having {unmet['field']}; wanted is {wanted}."
    found = f", found was {facts['found']}" if "found" in facts else ""
    return f"Meeting this: {wanted}{found}."


def _cap(facts: Facts) -> str:
    too_long = " It would wait until then, but max_age is shorter." if facts.get("too_long_to_wait") else ""
    cap, until = facts.get("cap"), worded(facts.get("until"))
    return f"A survey that goes out at {until} or later: the cap {cap} runs until then.{too_long}"


def _quota(facts: Facts) -> str:
    return f"A limit of {facts.get('quota')} over {facts.get('limit')}, or another day than {facts.get('day')}."


def _suppressed(facts: Facts) -> str:
    lifted = (f"{', '.join(reasons)} on {channel}" for channel, reasons in facts.get("suppressions", {}).items())
    return f"Lifting one of these: {'; '.join(lifted)}."


_REMEDIES: Mapping[Reason, Callable[[Facts], str]] = {
    Reason.HISTORIC: lambda _: "An event without attributes.historic, or an answer that was not imported.",
    Reason.TOO_OLD: _too_old,
    Reason.DUPLICATE: lambda _: "Nothing: one order or service is decided once.",
    Reason.WITHDRAWN: lambda _: "Nothing: what was cancelled is not asked about.",
    Reason.WAITING: lambda facts: f"The event {facts.get('for')} of the same order.",
    Reason.UNREACHABLE: lambda facts: f"An address for one of: {', '.join(facts.get('wanted', ()))}.",
    Reason.NO_CONSENT: lambda facts: f"Consent to one of: {', '.join(facts.get('consent', ()))}.",
    Reason.SUPPRESSED: _suppressed,
    Reason.CONDITION: _condition,
    Reason.HOLDOUT: lambda facts: f"A holdout of {facts.get('drawn')} or less; it is {facts.get('holdout')}.",
    Reason.SAMPLED_OUT: lambda facts: f"A sample over {facts.get('drawn')}; it is {facts.get('sample')}.",
    Reason.QUARANTINED: _cap,
    Reason.OVER_QUOTA: _quota,
    Reason.NOTHING_TO_WITHDRAW: lambda _: "An open survey about the same order or service.",
}

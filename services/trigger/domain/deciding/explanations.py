"""Explains a stored decision: the outcome of every rule, and what would have changed it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from services.trigger.domain.deciding.cases import DecisionReason, TrialFacts
from services.trigger.domain.deciding.consent_facts import assumed_in_words
from services.trigger.domain.deciding.rules import RULES
from services.trigger.domain.deciding.stored_decision import FORGOTTEN
from services.trigger.domain.touchpoints import TouchpointState
from shared.contract.event_words import EVENTS, event_in_words
from shared.contract.events import PurchaseCancelled, ServiceReopened
from shared.contract.suppression_words import REASONS
from shared.contract.vocabulary import ChannelKind, ProgramState
from shared.languages import formats
from shared.languages.current import gettext, lookup
from shared.languages.marking import mark


class RuleOutcome(StrEnum):
    PASSED = "passed"
    STOPPED = "stopped"
    NOT_TRIED = "not_tried"


STATES: Mapping[str, str] = {
    ProgramState.ON: mark("on"),
    ProgramState.OFF: mark("off"),
    ProgramState.STOPPED: mark("stopped"),
    ProgramState.WITHDRAWN: mark("stopped, surveys withdrawn"),
}
TITLES: Mapping[DecisionReason, str] = {
    DecisionReason.NO_PROGRAM: mark("No program starts on this event"),
    DecisionReason.SWITCHED_OFF: mark("The program is switched off"),
    DecisionReason.HISTORIC: mark("The event only adds to the history"),
    DecisionReason.TOO_OLD: mark("The event is too old"),
    DecisionReason.DUPLICATE: mark("This order or service was decided before"),
    DecisionReason.WITHDRAWN: mark("The order or service was cancelled"),
    DecisionReason.WAITING: mark("Waiting for the purchase or the delivery"),
    DecisionReason.UNREACHABLE: mark("No address for any planned channel"),
    DecisionReason.NO_CONSENT: mark("No consent to any reachable channel"),
    DecisionReason.SUPPRESSED: mark("Every channel is suppressed"),
    DecisionReason.CONDITION: mark("A condition does not hold"),
    DecisionReason.HOLDOUT: mark("The customer is in the holdout"),
    DecisionReason.SAMPLED_OUT: mark("Not in the sample"),
    DecisionReason.QUARANTINED: mark("A cap blocks the survey"),
    DecisionReason.OVER_QUOTA: mark("The quota of the day is used up"),
    DecisionReason.ASKED: mark("Asked"),
    DecisionReason.NOTHING_TO_WITHDRAW: mark("No open survey to withdraw"),
}
CHECKS: Mapping[DecisionReason, str] = {  # what each rule looks at
    DecisionReason.SWITCHED_OFF: mark("State of the program"),
    DecisionReason.HISTORIC: mark("Kind of event"),
    DecisionReason.TOO_OLD: mark("Age of the event"),
    DecisionReason.DUPLICATE: mark("Earlier decisions"),
    DecisionReason.WITHDRAWN: mark("Cancellation"),
    DecisionReason.WAITING: mark("Purchase and delivery"),
    DecisionReason.UNREACHABLE: mark("Addresses"),
    DecisionReason.NO_CONSENT: mark("Consent"),
    DecisionReason.SUPPRESSED: mark("Suppressions"),
    DecisionReason.CONDITION: mark("Conditions"),
    DecisionReason.HOLDOUT: mark("Holdout"),
    DecisionReason.SAMPLED_OUT: mark("Sample"),
    DecisionReason.QUARANTINED: mark("Caps"),
    DecisionReason.OVER_QUOTA: mark("Quota of the day"),
}
OUTCOMES: Mapping[RuleOutcome, str] = {
    RuleOutcome.PASSED: mark("passed"),
    RuleOutcome.STOPPED: mark("stopped here"),
    RuleOutcome.NOT_TRIED: mark("not tried"),
}
OPERATORS: Mapping[str, str] = {
    "eq": mark("is"),
    "ne": mark("is not"),
    "lt": mark("under"),
    "le": mark("at most"),
    "gt": mark("over"),
    "ge": mark("at least"),
    "in": mark("one of"),
    "between": mark("between"),
    "contains": mark("contains"),
    "exists": mark("is known"),
}
_CHANNELS: Mapping[str, str] = {
    ChannelKind.EMAIL: mark("e-mail"),
    ChannelKind.SMS: mark("SMS"),
    ChannelKind.CALL: mark("call"),
    ChannelKind.LINK: mark("link that the shop shows"),
}

_REVERSALS = (PurchaseCancelled.type, ServiceReopened.type)


def title(reason: DecisionReason | str, *, event_type: str) -> str:
    """Say how an event was decided; `reason` may be FORGOTTEN."""
    if reason == FORGOTTEN:
        return gettext("Decided before")
    if reason == DecisionReason.WITHDRAWN and event_type in _REVERSALS:
        return gettext("The survey was withdrawn")
    return gettext(TITLES[DecisionReason(reason)])


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
        return gettext("A program that is on and starts on: %(type)s.", type=event_in_words(event_type))
    if reason == DecisionReason.WITHDRAWN and event_type in _REVERSALS:
        return ""
    remedy = _REMEDIES.get(reason)
    return remedy(facts) if remedy else ""


def format_fact(fact: object, words: Mapping[str, str] = _CHANNELS) -> str:
    """Format one fact of a trail for people; `words` are those for texts that mean something to Earshot."""
    match fact:
        case None:
            return gettext("unknown")
        case bool():
            return gettext("yes") if fact else gettext("no")
        case Mapping():
            return "; ".join(f"{_fact_name(name)}: {format_fact(value, words)}" for name, value in fact.items())
        case list() | tuple():
            return ", ".join(format_fact(each, words) for each in fact)
        case str():
            return lookup(words[fact]) if fact in words else _format_time(assumed_in_words(fact))
    return str(fact)


def _format_time(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return text if moment.tzinfo is None else f"{formats.moment(moment)} {formats.zone()}"


def format_facts(facts: TrialFacts) -> dict[str, str]:
    """Format the facts of a trail and their names for people; seconds become days and hours."""
    return {
        _fact_name(name.removesuffix("_s")): formats.span(timedelta(seconds=value))
        if name.endswith("_s") and isinstance(value, int)
        else format_fact(value, _WORDS.get(name, _CHANNELS))
        for name, value in facts.items()
    }


def _channel(name: str) -> str:
    """Return the words for a channel, and any other text as it is."""
    return lookup(_CHANNELS[name]) if name in _CHANNELS else name


def _fact_name(name: str) -> str:
    return gettext(_FACTS[name]) if name in _FACTS else _channel(name.replace("_", " "))


def _too_old(facts: TrialFacts) -> str:
    days = facts.get("max_age_s", 0) / 86_400
    return gettext("An event at most %(days)s days old, or a longer max_age.", days=formats.decimal(days))


def _condition(facts: TrialFacts) -> str:
    unmet = facts.get("unmet", {})
    if "field" not in unmet:
        return gettext("Meeting the condition %(condition)s.", condition=unmet)
    condition = " ".join(_part(unmet, part) for part in ("field", "operator", "value") if part in unmet)
    if unmet["field"] in facts.get("missing", ()):
        missing = mark("A value for %(field)s, which is missing; the condition is %(condition)s.")
        return gettext(missing, field=unmet["field"], condition=condition)
    if "found" in facts:
        other = mark("Meeting the condition %(condition)s; the value is %(found)s.")
        return gettext(other, condition=condition, found=facts["found"])
    return gettext("Meeting the condition %(condition)s.", condition=condition)


def _part(unmet: Mapping[str, object], part: str) -> str:
    words = OPERATORS if part == "operator" else {}
    return format_fact(unmet[part], words)


def _cap(facts: TrialFacts) -> str:
    cap, until = format_fact(facts.get("cap"), _WORDS["cap"]), format_fact(facts.get("until"))
    later = gettext(
        "A survey that goes out at %(until)s or later: the cap %(cap)s runs until then.", until=until, cap=cap
    )
    if not facts.get("too_long_to_wait"):
        return later
    why = gettext("The survey is not delayed until then because max_age is shorter.")
    return f"{later} {why}"


def _quota(facts: TrialFacts) -> str:
    return gettext(
        "A limit of %(quota)s over %(limit)s, or another day than %(day)s.",
        quota=facts.get("quota"),
        limit=facts.get("limit"),
        day=facts.get("day"),
    )


def _suppressed(facts: TrialFacts) -> str:
    lifted = (
        gettext("%(reasons)s on %(channel)s", reasons=format_fact(reasons, REASONS), channel=_channel(channel))
        for channel, reasons in facts.get("suppressions", {}).items()
    )
    return gettext("Lifting one of these: %(suppressions)s.", suppressions="; ".join(lifted))


def _switched_off(facts: TrialFacts) -> str:
    state = ProgramState(facts.get("state", ProgramState.OFF))
    return gettext("Switching the program on: it was %(state)s.", state=lookup(STATES[state]))


def _holdout(facts: TrialFacts) -> str:
    text = mark("A holdout up to %(drawn)s instead of %(holdout)s.")
    return gettext(text, drawn=facts.get("drawn"), holdout=facts.get("holdout"))


def _sampled_out(facts: TrialFacts) -> str:
    text = mark("A sample above %(drawn)s instead of %(sample)s.")
    return gettext(text, drawn=facts.get("drawn"), sample=facts.get("sample"))


_WORDS: Mapping[str, Mapping[str, str]] = {  # of what a fact may be, by its name
    "after": {
        "invitation": mark("another survey"),
        "answer": mark("an answer"),
        "decline": mark("a refusal"),
        "unsubscribe": mark("an opt-out"),
    },
    "cap": {"quarantine": mark("quarantine")},
    "delayed_by": {"quarantine": mark("quarantine")},
    "for": EVENTS,
    "found": {},  # of the customer or the shop
    "state": STATES,
    "suppressions": REASONS,
    "unmet": OPERATORS,
    "survey": {
        TouchpointState.OPEN: mark("open"),
        TouchpointState.ANSWERED: mark("answered"),
        TouchpointState.WITHDRAWN: mark("withdrawn"),
        TouchpointState.CLOSED: mark("closed"),
    },
}
_FACTS: Mapping[str, str] = {
    "addresses_shared": mark("addresses shared"),
    "ahead": mark("ahead"),
    "after": mark("after"),
    "cap": mark("cap"),
    "channels": mark("channels"),
    "consent": mark("consent"),
    "day": mark("day"),
    "decided_by": mark("decided by"),
    "delayed_by": mark("delayed by"),
    "delivered_at": mark("delivered at"),
    "drawn": mark("drawn"),
    "event": mark("event"),
    "event_time": mark("event time"),
    "field": mark("field"),
    "for": mark("for"),
    "found": mark("found"),
    "historic": mark("historic"),
    "holdout": mark("holdout"),
    "invitation": mark("invitation"),
    "last_asked_at": mark("last asked at"),
    "limit": mark("limit"),
    "max_age": mark("max age"),
    "missing": mark("missing"),
    "operator": mark("comparison"),
    "quota": mark("quota"),
    "reversed_at": mark("reversed at"),
    "same_address_as": mark("same address as"),
    "sample": mark("sample"),
    "send_at": mark("send at"),
    "shared_address": mark("shares an address"),
    "source": mark("source"),
    "state": mark("state"),
    "store": mark("store"),
    "suppressions": mark("suppressions"),
    "survey": mark("survey"),
    "too_long_to_wait": mark("too long to wait"),
    "unmet": mark("unmet"),
    "until": mark("until"),
    "unusable": mark("not usable"),
    "value": mark("value"),
    "wanted": mark("wanted"),
}
_REMEDIES: Mapping[DecisionReason, Callable[[TrialFacts], str]] = {
    DecisionReason.SWITCHED_OFF: _switched_off,
    DecisionReason.HISTORIC: lambda _: gettext(
        "An event without attributes.historic, or an answer that was not imported."
    ),
    DecisionReason.TOO_OLD: _too_old,
    DecisionReason.DUPLICATE: lambda _: gettext("Nothing: each order or service is decided once."),
    DecisionReason.WITHDRAWN: lambda _: gettext("Nothing: there is no survey about a cancelled order or service."),
    DecisionReason.WAITING: lambda facts: gettext(
        "This event of the same order: %(type)s.", type=event_in_words(str(facts.get("for")))
    ),
    DecisionReason.UNREACHABLE: lambda facts: gettext(
        "An address for one of: %(channels)s.", channels=format_fact(list(facts.get("wanted", ())))
    ),
    DecisionReason.NO_CONSENT: lambda facts: gettext(
        "Consent to one of: %(channels)s.", channels=format_fact(list(facts.get("consent", ())))
    ),
    DecisionReason.SUPPRESSED: _suppressed,
    DecisionReason.CONDITION: _condition,
    DecisionReason.HOLDOUT: _holdout,
    DecisionReason.SAMPLED_OUT: _sampled_out,
    DecisionReason.QUARANTINED: _cap,
    DecisionReason.OVER_QUOTA: _quota,
    DecisionReason.NOTHING_TO_WITHDRAW: lambda _: gettext("An open survey about the same order or service."),
}

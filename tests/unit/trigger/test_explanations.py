"""Explanations of decisions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.trigger.domain.deciding.cases import DecisionReason
from services.trigger.domain.deciding.explanations import (
    CHECKS,
    OUTCOMES,
    TITLES,
    RuleOutcome,
    format_facts,
    rule_outcomes,
    title,
    would_change,
)
from services.trigger.domain.deciding.rules import RULES
from shared.languages.current import language, speaking

LOCALES = Path("services/trigger/locales")

CHANGES: list[tuple[DecisionReason, dict[str, Any], str]] = [
    (DecisionReason.NO_PROGRAM, {}, "A program that is on and starts on: service."),
    (DecisionReason.SWITCHED_OFF, {"state": "stopped"}, "Switching the program on: it was stopped."),
    (DecisionReason.HISTORIC, {"historic": True}, "without attributes.historic"),
    (DecisionReason.TOO_OLD, {"max_age_s": 604_800}, "at most 7 days old"),
    (DecisionReason.DUPLICATE, {}, "decided once"),
    (DecisionReason.WITHDRAWN, {}, "cancelled"),
    (DecisionReason.WAITING, {"for": "crm.order.delivered"}, "This event of the same order: delivery."),
    (DecisionReason.UNREACHABLE, {"wanted": ["email", "sms"]}, "one of: e-mail, SMS"),
    (DecisionReason.NO_CONSENT, {"consent": {"sms": None}}, "one of: SMS"),
    (DecisionReason.SUPPRESSED, {"suppressions": {"email": ["hard_bounce"]}}, "no such address on e-mail"),
    (
        DecisionReason.CONDITION,
        {"unmet": {"field": "a", "operator": "ge", "value": 5}, "found": 3},
        "a at least 5; the value is 3",
    ),
    (
        DecisionReason.CONDITION,
        {"unmet": {"field": "a", "operator": "eq", "value": 5}, "missing": ["a"]},
        "A value for a, which is missing",
    ),
    (DecisionReason.CONDITION, {"unmet": {"any": []}}, "any"),
    (DecisionReason.HOLDOUT, {"holdout": 0.05, "drawn": 0.01}, "up to 0.01"),
    (DecisionReason.SAMPLED_OUT, {"sample": 0.2, "drawn": 0.3}, "above 0.3"),
    (DecisionReason.QUARANTINED, {"cap": "rest", "until": "then"}, "the cap rest runs until then"),
    (DecisionReason.QUARANTINED, {"cap": "rest", "until": "then", "too_long_to_wait": True}, "max_age is shorter"),
    (DecisionReason.OVER_QUOTA, {"quota": "daily", "limit": 5, "day": "2026-03-01"}, "limit of daily over 5"),
    (DecisionReason.NOTHING_TO_WITHDRAW, {}, "An open survey"),
]


@pytest.mark.parametrize(("reason", "facts", "words"), CHANGES)
def test_what_would_have_changed_it(reason: DecisionReason, facts: dict[str, Any], words: str) -> None:
    assert words in would_change(reason, facts, event_type="crm.service.completed")


def test_assumed_consent_is_not_shown_as_a_yes() -> None:
    shown = format_facts({"consent": {"email": "assumed (ground: customers of 2026)"}})
    assert shown == {"consent": "e-mail: assumed (ground: customers of 2026)"}


def test_facts_are_in_the_language_of_the_reader() -> None:
    facts = {
        "consent": {"email": "assumed (no ground is named)", "sms": "assumed (ground: 2026)"},
        "suppressions": {"email": ["opt_out", "hard_bounce"]},
        "state": "stopped",
        "survey": "withdrawn",
        "for": "crm.order.delivered",
        "after": "decline",
        "unmet": {"field": "order.amount", "operator": "ge", "value": 500},
        "found": "stopped",
        "ahead_s": 61,
    }
    with speaking(language("ru", LOCALES)):
        assert format_facts(facts) == {
            "согласие": "письмо: предполагается (основание не указано); SMS: предполагается (основание: 2026)",
            "запреты": "письмо: отказался от опросов, такого адреса нет",
            "состояние": "остановлена",
            "опрос": "отозван",
            "чего ждём": "доставка",
            "после": "отказа отвечать",
            "не выполнено": "поле: order.amount; сравнение: не меньше; значение: 500",
            "найдено": "stopped",
            "опережает часы на": "61 секунду",
        }


def test_every_reason_has_a_title_and_all_but_asked_a_remedy() -> None:
    assert set(TITLES) == set(DecisionReason)
    assert set(DecisionReason) - {reason for reason, _, _ in CHANGES} == {DecisionReason.ASKED}
    assert would_change(DecisionReason.ASKED, {}, event_type="x") == ""


def test_reversal_that_withdrew_a_survey_needs_no_remedy() -> None:
    assert title(DecisionReason.WITHDRAWN, event_type="crm.purchase.cancelled") == "The survey was withdrawn"
    assert would_change(DecisionReason.WITHDRAWN, {}, event_type="crm.purchase.cancelled") == ""
    assert title(DecisionReason.WITHDRAWN, event_type="crm.purchase.completed") == "The order or service was cancelled"


def test_every_rule_has_a_word_for_what_it_looks_at() -> None:
    assert set(CHECKS) == {rule for rule, _ in RULES}
    assert set(OUTCOMES) == set(RuleOutcome)


def test_facts_are_formatted_for_people() -> None:
    facts = {
        "last_asked_at": "2026-03-01T12:00:00.123+02:00",
        "max_age_s": 604_800,
        "consent": {"sms": None, "call": False},
        "channels": ["email", "sms"],
        "too_long_to_wait": True,
        "day": "2026-03-01",
        "drawn": 0.25,
    }
    assert format_facts(facts) == {
        "last asked at": "1 Mar 2026, 10:00 UTC",
        "max age": "7 days",
        "consent": "SMS: unknown; call: no",
        "channels": "e-mail, SMS",
        "too long to wait": "yes",
        "day": "2026-03-01",
        "drawn": "0.25",
    }


def test_rules_before_the_stop_passed_and_those_after_it_were_not_tried() -> None:
    outcomes = dict(rule_outcomes(DecisionReason.CONDITION))
    assert outcomes[DecisionReason.SUPPRESSED] is RuleOutcome.PASSED
    assert outcomes[DecisionReason.CONDITION] is RuleOutcome.STOPPED
    assert outcomes[DecisionReason.OVER_QUOTA] is RuleOutcome.NOT_TRIED
    assert {outcome for _, outcome in rule_outcomes(DecisionReason.ASKED)} == {RuleOutcome.PASSED}

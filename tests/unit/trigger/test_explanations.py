"""Why, in words: every reason has a title, and every stop says what would have changed it."""

from __future__ import annotations

from typing import Any

import pytest

from services.trigger.domain.deciding.cases import Reason
from services.trigger.domain.deciding.explanations import TITLES, Outcome, named, rules_of, title, would_change

CHANGES: list[tuple[Reason, dict[str, Any], str]] = [
    (Reason.NO_PROGRAM, {}, "An active program that starts on crm.service.completed."),
    (Reason.HISTORIC, {"historic": True}, "without attributes.historic"),
    (Reason.TOO_OLD, {"max_age_s": 604_800}, "at most 7 days old"),
    (Reason.DUPLICATE, {}, "decided once"),
    (Reason.WITHDRAWN, {}, "cancelled"),
    (Reason.WAITING, {"for": "crm.order.delivered"}, "crm.order.delivered of the same order"),
    (Reason.UNREACHABLE, {"wanted": ["email", "sms"]}, "one of: email, sms"),
    (Reason.NO_CONSENT, {"consent": {"sms": None}}, "one of: sms"),
    (Reason.SUPPRESSED, {"suppressions": {"email": ["hard_bounce"]}}, "hard_bounce on email"),
    (Reason.CONDITION, {"unmet": {"field": "a", "operator": "ge", "value": 5}, "found": 3}, "a ge 5, found was 3"),
    (Reason.CONDITION, {"unmet": {"field": "a", "operator": "eq", "value": 5}, "missing": ["a"]}, "having a; wanted"),
    (Reason.CONDITION, {"unmet": {"any": []}}, "any"),
    (Reason.HOLDOUT, {"holdout": 0.05, "drawn": 0.01}, "0.01 or less"),
    (Reason.SAMPLED_OUT, {"sample": 0.2, "drawn": 0.3}, "over 0.3"),
    (Reason.QUARANTINED, {"cap": "rest", "until": "then"}, "the cap rest runs until then"),
    (Reason.QUARANTINED, {"cap": "rest", "until": "then", "too_long_to_wait": True}, "max_age is shorter"),
    (Reason.OVER_QUOTA, {"quota": "daily", "limit": 5, "day": "2026-03-01"}, "limit of daily over 5"),
    (Reason.NOTHING_TO_WITHDRAW, {}, "An open survey"),
]


@pytest.mark.parametrize(("reason", "facts", "words"), CHANGES)
def test_what_would_have_changed_it(reason: Reason, facts: dict[str, Any], words: str) -> None:
    assert words in would_change(reason, facts, event_type="crm.service.completed")


def test_every_reason_has_a_title_and_all_but_asked_a_remedy() -> None:
    assert set(TITLES) == set(Reason)
    assert set(Reason) - {reason for reason, _, _ in CHANGES} == {Reason.ASKED}
    assert would_change(Reason.ASKED, {}, event_type="x") == ""


def test_reversal_that_withdrew_a_survey_did_what_it_was_for() -> None:
    assert title(Reason.WITHDRAWN, event_type="crm.purchase.cancelled") == "The survey was withdrawn"
    assert would_change(Reason.WITHDRAWN, {}, event_type="crm.purchase.cancelled") == ""
    assert title(Reason.WITHDRAWN, event_type="crm.purchase.completed") == "It was cancelled"


def test_facts_are_put_as_a_person_reads_them() -> None:
    facts = {
        "last_asked_at": "2026-03-01T12:00:00.123+02:00",
        "max_age_s": 604_800,
        "consent": {"sms": None, "call": False},
        "channels": ["email", "sms"],
        "too_long_to_wait": True,
        "day": "2026-03-01",
        "drawn": 0.25,
    }
    assert named(facts) == {
        "last asked at": "01 Mar 2026, 10:00 UTC",
        "max age": "7 days",
        "consent": "sms: not known; call: no",
        "channels": "email, sms",
        "too long to wait": "yes",
        "day": "2026-03-01",
        "drawn": "0.25",
    }


def test_rules_before_the_stop_passed_and_those_after_it_were_not_tried() -> None:
    outcomes = dict(rules_of(Reason.CONDITION))
    assert outcomes[Reason.SUPPRESSED] is Outcome.PASSED
    assert outcomes[Reason.CONDITION] is Outcome.STOPPED
    assert outcomes[Reason.OVER_QUOTA] is Outcome.NOT_TRIED
    assert {outcome for _, outcome in rules_of(Reason.ASKED)} == {Outcome.PASSED}

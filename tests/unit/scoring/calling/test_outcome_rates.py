"""Disposition codes, and outcome rates against examples computed by hand."""

from __future__ import annotations

import pytest

from services.scoring.domain.calling.outcome_rates import Cases, Code, Rate, code_of
from services.scoring.domain.calling.share import Share
from shared.contract.vocabulary import CallDisposition as Made
from shared.contract.vocabulary import CallOutcome


@pytest.mark.parametrize(
    ("outcome", "made", "code"),
    [
        (CallOutcome.ANSWERED, {Made.BUSY, Made.ANSWERED}, "1.1"),
        (CallOutcome.REFUSED, {Made.REFUSED}, "2.112"),
        (CallOutcome.DO_NOT_CALL, {Made.CALL_LATER, Made.DO_NOT_CALL}, "2.112"),
        (CallOutcome.WRONG_NUMBER, {Made.WRONG_NUMBER}, "4.10"),
        (CallOutcome.UNREACHABLE, {Made.NO_ANSWER, Made.BUSY}, "3.13"),
        (CallOutcome.UNREACHABLE, {Made.BUSY}, "3.12"),
        (CallOutcome.UNREACHABLE, {Made.NO_ANSWER, Made.MACHINE}, "3.14"),
        (CallOutcome.EXPIRED, {Made.NO_ANSWER, Made.CALL_LATER}, "2.21"),
        (CallOutcome.EXPIRED, set(), "3.11"),
        (None, {Made.NO_ANSWER}, "3.13"),
        (CallOutcome.ANSWERED, set(), None),  # the customer answered on the page
        (CallOutcome.WITHDRAWN, {Made.NO_ANSWER}, None),
        (CallOutcome.WITHDRAWN, {Made.ANSWERED}, "1.1"),
    ],
)
def test_outcome_and_attempts_give_one_code(outcome: CallOutcome | None, made: set[Made], code: str | None) -> None:
    assert code_of(outcome, made) == code


def test_every_outcome_and_every_attempt_has_a_code() -> None:
    for outcome in CallOutcome:
        for made in Made:
            code = code_of(outcome, {made})
            assert code is not None or outcome in (CallOutcome.ANSWERED, CallOutcome.WITHDRAWN)


# 12 cases: 4 complete and 2 partial interviews, 1 refusal, 1 non-contact, 1 other, 2 unknown, 1 not eligible; e = 9/10
BY_HAND = {
    "RR1": 4 / 11,
    "RR2": 6 / 11,
    "RR3": 4 / 10.8,
    "RR4": 6 / 10.8,
    "RR5": 4 / 9,
    "RR6": 6 / 9,
    "COOP1": 4 / 8,
    "COOP2": 6 / 8,
    "COOP3": 4 / 7,
    "COOP4": 6 / 7,
    "REF1": 1 / 11,
    "REF2": 1 / 10.8,
    "REF3": 1 / 9,
    "CON1": 8 / 11,
    "CON2": 8 / 10.8,
    "CON3": 8 / 9,
}


def test_rates_are_those_computed_by_hand() -> None:
    cases = Cases(complete=4, partial=2, refused=1, not_reached=1, other=1, unknown=2, not_eligible=1)
    assert cases.e == pytest.approx(0.9)
    assert {rate: share.value for rate, share in cases.rates.items()} == pytest.approx(BY_HAND)
    assert list(cases.rates) == list(Rate)


def test_rates_of_codes() -> None:
    """40 answered, 20 refused, 10 agreed on another time; 50 + 25 + 15 + 5 are unknown, 5 wrong: e = 70/75."""
    counts = (40, 20, 10, 5, 15, 50, 25, 5)
    cases = Cases.of(dict(zip(Code, counts, strict=True)))
    assert cases == Cases(complete=40, refused=20, not_reached=10, unknown=95, not_eligible=5)
    shown: dict[str, float | None] = {rate: share.value for rate, share in cases.rates.items()}
    assert shown["RR1"] == pytest.approx(40 / 165)
    assert shown["RR3"] == pytest.approx(40 / (70 + 95 * 70 / 75))
    assert shown["COOP1"] == shown["COOP3"] == pytest.approx(40 / 60)
    assert shown["REF3"] == pytest.approx(20 / 70)
    assert shown["CON2"] == pytest.approx(60 / (70 + 95 * 70 / 75))
    for first, second in (("RR1", "RR2"), ("RR3", "RR4"), ("RR5", "RR6"), ("COOP1", "COOP2"), ("COOP3", "COOP4")):
        assert shown[first] == shown[second]


def test_no_case_has_no_rate() -> None:
    assert {share.value for share in Cases().rates.values()} == {None}
    assert {share.interval for share in Cases().rates.values()} == {None}
    assert Cases(unknown=3).rates[Rate.RR3] == Share(0, 3)


@pytest.mark.parametrize(
    ("part", "whole", "low", "high"),
    [(0, 10, 0.0, 0.2775), (1, 10, 0.0179, 0.4042), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0)],
)
def test_interval_is_wilsons(part: int, whole: int, low: float, high: float) -> None:
    assert Share(part, whole).interval == pytest.approx((low, high), abs=5e-5)

"""What holds of several statements about the consent to a channel."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.trigger.domain.consents import ConsentStatement
from services.trigger.domain.respondents import Respondent, merge_customer, published_consent
from shared.contract.events import Consent, Customer
from shared.contract.vocabulary import ChannelKind, ConsentPurpose

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SURVEY, OFFERS = ConsentPurpose
NOBODY = Respondent("c1")


def day(number: int) -> datetime:
    return NOW + timedelta(days=number)


def told(known: Respondent, at: int, email: Any = ..., *, is_patch: bool = False) -> Respondent:
    """Apply an event of a day that says this of the consent to e-mail, or nothing."""
    consent = {} if email is ... else {"email": email}
    customer = Customer.model_validate({"id": "c1", "consent": consent})
    return merge_customer(known, customer, at=day(at), phone_region="", is_patch=is_patch)[0]


def record(*, given: bool = True, at: int | None = None, **more: Any) -> dict[str, Any]:
    return {"given": given, "at": None if at is None else day(at).isoformat(), **more}


def email_of(known: Respondent) -> tuple[bool | None, bool]:
    """Return the consent to surveys and to offers."""
    return known.consent.email, ChannelKind.EMAIL in known.offers


FORM: dict[str, Any] = {"source": "shop.example/join", "text": "Yes, write me.", "purposes": ["survey", "offers"]}
BOTH: dict[str, Any] = {"purposes": ["survey", "offers"]}


@pytest.mark.parametrize(
    ("consent", "known"),
    [
        (True, (True, False)),
        (False, (False, False)),
        (None, (None, False)),
        (record(), (True, False)),
        (record(given=False), (False, False)),
        (record(**BOTH), (True, True)),
        (record(purposes=["offers"]), (None, True)),
        (record(given=False, purposes=["offers"]), (None, False)),
        (record(purposes=[]), (False, False)),
        (record(given=False, purposes=[]), (False, False)),
    ],
)
def test_a_consent_has_purposes_and_a_plain_yes_is_to_surveys(consent: Any, known: Any) -> None:
    assert email_of(told(NOBODY, 0, consent)) == known


@pytest.mark.parametrize(
    ("statements", "known"),
    [
        ([(0, record(**BOTH)), (1, record(given=False, purposes=["offers"]))], (True, False)),
        ([(0, record(**BOTH)), (1, record(given=False, purposes=["survey"]))], (False, True)),
        ([(0, record(**BOTH)), (1, False)], (False, False)),
        ([(0, record(**BOTH)), (1, True)], (True, True)),
        ([(0, False), (1, record(purposes=["offers"]))], (False, True)),
        ([(0, False), (1, True)], (True, False)),
        ([(0, True), (3, ...), (4, record(given=False, at=2))], (False, False)),
        ([(0, True), (3, ...), (2, False)], (False, False)),
        ([(0, False), (3, ...), (2, True)], (True, False)),
        ([(2, False), (3, record(at=1))], (False, False)),
        ([(2, True), (3, record(given=False, at=1))], (True, False)),
        ([(0, record(at=5)), (1, False)], (False, False)),
        ([(1, False), (2, True), (0, record(**BOTH))], (True, False)),
    ],
)
def test_the_newest_statement_about_a_purpose_counts(statements: list[tuple[int, Any]], known: Any) -> None:
    respondent = NOBODY
    for at, consent in statements:
        respondent = told(respondent, at, consent)
    assert email_of(respondent) == known


_SAID = st.sampled_from([..., True, False, record(**BOTH), record(given=False, purposes=["offers"])])


@given(events=st.lists(_SAID, min_size=2, max_size=4))
def test_events_lead_to_the_same_consent_in_every_order(events: list[Any]) -> None:
    outcomes = set()
    for order in permutations(enumerate(events)):
        respondent = NOBODY
        for at, consent in order:
            respondent = told(respondent, at, consent)
        outcomes.add(email_of(respondent))
    assert len(outcomes) == 1


def test_a_plain_yes_does_not_replace_a_proof_and_a_later_proof_is_taken() -> None:
    proof = ConsentStatement(given=True, at=day(0), purposes=(SURVEY, OFFERS), source=FORM["source"], text=FORM["text"])
    for order in ([(0, record(**FORM)), (1, True)], [(1, True), (2, record(at=0, **FORM))]):
        respondent = NOBODY
        for at, consent in order:
            respondent = told(respondent, at, consent)
        assert respondent.statements_about(ChannelKind.EMAIL) == (proof,)
        assert told(respondent, 3, False).statements_about(ChannelKind.EMAIL) == (
            ConsentStatement(given=False, at=day(3), purposes=(SURVEY, OFFERS)),
        )


def test_a_text_is_stored_once_and_with_what_is_left_of_its_purposes() -> None:
    both = told(NOBODY, 0, record(**FORM))
    survey = told(both, 1, record(given=False, purposes=["offers"]))
    assert [(each.given, each.purposes, each.text) for each in survey.statements_about(ChannelKind.EMAIL)] == [
        (True, (SURVEY,), FORM["text"]),
        (False, (OFFERS,), None),
    ]


def test_null_in_an_update_takes_every_purpose_away_and_nothing_older_brings_it_back() -> None:
    known = told(NOBODY, 0, record(**FORM))
    cleared = told(known, 2, None, is_patch=True)
    assert (email_of(cleared), cleared.statements) == ((None, False), {})
    assert published_consent(known, cleared).email is False
    assert email_of(told(cleared, 1, record(**BOTH))) == (None, False)
    assert email_of(told(cleared, 3, record(at=1, **BOTH))) == (None, False)
    assert email_of(told(cleared, 3, record(at=3, **BOTH))) == (True, True)
    assert email_of(told(known, 2, None)) == (True, True)


def test_an_erasure_forgets_who_stated_what() -> None:
    erased = told(NOBODY, 0, record(**FORM)).erased(day(1))
    assert (erased.statements, erased.consent, erased.statements_about(ChannelKind.EMAIL)) == ({}, Consent(), ())


def _statements() -> Iterator[tuple[str, Respondent]]:
    yield "plain", told(NOBODY, 0, True)
    yield "said again", told(told(NOBODY, 0, True), 1, True)
    yield "taken back", told(told(NOBODY, 0, True), 1, False)


@pytest.mark.parametrize("known", [pytest.param(known, id=name) for name, known in _statements()])
def test_plain_consent_of_the_newest_event_needs_no_statement(known: Respondent) -> None:
    assert known.statements == {}
    assert [each.at for each in known.statements_about(ChannelKind.EMAIL)] == [known.known_at]

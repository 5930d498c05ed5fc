"""Updates of respondents by events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import given
from hypothesis import strategies as st

from services.trigger.domain.respondents import (
    ContactCause,
    Respondent,
    clean_name,
    email_address,
    merge_customer,
    phone_number,
)
from shared.contract.events import Consent, Customer
from shared.contract.vocabulary import ChannelKind

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
KNOWN = Respondent(
    "c1",
    customer_id="c1",
    name="Ann",
    email="ann@shop.example",
    consent=Consent(email=True),
    attributes={"tier": "gold"},
    known_at=NOW,
)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Ann@Shop.EXAMPLE", "Ann@shop.example"),
        ("ivan@пример.рф", "ivan@xn--e1afmkfd.xn--p1ai"),
        ("a@b.test", "a@b.test"),
        ("nobody@", None),
        ("a@b.test\r\nBcc: c@d.test", None),
        ("a b@c.test", None),
        ("иван@пример.рф", None),
    ],
)
def test_email_address(written: str, read: str | None) -> None:
    assert email_address(written) == read


_LOCALS = st.text("aZ0._+-'é \"@", max_size=70)
_DOMAINS = st.sampled_from(["shop.example", "Shop.Example", "b.test", "пример.рф", "local", "x..y", "", "[1.2.3.4]"])


@given(local=_LOCALS, domain=_DOMAINS | st.text("aZ0.-@é", max_size=260))
def test_a_plain_address_is_read_as_any_other(local: str, domain: str) -> None:
    try:
        found = validate_email(
            f"{local}@{domain}", check_deliverability=False, allow_smtputf8=False, test_environment=True
        )
    except EmailNotValidError:
        assert email_address(f"{local}@{domain}") is None
    else:
        assert email_address(f"{local}@{domain}") == found.ascii_email


@pytest.mark.parametrize(
    ("written", "region", "read"),
    [
        ("+7 (916) 123-45-67", "", "+79161234567"),
        ("8 916 123-45-67", "RU", "+79161234567"),
        ("8 916 123-45-67", "", None),
        ("+7 12", "", None),
        ("call me", "RU", None),
    ],
)
def test_phone_number(written: str, region: str, read: str | None) -> None:
    assert phone_number(written, region=region) == read


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Ann\r\nBcc: x", "Ann Bcc: x"),
        ("\x1b[1mAnn\u202e", "[1mAnn"),
        ("Анна-Мария д'Артаньян", "Анна-Мария д'Артаньян"),
        ("\x00", None),
    ],
)
def test_name_loses_invisible_characters(written: str, read: str | None) -> None:
    assert clean_name(written) == read


def test_newer_event_replaces_what_it_names_and_keeps_the_rest() -> None:
    customer = Customer(id="C1", email="new@shop.example", consent=Consent(sms=True), attributes={"vip": True})
    learned, unusable = merge_customer(KNOWN, customer, at=NOW + timedelta(days=1), phone_region="")
    assert (learned.name, learned.email, learned.customer_id) == ("Ann", "new@shop.example", "C1")
    assert learned.consent == Consent(email=True, sms=True)
    assert learned.attributes == {"tier": "gold", "vip": True}
    assert learned.known_at == NOW + timedelta(days=1)
    assert unusable == []


def test_older_event_only_fills_gaps() -> None:
    customer = Customer(
        id="c1",
        email="old@shop.example",
        phone="+79161234567",
        consent=Consent(email=False, call=False),
        attributes={"tier": "none", "old": 1},
    )
    learned, _ = merge_customer(KNOWN, customer, at=NOW - timedelta(days=1), phone_region="")
    assert (learned.email, learned.phone) == ("ann@shop.example", "+79161234567")
    assert learned.consent == Consent(email=True, call=False)
    assert learned.attributes == {"tier": "gold", "old": 1}
    assert learned.known_at == NOW


def test_invalid_fields_are_named_and_keep_their_values() -> None:
    customer = Customer(id="c1", email="x", phone="y", locale="english please", time_zone="Mars", name=" ")
    learned, unusable = merge_customer(KNOWN, customer, at=NOW, phone_region="")
    assert unusable == ["email", "phone", "locale", "time_zone"]
    assert (learned.email, learned.phone, learned.name) == ("ann@shop.example", None, "Ann")


def test_erasure_forgets_and_earlier_events_bring_nothing_back() -> None:
    erased = Respondent("c1", email="a@b.test").with_contact(ContactCause.INVITATION, "shop", NOW).erased(NOW)
    assert erased == Respondent("c1", erased_at=NOW).with_contact(ContactCause.INVITATION, "shop", NOW)
    assert merge_customer(erased, Customer(id="c1", email="a@b.test"), at=NOW, phone_region="") == (erased, [])
    again, _ = merge_customer(erased, Customer(id="c1", email="a@b.test"), at=NOW + timedelta(days=1), phone_region="")
    assert again.email == "a@b.test"


def test_sms_and_call_need_a_phone() -> None:
    assert [channel.value for channel in ChannelKind if KNOWN.address(channel)] == ["email"]
    assert (KNOWN.contact.email, KNOWN.contact.phone) == ("ann@shop.example", None)

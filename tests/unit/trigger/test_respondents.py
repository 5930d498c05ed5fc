"""Updates of respondents by events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import phonenumbers
import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from services.trigger.domain.respondents import (
    ContactCause,
    Respondent,
    clean_name,
    email_address,
    merge_customer,
    phone_number,
    published_consent,
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
    assert [each.field for each in unusable] == [
        f"customer.{each}" for each in ("email", "phone", "locale", "time_zone")
    ]
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


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("olga@example.com; buh@example.com", "olga@example.com"),
        ("buh@, olga@example.com", "olga@example.com"),
        ("olga@example.com buh@example.com", "olga@example.com"),
        ("olga@example.com/buh@example.com", "olga@example.com"),
        ("Olga P. <olga@example.com>", "olga@example.com"),
        ("mailto:olga@example.com", "olga@example.com"),
        ("olga@example.com.", "olga@example.com"),
        ("e-mail: olga@example.com\nwork: buh@example.com", "olga@example.com"),
        ("olga@example.com\u200b", "olga@example.com"),
        ("\ufeffolga@example.com", "olga@example.com"),
        ("\u202aolga@example.com\u202c", "olga@example.com"),
        ("olga@exam\u00adple.com", "olga@example.com"),
        ("olga\uff20example.com", "olga@example.com"),
        ("\uff4f\uff4c\uff47\uff41@example.com", "olga@example.com"),
        ("no address", None),
    ],
)
def test_first_usable_address_of_several_is_used_and_named(written: str, read: str | None) -> None:
    learned, ignored = merge_customer(Respondent("c"), Customer(id="c", email=written), at=NOW, phone_region="")
    assert learned.email == read
    assert [each.field for each in ignored] == ["customer.email"]


@pytest.mark.parametrize(
    ("written", "region", "read"),
    [
        ("+7 999 123-45-67, +7 495 765-43-21", "", "+79991234567"),
        ("+7 999 123-45-67 +7 495 765-43-21", "", "+79991234567"),
        ("8 (999) 123-45-67; 8 (495) 765-43-21", "RU", "+79991234567"),
        ("12, 8 999 123-45-67", "RU", "+79991234567"),
        ("тел. 8 999 123-45-67, дом. 8 495 765-43-21", "RU", "+79991234567"),
        ("8 999 123-45-67 или 8 495 765-43-21", "RU", "+79991234567"),
        ("(201) 555-0123", "RU", None),
        ("+1 555 000 0000", "RU", None),
        ("+7 000 000-00-00", "", None),
        ("0000000000", "US", None),
    ],
)
def test_first_usable_number_of_several_is_used_and_named(written: str, region: str, read: str | None) -> None:
    learned, ignored = merge_customer(Respondent("c"), Customer(id="c", phone=written), at=NOW, phone_region=region)
    assert learned.phone == read
    assert [each.field for each in ignored] == ["customer.phone"]


_EXAMPLES = [
    phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
    for region in sorted(phonenumbers.SUPPORTED_REGIONS)
    for kind in (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE)
    if (example := phonenumbers.example_number_for_type(region, kind))
]


@given(number=st.sampled_from(_EXAMPLES) | st.from_regex(r"\+[0-9]{5,17}", fullmatch=True))
def test_international_number_is_read_as_the_library_reads_it(number: str) -> None:
    try:
        parsed = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        assert phone_number(number, region="") is None
        return
    read = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    assert phone_number(number, region="") == (read if phonenumbers.is_valid_number(parsed) else None)


def test_example_number_of_every_country_is_read() -> None:
    assert len(_EXAMPLES) > 400
    assert [phone_number(number, region="") for number in _EXAMPLES] == _EXAMPLES


@pytest.mark.parametrize("written", ["(201) 555-0123", "+1 201-555-0123", "2015550123"])
def test_number_that_is_valid_in_its_region_is_used_and_not_named(written: str) -> None:
    learned, ignored = merge_customer(Respondent("c"), Customer(id="c", phone=written), at=NOW, phone_region="US")
    assert (learned.phone, ignored) == ("+12015550123", [])


FULL = replace(
    KNOWN,
    phone="+79161234567",
    locale="ru",
    time_zone="Europe/Moscow",
    consent=Consent(email=True, sms=True),
    attributes={"tier": "gold", "age": 41},
)


def patched(known: Respondent = FULL, *, days: int = 1, **customer: Any) -> Respondent:
    told = Customer.model_validate({"id": "c1", **customer})
    at = NOW + timedelta(days=days)
    return merge_customer(known, told, at=at, phone_region="", is_patch=True)[0]


@pytest.mark.parametrize("name", ["name", "email", "phone", "locale", "time_zone"])
def test_null_in_an_update_clears_a_field_and_an_older_event_does_not_bring_it_back(name: str) -> None:
    cleared = patched(FULL, days=1, **{name: None})
    assert getattr(cleared, name) is None
    assert replace(cleared, **{name: getattr(FULL, name)}, known_at=NOW, cleared={}, statements={}) == FULL
    assert getattr(patched(cleared, days=0, **{name: getattr(FULL, name)}), name) is None
    assert getattr(patched(cleared, days=2, **{name: getattr(FULL, name)}), name) == getattr(FULL, name)


def test_null_in_an_update_clears_single_attributes_and_consents() -> None:
    assert patched(attributes={"tier": None, "vip": True}).attributes == {"age": 41, "vip": True}
    assert patched(attributes=None).attributes == {}
    cleared = patched(consent={"sms": None})
    assert cleared.consent == Consent(email=True)
    assert patched(cleared, days=0, consent={"sms": True}).consent == Consent(email=True)
    assert patched(cleared, days=2, consent={"sms": True}).consent == Consent(email=True, sms=True)


def test_null_in_an_older_update_clears_nothing() -> None:
    assert patched(days=-1, email=None, attributes={"tier": None}, consent={"sms": None}) == FULL


def test_null_and_blank_in_another_event_are_absent() -> None:
    customer = Customer.model_validate(
        {"id": "c1", "name": " ", "email": None, "attributes": {"tier": None}, "consent": {"sms": None}}
    )
    learned, ignored = merge_customer(FULL, customer, at=NOW, phone_region="")
    assert (learned, ignored) == (FULL, [])


def test_open_surveys_are_told_of_every_channel_that_was_taken_away() -> None:
    assert published_consent(FULL, FULL) == FULL.consent
    assert published_consent(FULL, patched(email=None)) == Consent(email=False, sms=True)
    assert published_consent(FULL, patched(phone=None)) == Consent(email=True, sms=False, call=False)
    assert published_consent(FULL, patched(consent={"sms": None})) == Consent(email=True, sms=False)

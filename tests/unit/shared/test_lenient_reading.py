"""A detail of an event that cannot be read loses no event: it is left out and named."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from shared.contract.cloudevents import Event, place_of
from shared.contract.events import (
    BY_TYPE,
    ConsentRecord,
    CrmPayload,
    CustomerConsent,
    CustomerUpdated,
    Payload,
    PurchaseCompleted,
)
from shared.contract.vocabulary import ConsentPurpose
from shared.messaging import codec
from shared.messaging.codec import InvalidEvent
from shared.messaging.transport import Message

CUSTOMER: dict[str, Any] = {"id": "42", "name": "Olga"}
ORDER: dict[str, Any] = {"id": "A-1", "amount": "12.30"}
DATA: dict[str, Any] = {"customer": CUSTOMER, "order": ORDER}
NUL = "contains a NUL character or is not Unicode"


def envelope(**changes: Any) -> dict[str, Any]:
    event = {
        "specversion": "1.0",
        "id": "1",
        "source": "shop",
        "type": "crm.purchase.completed",
        "time": "2026-03-01T12:00:00Z",
        "data": DATA,
        **changes,
    }
    return {name: value for name, value in event.items() if value is not ...}


def read(raw: bytes | dict[str, Any]) -> tuple[PurchaseCompleted, dict[str, str], Event[Payload]]:
    event = codec.parse_body(raw if isinstance(raw, bytes) else json.dumps(raw).encode())
    assert isinstance(event.payload, PurchaseCompleted)
    return event.payload, {each.field: each.why for each in event.ignored}, event


def purchase(*, customer: Any = None, order: Any = None, **parts: Any) -> dict[str, Any]:
    return envelope(data={"customer": {**CUSTOMER, **(customer or {})}, "order": {**ORDER, **(order or {})}, **parts})


YES = ConsentRecord(given=True)
TO_NOTHING = ConsentRecord(given=True, purposes=[])
PURPOSES = "customer.consent.sms.purposes"

PLAIN = read(envelope())[0]


def test_null_in_every_optional_field_is_absent_and_not_named() -> None:
    customer = dict.fromkeys(("email", "phone", "locale", "time_zone", "consent", "attributes"))
    order = dict.fromkeys(("number", "currency", "items"))
    payload, ignored, _ = read(purchase(customer=customer, order=order, touchpoint=None, attributes=None))
    assert payload.model_dump_json(exclude_none=True) == PLAIN.model_dump_json(exclude_none=True).replace(
        '"name":"Olga","consent":{},"attributes":{}', '"name":"Olga","consent":{}'
    )
    assert ignored == {}


@pytest.mark.parametrize("kind", sorted(name for name, model in BY_TYPE.items() if issubclass(model, CrmPayload)))
def test_null_of_a_typed_producer_loses_no_event_of_any_type(kind: str) -> None:
    model = BY_TYPE[kind]

    def filled(part: Any) -> Any:
        made: dict[str, Any] = {}
        for name, field in part.model_fields.items():
            inner = hasattr(field.annotation, "model_fields") and field.is_required()
            made[name] = filled(field.annotation) if inner else "1" if name == "id" else None
        return made

    event = codec.parse_body(json.dumps(envelope(type=kind, data=filled(model))).encode())
    assert (type(event.payload), event.ignored) == (model, ())


BLANK = [
    {"touchpoint": {"store": "", "employee": "  "}},
    {"touchpoint": []},
    {"touchpoint": ""},
    {"attributes": []},
    {"order": {"currency": ""}},
    {"order": {"currency": "  "}},
    {"order": {"items": {}}},
    {"order": {"items": ""}},
    {"order": {"number": " \u00a0"}},
    {"customer": {"consent": []}},
    {"customer": {"consent": {"email": ""}}},
    {"customer": {"attributes": ""}},
]


@pytest.mark.parametrize("parts", BLANK, ids=str)
def test_blank_is_absent_and_not_named(parts: dict[str, Any]) -> None:
    payload, ignored, _ = read(purchase(**parts))
    assert (payload, ignored) == (PLAIN, {})


RIGHT: list[tuple[dict[str, Any], Callable[[PurchaseCompleted], Any], Any]] = [
    ({"order": {"currency": "eur"}}, lambda p: p.order.currency, "EUR"),
    ({"order": {"currency": " Rub "}}, lambda p: p.order.currency, "RUB"),
    ({"order": {"amount": 59.970000000000006}}, lambda p: str(p.order.amount), "59.97"),
    ({"order": {"amount": "59.970000000000006"}}, lambda p: str(p.order.amount), "59.97"),
    ({"order": {"amount": 60.00000000001}}, lambda p: str(p.order.amount), "60"),
    ({"order": {"amount": -0.30000000000000004}}, lambda p: str(p.order.amount), "-0.3"),
    ({"order": {"amount": 1e-9}}, lambda p: float(p.order.amount or 0), 0.0),
    ({"order": {"items": [{"id": "kg", "quantity": 0.3333333}]}}, lambda p: str(p.order.items[0].quantity), "0.3333"),
    ({"order": {"number": 1030}}, lambda p: p.order.number, "1030"),
    ({"touchpoint": {"store": 12, "stage": 3.0}}, lambda p: (p.touchpoint.store, p.touchpoint.stage), ("12", "3")),
    ({"customer": {"phone": 79991234567}}, lambda p: p.customer.phone, "79991234567"),
]


@pytest.mark.parametrize(("parts", "get", "right"), RIGHT, ids=lambda value: "" if callable(value) else str(value))
def test_readable_form_of_a_detail_is_taken(
    parts: dict[str, Any], get: Callable[[PurchaseCompleted], Any], right: Any
) -> None:
    payload, ignored, _ = read(purchase(**parts))
    assert (get(payload), ignored) == (right, {})


ITEM = {"id": "i"}
LEFT_OUT: list[tuple[dict[str, Any], list[str]]] = [
    ({"customer": {"name": 5}}, ["customer.name"]),
    ({"customer": {"name": "x" * 301}}, ["customer.name"]),
    ({"customer": {"name": "Ol\0ga"}}, ["customer.name"]),
    ({"customer": {"name": "\ud800"}}, ["customer.name"]),
    ({"customer": {"email": {"home": "secret@example.com"}}}, ["customer.email"]),
    ({"customer": {"email": ["secret@example.com"]}}, ["customer.email"]),
    ({"customer": {"phone": True}}, ["customer.phone"]),
    ({"customer": {"attributes": {"tags": ["a"], "age": 5}}}, ["customer.attributes.tags"]),
    ({"customer": {"attributes": {"x": {"bool": 1}}}}, ["customer.attributes.x"]),
    ({"customer": {"attributes": {"secret@example.com": [1]}}}, ["customer.attributes"]),
    ({"customer": {"attributes": {"+79991234567": [1]}}}, ["customer.attributes"]),
    ({"customer": {"attributes": "gold"}}, ["customer.attributes"]),
    ({"attributes": {"a\0": 1}}, ["attributes"]),
    ({"attributes": {"a\ud800": 1}}, ["attributes"]),
    ({"attributes": {"": 1}}, ["attributes"]),
    ({"attributes": {"id": [1]}}, ["attributes.id"]),
    ({"attributes": {"n": float("nan")}}, ["attributes.n"]),
    ({"attributes": {"n": float("-inf")}}, ["attributes.n"]),
    ({"attributes": {str(n): n for n in range(101)}}, ["attributes"]),
    ({"attributes": {"note": "x" * 1001}}, ["attributes.note"]),
    ({"attributes": {"deep": json.loads("[" * 300 + "]" * 300)}}, ["attributes.deep"]),
    ({"order": {"amount": "much"}}, ["order.amount"]),
    ({"order": {"amount": float("nan")}}, ["order.amount"]),
    ({"order": {"amount": True}}, ["order.amount"]),
    ({"order": {"amount": 1e30}}, ["order.amount"]),
    ({"order": {"amount": 10**300}}, ["order.amount"]),
    ({"order": {"amount": {"value": 5}}}, ["order.amount"]),
    ({"order": {"currency": "rubles"}}, ["order.currency"]),
    ({"order": {"currency": 643}}, ["order.currency"]),
    ({"order": {"currency": "\0"}}, ["order.currency"]),
    ({"order": {"items": "x"}}, ["order.items"]),
    ({"order": {"items": {"0": ITEM}}}, ["order.items"]),
    ({"order": {"items": [ITEM] * 501}}, ["order.items"]),
    ({"order": {"items": [5, ITEM, {"name": "no id"}, ITEM]}}, ["order.items.0", "order.items.2"]),
    ({"order": {"items": [{"id": [], "name": 7}, {**ITEM, "name": 6}]}}, ["order.items.0", "order.items.1.name"]),
    ({"touchpoint": "Riverside"}, ["touchpoint"]),
    ({"touchpoint": [{"store": "x"}]}, ["touchpoint"]),
    ({"touchpoint": {"store": "x" * 201, "device": "till"}}, ["touchpoint.store"]),
    ({"attributes": 5, "touchpoint": 6}, ["attributes", "touchpoint"]),
]


@pytest.mark.parametrize(("parts", "named"), LEFT_OUT, ids=lambda value: str(value)[:60])
def test_detail_that_cannot_be_read_is_left_out_and_named(parts: dict[str, Any], named: list[str]) -> None:
    payload, ignored, _ = read(purchase(**parts))
    assert sorted(ignored) == named
    assert (payload.customer.id, payload.order.id) == ("42", "A-1")
    assert "secret" not in str(ignored)
    assert "\\u0000" not in payload.model_dump_json()


@pytest.mark.parametrize(("number", "id_"), [(42, "42"), (7.0, "7"), (0, "0"), (-1, "-1"), (2**70, str(2**70))])
def test_id_that_is_a_whole_number_is_its_digits(number: float, id_: str) -> None:
    payload, ignored, _ = read(
        purchase(customer={"id": number}, order={"id": number, "items": [{"id": number, "quantity": 1}]})
    )
    assert (payload.customer.id, payload.order.id, payload.order.items[0].id, ignored) == (id_, id_, id_, {})


def test_id_of_the_event_may_be_a_whole_number() -> None:
    assert read(envelope(id=12))[2].id == "12"


def test_good_fields_beside_a_wrong_one_are_kept() -> None:
    payload, _, _ = read(purchase(order={"items": [{"id": [], "name": 7}, {**ITEM, "name": 6}]}))
    assert [item.model_dump(exclude_none=True) for item in payload.order.items] == [{"id": "i"}]
    payload, _, _ = read(purchase(order={"items": [5, {**ITEM, "quantity": 1.23456}]}, touchpoint={"store": "S"}))
    assert str(payload.order.items[0].quantity) == "1.2346"
    assert payload.touchpoint.store == "S"


@pytest.mark.parametrize(
    ("consent", "right", "named"),
    [
        ({"email": "perhaps"}, CustomerConsent(email=False), ["customer.consent.email"]),
        ({"email": True, "sms": 2}, CustomerConsent(email=True, sms=False), ["customer.consent.sms"]),
        ({"call": [True]}, CustomerConsent(call=False), ["customer.consent.call"]),
        ({"call": {"purposes": ["survey"]}}, CustomerConsent(call=False), ["customer.consent.call.given"]),
        ({"call": {"given": "perhaps"}}, CustomerConsent(call=False), ["customer.consent.call.given"]),
        ({"call": {"given": None}}, CustomerConsent(call=False), ["customer.consent.call.given"]),
        ({"call": {"given": "yes", "at": None}}, CustomerConsent(call=YES), []),
        ({"call": {"given": True, "at": "soon"}}, CustomerConsent(call=YES), ["customer.consent.call.at"]),
        ({"call": {"given": True, "at": "2026-03-01"}}, CustomerConsent(call=YES), ["customer.consent.call.at"]),
        ({"call": {"given": True, "at": " ", "more": 1}}, CustomerConsent(call=YES), []),
        ({"call": {"given": True, "text": "x" * 4001}}, CustomerConsent(call=YES), ["customer.consent.call.text"]),
        ({"call": {"given": True, "source": "a\0"}}, CustomerConsent(call=YES), ["customer.consent.call.source"]),
        (
            {"sms": {"given": True, "purposes": ["sport", "survey"]}},
            CustomerConsent(sms=ConsentRecord(given=True, purposes=[ConsentPurpose.SURVEY])),
            ["customer.consent.sms.purposes.0"],
        ),
        ({"sms": {"given": True, "purposes": "survey"}}, CustomerConsent(sms=TO_NOTHING), [PURPOSES]),
        ({"sms": {"given": True, "purposes": {"survey": 1}}}, CustomerConsent(sms=TO_NOTHING), [PURPOSES]),
        ({"sms": {"given": True, "purposes": ["survey"] * 11}}, CustomerConsent(sms=TO_NOTHING), [PURPOSES]),
        ("yes", CustomerConsent(email=False, sms=False, call=False), ["customer.consent"]),
        (["email"], CustomerConsent(email=False, sms=False, call=False), ["customer.consent"]),
        (True, CustomerConsent(email=False, sms=False, call=False), ["customer.consent"]),
        ({"email": "\0"}, CustomerConsent(email=False), ["customer.consent.email"]),
        ({"email": None, "sms": "yes"}, CustomerConsent(sms=True), []),
    ],
)
def test_consent_that_cannot_be_read_counts_as_not_given(
    consent: Any, right: CustomerConsent, named: list[str]
) -> None:
    payload, ignored, _ = read(purchase(customer={"consent": consent}))
    assert (payload.customer.consent, list(ignored)) == (right, named)


@pytest.mark.parametrize(
    "data",
    [
        {"customer": {"id": 5.5}, "order": ORDER},
        {"customer": {"id": ""}, "order": ORDER},
        {"customer": {"id": "x\0"}, "order": ORDER},
        {"customer": {"id": "\udc80"}, "order": ORDER},
        {"customer": [CUSTOMER], "order": ORDER},
        {"customer": None, "order": ORDER},
        {"customer": CUSTOMER, "order": {"id": None}},
        {"customer": CUSTOMER, "order": "A-1"},
        {"customer": CUSTOMER},
        [],
        "text",
        None,
    ],
    ids=str,
)
def test_what_decides_about_an_event_is_still_refused(data: Any) -> None:
    with pytest.raises(InvalidEvent, match=r"^(customer|order|data)"):
        codec.parse_body(json.dumps(envelope(data=data)).encode())


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "written",
    [
        encoded(json.dumps(DATA)),
        encoded(json.dumps(DATA)).rstrip("="),
        base64.urlsafe_b64encode(json.dumps(DATA).encode()).decode(),
        base64.encodebytes(json.dumps(DATA).encode()).decode(),
    ],
)
@pytest.mark.parametrize("data", [..., None])
def test_data_in_base64_is_decoded(written: str, data: Any) -> None:
    payload, ignored, _ = read(envelope(data=data, data_base64=written))
    assert (payload, ignored) == (PLAIN, {})


@pytest.mark.parametrize("written", ["?", encoded("no json"), encoded("[]"), "", 5])
def test_data_in_base64_that_is_no_event_is_refused(written: Any) -> None:
    with pytest.raises(InvalidEvent, match="data"):
        codec.parse_body(json.dumps(envelope(data=..., data_base64=written)).encode())


def test_data_in_base64_beside_data_is_not_read() -> None:
    assert read(envelope(data_base64="?"))[0] == PLAIN


def test_data_that_was_encoded_twice_is_decoded() -> None:
    assert read(envelope(data=json.dumps(DATA)))[0] == PLAIN


RAW = json.dumps(envelope())


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        (b"\xef\xbb\xbf" + RAW.encode(), []),
        (RAW.encode("utf-16"), []),
        (RAW.replace("12.30", "12.3\t").encode(), []),
        (RAW.replace('"Olga"', '"Ol\nga"').encode(), []),
        (RAW.replace('"12.30"', "NaN").encode(), ["order.amount"]),
        (RAW.replace('"12.30"', "-Infinity").encode(), ["order.amount"]),
        (RAW.replace('"12.30"', "1e999").encode(), ["order.amount"]),
        (RAW.replace('"12.30"', "9" * 5000).encode(), ["order.amount"]),
        (RAW.replace("Olga", "\\ud83d").encode(), ["customer.name"]),
        (RAW.replace("Olga", "Ольга").encode("cp1251"), ["customer.name"]),
        (RAW.replace("Olga", "José").encode("latin-1"), ["customer.name"]),
    ],
)
def test_json_of_sloppy_producers_is_read(raw: bytes, named: list[str]) -> None:
    payload, ignored, _ = read(raw)
    assert (payload.order.id, list(ignored)) == ("A-1", named)


def test_binary_event_with_a_broken_detail_is_read() -> None:
    headers = {f"ce_{name}": value for name, value in envelope(data=...).items()}
    raw = json.dumps(DATA).replace('"12.30"', "NaN").encode()
    event = codec.parse(Message("crm.events", "", raw, headers))
    assert [each.field for each in event.ignored] == ["order.amount"]


@pytest.mark.parametrize(("subject", "named"), [("", []), (" ", []), (5, ["subject"]), ("a\nb", ["subject"])])
def test_subject_that_cannot_be_read_is_left_out(subject: Any, named: list[str]) -> None:
    event = codec.parse_body(json.dumps(envelope(subject=subject)).encode())
    assert (event.subject, [each.field for each in event.ignored]) == (None, named)


def test_wrong_content_type_of_the_data_is_named() -> None:
    assert list(read(envelope(datacontenttype=5))[1]) == ["datacontenttype"]


@pytest.mark.parametrize("wrong", [{"id": 5.5}, {"source": "\0"}, {"time": "yesterday"}, {"type": "crm.sold"}])
def test_attributes_that_identify_an_event_are_still_required(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidEvent):
        codec.parse_body(json.dumps({**purchase(order={"amount": float("nan")}), **wrong}).encode())


def test_events_between_services_are_read_strictly() -> None:
    data = {"respondent_id": "r", "consent": None}
    with pytest.raises(InvalidEvent, match="consent"):
        codec.parse_body(json.dumps(envelope(type="respondent.consent_changed", data=data)).encode())


def test_names_of_ignored_fields_are_bounded() -> None:
    items = [{**ITEM, "name": number} for number in range(500)]
    _, ignored, event = read(purchase(order={"items": items}))
    assert len(event.ignored) == 20
    assert list(ignored)[-1] == "data"


@pytest.mark.parametrize(
    ("field", "place"),
    [
        ("customer.attributes.tier.1", "customer.attributes"),
        ("attributes.x", "attributes"),
        ("order.items.3.name", "order.items.name"),
        ("time", "time"),
    ],
)
def test_place_of_an_ignored_field_has_no_name_of_an_attribute(field: str, place: str) -> None:
    assert place_of(field) == place


def test_null_in_an_update_is_kept_because_it_clears() -> None:
    customer = {"id": "42", "email": None, "attributes": None, "consent": None}
    payload = codec.parse_body(
        json.dumps(envelope(type="crm.customer.updated", data={"customer": customer})).encode()
    ).payload
    assert isinstance(payload, CustomerUpdated)
    assert payload.customer.model_fields_set == {"id", "email", "attributes", "consent"}
    assert payload.customer.consent.model_fields_set == {"email", "sms", "call"}
    assert payload.customer.attributes is None

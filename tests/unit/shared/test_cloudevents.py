"""Parsing of CloudEvents: what is accepted and refused; an error names the field and not its value."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime, time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from shared.contract.cloudevents import IgnoredField
from shared.contract.events import PurchaseCompleted, Window
from shared.contract.vocabulary import (
    NAMESPACE,
    SHARED_NAMESPACE,
    folded_respondent_id,
    respondent_id,
    split_respondent_id,
)
from shared.messaging import codec
from shared.messaging.codec import InvalidEvent
from shared.messaging.lenient import MAX_NESTING
from shared.messaging.transport import Message

PURCHASE: dict[str, Any] = {
    "specversion": "1.0",
    "id": "1",
    "source": "shop",
    "type": "crm.purchase.completed",
    "time": "2026-03-01T15:00:00+03:00",
    "subject": "order 7",
    "data": {
        "customer": {"id": " ÄB1 ", "attributes": {"age": 41, "vip": True}},
        "order": {"id": "7", "amount": "12.30"},
    },
}


def body(**changes: Any) -> bytes:
    return json.dumps({**PURCHASE, **changes}).encode()


def with_data(**changes: Any) -> bytes:
    return body(data={**PURCHASE["data"], **changes})


def test_structured_event_is_read_in_utc() -> None:
    event = codec.parse_body(body())
    assert (event.id, event.source, event.type, event.subject) == ("1", "shop", "crm.purchase.completed", "order 7")
    assert event.time == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert event.time.tzinfo is UTC
    assert isinstance(event.payload, PurchaseCompleted)
    assert event.payload.customer.attributes == {"age": 41, "vip": True}


@pytest.mark.parametrize("spelt", [str.lower, str.upper, str.title])
def test_binary_event_is_the_same_event_however_its_headers_are_spelt(spelt: Callable[[str], str]) -> None:
    headers = {f"ce_{name}": PURCHASE[name] for name in ("specversion", "id", "source", "type", "time", "subject")}
    headers = {spelt(name): value for name, value in {**headers, "content-type": "application/json"}.items()}
    message = Message("crm.events", "", json.dumps(PURCHASE["data"]).encode(), headers)
    assert codec.parse(message) == codec.parse_body(body())


def test_written_event_reads_back() -> None:
    event = codec.parse_body(body())
    message = codec.encode(event)
    assert codec.parse(message) == event
    assert (message.topic, message.key) == ("crm.events", "ÄB1")


def test_events_are_equal_whatever_was_left_out_of_them_and_however_they_are_stored() -> None:
    event = codec.parse_body(json.dumps(PURCHASE).encode())
    same = structs.replace(event, data=b"{}", ignored=(IgnoredField("customer.name", "too long"),))
    assert (same, hash(same)) == (event, hash(event))
    assert event not in (structs.replace(event, id="2"), structs.replace(event, subject=None), "event")


def test_unknown_fields_are_ignored() -> None:
    assert codec.parse_body(with_data(colour="red")) == codec.parse_body(body())


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        (b"", "body"),
        (b"\xff", "body: not UTF-8"),
        (b"[" * 100_000, "body"),
        (b'{"a":' * 5000, "body"),
        (b"[1]", "body"),
        (body(specversion="0.3"), "specversion"),
        (body(id=""), "id"),
        (body(id="a\nb"), "id"),
        (body(source="x" * 201), "source"),
        (body(type="shop.sold"), "type"),
        (body(time="2026-03-01T15:00:00"), "time"),
        (body(time="0001-01-01T00:00:00+14:00"), "time"),
        (body(time=5), "body"),
        (body(data=None), "data"),
        (body(data=[]), "data"),
        (with_data(customer={}), "customer.id"),
        (with_data(customer={"id": 5.5}), "customer.id"),
        (with_data(customer={"id": True}), "customer.id"),
        (with_data(customer={"id": [5]}), "customer.id"),
        (with_data(customer={"id": "   "}), "customer.id"),
        (with_data(customer={"id": "x\0"}), "NUL"),
        (body().replace(b"41", b"[" * 498 + b"]" * 498), "nested too deeply"),
        (body().replace(b"41", b"[" * 1200 + b"]" * 1200), "nested too deeply"),
        (body().replace(b"41", b"[" * 9000 + b"]" * 9000), "nested too deeply"),
        (b'{"x":"' + b"y" * 5_000_000 + b'"}', "body"),
    ],
)
def test_garbage_is_refused_with_its_place(raw: bytes, place: str) -> None:
    with pytest.raises(InvalidEvent, match=place):
        codec.parse_body(raw)


def test_attribute_nested_as_deeply_as_is_allowed_is_left_out() -> None:
    deep = b"[" * (MAX_NESTING - 3) + b"]" * (MAX_NESTING - 3)
    event = codec.parse_body(body().replace(b"41", deep))
    assert [each.field for each in event.ignored] == ["customer.attributes.age"]


def test_backslash_before_u0000_is_no_nul() -> None:
    event = codec.parse_body(with_data(customer={"id": "a\\u0000"}))
    assert isinstance(event.payload, PurchaseCompleted)
    assert event.payload.customer.id == "a\\u0000"


def test_refusal_quotes_no_address() -> None:
    with pytest.raises(InvalidEvent) as refused:
        codec.parse_body(with_data(customer={"id": {"secret@example.com": 1}}))
    assert "secret" not in str(refused.value)


def test_avro_is_refused_by_name() -> None:
    headers = {"ce_specversion": "1.0", "content-type": "application/avro"}
    with pytest.raises(InvalidEvent, match="application/avro"):
        codec.parse(Message("crm.events", "", b"\x00", headers))


@pytest.mark.parametrize(("one", "other"), [(" A1", "A1\n"), ("A\u0308", "Ä"), ("\u00a0é ", "e\u0301")])
def test_one_id_however_it_is_encoded(one: str, other: str) -> None:
    assert respondent_id(one) == respondent_id(other)


@pytest.mark.parametrize(("one", "other"), [("0015g00000XyZaB", "0015g00000xyzab"), ("Ä", "ä"), ("STRASSE", "straße")])
def test_ids_that_differ_in_case_are_two(one: str, other: str) -> None:
    assert respondent_id(one) != respondent_id(other)
    assert folded_respondent_id(one) == folded_respondent_id(other)


@given(st.text(st.characters(max_codepoint=127)))
def test_older_id_of_plain_letters_is_folded_as_any_other_is(text: str) -> None:
    assert folded_respondent_id(text) == unicodedata.normalize("NFC", text.strip().casefold())


NAMESPACES = st.none() | st.from_regex(NAMESPACE, fullmatch=True).filter(lambda name: name != SHARED_NAMESPACE)
IDS = st.text(min_size=1).map(lambda text: unicodedata.normalize("NFC", text.strip())) | st.sampled_from(
    ["ns:", "ns::", "ns:a:b", "ns::a:b", ":", "a:b"]
)


@given(IDS, NAMESPACES)
def test_customer_of_a_respondent_is_found_again(customer_id: str, namespace: str | None) -> None:
    assert split_respondent_id(respondent_id(customer_id, namespace)) == (customer_id.strip(), namespace)


@given(IDS, NAMESPACES, IDS, NAMESPACES)
def test_ids_of_two_namespaces_never_meet(one: str, its: str | None, other: str, others: str | None) -> None:
    same = (one.strip(), its) == (other.strip(), others)
    assert (respondent_id(one, its) == respondent_id(other, others)) == same


def test_the_shared_namespace_may_be_named() -> None:
    assert respondent_id("42", SHARED_NAMESPACE) == respondent_id("42") == "42"


@pytest.mark.parametrize("start", ["09:00Z", "09:00+03:00", "09:00:00-14:00"])
@pytest.mark.parametrize("end", ["21:00", "21:00Z"])
def test_hours_of_a_window_are_the_respondents_whatever_offset_they_have(start: str, end: str) -> None:
    window = Window.model_validate_json(json.dumps({"start": start, "end": end}))
    assert window == Window(start=time(9), end=time(21))

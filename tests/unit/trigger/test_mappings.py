"""Mappings from foreign JSON to events."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from services.trigger.domain.sources.mapping import MappedEvent, Unmappable, compile_mapping
from services.trigger.domain.sources.source import InvalidSource, read_mapping

ORDERS = """
envelope: debezium
events:
  - when: {op: [c, u], after.status: delivered, after.deleted_at: {exists: false}}
    type: crm.purchase.completed
    id: "orders-{after.id}-delivered"
    time: {path: after.updated_at, transform: {time: unix_ms}}
    data:
      customer.id: [after.customer_id, {path: after.email, transform: [trim, lower]}]
      customer.email: {path: after.email, transform: [trim, lower]}
      customer.consent.sms: {path: after.sms, transform: {lookup: {"Y": true, "N": false}}}
      customer.attributes.tier.name: {path: after.tier, default: none}
      order.id: after.id
      order.amount: {path: after.total_cents, transform: {minor_units: 2}}
      order.currency: {const: EUR}
      order.items: {each: after.lines, fields: {id: sku, name: title}}
      touchpoint.store: [after.store, {const: web}]
  - when: {op: d}
    type: crm.purchase.cancelled
    id: "orders-{before.id}-deleted"
    time: {path: ts_ms, transform: {time: unix_ms}}
    data: {customer.id: before.customer_id, order.id: before.id}
"""
ROW: dict[str, Any] = {
    "id": 7,
    "status": "delivered",
    "updated_at": 1_760_000_000_000,
    "customer_id": None,
    "email": " Ann@Shop.example ",
    "sms": "Y",
    "total_cents": 1990,
    "lines": [{"sku": 3, "title": "Tea"}, {"title": ""}],
}


def mapped(mapping: str, document: Any) -> dict[str, Any] | None:
    made = compile_mapping(read_mapping(mapping.encode()))(document)
    return None if made is None else dict(made.event)


def one(rules: str, document: Any) -> Any:
    """Map one attribute by these rules."""
    text = f"""
events:
  - type: crm.customer.updated
    id: id
    time: {{const: "2026-03-01T12:00:00Z"}}
    data:
      customer.id: {{const: c1}}
      customer.attributes.x: {rules}
"""
    made = mapped(text, {"id": 1, **document})
    assert made is not None
    return made["data"]["customer"].get("attributes", {}).get("x")


@pytest.mark.parametrize("wrap", [lambda change: change, lambda change: {"schema": {}, "payload": change}])
def test_change_event_becomes_a_purchase(wrap: Any) -> None:
    assert mapped(ORDERS, wrap({"op": "u", "before": None, "after": ROW})) == {
        "specversion": "1.0",
        "type": "crm.purchase.completed",
        "id": "orders-7-delivered",
        "time": "2025-10-09T08:53:20+00:00",
        "data": {
            "customer": {
                "id": "ann@shop.example",
                "email": "ann@shop.example",
                "consent": {"sms": True},
                "attributes": {"tier.name": "none"},
            },
            "order": {
                "id": "7",
                "amount": "19.90",
                "currency": "EUR",
                "items": [{"id": "3", "name": "Tea"}, {}],
            },
            "touchpoint": {"store": "web"},
        },
    }


def test_deletion_is_another_event_and_what_no_rule_matches_is_none() -> None:
    deleted = mapped(ORDERS, {"op": "d", "ts_ms": 0, "before": {"id": 7, "customer_id": 1}, "after": None})
    assert deleted is not None
    assert (deleted["type"], deleted["id"]) == ("crm.purchase.cancelled", "orders-7-deleted")
    ignored: list[Any] = [None, {"schema": {}, "payload": None}, {"op": "u", "after": {**ROW, "status": "new"}}]
    for nothing in ignored:
        assert mapped(ORDERS, nothing) is None
    assert mapped(ORDERS, {"op": "u", "after": {**ROW, "deleted_at": 1}}) is None


@pytest.mark.parametrize(
    ("document", "error"),
    [
        ({"op": "u", "after": {**ROW, "id": None}}, "id: no value at after.id"),
        (
            {"op": "u", "after": {**ROW, "email": ""}},
            "customer.id: no value at after.customer_id or after.email",
        ),
        ({"op": "u", "after": {**ROW, "email": 7}}, "customer.id: expected a text (from after.email)"),
        ({"op": "u", "after": {**ROW, "updated_at": "x"}}, "time: not a time as unix_ms (from after.updated_at)"),
        ({"after": ROW}, "op: not a Debezium change event"),
        ([], "body: expected an object"),
    ],
)
def test_error_names_the_field_and_the_path(document: Any, error: str) -> None:
    with pytest.raises(Unmappable) as raised:
        mapped(ORDERS, document)
    assert str(raised.value) == error


def test_detail_that_cannot_be_read_is_left_out_and_named() -> None:
    made = compile_mapping(read_mapping(ORDERS.encode()))(
        {"op": "u", "after": {**ROW, "customer_id": 5, "email": 7, "total_cents": "1.5", "lines": {}}}
    )
    assert made is not None
    assert made.event["data"] == {
        "customer": {"id": "5", "consent": {"sms": True}, "attributes": {"tier.name": "none"}},
        "order": {"id": "7", "currency": "EUR"},
        "touchpoint": {"store": "web"},
    }
    assert made.ignored == [
        ("customer.email", "expected a text (from after.email)"),
        ("order.amount", "expected a whole number of minor units (from after.total_cents)"),
        ("order.items", "expected a list (from after.lines)"),
    ]


def test_alternative_that_cannot_be_read_is_passed_over_for_a_detail_but_never_for_an_id() -> None:
    assert one("[{path: a, transform: lower}, b]", {"a": 7, "b": "second"}) == "second"
    text = erasure(data={"customer.id": [{"path": "a", "transform": "lower"}, "b"]}, time={"const": "x"}, id="b")
    with pytest.raises(Unmappable, match=r"customer\.id: expected a text"):
        mapped(text, {"a": 7, "b": "second"})


@pytest.mark.parametrize(
    ("transform", "value", "result"),
    [
        ("trim", " a ", "a"),
        ("host", "https://Shop.example:8443/store?a=b", "shop.example"),
        ("host", "shop.example/store", "shop.example"),
        ("host", "my-shop.myshopify.com", "my-shop.myshopify.com"),
        ("host", " ", None),
        ("{decimal: 2}", "B80=", "19.97"),
        ("{decimal: 2}", "AA==", "0.00"),
        ("{decimal: 2}", "+DM=", "-19.97"),
        ("{decimal: 0}", "B80=", "1997"),
        ("{decimal: 2}", {"scale": 3, "value": "B80="}, "1.997"),
        ("{decimal: 2}", {"scale": -2, "value": "B80="}, "199700"),
        ("{decimal: 2}", "19.97", "19.97"),
        ("{decimal: 2}", 19.97, 19.97),
        ("{time: unix_ns}", 1_500_000_000, "1970-01-01T00:00:01.500000+00:00"),
        ("{time: unix_days, zone: Europe/Moscow}", 20_513, "2026-03-01T00:00:00+03:00"),
        ("{latest: at}", [{"at": "2026-03-02T00:00:00+03:00"}, {"at": "2026-03-01T22:00:00Z"}], "2026-03-01T22:00:00Z"),
        (
            "{latest: at, without: {state: [cancelled, error]}}",
            [{"at": "2026-03-01T00:00:00Z", "state": "success"}, {"at": "2026-03-09T00:00:00Z", "state": "error"}],
            "2026-03-01T00:00:00Z",
        ),
        ("{latest: at}", [], None),
        ("{latest: at}", [{"at": None}, None, {}], None),
        ("upper", "a", "A"),
        ("to_string", 7, "7"),
        ("to_string", True, "true"),
        ("to_number", "7", 7),
        ("to_number", "7.5", 7.5),
        ("to_boolean", "Yes", True),
        ("to_boolean", 0, False),
        ("{minor_units: 0}", 5, "5"),
        ("{absent_if: [0, none]}", 0, None),
        ("{absent_if: [0, none]}", False, False),
        ("{lookup: {'1': a}}", 1, "a"),
        ("{lookup: {'1': a}}", 2, None),
        ("{time: unix}", 1.5, "1970-01-01T00:00:01.500000+00:00"),
        ("{time: unix_us}", "1", "1970-01-01T00:00:00.000001+00:00"),
        ("{time: iso, zone: Europe/Moscow}", "2026-03-01T12:00:00", "2026-03-01T12:00:00+03:00"),
        ("{time: iso}", "2026-03-01T12:00:00-05:00", "2026-03-01T12:00:00-05:00"),
        ("{time: iso, zone: Europe/Moscow}", "2026-03-01T12:00:00-05:00", "2026-03-01T12:00:00-05:00"),
        ("{time: '%d.%m.%Y %z', zone: Europe/Moscow}", "01.03.2026 +0900", "2026-03-01T00:00:00+09:00"),
        ("{time: unix, zone: Europe/Moscow}", 0, "1970-01-01T00:00:00+00:00"),
        ("{time: '%d.%m.%Y %H:%M', zone: Europe/Moscow}", "01.03.2026 12:00", "2026-03-01T12:00:00+03:00"),
        ("trim", " ", None),
    ],
)
def test_transforms(transform: str, value: Any, result: Any) -> None:
    assert one(f"{{path: v, transform: [{transform}]}}", {"v": value}) == result


@pytest.mark.parametrize(
    ("transform", "value"),
    [
        ("lower", 1),
        ("to_string", {}),
        ("to_number", "1e999999999"),
        ("to_number", "nan"),
        ("to_number", "seven"),
        ("to_boolean", "maybe"),
        ("{minor_units: 2}", "1" * 30),
        ("{time: unix}", "1e999"),
        ("{time: unix}", "nan"),
        ("{time: unix}", 10**30),
        ("{time: iso}", "2026-03-01T12:00:00"),
        ("{time: iso}", 7),
        ("{time: '%Y'}", "x"),
        ("{time: unix_days, zone: UTC}", "1e5"),
        ("{time: unix_days, zone: UTC}", 10**12),
        ("{time: unix_days}", 20_513),
        ("host", "https://["),
        ("host", 7),
        ("{decimal: 2}", "not base64"),
        ("{decimal: 2}", True),
        ("{decimal: 2}", {"scale": "2", "value": "B80="}),
        ("{decimal: 2}", {"value": "B80="}),
        ("{decimal: 2}", {"scale": 10**9, "value": "B80="}),
        ("{decimal: 2}", "A" * 400),
        ("{latest: at}", {}),
        ("{latest: at}", [{"at": "yesterday"}]),
    ],
)
def test_value_a_transform_cannot_take_is_named_and_not_quoted(transform: str, value: Any) -> None:
    text = erasure(data={"customer.id": "id", "customer.name": {"path": "v", "transform": yaml.safe_load(transform)}})
    made = compile_mapping(read_mapping(text.encode()))({"id": 1, "v": value, "a": 1, "b": "x"})
    assert made is not None
    ((field, why),) = made.ignored
    assert field == "customer.name"
    assert why.endswith(" (from v)")
    assert str(value) not in why


@pytest.mark.parametrize(
    ("condition", "value", "holds"),
    [
        ("{not: refunded}", "paid", True),
        ("{not: refunded}", None, True),
        ("{not: refunded}", "refunded", False),
        ("{not: [refunded, voided]}", "voided", False),
        ("{not: true}", True, False),
        ("{not: true}", 1, True),
        ("[1, true]", True, True),
        ("[1, true]", "1", False),
    ],
)
def test_condition_may_exclude_values(condition: str, value: Any, *, holds: bool) -> None:
    text = erasure(when={"v": yaml.safe_load(condition)})
    assert (mapped(text, {"a": 1, "b": "x", "c": 1, "v": value}) is not None) is holds


@pytest.mark.parametrize(("given", "id_"), [(7, "7"), (7.0, "7"), ("7", "7"), (7.5, 7.5), (1e300, 1e300)])
def test_whole_number_is_an_id(given: object, id_: object) -> None:
    found = mapped(erasure(), {"a": 1, "b": "x", "c": given})
    assert found is not None
    assert found["data"]["customer"]["id"] == id_


def test_rule_may_ignore_what_a_later_one_would_take() -> None:
    rules = json.loads(erasure())["events"]
    text = json.dumps({"events": [{"when": {"kind": "walk-in"}, "ignore": "nobody is known"}, *rules]})
    document = {"a": 1, "b": "x", "c": 1}
    assert mapped(text, {**document, "kind": "walk-in"}) is None
    assert mapped(text, document) is not None


def test_paths_go_through_lists_and_stop_where_there_is_nothing() -> None:
    document = {"a": [{"b": 1}], "$headers": {"x.y": "h"}}
    assert one("a.0.b", document) == 1
    assert one("$headers.X.Y", document) == "h"
    for nowhere in ("a.1.b", "a.b", "a.0.b.c", '"{a.1.b} {a}"'):
        assert one(nowhere, document) is None


@pytest.mark.parametrize(("first", "taken"), [(0, 0), (False, False), (None, "second"), ("", "second")])
def test_alternative_counts_as_absent_when_it_is_null_or_empty_and_not_when_it_is_zero_or_false(
    first: Any, taken: Any
) -> None:
    assert one("[a, b]", {"a": first, "b": "second"}) == taken
    assert one("{path: a, default: second}", {"a": first}) == taken


def erasure(**other: Any) -> str:
    rule = {"type": "crm.customer.erased", "id": "a", "time": "b", "data": {"customer.id": "c"}, **other}
    return json.dumps({"events": [rule]})


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("events: []", "events: "),
        ("events: 7", "events: "),
        ("[]", "expected fields with their values"),
        (erasure(type="crm.unknown"), "events.0.type: no such event"),
        (erasure(type="crm.purchase.completed"), "needs order.id"),
        (erasure(data={"customer.id": "c", "colour": "d"}), "data.colour"),
        (erasure(data={"customer.id": {"path": "c", "transform": "rot13"}}), "no such transform; there are trim"),
        (
            erasure(data={"customer.id": "c", "order.id": {"customer_of": "a"}}),
            "customer_of is only allowed for customer.id",
        ),
        (erasure(time={"path": "b", "transform": {"time": "iso", "zone": "Mars"}}), "no such transform"),
        (erasure(data={"order.id": "o"}), "needs customer.id"),
        (
            erasure(data={"customer.id": "c", "order": "o", "order.id": "p"}),
            "data.order.id: data.order is a single value",
        ),
        (erasure(data={"customer.id": "c", "order.id": "o", "order.id.x": "p"}), "data.order.id.x: data.order.id is"),
        (json.dumps({"events": [{"ignore": "everything"}]}), "events.0.when: "),
        (erasure(when={"a": {"not": []}}), "events.0.when.a"),
        (erasure(when={"a": {"nor": 1}}), "events.0.when.a"),
        (erasure(data={"customer.id": {"path": "c", "transform": {"decimal": 99}}}), "no such transform"),
        (erasure(data={"customer.id": {"path": "c", "transform": {"latest": "a", "but": {}}}}), "no such transform"),
        (erasure(data={"customer.id": {"path": "c", "transform": {"latest": "a", "without": 7}}}), "no such transform"),
        ("x" * 100_001, "at most"),
    ],
)
def test_wrong_mapping_is_refused_with_the_place(text: str, where: str) -> None:
    with pytest.raises(InvalidSource) as raised:
        read_mapping(text.encode())
    assert where in str(raised.value)


def test_name_of_an_attribute_may_begin_as_another_does() -> None:
    text = erasure(
        data={"customer.id": "c", "attributes.a": "c", "attributes.a.b": "c", "customer.attributes.a.b": "c"}
    )
    found = mapped(text, {"a": "1", "b": "2026-03-02T12:00:00Z", "c": "7"})
    assert found is not None
    assert found["data"]["attributes"] == {"a": "7", "a.b": "7"}


def test_event_about_an_order_only_names_the_event_that_knows_its_customer() -> None:
    text = """
events:
  - {type: crm.order.delivered, id: "d-{o}", time: t, data: {customer.id: {customer_of: "order-{o}"}, order.id: o}}
"""
    made = compile_mapping(read_mapping(text.encode()))({"o": 5, "t": "2026-03-01T12:00:00Z"})
    assert isinstance(made, MappedEvent)
    assert made.customer_of == "order-5"
    assert json.loads(json.dumps(made.event["data"])) == {"order": {"id": "5"}}


@pytest.mark.parametrize(
    ("point", "text", "number"),
    [(",", "1\u00a0234,50", "1234.50"), (",", "1.234", "1234"), (".", "1,234.5", "1234.5"), (".", 7, "7")],
)
def test_number_of_a_spreadsheet_is_read(point: str, text: object, number: str) -> None:
    rule = f"{{path: sum, transform: {{number: '{point}'}}}}"
    assert one(rule, {"sum": text}) == number
    assert one(rule, {"sum": "many"}) is None

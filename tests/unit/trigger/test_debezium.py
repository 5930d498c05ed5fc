"""Change events as Debezium writes them: with and without schema, flattened, deleted, incomplete."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.trigger.domain.sources.debezium import UNAVAILABLE, change_event
from services.trigger.domain.sources.mapping import MappedEvent, Unmappable, compile_mapping
from services.trigger.domain.sources.source import read_mapping

MAPPING = """
envelope: debezium
events:
  - when: {op: [c, u, r], after.status: delivered}
    type: crm.purchase.completed
    id: "orders-{after.id}"
    time: {path: after.at, transform: {time: unix_us}}
    data:
      customer.id: after.customer
      customer.name: after.full_name
      customer.email: after.email
      order.id: after.id
      order.amount: {path: after.total, transform: {decimal: 2}}
  - when: {op: d}
    type: crm.purchase.cancelled
    id: "orders-{before.id}-deleted"
    time: [{path: ts_ms, transform: {time: unix_ms}}, $received]
    data: {customer.id: before.customer, order.id: before.id}
"""
READ = compile_mapping(read_mapping(MAPPING.encode()))
ROW: dict[str, Any] = {
    "id": 7,
    "status": "delivered",
    "at": 1_772_366_400_000_000,
    "customer": 5,
    "full_name": "Olga",
    "email": "olga@shop.example",
    "total": "B80=",
}
NOON = "2026-03-01T12:00:00+00:00"


def read(change: Any) -> MappedEvent | None:
    return READ({**change, "$received": NOON} if isinstance(change, dict) else change)


def with_schema(change: Any) -> dict[str, Any]:
    return {"schema": {"type": "struct", "name": "shop.Envelope"}, "payload": change}


@pytest.mark.parametrize(
    "change",
    [
        {"op": "c", "before": None, "after": ROW, "source": {"table": "orders"}, "ts_ms": 1},
        {"op": "u", "before": ROW, "after": ROW},
        {"op": "r", "after": ROW},
        {"op": "c", "after": json.dumps(ROW)},  # MongoDB
        {**ROW, "__op": "u", "__deleted": "false", "__source_ts_ms": 1},
        {**ROW, "__deleted": "false"},
        {**ROW, "__deleted": False},
        {**ROW, "__op": "r"},
    ],
)
@pytest.mark.parametrize("wrap", [lambda change: change, with_schema])
def test_changed_row_is_read_in_every_form(change: dict[str, Any], wrap: Any) -> None:
    made = read(wrap(change))
    assert made is not None
    assert (made.event["type"], made.event["id"], made.event["time"]) == ("crm.purchase.completed", "orders-7", NOON)
    assert made.event["data"] == {
        "customer": {"id": "5", "name": "Olga", "email": "olga@shop.example"},
        "order": {"id": "7", "amount": "19.97"},
    }


@pytest.mark.parametrize(
    "change",
    [
        {"op": "d", "before": {"id": 7, "customer": 5}, "after": None},
        {"op": "d", "before": {"id": 7, "customer": 5}},
        {"id": 7, "customer": 5, "status": "delivered", "__op": "d", "__deleted": "true"},
        {"id": 7, "customer": 5, "status": "delivered", "__deleted": "true"},
        {"id": 7, "customer": 5, "__op": "d"},
    ],
)
@pytest.mark.parametrize("wrap", [lambda change: change, with_schema])
def test_deleted_row_is_read_in_every_form(change: dict[str, Any], wrap: Any) -> None:
    made = read(wrap(change))
    assert made is not None
    assert (made.event["type"], made.event["id"]) == ("crm.purchase.cancelled", "orders-7-deleted")


@pytest.mark.parametrize(
    "change",
    [
        None,
        {"schema": None, "payload": None},
        {"op": "t", "before": None, "after": None, "source": {"table": "orders"}},
        {"op": "t"},
        {"op": "m", "message": {"prefix": "x", "content": "eA=="}},
        {"op": "u", "before": None, "after": {**ROW, "status": "new"}},
        {**ROW, "status": "new", "__op": "u"},
    ],
)
def test_change_of_no_order_is_ignored(change: Any) -> None:
    assert read(change) is None


@pytest.mark.parametrize(
    "unavailable",
    [
        UNAVAILABLE,
        "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==",
        [UNAVAILABLE],
        {UNAVAILABLE: UNAVAILABLE},
    ],
)
@pytest.mark.parametrize("flat", [False, True])
def test_value_that_debezium_did_not_send_is_absent(unavailable: Any, *, flat: bool) -> None:
    row = {**ROW, "full_name": unavailable, "email": unavailable, "total": unavailable}
    made = read({**row, "__op": "u"} if flat else {"op": "u", "after": row})
    assert made is not None
    assert made.event["data"] == {"customer": {"id": "5"}, "order": {"id": "7"}}
    assert made.ignored == []


def test_id_that_oracle_writes_as_a_decimal_is_read() -> None:
    text = MAPPING.replace("order.id: after.id", "order.id: {path: after.id, transform: {decimal: 0}}")
    change = {"op": "u", "after": {**ROW, "id": {"scale": 0, "value": "B80="}}}
    made = compile_mapping(read_mapping(text.replace("orders-{after.id}", "orders-{after.customer}").encode()))(change)
    assert made is not None
    assert made.event["data"]["order"]["id"] == "1997"


def test_unavailable_id_is_named_and_not_taken_for_one() -> None:
    with pytest.raises(Unmappable, match=r"customer\.id: no value at after\.customer"):
        read({"op": "u", "after": {**ROW, "customer": UNAVAILABLE}})


@pytest.mark.parametrize("total", [{"scale": 2, "value": "B80="}, "B80=", "19.97", 19.97])
def test_amount_is_read_in_every_mode(total: Any) -> None:
    made = read({"op": "u", "after": {**ROW, "total": total}})
    assert made is not None
    assert str(made.event["data"]["order"]["amount"]) == "19.97"


@pytest.mark.parametrize("change", [{"after": ROW}, ROW, {"schema": {}, "payload": ROW}, {"schema": {}, "payload": []}])
def test_what_is_no_change_event_is_named(change: Any) -> None:
    with pytest.raises(Unmappable, match="op: not a Debezium change event"):
        read(change)


@pytest.mark.parametrize("after", ["not json", "[]", 7, "[" * 5000])
def test_row_that_is_no_object_matches_nothing(after: Any) -> None:
    assert read({"op": "u", "after": after}) is None


def test_row_that_is_no_unicode_is_a_text() -> None:
    assert (change_event({"op": "c", "after": "\udcff"}) or {})["after"] == "\udcff"

"""Ids are UUIDs of version 7, whatever class makes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec

from shared.contract.events import SurveyWithdrawn
from shared.ids import first_id, id_from, made_at, new_id


def test_new_ids_are_of_version_7_and_in_the_order_in_which_they_were_made() -> None:
    ids = [new_id() for _ in range(1000)]
    assert {(id_.version, id_.variant) for id_ in ids} == {(7, UUID(int=0x8 << 60).variant)}
    assert ids == sorted(set(ids))
    assert abs(made_at(ids[0]) - datetime.now(UTC)) < timedelta(minutes=1)
    assert first_id(made_at(ids[0])) <= ids[0]


def test_id_is_a_uuid_like_any_other() -> None:
    id_, plain = id_from(bytes(range(16))), UUID(bytes=bytes(range(16)))
    assert isinstance(id_, UUID)
    assert (id_, str(id_), hash(id_), id_.int) == (plain, str(plain), hash(plain), plain.int)
    assert {id_: "found"}[plain] == "found"
    assert msgspec.json.encode(id_) == msgspec.json.encode(plain)
    withdrawn = SurveyWithdrawn(respondent_id="c1", invitation_id=id_, reason="cancelled")
    assert withdrawn == SurveyWithdrawn.model_validate_json(withdrawn.model_dump_json())

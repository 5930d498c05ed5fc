"""Which stored values figures show as one store."""

from __future__ import annotations

from services.scoring.domain.slices import Slice
from services.scoring.domain.stores.names import StoreNames

NAMES = StoreNames({"77": "Arbat", "Arbat": "Arbat", "old Arbat": "Arbat", "Sokol": "Sokol"})


def test_every_name_of_a_store_stands_for_it_and_only_in_its_dimension() -> None:
    assert [NAMES.shown("store", each) for each in ("77", "old Arbat", "Khimki")] == ["Arbat", "Arbat", "Khimki"]
    assert NAMES.shown("region", "77") == "77"
    assert NAMES.stored("store", "old Arbat") == ["77", "Arbat", "old Arbat"]
    assert NAMES.stored("store", "Khimki") == ["Khimki"]
    assert NAMES.stored("region", "77") == ["77"]


def test_slice_asks_for_all_names_of_its_store_and_shows_one() -> None:
    selected = Slice(segment=("store", "77"), stores=NAMES)
    assert selected.kept_as([]) == ("store", ["77", "Arbat", "old Arbat"])
    assert selected.shown_segment == ("store", "Arbat")
    assert selected.shown(["store", "channel"], ["77", "shop"]) == ("Arbat", "shop")
    assert Slice(stores=NAMES).shown_segment is None
    assert Slice(stores=NAMES).counted_as == ("all", [""])
